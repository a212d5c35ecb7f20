//! What the naive locks have in common, besides being wrong: what comes before the lock, and the life after it.

use std::path::Path;

use gateway::Claim;
use portcullis_os::{Errno, Links, Notice, Os, Ownership};

/// What comes before the lock.
pub(super) async fn prepare<O: Os>(os: &O, claim: &Claim) -> Result<(), Errno> {
    os.catch_signals().await?;
    match os.make_directory(&claim.state, 0o700).await {
        Ok(()) | Err(Errno::Exists) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Says that this is the owner, and ready.
pub(super) async fn announce<O: Os>(os: &O, claim: &Claim) -> Result<(), Errno> {
    let state = os.stat(&claim.state, Links::Follow).await?.id;
    let owned = Ownership { state, config: None, base: claim.ports.base(), span: claim.ports.span() };
    os.notify(Notice::Owner(owned)).await?;
    os.notify(Notice::Ready).await
}

/// The life after the question who owns: serves if it is this process, else gives up and names nobody.
pub(super) async fn live<O: Os>(os: &O, owns: Result<bool, Errno>, lock_file: &Path) -> u8 {
    if owns == Ok(true) {
        return serve(os, lock_file).await;
    }
    let _ = os.notify(Notice::Refused { code: "held".to_owned(), holder: None }).await;
    1
}

/// Serves until it is told to stop, then removes its lock file.
pub(super) async fn serve<O: Os>(os: &O, lock_file: &Path) -> u8 {
    // The file stays behind when the process dies, which is why others must judge it.
    let _ = os.next_signal().await;
    let _ = os.notify(Notice::Released).await;
    let _ = os.unlink(lock_file).await;
    0
}
