//! Naive locks that let only one process at a time remove a stale lock file: whoever has made the guard directory.
//!
//! The guard is a lock file itself, and a stale one of its own kind: either nobody may remove it, and a process that dies
//! inside locks everybody out, or somebody may, and it guards nothing.

use std::path::Path;

use gateway::Claim;
use portcullis_os::{Call, Descriptor, Errno, Os};

use super::life::{announce, prepare, refuse, serve};
use super::record::{LOCK_FILE, Recorded, create, is_taken, recorded, remove};

/// The directory that is the guard.
const GUARD: &str = "gateway.reclaim";

/// Who removes the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Whoever has made it.
    Maker,
    /// Everybody who wanted it, as code does that makes it inside a `try` and removes it in the `finally`.
    Everybody,
}

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim, leaving: Leaving) -> u8 {
    let path = claim.state.join(LOCK_FILE);
    let Ok(Some(_file)) = own(&os, &claim, &path, leaving).await else { return refuse(&os).await };
    serve(&os).await;
    let _ = os.unlink(&path).await;
    0
}

async fn own<O: Os>(
    os: &O,
    claim: &Claim,
    path: &Path,
    leaving: Leaving,
) -> Result<Option<Descriptor<O>>, Errno> {
    prepare(os, claim).await?;
    let own = os.own_pid().await?.to_string();
    if let Some(file) = create(os, path, &own).await? {
        announce(os, claim).await?;
        return Ok(Some(file));
    }
    if !is_stale(os, path).await? {
        return Ok(None);
    }
    let guard = claim.state.join(GUARD);
    let made = os.make_directory(&guard, 0o700).await;
    let file = match made {
        Ok(()) => reclaim(os, claim, path, &own).await?,
        // Somebody else is at it, or has died there.
        Err(Errno::Exists) => None,
        Err(errno) => return Err(errno),
    };
    if made.is_ok() || leaving == Leaving::Everybody {
        let _ = os.done(Call::RemoveDirectory { at: None, path: guard }).await;
    }
    Ok(file)
}

/// Puts the own lock file into the place of a stale one, under the guard.
async fn reclaim<O: Os>(
    os: &O,
    claim: &Claim,
    path: &Path,
    own: &str,
) -> Result<Option<Descriptor<O>>, Errno> {
    if !is_stale(os, path).await? {
        return Ok(None);
    }
    remove(os, path).await?;
    let file = create(os, path, own).await?;
    if file.is_some() {
        announce(os, claim).await?;
    }
    Ok(file)
}

async fn is_stale<O: Os>(os: &O, path: &Path) -> Result<bool, Errno> {
    match recorded(os, path).await? {
        Recorded::Pid(pid) => Ok(!is_taken(os, pid).await),
        Recorded::Unreadable | Recorded::Gone => Ok(false),
    }
}
