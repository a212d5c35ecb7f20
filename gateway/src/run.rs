//! The whole life of a gateway: own everything or say why not, serve, stop cleanly.

use std::future::Future;

use portcullis_os::{Errno, Fd, Notice, Os};

use crate::claim::Claim;
use crate::identity::{Identity, PHASE, Phase, PhaseName};
use crate::lock;
use crate::refusal::Refusal;

/// What a gateway does with its listeners once it owns everything.
pub trait Serve<O: Os>: Send + Sync {
    /// Starts to accept, in tasks of its own.
    ///
    /// # Errors
    ///
    /// What the system says when the listeners cannot be used.
    fn start(&self, os: &O, listeners: &[Fd], identity: &Identity, phase: &Phase) -> Result<(), Errno>;

    /// Takes no more work, says goodbye to the clients, and returns when they are gone or their time is up.
    fn drain(&self) -> impl Future<Output = ()> + Send;
}

/// A gateway without clients: what is left when only ownership matters.
#[derive(Clone, Copy, Debug)]
pub struct Unserved;

impl<O: Os> Serve<O> for Unserved {
    fn start(&self, _: &O, _: &[Fd], _: &Identity, _: &Phase) -> Result<(), Errno> {
        Ok(())
    }

    async fn drain(&self) {}
}

/// Runs a gateway until it is told to stop by `SIGTERM` or `SIGINT`.
///
/// # Errors
///
/// The refusal, if it did not become the owner. Nothing that existed has then been changed.
pub async fn run<O: Os>(os: O, claim: Claim, serve: impl Serve<O>) -> Result<(), Refusal> {
    let outcome = live(&os, &claim, serve).await;
    if let Err(refusal) = &outcome {
        // Whoever watches and is gone needs no notice.
        let _ = os.notify(refusal.notice()).await;
    }
    outcome
}

async fn live<O: Os>(os: &O, claim: &Claim, serve: impl Serve<O>) -> Result<(), Refusal> {
    let trouble = |doing| move |errno| Refusal::from_errno(doing, "signals and notices", errno);
    os.catch_signals().await.map_err(trouble("catch"))?;
    let phase = Phase::default();
    let owned = lock::acquire(os, claim).await?;
    // The last thing that can fail, so it comes before anything that is seen: from the notice on, this is the owner.
    serve
        .start(os, &owned.listeners(), &owned.identity, &phase)
        .map_err(|errno| Refusal::from_errno("serve on", "the listeners", errno))?;
    os.notify(Notice::Owner(owned.ownership(claim))).await.map_err(trouble("send"))?;
    // The record only informs: an owner that cannot write it is an owner all the same.
    let _ = owned.record(os).await;
    // First for those who ask, then for those who watch: once the notice is out, nobody is told "starting" any more.
    enter(os, &phase, PhaseName::Ready).await.map_err(trouble("remember"))?;
    os.notify(Notice::Ready).await.map_err(trouble("send"))?;
    os.next_signal().await.map_err(trouble("wait for"))?;
    enter(os, &phase, PhaseName::Draining).await.map_err(trouble("remember"))?;
    serve.drain().await;
    os.notify(Notice::Released).await.map_err(trouble("send"))
}

/// Tells the tasks of the lock and the server how far this gateway has come.
async fn enter<O: Os>(os: &O, phase: &Phase, name: PhaseName) -> Result<(), Errno> {
    os.store(PHASE, name.to_word()).await?;
    phase.set(name);
    Ok(())
}
