//! Children, and processes held by pidfd.
//!
//! A child of [`Call::Spawn`](crate::Call::Spawn) gets no standard streams, the environment of this process, and of its
//! descriptors those alone that [`Call::SetInherit`](crate::Call::SetInherit) has marked. It closes the others in the same
//! system call in which it becomes another program, but this process is told a moment earlier: what it lets go of at once
//! may still be held for that moment.
//!
//! Nobody reaps a child but [`Call::Reap`](crate::Call::Reap).

use std::future::poll_fn;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::retry_on_intr;
use rustix::process::{PidfdFlags, WaitOptions, WaitStatus};

use super::files::done;
use super::processes::{raw_pid, raw_signal};
use super::raw;
use super::sockets::poll;
use super::table::{Table, errno};
use crate::{Ending, Errno, FOREVER_MS, Fd, Namespaces, Pid, Reply, Signal};

/// What `/proc/self/ns` links to: the inodes of this process's namespaces.
pub(super) fn own_namespaces() -> Result<Reply, Errno> {
    let number = |kind: &str| rustix::fs::stat(format!("/proc/self/ns/{kind}")).map(|stat| stat.st_ino);
    Ok(Reply::Namespaces(Namespaces { pid: number("pid")?, network: number("net")? }))
}

/// A path that is not absolute is refused, because it means something else wherever it is asked from.
pub(super) fn spawn(command: &[String]) -> Result<Reply, Errno> {
    let (program, arguments) = command.split_first().ok_or(Errno::InvalidArgument)?;
    if !Path::new(program).is_absolute() || command.iter().any(|argument| argument.contains('\0')) {
        return Err(Errno::InvalidArgument);
    }
    let mut child = Command::new(program);
    child.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = child.spawn().map_err(|error| errno(&error))?;
    Pid::new(child.id()).map(Reply::Pid).ok_or(Errno::NoProcess)
}

pub(super) fn reap(pid: Pid) -> Result<Reply, Errno> {
    let pid = raw_pid(pid).ok_or(Errno::NoChild)?;
    match retry_on_intr(|| rustix::process::waitpid(Some(pid), WaitOptions::NOHANG))? {
        Some((_, status)) => ending(status).map(Reply::Ended).ok_or(Errno::InputOutput),
        None => Err(Errno::WouldBlock),
    }
}

pub(super) fn open_pidfd(table: &Table, pid: Pid) -> Result<Reply, Errno> {
    let pid = raw_pid(pid).ok_or(Errno::NoProcess)?;
    Ok(Reply::Fd(table.insert(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)))
}

pub(super) fn signal_pidfd(table: &Table, fd: Fd, signal: Option<Signal>) -> Result<Reply, Errno> {
    let pidfd = table.get(fd)?;
    match signal {
        None => raw::test_pidfd(pidfd.as_fd()).map(|()| Reply::Done),
        Some(signal) => done(rustix::process::pidfd_send_signal(&pidfd, raw_signal(signal))),
    }
}

pub(super) async fn wait_pidfd(table: &Table, fd: Fd, deadline_ms: u32) -> Result<Reply, Errno> {
    // Anything can be polled, but only of a pidfd it says that a process is dead.
    if raw::test_pidfd(table.get(fd)?.as_fd()) == Err(Errno::BadDescriptor) {
        return Err(Errno::BadDescriptor);
    }
    if dead_now(table.get(fd)?.as_fd()).is_ok() {
        return Ok(Reply::Done);
    }
    let pidfd = table.watch(fd)?;
    let death = poll_fn(|context| poll(&pidfd, context, dead_now));
    if deadline_ms == FOREVER_MS {
        return death.await.map(|()| Reply::Done);
    }
    match tokio::time::timeout(Duration::from_millis(u64::from(deadline_ms)), death).await {
        Ok(dead) => dead.map(|()| Reply::Done),
        Err(_) => Err(Errno::TimedOut),
    }
}

/// Whether the process of a pidfd is dead; `EAGAIN` while it is not.
fn dead_now(pidfd: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut asked = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    match retry_on_intr(|| rustix::event::poll(&mut asked, Some(&at_once)))? {
        0 => Err(Errno::WouldBlock),
        _ => Ok(()),
    }
}

/// `None` for a child that is not dead, which waitpid(2) tells only to who asks for it.
fn ending(status: WaitStatus) -> Option<Ending> {
    if let Some(exit) = status.exit_status() {
        return u8::try_from(exit).ok().map(Ending::Exited);
    }
    let number = status.terminating_signal()?;
    match Signal::ALL.into_iter().find(|signal| raw_signal(*signal).as_raw() == number) {
        Some(signal) => Some(Ending::Killed(signal)),
        None => u8::try_from(number).ok().map(Ending::KilledBy),
    }
}
