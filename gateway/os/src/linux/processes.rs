//! Processes and kernel tables, as `/proc` of this pid namespace shows them: read whole and bounded, or refused.
//!
//! A table that is larger than its bound is an error (`EFBIG`) and not a shorter table, because whoever is missing from
//! a shorter one would be reported as absent. What disappears between two reads was not there.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::{Errno as Raw, retry_on_intr};

use super::files::done;
use super::parse;
use crate::{Errno, FileId, Pid, Port, Reply, Signal, TcpRow, TcpState};

/// One process: a line, or a file with a few lines.
const SMALL: usize = 64 * 1024;
/// The whole machine: some 200,000 sockets or locks.
const LARGE: usize = 32 * 1024 * 1024;

pub(super) fn own_pid() -> Result<Reply, Errno> {
    pid_of(rustix::process::getpid().as_raw_nonzero().get()).map(Reply::Pid)
}

pub(super) fn kill(pid: Pid, signal: Option<Signal>) -> Result<Reply, Errno> {
    let pid = raw_pid(pid).ok_or(Errno::NoProcess)?;
    done(match signal {
        None => rustix::process::test_kill_process(pid),
        Some(signal) => rustix::process::kill_process(pid, raw_signal(signal)),
    })
}

pub(super) fn list() -> Result<Reply, Errno> {
    let mut pids: Vec<Pid> = numbers("/proc")?.1.into_iter().filter_map(Pid::new).collect();
    pids.sort_unstable();
    Ok(Reply::Pids(pids))
}

pub(super) fn status(pid: Pid) -> Result<Reply, Errno> {
    let text = lossy(whole(rustix::fs::CWD, &format!("/proc/{pid}/stat"), SMALL)?);
    // A process that died while it was read leaves nothing to read, or half a line.
    parse::process_status(&text).map(Reply::Process).ok_or(Errno::NotFound)
}

/// Long command lines are cut: they are for people.
pub(super) fn command(pid: Pid) -> Result<Reply, Errno> {
    let (bytes, _) = start(rustix::fs::CWD, &format!("/proc/{pid}/cmdline"), SMALL)?;
    Ok(Reply::Text(parse::command(&bytes)))
}

