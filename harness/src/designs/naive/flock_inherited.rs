//! A naive lock whose flock and listener are inherited by a child: when the owner dies, the child still holds both.
//!
//! Nobody is left who could answer on the port, and nobody else can take it.

use gateway::Claim;
use portcullis_os::{BindOptions, Descriptor, Errno, Os};

use super::flock::{LOCK_FILE, lock};
use super::life::{announce, prepare, refuse, serve};
use super::listener::{listen, loopback};

/// The child's command line. It knows nothing of what it holds.
const CHILD: [&str; 2] = ["/bin/sleep", "1000000"];

/// The program that the child executes.
pub(super) const CHILD_PROGRAM: &str = CHILD[0];

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim) -> u8 {
    let Ok(Some(_held)) = own(&os, &claim).await else { return refuse(&os).await };
    serve(&os).await;
    0
}

async fn own<O: Os>(os: &O, claim: &Claim) -> Result<Option<[Descriptor<O>; 2]>, Errno> {
    prepare(os, claim).await?;
    let Some(file) = lock(os, &claim.state.join(LOCK_FILE)).await? else { return Ok(None) };
    let Some(listener) = listen(os, loopback(claim), BindOptions::SERVER).await? else { return Ok(None) };
    os.set_inherit(&file, true).await?;
    os.set_inherit(&listener, true).await?;
    os.spawn(CHILD.map(str::to_owned).to_vec()).await?;
    announce(os, claim).await?;
    Ok(Some([file, listener]))
}

/// What the child does: it stays until it is killed.
pub(super) async fn child<O: Os>(os: O) -> u8 {
    // No signal is caught, so none ever comes; SIGTERM ends it like any other program that does not mind.
    u8::from(os.next_signal().await.is_err())
}
