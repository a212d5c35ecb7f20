//! A naive lock that moves a stale lock file aside, looks at what it has moved, and puts it back if that was another one.
//!
//! While it is aside the name is free, and whoever comes then makes a lock file of its own: there is no way back.

use std::path::Path;

use gateway::Claim;
use portcullis_os::{Descriptor, Errno, Os};

use super::life::{announce, prepare, refuse, serve};
use super::published::rename;
use super::record::{LOCK_FILE, Recorded, create, is_taken, recorded, remove};

/// How often a stale file is moved aside before giving up.
const ATTEMPTS: u32 = 3;

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim) -> u8 {
    let path = claim.state.join(LOCK_FILE);
    let Ok(Some(_file)) = own(&os, &claim, &path).await else { return refuse(&os).await };
    serve(&os).await;
    let _ = os.unlink(&path).await;
    0
}

async fn own<O: Os>(os: &O, claim: &Claim, path: &Path) -> Result<Option<Descriptor<O>>, Errno> {
    prepare(os, claim).await?;
    let own = os.own_pid().await?;
    let aside = path.with_extension(format!("stale.{own}"));
    for _ in 0..ATTEMPTS {
        if let Some(file) = create(os, path, &own.to_string()).await? {
            announce(os, claim).await?;
            return Ok(Some(file));
        }
        let judged = match recorded(os, path).await? {
            Recorded::Gone => continue,
            Recorded::Pid(pid) if !is_taken(os, pid).await => pid,
            Recorded::Pid(_) | Recorded::Unreadable => return Ok(None),
        };
        match rename(os, path, &aside, true).await {
            Ok(()) => {}
            Err(Errno::NotFound) => continue,
            Err(errno) => return Err(errno),
        }
        if !matches!(recorded(os, &aside).await?, Recorded::Pid(pid) if pid == judged) {
            // It was the file of somebody who lives. If the name is taken by now, it stays aside.
            let _ = rename(os, &aside, path, false).await;
            return Ok(None);
        }
        remove(os, &aside).await?;
    }
    Ok(None)
}
