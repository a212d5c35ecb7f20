//! Naive locks that last for as long as their owner touches a file: who has not done so for 30 seconds has lost it.
//!
//! A process that is stopped, swapped out or merely slow does not know that it has. It may look before it acts; between
//! the look and the act the same can happen.

use std::path::Path;

use gateway::Claim;
use portcullis_os::{Descriptor, Errno, Notice, Open, Os};

use super::life::{announce, begin_to_own, prepare, refuse, serve_writing};
use super::record::{create, is_older, remove, text_of};

/// The file that is touched.
pub(super) const LEASE_FILE: &str = "gateway.heartbeat";
/// What an owner writes under the lease.
const JOURNAL: &str = "journal";

/// How long a touch counts, in nanoseconds.
const LEASE: u64 = 30_000_000_000;
/// How often a lease that has run out is removed before giving up.
const ATTEMPTS: u32 = 3;
/// How often an owner touches its file. One that went on for ever would have no end to judge, and the second touch shows
/// nothing that the first one does not.
const BEATS: u32 = 1;

/// When an owner acts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acting {
    /// All the time.
    Always,
    /// When it writes, from the look that says the lease is still its own to the end of the write.
    Verified,
}

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim, acting: Acting) -> u8 {
    let path = claim.state.join(LEASE_FILE);
    let Ok(Some((file, own))) = own(&os, &claim, &path).await else { return refuse(&os).await };
    match acting {
        Acting::Always => {
            let _ = announce(&os, &claim).await;
        }
        Acting::Verified => {
            let _ = os.notify(Notice::Ready).await;
            let _ = write(&os, &claim, &path, &own).await;
        }
    }
    let (beating, of_owner) = (os.clone(), own.clone());
    os.task(async move {
        for _ in 0..BEATS {
            let _ = beating.sleep(10_000).await;
            let _ = beating.write(&file, 0, own.as_bytes()).await;
        }
    });
    serve_writing(&os, || async {
        let _ = match acting {
            Acting::Always => write_down(&os, &claim, &of_owner).await,
            Acting::Verified => write(&os, &claim, &path, &of_owner).await,
        };
    })
    .await;
    let _ = os.unlink(&path).await;
    0
}

/// The file that this process has to touch, and what it writes there.
async fn own<O: Os>(os: &O, claim: &Claim, path: &Path) -> Result<Option<(Descriptor<O>, String)>, Errno> {
    prepare(os, claim).await?;
    let own = os.own_pid().await?.to_string();
    for _ in 0..ATTEMPTS {
        if let Some(file) = create(os, path, &own).await? {
            return Ok(Some((file, own)));
        }
        if !is_older(os, path, LEASE).await? {
            return Ok(None);
        }
        remove(os, path).await?;
    }
    Ok(None)
}

/// Writes into the journal, if the lease is still that of this process.
async fn write<O: Os>(os: &O, claim: &Claim, path: &Path, own: &str) -> Result<(), Errno> {
    if text_of(os, path).await?.as_deref() != Some(own) || is_older(os, path, LEASE).await? {
        return Ok(());
    }
    begin_to_own(os, claim).await?;
    write_down(os, claim, own).await?;
    os.notify(Notice::Released).await
}

/// Writes into the journal.
async fn write_down<O: Os>(os: &O, claim: &Claim, own: &str) -> Result<(), Errno> {
    let journal = os.open(&claim.state.join(JOURNAL), Open::read_write_create()).await?;
    os.write(&journal, 0, own.as_bytes()).await.map(|_| ())
}
