//! A naive lock that asks the port whether the owner is alive: nobody listens, so the lock file is stale.
//!
//! An owner that has much to do before it listens is robbed while it starts.

use std::path::Path;

use gateway::Claim;
use portcullis_os::{BindOptions, Descriptor, Errno, Notice, Os};

use super::life::{begin_to_own, prepare, refuse, serve};
use super::listener::{listen, loopback};
use super::record::{LOCK_FILE, create, remove};

/// How often a stale file is removed before giving up.
const ATTEMPTS: u32 = 3;

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim) -> u8 {
    let path = claim.state.join(LOCK_FILE);
    let Ok(Some(_held)) = own(&os, &claim, &path).await else { return refuse(&os).await };
    serve(&os).await;
    let _ = os.unlink(&path).await;
    0
}

async fn own<O: Os>(os: &O, claim: &Claim, path: &Path) -> Result<Option<[Descriptor<O>; 2]>, Errno> {
    prepare(os, claim).await?;
    let own = os.own_pid().await?.to_string();
    for _ in 0..ATTEMPTS {
        if let Some(file) = create(os, path, &own).await? {
            begin_to_own(os, claim).await?;
            // Plugins are loaded here, and migrations run.
            os.sleep(5000).await?;
            let Some(listener) = listen(os, loopback(claim), BindOptions::SERVER).await? else {
                os.notify(Notice::Released).await?;
                return Ok(None);
            };
            os.notify(Notice::Ready).await?;
            return Ok(Some([file, listener]));
        }
        match os.connect_tcp(loopback(claim), 1000).await {
            Ok(_) => return Ok(None),
            Err(_) => remove(os, path).await?,
        }
    }
    Ok(None)
}
