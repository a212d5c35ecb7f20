//! The lock of somebody who writes a gateway: a flock(2) on the state directory itself, and a second look at its name.
//!
//! There is no lock file, so nothing is stale and nothing can be deleted. What it lacks is everything else that the
//! reference gateway has: it says of nobody that he is in the way, and it is not fenced when its directory is moved.

use harness::own::{announce, refuse, serve};
use harness::{Claim, Lock};
use portcullis_os::{Descriptor, Errno, Links, LockMode, Open, Os};

/// How often a directory that was replaced meanwhile is given up for the one that is there now.
const ATTEMPTS: u32 = 3;

/// The lock.
pub(crate) struct DirectoryLock;

impl Lock for DirectoryLock {
    fn name(&self) -> &str {
        "directory-lock"
    }

    async fn run<O: Os>(&self, os: O, claim: Claim) -> u8 {
        let Ok(Some(_held)) = own(&os, &claim).await else { return refuse(&os, "held", None).await };
        serve(&os).await;
        0
    }
}

async fn own<O: Os>(os: &O, claim: &Claim) -> Result<Option<Descriptor<O>>, Errno> {
    os.catch_signals().await?;
    for _ in 0..ATTEMPTS {
        match os.make_directory(&claim.state, 0o700).await {
            Ok(()) | Err(Errno::Exists) => {}
            Err(errno) => return Err(errno),
        }
        let directory = os.open(&claim.state, Open::directory()).await?;
        match os.flock(&directory, LockMode::Exclusive).await {
            Ok(()) => {}
            Err(Errno::WouldBlock) => return Ok(None),
            Err(errno) => return Err(errno),
        }
        let held = os.stat_fd(&directory).await?.id;
        let named = os.stat(&claim.state, Links::Follow).await;
        if named.is_ok_and(|named| named.id == held) {
            announce(os, claim).await?;
            return Ok(Some(directory));
        }
    }
    Ok(None)
}
