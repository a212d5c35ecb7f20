//! A try has a machine for itself: own pids, own ports, own mounts, and the kernel ends whatever is left in it.
//!
//! Two processes make it. The first leaves the namespaces of its parent and waits; the second, its child, is the first
//! process of the new pid namespace: when it ends, for whatever reason, the kernel kills everything in there. Neither
//! needs privileges. The uid inside is the uid outside, so that files and sockets belong to whom they seem to.

use std::ffi::OsStr;
use std::fmt::Display;
use std::process::ExitCode;

use portcullis_os::raw;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Signal, getegid, geteuid, set_parent_process_death_signal};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, set_capabilities,
};

use super::internal::{Helper, answer};
use super::wire::Answer;
use conform::real::loopback;

/// This program, under a name that needs no knowledge of where it was installed.
pub(super) const ITSELF: &str = "/proc/self/exe";

/// Makes the namespaces, starts the second helper in them, and ends when that has ended.
pub(super) fn main() -> ExitCode {
    match separate() {
        Ok(code) => code,
        Err(reason) => {
            answer(&Answer::Crowded(reason));
            ExitCode::FAILURE
        }
    }
}

fn separate() -> Result<ExitCode, String> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    raw::leave_namespaces().map_err(because("namespaces are not allowed here"))?;
    // Entering a user namespace has forgotten it.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(because("no parent death signal"))?;
    write("/proc/self/setgroups", "deny").map_err(because("the groups cannot be mapped"))?;
    write("/proc/self/uid_map", &format!("{uid} {uid} 1")).map_err(because("the user cannot be mapped"))?;
    write("/proc/self/gid_map", &format!("{gid} {gid} 1")).map_err(because("the group cannot be mapped"))?;
    keep_capabilities().map_err(because("the capabilities cannot be handed on"))?;
    let mut second = Helper::Case.command(OsStr::new(ITSELF));
    let status = second.status().map_err(because("the first process of the namespace does not start"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lets the child mount and configure although it is not root: what it executes keeps only ambient capabilities.
fn keep_capabilities() -> rustix::io::Result<()> {
    let wanted = CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN;
    let now = capabilities(None)?;
    set_capabilities(None, CapabilitySets { inheritable: now.inheritable | wanted, ..now })?;
    configure_capability_in_ambient_set(CapabilitySet::SYS_ADMIN, true)?;
    configure_capability_in_ambient_set(CapabilitySet::NET_ADMIN, true)
}

/// Furnishes the namespaces that this process is the first one of.
///
/// # Errors
///
/// What is not allowed here, as a fragment of a sentence.
pub(super) fn furnish() -> Result<(), String> {
    // What is started from here has no more rights than it would have outside.
    clear_ambient_capability_set().map_err(because("the capabilities cannot be given up"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(because("mounts cannot be made private"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "/proc", "proc", flags, None).map_err(because("/proc cannot be mounted"))?;
    loopback::take_up()
}

#[expect(clippy::disallowed_methods, reason = "the named edge: the maps of a user namespace are files")]
fn write(path: &str, text: &str) -> std::io::Result<()> {
    std::fs::write(path, text)
}

fn because<E: Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}
