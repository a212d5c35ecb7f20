//! A naive lock that makes room for itself: whoever's pid stands in the lock file is told to stop.
//!
//! It is the "force" of many gateways, and of many unit files. The pid may belong to somebody else by now.

use gateway::Claim;
use portcullis_os::{Errno, Os, Signal};

use super::life::{announce, prepare, refuse, serve};
use super::record::{LOCK_FILE, Recorded, create_with_pid, recorded, remove};

/// How often it tries to make room.
const ATTEMPTS: u32 = 3;

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim) -> u8 {
    if own(&os, &claim).await != Ok(true) {
        return refuse(&os).await;
    }
    serve(&os).await;
    let _ = os.unlink(&claim.state.join(LOCK_FILE)).await;
    0
}

async fn own<O: Os>(os: &O, claim: &Claim) -> Result<bool, Errno> {
    prepare(os, claim).await?;
    let path = claim.state.join(LOCK_FILE);
    for _ in 0..ATTEMPTS {
        if let Some(_file) = create_with_pid(os, &path).await? {
            announce(os, claim).await?;
            return Ok(true);
        }
        if let Recorded::Pid(pid) = recorded(os, &path).await? {
            // It does not ask who that is.
            let _ = os.kill(pid, Some(Signal::Terminate)).await;
            os.sleep(1000).await?;
        }
        remove(os, &path).await?;
    }
    Ok(false)
}
