//! A naive lock that makes room for itself: whoever's pid stands in the lock file is told to stop.
//!
//! It is the "force" of many gateways, and of many unit files. The pid may belong to somebody else by now.

use gateway::Claim;
use portcullis_os::{Errno, Notice, Open, Os, Signal};

use super::pidfile_unlink_stale::{LOCK_FILE, Recorded, announce, prepare, recorded, until_told};

/// How often it tries to make room.
const ATTEMPTS: u32 = 3;

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim) -> u8 {
    match own(&os, &claim).await {
        Ok(true) => until_told(&os, &claim).await,
        Ok(false) | Err(_) => {
            let _ = os.notify(Notice::Refused { code: "held".to_owned(), holder: None }).await;
            1
        }
    }
}

async fn own<O: Os>(os: &O, claim: &Claim) -> Result<bool, Errno> {
    prepare(os, claim).await?;
    let path = claim.state.join(LOCK_FILE);
    for _ in 0..ATTEMPTS {
        match os.open(&path, Open::create_exclusive()).await {
            Ok(file) => {
                let pid = os.own_pid().await?;
                os.write(&file, 0, pid.to_string().as_bytes()).await?;
                announce(os, claim).await?;
                return Ok(true);
            }
            Err(Errno::Exists) => {}
            Err(errno) => return Err(errno),
        }
        if let Recorded::Pid(pid) = recorded(os, &path).await? {
            // It does not ask who that is.
            let _ = os.kill(pid, Some(Signal::Terminate)).await;
            os.sleep(1000).await?;
        }
        match os.unlink(&path).await {
            Ok(()) | Err(Errno::NotFound) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(false)
}