pub(super) fn holds_lock(pid: Pid, file: FileId) -> Result<Reply, Errno> {
    let (directory, descriptors) = numbers(&format!("/proc/{pid}/fdinfo"))?;
    for descriptor in descriptors {
        // The locks come first; what may follow them and be long is the watch list of an epoll or inotify.
        match start(&directory, &descriptor.to_string(), SMALL) {
            Ok((bytes, _)) => {
                if parse::descriptor_locks(&lossy(bytes)).any(|held| held == file) {
                    return Ok(Reply::Truth(true));
                }
            }
            Err(Errno::NotFound) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(Reply::Truth(false))
}

pub(super) fn holds_socket(pid: Pid, socket: u64) -> Result<Reply, Errno> {
    let (directory, descriptors) = numbers(&format!("/proc/{pid}/fd"))?;
    for descriptor in descriptors {
        match rustix::fs::readlinkat(&directory, descriptor.to_string(), Vec::new()) {
            Ok(link) if link.to_str().ok().and_then(parse::socket_inode) == Some(socket) => {
                return Ok(Reply::Truth(true));
            }
            Ok(_) | Err(Raw::NOENT | Raw::SRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(Reply::Truth(false))
}

/// How often a table that changes while it is read is read again.
const READINGS: u32 = 16;

/// The table comes in pieces of a page, each from where the last one ended by count (`locks_start` in `fs/locks.c`). Locks
/// that come and go meanwhile, whoever's, make a line come twice or not at all. So two readings have to agree.
pub(super) fn lock_takers(file: FileId) -> Result<Reply, Errno> {
    let mut pids = lock_takers_once(file)?;
    for _ in 0..READINGS {
        let again = lock_takers_once(file)?;
        if again == pids {
            break;
        }
        pids = again;
    }
    Ok(Reply::Pids(pids))
}

fn lock_takers_once(file: FileId) -> Result<Vec<Pid>, Errno> {
    let text = lossy(whole(rustix::fs::CWD, "/proc/locks", LARGE)?);
    let rows = parse::lock_table(&text).into_iter().filter(|row| row.file == file);
    let mut pids: Vec<Pid> = rows.map(|row| row.taken_by).collect();
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

pub(super) fn tcp_sockets(port: Port) -> Result<Reply, Errno> {
    tcp_rows(|row| row.local.port() == port.get())
}

pub(super) fn tcp_listeners(first: Port, last: Port) -> Result<Reply, Errno> {
    let ports = first.get()..=last.get();
    tcp_rows(|row| row.state == TcpState::Listen && ports.contains(&row.local.port()))
}

fn tcp_rows(wanted: impl Fn(&TcpRow) -> bool) -> Result<Reply, Errno> {
    let mut rows = parse::tcp_table(&lossy(whole(rustix::fs::CWD, "/proc/net/tcp", LARGE)?));
    match whole(rustix::fs::CWD, "/proc/net/tcp6", LARGE) {
        Ok(bytes) => rows.extend(parse::tcp_table(&lossy(bytes))),
        // A kernel without IPv6 has no such file, and no such sockets.
        Err(Errno::NotFound) => {}
        Err(errno) => return Err(errno),
    }
    rows.retain(wanted);
    Ok(Reply::Tcp(rows))
}

pub(super) fn boot_id() -> Result<Reply, Errno> {
    let text = lossy(whole(rustix::fs::CWD, "/proc/sys/kernel/random/boot_id", SMALL)?);
    Ok(Reply::Text(text.trim().to_owned()))
}

/// A directory of `/proc` and the names in it that are numbers.
fn numbers(path: &str) -> Result<(OwnedFd, Vec<u32>), Errno> {
    let directory = open(rustix::fs::CWD, path, OFlags::DIRECTORY)?;
    let mut numbers = Vec::new();
    for entry in Dir::read_from(&directory).map_err(vanished)? {
        let entry = entry.map_err(vanished)?;
        numbers.extend(entry.file_name().to_str().ok().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok((directory, numbers))
}

/// A file of `/proc`, all of it.
fn whole(at: impl AsFd, path: &str, limit: usize) -> Result<Vec<u8>, Errno> {
    match start(at, path, limit)? {
        (bytes, Rest::Nothing) => Ok(bytes),
        (_, Rest::Unread) => Err(Raw::FBIG.into()),
    }
}

/// What follows the bytes that were read.
enum Rest {
    Nothing,
    Unread,
}

/// The first bytes of a file of `/proc`, at most `limit`.
fn start(at: impl AsFd, path: &str, limit: usize) -> Result<(Vec<u8>, Rest), Errno> {
    let file = open(at, path, OFlags::empty())?;
    let mut bytes = Vec::new();
    while bytes.len() <= limit {
        // In large pieces: the kernel may change a table between two of them.
        bytes.reserve(SMALL);
        let count = retry_on_intr(|| rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)));
        if count.map_err(vanished)? == 0 {
            return Ok((bytes, Rest::Nothing));
        }
    }
    bytes.truncate(limit);
    Ok((bytes, Rest::Unread))
}

fn open(at: impl AsFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    retry_on_intr(|| rustix::fs::openat(&at, path, flags, Mode::empty())).map_err(vanished)
}

/// A process that is gone is `ENOENT` when its directory is opened and `ESRCH` when it went a moment later.
fn vanished(errno: Raw) -> Errno {
    if errno == Raw::SRCH { Errno::NotFound } else { errno.into() }
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn pid_of(raw: i32) -> Result<Pid, Errno> {
    u32::try_from(raw).ok().and_then(Pid::new).ok_or(Errno::NoProcess)
}

/// A number above the largest pid must not turn negative: that would address a process group.
pub(super) fn raw_pid(pid: Pid) -> Option<rustix::process::Pid> {
    i32::try_from(pid.get()).ok().and_then(rustix::process::Pid::from_raw)
}

pub(super) fn raw_signal(signal: Signal) -> rustix::process::Signal {
    match signal {
        Signal::Terminate => rustix::process::Signal::TERM,
        Signal::Interrupt => rustix::process::Signal::INT,
        Signal::Kill => rustix::process::Signal::KILL,
        Signal::Stop => rustix::process::Signal::STOP,
        Signal::Continue => rustix::process::Signal::CONT,
        Signal::User1 => rustix::process::Signal::USR1,
        Signal::User2 => rustix::process::Signal::USR2,
    }
}
