//! What the naive locks have in common, besides being wrong: what comes before the lock, and the life after it.

use gateway::Claim;
use portcullis_os::{Errno, Links, Notice, Os, Ownership, Signal};

/// What comes before the lock.
pub(in crate::designs) async fn prepare<O: Os>(os: &O, claim: &Claim) -> Result<(), Errno> {
    os.catch_signals().await?;
    match os.make_directory(&claim.state, 0o700).await {
        Ok(()) | Err(Errno::Exists) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Says that this is the owner, and ready.
pub(in crate::designs) async fn announce<O: Os>(os: &O, claim: &Claim) -> Result<(), Errno> {
    begin_to_own(os, claim).await?;
    os.notify(Notice::Ready).await
}

/// Says that this is the owner, which may have much to do before it is ready.
pub(in crate::designs) async fn begin_to_own<O: Os>(os: &O, claim: &Claim) -> Result<(), Errno> {
    let state = os.stat(&claim.state, Links::Follow).await?.id;
    let owned = Ownership { state, config: None, base: claim.ports.base(), span: claim.ports.span() };
    os.notify(Notice::Owner(owned)).await
}

/// Gives up, names nobody, and answers the exit status.
pub(in crate::designs) async fn refuse<O: Os>(os: &O) -> u8 {
    let _ = os.notify(Notice::Refused { code: "held".to_owned(), holder: None }).await;
    1
}

/// Serves until it is told to stop, and says that it owns no more. What it leaves behind is its own affair. Asked to write,
/// it has nothing to write.
pub(in crate::designs) async fn serve<O: Os>(os: &O) {
    serve_writing(os, || async {}).await;
}

/// The same, with something to write each time that it is asked for it.
pub(in crate::designs) async fn serve_writing<O: Os, W: Future<Output = ()>>(os: &O, write: impl Fn() -> W) {
    while os.next_signal().await == Ok(Signal::User2) {
        write().await;
    }
    let _ = os.notify(Notice::Released).await;
}
