//! Files and directories, one system call each, answered with the kernel's own error numbers.
//!
//! The calls are made inline although they may block: a lock and its record are a few small files, and a task that
//! waits for a thread pool could be overtaken by another in an order that the explorer has never seen.
//!
//! A call that a signal interrupts is repeated, so `EINTR` is never an answer.

use std::path::Path;

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::retry_on_intr;

use super::table::Table;
use crate::{
    Errno, Fd, FileId, FileKind, FileStatus, FileSystem, Links, LockMode, Open, Reply, Uid, Watched,
};

pub(super) fn open(table: &Table, at: Option<Fd>, path: &Path, open: Open) -> Result<Reply, Errno> {
    let start = table.start(at)?;
    let fd = retry_on_intr(|| rustix::fs::openat(&start, path, flags(open), mode(open.mode)))?;
    Ok(Reply::Fd(table.insert(fd)))
}

pub(super) fn read(table: &Table, fd: Fd, offset: u64, length: u32) -> Result<Reply, Errno> {
    let file = table.get(fd)?;
    let mut bytes = buffer(length)?;
    if length > 0 {
        retry_on_intr(|| rustix::io::pread(&file, rustix::buffer::spare_capacity(&mut bytes), offset))?;
    } else {
        // Nothing is read, but a directory still says that it is one.
        retry_on_intr(|| rustix::io::pread(&file, &mut [0_u8; 0], offset))?;
    }
    Ok(Reply::Bytes(bytes))
}

pub(super) fn write(table: &Table, fd: Fd, offset: u64, bytes: &[u8]) -> Result<Reply, Errno> {
    let file = table.get(fd)?;
    let count = retry_on_intr(|| rustix::io::pwrite(&file, bytes, offset))?;
    Ok(count_of(count))
}

pub(super) fn truncate(table: &Table, fd: Fd, length: u64) -> Result<Reply, Errno> {
    let file = table.get(fd)?;
    done(retry_on_intr(|| rustix::fs::ftruncate(&file, length)))
}

pub(super) fn sync(table: &Table, fd: Fd) -> Result<Reply, Errno> {
    let file = table.get(fd)?;
    done(retry_on_intr(|| rustix::fs::fsync(&file)))
}

pub(super) fn stat(table: &Table, at: Option<Fd>, path: &Path, links: Links) -> Result<Reply, Errno> {
    let start = table.start(at)?;
    let flags = match links {
        Links::Follow => AtFlags::empty(),
        Links::NoFollow => AtFlags::SYMLINK_NOFOLLOW,
    };
    let stat = retry_on_intr(|| rustix::fs::statat(&start, path, flags))?;
    Ok(Reply::File(status(&stat)))
}

/// Where a path leads; the outer error is the caller's.
pub(super) fn lookup(table: &Table, place: &Watched) -> Result<Result<FileId, Errno>, Errno> {
    let start = table.start(place.at)?;
    let found = retry_on_intr(|| rustix::fs::statat(&start, &place.path, AtFlags::empty()));
    Ok(found.map(|stat| status(&stat).id).map_err(Errno::from))
}

pub(super) fn stat_fd(table: &Table, fd: Fd) -> Result<Reply, Errno> {
    let file = table.get(fd)?;
    Ok(Reply::File(status(&retry_on_intr(|| rustix::fs::fstat(&file))?)))
}

pub(super) fn file_system(table: &Table, fd: Fd) -> Result<Reply, Errno> {
    let file = table.get(fd)?;
    let stat = retry_on_intr(|| rustix::fs::fstatfs(&file))?;
    // Magic numbers have 32 bits; the field is signed, and as wide as a register.
    Ok(Reply::FileSystem(FileSystem { magic: u64::from(stat.f_type as u32) }))
}

pub(super) fn make_directory(table: &Table, at: Option<Fd>, path: &Path, bits: u32) -> Result<Reply, Errno> {
    let start = table.start(at)?;
    done(retry_on_intr(|| rustix::fs::mkdirat(&start, path, mode(bits))))
}

pub(super) fn rename(
    table: &Table,
    from: (Option<Fd>, &Path),
    to: (Option<Fd>, &Path),
    replace: bool,
) -> Result<Reply, Errno> {
    let (from_start, to_start) = (table.start(from.0)?, table.start(to.0)?);
    let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
    done(retry_on_intr(|| rustix::fs::renameat_with(&from_start, from.1, &to_start, to.1, flags)))
}

pub(super) fn unlink(table: &Table, at: Option<Fd>, path: &Path) -> Result<Reply, Errno> {
    let start = table.start(at)?;
    done(retry_on_intr(|| rustix::fs::unlinkat(&start, path, AtFlags::empty())))
}

pub(super) fn flock(table: &Table, fd: Fd, mode: LockMode) -> Result<Reply, Errno> {
    let file = table.get(fd)?;
    let operation = match mode {
        LockMode::Exclusive => FlockOperation::NonBlockingLockExclusive,
        LockMode::Shared => FlockOperation::NonBlockingLockShared,
        LockMode::Unlock => FlockOperation::NonBlockingUnlock,
    };
    done(retry_on_intr(|| rustix::fs::flock(&file, operation)))
}

/// An empty buffer with room for so many bytes. The kernel commits the memory only where it is written to, so a reader
/// that asks for far too much pays nothing.
pub(super) fn buffer(length: u32) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(length).map_err(|_| Errno::from(rustix::io::Errno::NOMEM))?;
    Ok(bytes)
}

/// How many bytes were taken. No system call takes more than 2 GiB at once.
pub(super) fn count_of(count: usize) -> Reply {
    Reply::Count(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The answer of a call that has nothing to tell.
pub(super) fn done(result: rustix::io::Result<()>) -> Result<Reply, Errno> {
    result.map(|()| Reply::Done).map_err(Errno::from)
}

fn flags(open: Open) -> OFlags {
    // O_NONBLOCK changes nothing for files and directories, but a FIFO in the place of a lock file must not stop the
    // process until somebody writes to it; nor may a terminal there become the controlling one.
    let mut flags = OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    flags |= if open.write { OFlags::RDWR } else { OFlags::RDONLY };
    flags.set(OFlags::APPEND, open.append);
    flags.set(OFlags::CREATE, open.create);
    flags.set(OFlags::EXCL, open.exclusive);
    flags.set(OFlags::TRUNC, open.truncate);
    flags.set(OFlags::DIRECTORY, open.directory);
    flags.set(OFlags::NOFOLLOW, open.no_follow);
    flags
}

pub(super) fn mode(bits: u32) -> Mode {
    Mode::from_raw_mode(bits & 0o7777)
}

fn status(stat: &rustix::fs::Stat) -> FileStatus {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::Socket
        | FileType::Fifo
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => FileKind::Special,
    };
    FileStatus {
        id: FileId { device: stat.st_dev, inode: stat.st_ino },
        kind,
        mode: stat.st_mode & 0o7777,
        uid: Uid(stat.st_uid),
        links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        // A time before 1970 reads 0.
        modified_ns: u64::try_from(stat.st_mtime).unwrap_or(0).saturating_mul(1_000_000_000)
            + stat.st_mtime_nsec,
    }
}
