//! Byte range locks of fcntl(2), of processes and of open file descriptions.
//!
//! A lock of the process belongs to all of its `Linux` values together, and goes when any of them closes any descriptor
//! of the file.

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::table::Table;
use crate::{ByteRange, Errno, Fd, LockMode, Pid, RangeHolder, RangeOwner, Reply};

pub(super) fn lock(
    table: &Table,
    fd: Fd,
    owner: RangeOwner,
    mode: LockMode,
    range: ByteRange,
) -> Result<Reply, Errno> {
    let file = table.get(fd)?;
    let lock = described(mode, range)?;
    retry_on_intr(|| {
        fcntl(
            &*file,
            match owner {
                RangeOwner::Process => FcntlArg::F_SETLK(&lock),
                RangeOwner::Description => FcntlArg::F_OFD_SETLK(&lock),
            },
        )
    })?;
    Ok(Reply::Done)
}

pub(super) fn holder(
    table: &Table,
    fd: Fd,
    owner: RangeOwner,
    mode: LockMode,
    range: ByteRange,
) -> Result<Reply, Errno> {
    let file = table.get(fd)?;
    let mut lock = described(mode, range)?;
    retry_on_intr(|| {
        fcntl(
            &*file,
            match owner {
                RangeOwner::Process => FcntlArg::F_GETLK(&mut lock),
                RangeOwner::Description => FcntlArg::F_OFD_GETLK(&mut lock),
            },
        )
    })?;
    let mode = match libc::c_int::from(lock.l_type) {
        libc::F_RDLCK => LockMode::Shared,
        libc::F_WRLCK => LockMode::Exclusive,
        _ => return Ok(Reply::Range(None)),
    };
    Ok(Reply::Range(Some(RangeHolder {
        mode,
        range: ByteRange {
            start: u64::try_from(lock.l_start).unwrap_or(0),
            length: u64::try_from(lock.l_len).unwrap_or(0),
        },
        // -1 for a description, 0 for a process that is not visible from here.
        pid: u32::try_from(lock.l_pid).ok().and_then(Pid::new),
    })))
}

/// `struct flock`. A length that does not fit would be negative there, and mean the bytes before the start.
fn described(mode: LockMode, range: ByteRange) -> Result<libc::flock, Errno> {
    let offset = |bytes: u64| libc::off_t::try_from(bytes).map_err(|_| Errno::InvalidArgument);
    let kind = match mode {
        LockMode::Exclusive => libc::F_WRLCK,
        LockMode::Shared => libc::F_RDLCK,
        LockMode::Unlock => libc::F_UNLCK,
    };
    Ok(libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: offset(range.start)?,
        l_len: offset(range.length)?,
        // F_OFD_SETLK wants 0 here.
        l_pid: 0,
    })
}

fn retry_on_intr(mut call: impl FnMut() -> nix::Result<libc::c_int>) -> Result<(), Errno> {
    loop {
        match call() {
            Ok(_) => return Ok(()),
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(Errno::from_raw(errno as i32)),
        }
    }
}
