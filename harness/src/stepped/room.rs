//! A driver has a machine for itself whose paths, ports, pids and users are those of the simulated one.
//!
//! It is the first process of its own user, pid, network and mount namespaces. Its root directory is an empty file system
//! in memory, and the one user in it has the number that the simulated programs run as, whoever that is outside. So a
//! path or a pid in a call means the same on both machines. Nothing in there outlives the driver.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use portcullis_os::{Pid, raw};
use rustix::fs::Mode;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{
    Signal, WaitOptions, chroot, getegid, geteuid, set_parent_process_death_signal, umask, waitpid,
};

use crate::machine::{Furniture, USER};
use conform::real::loopback;

/// What becomes the root directory. Every system has it, and nothing in it is needed once the driver runs.
const MOUNT_POINT: &str = "/tmp";
/// What stays there from one schedule to the next.
const PROC: &str = "/proc";
/// The last pid that was given out in this pid namespace; the next one is the number after it.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

/// On which side of a door a process is.
pub(super) enum Side {
    /// It has waited for the driver, which is gone.
    Outside(ExitCode),
    /// It is the driver.
    Inside,
}

/// Makes the room. Returns twice: in the driver, and outside when that has ended.
///
/// # Errors
///
/// What is not allowed here, as a fragment of a sentence.
pub(super) fn enter() -> Result<Side, String> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    raw::leave_namespaces().map_err(because("namespaces are not allowed here"))?;
    write("/proc/self/setgroups", "deny").map_err(because("the groups cannot be mapped"))?;
    write("/proc/self/uid_map", &format!("{USER} {uid} 1")).map_err(because("the user cannot be mapped"))?;
    write("/proc/self/gid_map", &format!("{gid} {gid} 1")).map_err(because("the group cannot be mapped"))?;
    let Some(driver) = raw::fork().map_err(because("the driver does not start"))? else {
        return furnish().map(|()| Side::Inside);
    };
    let driver = rustix::process::Pid::from_raw(driver.get().cast_signed());
    let status = rustix::io::retry_on_intr(|| waitpid(driver, WaitOptions::empty()))
        .map_err(because("the driver cannot be waited for"))?;
    let succeeded = status.is_some_and(|(_, status)| status.exit_status() == Some(0));
    Ok(Side::Outside(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

fn furnish() -> Result<(), String> {
    // Entering a user namespace has forgotten it.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(because("no parent death signal"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(because("mounts cannot be made private"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("tmpfs", MOUNT_POINT, "tmpfs", flags, Some(c"mode=0755"))
        .map_err(because("no file system in memory can be mounted"))?;
    let proc = format!("{MOUNT_POINT}{PROC}");
    fs::create_dir(&proc).map_err(because("the root directory is not writable"))?;
    mount("proc", &*proc, "proc", flags, None).map_err(because("/proc cannot be mounted"))?;
    chroot(MOUNT_POINT).map_err(because("the root directory cannot be changed"))?;
    rustix::process::chdir("/").map_err(because("the root directory cannot be entered"))?;
    // What is created has exactly the mode that is asked for.
    umask(Mode::empty());
    loopback::take_up()
}

/// Removes whatever the last schedule has left, and puts there what the next one begins with.
///
/// # Errors
///
/// What is in the way, as a fragment of a sentence.
pub(super) fn prepare(furniture: &[Furniture]) -> Result<(), String> {
    let entries = fs::read_dir("/").map_err(because("the root directory cannot be read"))?;
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path != Path::new(PROC) {
            remove_all(&path).map_err(|error| format!("{} stays: {error}", path.display()))?;
        }
    }
    furniture.iter().try_for_each(|piece| {
        put(piece).map_err(|error| format!("{} cannot be made: {error}", piece.path.display()))
    })
}

fn remove_all(path: &Path) -> std::io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { remove(path) }
}

#[expect(clippy::disallowed_methods, reason = "the named edge: the files that a scenario begins with")]
fn put(piece: &Furniture) -> std::io::Result<()> {
    let directory = if piece.bytes.is_some() { piece.path.parent() } else { Some(&*piece.path) };
    let mut missing: Vec<&Path> = Vec::new();
    for above in directory.into_iter().flat_map(Path::ancestors) {
        if above.is_dir() {
            break;
        }
        missing.push(above);
    }
    for directory in missing.into_iter().rev() {
        fs::create_dir(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    }
    if let Some(bytes) = piece.bytes {
        fs::write(&piece.path, bytes)?;
    }
    fs::set_permissions(&piece.path, fs::Permissions::from_mode(piece.mode))
}

#[expect(clippy::disallowed_methods, reason = "the named edge: an operator deletes a file")]
fn remove(path: &Path) -> std::io::Result<()> {
    fs::remove_file(path)
}

/// Deletes files, where they exist.
///
/// # Errors
///
/// What is in the way, as a fragment of a sentence.
pub(super) fn remove_files(paths: &[PathBuf]) -> Result<(), String> {
    paths.iter().try_for_each(|path| match remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{} stays: {error}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    })
}

/// Starts a copy of this process with a certain pid. `None` in the copy.
///
/// # Errors
///
/// Why that pid cannot be had, as a fragment of a sentence.
pub(super) fn fork_as(pid: Pid) -> Result<Option<()>, String> {
    write(LAST_PID, &(pid.get() - 1).to_string()).map_err(because("the next pid cannot be chosen"))?;
    match raw::fork().map_err(because("no process can be started"))? {
        None => Ok(None),
        Some(given) if given == pid => Ok(Some(())),
        Some(given) => Err(format!("pid {pid} was asked for, and {given} was given")),
    }
}

#[expect(clippy::disallowed_methods, reason = "the named edge: namespaces and pids are set up through files")]
fn write(path: &str, text: &str) -> std::io::Result<()> {
    fs::write(path, text)
}

fn because<E: Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}
