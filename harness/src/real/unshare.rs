//! The one system call of the workspace that Rust calls unsafe: this process leaves the namespaces of its parent.

use rustix::io::Errno;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Moves this process into a user, network and mount namespace of its own; its next child begins a pid namespace.
///
/// # Errors
///
/// `EPERM` or `ENOSPC` where namespaces are not allowed, `EINVAL` if this process has a second thread.
#[expect(unsafe_code, reason = "unshare(2) is unsafe because of CLONE_FILES, which is not among these flags")]
pub(super) fn leave_namespaces() -> Result<(), Errno> {
    let flags = UnshareFlags::NEWUSER | UnshareFlags::NEWPID | UnshareFlags::NEWNET | UnshareFlags::NEWNS;
    // SAFETY: what is unsafe is to unshare the table of descriptors, so that threads disagree about who owns which
    // number. `CLONE_FILES` is not among the flags, and none of those that are implies it.
    unsafe { unshare_unsafe(flags) }
}
