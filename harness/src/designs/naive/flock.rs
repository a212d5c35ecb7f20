//! Locks that are a flock(2) on a file, and that differ in what they do with its name.
//!
//! The kernel frees the lock of whoever dies, so nothing is ever stale. What goes wrong is the name: once somebody removes
//! it, a lock on the old inode and a lock on the new one exclude nobody from each other.

use std::path::Path;

use gateway::Claim;
use portcullis_os::{Descriptor, Errno, Links, LockMode, Open, Os};

use super::life::{announce, prepare, refuse, serve};

/// The file that is locked.
pub(super) const LOCK_FILE: &str = "gateway.flock";

/// How often a lock on a file that has lost its name is given up for another try.
const ATTEMPTS: u32 = 3;

/// Whether the name is looked at again once its file is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recheck {
    /// No.
    No,
    /// Yes: it must still lead to the inode that was locked.
    Yes,
}

/// What an owner does with the file in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It removes the name, then lets the lock go.
    UnlinkThenClose,
    /// It lets the lock go, then removes the name.
    UnlockThenUnlink,
    /// It lets the lock go. The name stays for good.
    Close,
}

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim, recheck: Recheck, leaving: Leaving) -> u8 {
    let path = claim.state.join(LOCK_FILE);
    let Ok(Some(file)) = own(&os, &claim, &path, recheck).await else { return refuse(&os).await };
    serve(&os).await;
    let _ = match leaving {
        Leaving::UnlinkThenClose => os.unlink(&path).await,
        Leaving::UnlockThenUnlink => {
            let _ = os.flock(&file, LockMode::Unlock).await;
            os.unlink(&path).await
        }
        Leaving::Close => Ok(()),
    };
    0
}

async fn own<O: Os>(
    os: &O,
    claim: &Claim,
    path: &Path,
    recheck: Recheck,
) -> Result<Option<Descriptor<O>>, Errno> {
    prepare(os, claim).await?;
    for _ in 0..ATTEMPTS {
        let Some(file) = lock(os, path).await? else { return Ok(None) };
        if recheck == Recheck::Yes && !has_name(os, &file, path).await? {
            continue;
        }
        announce(os, claim).await?;
        return Ok(Some(file));
    }
    Ok(None)
}

/// The file, locked; `None` if somebody else has locked it.
pub(super) async fn lock<O: Os>(os: &O, path: &Path) -> Result<Option<Descriptor<O>>, Errno> {
    let file = os.open(path, Open::read_write_create()).await?;
    match os.flock(&file, LockMode::Exclusive).await {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WouldBlock) => Ok(None),
        Err(errno) => Err(errno),
    }
}

async fn has_name<O: Os>(os: &O, file: &Descriptor<O>, path: &Path) -> Result<bool, Errno> {
    let held = os.stat_fd(file).await?.id;
    match os.stat(path, Links::NoFollow).await {
        Ok(status) => Ok(status.id == held),
        Err(Errno::NotFound) => Ok(false),
        Err(errno) => Err(errno),
    }
}
