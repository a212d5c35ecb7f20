//! The namespaces of a machine of its own, made without privileges where there are none.
//!
//! The process that makes them stays outside of the pid namespace and waits; its child is the first process in there,
//! and when that ends, for whatever reason, the kernel ends everything else in it. As root three users are mapped, so
//! that permissions mean something; otherwise there is only the user who asked.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use portcullis_os::{Pid, raw};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Signal, WaitOptions, getegid, geteuid, set_parent_process_death_signal, waitpid};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::wire::{Errands, tell};
use super::{INTERNAL, ITSELF, KEEPER};
use super::{loopback, zygote};

/// Root, and two users who are not.
pub(super) const USERS: [u32; 3] = [0, 1000, 1001];

/// Makes the namespaces and is their keeper until the first process in them has ended. Its standard input is the
/// driver's end.
pub(super) fn main() -> ExitCode {
    match separate() {
        Ok(code) => code,
        Err(reason) => {
            // Without a driver there is nobody to tell.
            let _ = tell(io::stdin(), &Errands::Impossible(reason));
            ExitCode::FAILURE
        }
    }
}

/// Which of two processes this has become.
enum Side {
    Inside,
    Mapper,
}

fn separate() -> Result<ExitCode, String> {
    close_inherited()?;
    stop_ignoring_signals()?;
    let own = (geteuid().as_raw(), getegid().as_raw());
    let users = if own.0 == 0 { USERS.to_vec() } else { vec![own.0] };
    let side = if own.0 == 0 { leave_as_root()? } else { leave_as_user(own)? };
    if let Side::Mapper = side {
        return Ok(ExitCode::SUCCESS);
    }
    let Some(first) = raw::fork().map_err(because("no process can be started"))? else {
        // Entering a user namespace has forgotten that this ends with its parent.
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(because("no parent death signal"))?;
        return furnish().map(|()| zygote::main(users));
    };
    wait_for(first).map(|()| ExitCode::SUCCESS)
}

/// Who starts a program in the background often lets it ignore `SIGINT`, which would reach every process of the machine.
/// What is caught is no more ignored after execve(2) (signal(7)), so this catches both and executes itself again.
fn stop_ignoring_signals() -> Result<(), String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the named edge: which signals are ignored is told by /proc"
    )]
    let status =
        std::fs::read_to_string("/proc/self/status").map_err(because("the own status cannot be read"))?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    let signals = [SIGINT, SIGTERM];
    if signals.iter().all(|signal| ignored & 1 << (signal - 1) == 0) {
        return Ok(());
    }
    for signal in signals {
        flag::register(signal, Arc::default()).map_err(because("a signal cannot be caught"))?;
    }
    let error = Command::new(ITSELF).args([INTERNAL, KEEPER]).exec();
    Err(format!("it cannot be executed: {error}"))
}

/// Closes what whoever started the run has left open (shells do): every process of the machine would have it.
fn close_inherited() -> Result<(), String> {
    for number in open_descriptors().map_err(because("the own descriptors cannot be listed"))? {
        // The descriptor of the listing itself is among them, and is closed already.
        drop(raw::adopt(number));
    }
    Ok(())
}

/// Every descriptor above the standard streams.
pub(super) fn open_descriptors() -> io::Result<Vec<RawFd>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    numbers.retain(|number| *number > 2);
    Ok(numbers)
}

fn leave_as_user((uid, gid): (u32, u32)) -> Result<Side, String> {
    raw::leave_namespaces().map_err(because("namespaces are not allowed here"))?;
    write("/proc/self/setgroups", "deny").map_err(because("the groups cannot be mapped"))?;
    map("/proc/self", &[uid], &[gid]).map(|()| Side::Inside)
}

/// Several users can be mapped only by a process that is still outside.
fn leave_as_root() -> Result<Side, String> {
    const TROUBLE: &str = "the users cannot be mapped";
    let (mut ready, mut tell_ready) = io::pipe().map_err(because(TROUBLE))?;
    let process = format!("/proc/{}", rustix::process::getpid());
    let Some(mapper) = raw::fork().map_err(because("no process can be started"))? else {
        drop(tell_ready);
        // Whether it worked shows in the other process, which is mapped or is not.
        let _ = ready.read_exact(&mut [0]).is_ok_and(|()| map(&process, &USERS, &USERS).is_ok());
        return Ok(Side::Mapper);
    };
    raw::leave_namespaces().map_err(because("namespaces are not allowed here"))?;
    tell_ready.write_all(b"!").map_err(because(TROUBLE))?;
    wait_for(mapper)?;
    if geteuid().is_root() { Ok(Side::Inside) } else { Err(TROUBLE.to_owned()) }
}

fn wait_for(child: Pid) -> Result<(), String> {
    let pid = i32::try_from(child.get()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::io::retry_on_intr(|| waitpid(pid, WaitOptions::empty())).map_err(because("a child is lost"))?;
    Ok(())
}

fn map(process: &str, uids: &[u32], gids: &[u32]) -> Result<(), String> {
    let lines = |ids: &[u32]| ids.iter().map(|id| format!("{id} {id} 1\n")).collect::<String>();
    write(&format!("{process}/uid_map"), &lines(uids)).map_err(because("the users cannot be mapped"))?;
    write(&format!("{process}/gid_map"), &lines(gids)).map_err(because("the groups cannot be mapped"))
}

#[expect(clippy::disallowed_methods, reason = "the named edge: the maps of a user namespace are files")]
fn write(path: &str, text: &str) -> io::Result<()> {
    std::fs::write(path, text)
}

/// Furnishes the namespaces that this process is the first one of: mounts of its own, its own `/proc`, a loopback.
///
/// # Errors
///
/// What is not allowed here, as a fragment of a sentence.
pub fn furnish() -> Result<(), String> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(because("mounts cannot be made private"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "/proc", "proc", flags, None).map_err(because("/proc cannot be mounted"))?;
    loopback::take_up()
}

pub(super) fn because<E: Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}
