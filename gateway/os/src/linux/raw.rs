//! The system calls that Rust calls unsafe, each behind a safe name. Nothing else in the workspace is unsafe.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::libc;
use nix::unistd::ForkResult;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::{Errno, Pid};

/// Takes over a descriptor that this process has inherited, by its number.
///
/// # Errors
///
/// [`Errno::BadDescriptor`] if nothing is open under that number.
#[expect(unsafe_code, reason = "a number says nothing about who owns the descriptor")]
pub fn adopt(number: RawFd) -> Result<OwnedFd, Errno> {
    let open = std::fs::exists(format!("/proc/self/fd/{number}")).unwrap_or(false);
    if number < 0 || !open {
        return Err(Errno::BadDescriptor);
    }
    // SAFETY: it is open, and a caller names only what it was told to have inherited, so that nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// fork(2) of a process with one thread. `None` in the child.
///
/// # Errors
///
/// [`Errno::InvalidArgument`] if this process has a second thread, whose locks the child could never take.
#[expect(unsafe_code, reason = "the child of a process with several threads has the locks of all but one")]
pub fn fork() -> Result<Option<Pid>, Errno> {
    let threads = std::fs::read_dir("/proc/self/task").map_err(|_| Errno::InvalidArgument)?.count();
    if threads != 1 {
        return Err(Errno::InvalidArgument);
    }
    // SAFETY: there is no other thread, so no lock is held by anybody who is missing in the child.
    match unsafe { nix::unistd::fork() } {
        Ok(ForkResult::Parent { child }) => Ok(u32::try_from(child.as_raw()).ok().and_then(Pid::new)),
        Ok(ForkResult::Child) => Ok(None),
        Err(errno) => Err(Errno::from_raw(errno as i32)),
    }
}

/// pidfd_send_signal(2) without a signal: whether the process of a pidfd could be sent one.
///
/// # Errors
///
/// [`Errno::NoProcess`] if it was reaped, [`Errno::NotPermitted`] if it is somebody else's, [`Errno::BadDescriptor`] if it
/// is no pidfd, and what else the kernel says.
#[expect(unsafe_code, reason = "no safe wrapper takes 0 for a signal")]
pub fn test_pidfd(pidfd: BorrowedFd<'_>) -> Result<(), Errno> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open while it is borrowed, and the kernel reads no `siginfo_t` through a null pointer.
    let answer = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), 0, no_info, 0) };
    if answer == 0 { Ok(()) } else { Err(Errno::from_raw(nix::errno::Errno::last_raw())) }
}

/// Moves this process into a user, network and mount namespace of its own; its next child begins a pid namespace.
///
/// # Errors
///
/// [`Errno::NotPermitted`] or [`Errno::NoSpace`] where namespaces are not allowed, [`Errno::InvalidArgument`] if this
/// process has a second thread.
#[expect(unsafe_code, reason = "unshare(2) is unsafe because of CLONE_FILES, which is not among these flags")]
pub fn leave_namespaces() -> Result<(), Errno> {
    let flags = UnshareFlags::NEWUSER | UnshareFlags::NEWPID | UnshareFlags::NEWNET | UnshareFlags::NEWNS;
    // SAFETY: what is unsafe is to unshare the table of descriptors, so that threads disagree about who owns which
    // number. `CLONE_FILES` is not among the flags, and none of those that are implies it.
    unsafe { unshare_unsafe(flags) }.map_err(Errno::from)
}
