//! Names, modes and times of files: one system call each, but for what is in a directory.

use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, RawDir, SeekFrom, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::retry_on_intr;

use super::files::{done, mode};
use super::table::Table;
use crate::{Errno, Fd, Reply};

/// The most names that a directory is listed with. Nothing that a protocol looks into has a hundredth of them, and one that
/// has more would be a reply of many megabytes.
const NAMES: usize = 10_000;

/// Room for a few hundred names at once.
const LISTING_BYTES: usize = 32 << 10;

pub(super) fn link(
    table: &Table,
    from: (Option<Fd>, &Path),
    to: (Option<Fd>, &Path),
) -> Result<Reply, Errno> {
    let (from_start, to_start) = (table.start(from.0)?, table.start(to.0)?);
    done(retry_on_intr(|| rustix::fs::linkat(&from_start, from.1, &to_start, to.1, AtFlags::empty())))
}

pub(super) fn symlink(table: &Table, target: &Path, at: Option<Fd>, path: &Path) -> Result<Reply, Errno> {
    let start = table.start(at)?;
    done(retry_on_intr(|| rustix::fs::symlinkat(target, &start, path)))
}

pub(super) fn read_link(table: &Table, at: Option<Fd>, path: &Path) -> Result<Reply, Errno> {
    let start = table.start(at)?;
    let target = retry_on_intr(|| rustix::fs::readlinkat(&start, path, Vec::new()))?;
    Ok(Reply::Path(PathBuf::from(OsString::from_vec(target.into_bytes()))))
}

pub(super) fn remove_directory(table: &Table, at: Option<Fd>, path: &Path) -> Result<Reply, Errno> {
    let start = table.start(at)?;
    done(retry_on_intr(|| rustix::fs::unlinkat(&start, path, AtFlags::REMOVEDIR)))
}

/// Reads from the beginning, whatever was read before. What others add or remove meanwhile may be missed or not: a
/// listing is many entries and no snapshot.
///
/// # Errors
///
/// [`Errno::FileTooBig`] if there are too many names.
pub(super) fn read_directory(table: &Table, fd: Fd) -> Result<Reply, Errno> {
    let directory = table.get(fd)?;
    match rustix::fs::seek(&directory, SeekFrom::Start(0)) {
        // What has no position is no directory, and is told so below.
        Ok(_) | Err(rustix::io::Errno::SPIPE) => {}
        Err(errno) => return Err(errno.into()),
    }
    let mut room = [MaybeUninit::uninit(); LISTING_BYTES];
    let mut entries = RawDir::new(&directory, &mut room);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if names.len() == NAMES {
            return Err(Errno::FileTooBig);
        }
        names.push(OsStr::from_bytes(name).to_owned());
    }
    names.sort_unstable();
    // A name that is made while the directory is read can be met twice.
    names.dedup();
    Ok(Reply::Names(names))
}

pub(super) fn set_mode(table: &Table, fd: Fd, bits: u32) -> Result<Reply, Errno> {
    let file = table.get(fd)?;
    done(retry_on_intr(|| rustix::fs::fchmod(&file, mode(bits))))
}

pub(super) fn set_modified(table: &Table, fd: Fd, modified_ns: u64) -> Result<Reply, Errno> {
    const SECOND_NS: u64 = 1_000_000_000;
    let file = table.get(fd)?;
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: (modified_ns / SECOND_NS).cast_signed(),
            tv_nsec: (modified_ns % SECOND_NS).cast_signed(),
        },
    };
    done(retry_on_intr(|| rustix::fs::futimens(&file, &times)))
}

/// The mask of the whole process, whichever thread asks.
pub(super) fn set_umask(mask: u32) -> Result<Reply, Errno> {
    let old = rustix::process::umask(mode(mask & 0o777));
    Ok(Reply::Word(u64::from(old.as_raw_mode())))
}
