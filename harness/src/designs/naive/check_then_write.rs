//! Naive locks that look at the pid file and then write it: between the two, others look as well.

use gateway::Claim;
use portcullis_os::{BindOptions, Descriptor, Errno, Open, Os};

use super::life::{announce, prepare, refuse, serve};
use super::listener::{listen, loopback};
use super::record::{LOCK_FILE, Recorded, is_taken, recorded};

/// What comes before the look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Nothing.
    Nothing,
    /// The listener on the own port, which is taken to keep rivals out. One with another port is not kept out.
    Listener,
}

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim, first: First) -> u8 {
    let Ok(Some(_held)) = own(&os, &claim, first).await else { return refuse(&os).await };
    serve(&os).await;
    let _ = os.unlink(&claim.state.join(LOCK_FILE)).await;
    0
}

/// The descriptors that an owner keeps.
async fn own<O: Os>(os: &O, claim: &Claim, first: First) -> Result<Option<Vec<Descriptor<O>>>, Errno> {
    prepare(os, claim).await?;
    let mut held = Vec::new();
    if first == First::Listener {
        let Some(listener) = listen(os, loopback(claim), BindOptions::SERVER).await? else { return Ok(None) };
        held.push(listener);
    }
    let own = os.own_pid().await?;
    let path = claim.state.join(LOCK_FILE);
    if let Recorded::Pid(pid) = recorded(os, &path).await?
        && is_taken(os, pid).await
    {
        return Ok(None);
    }
    let file = os.open(&path, Open::create_truncate()).await?;
    os.write(&file, 0, own.to_string().as_bytes()).await?;
    announce(os, claim).await?;
    Ok(Some(held))
}
