//! The whole life of a gateway: own everything or say why not, serve, stop cleanly.

use std::future::Future;

use portcullis_os::{Errno, Fd, Notice, Os, Signal};

use crate::claim::{Claim, OnConflict};
use crate::identity::{Identity, PHASE, Phase, PhaseName};
use crate::lock::{self, Event, Owned};
use crate::refusal::{Reason, Refusal};

/// What a gateway does with its listeners once it owns everything.
pub trait Serve<O: Os>: Send + Sync {
    /// Starts to accept, in tasks of its own.
    ///
    /// # Errors
    ///
    /// What the system says when the listeners cannot be used.
    fn start(&self, os: &O, listeners: &[Fd], identity: &Identity, phase: &Phase) -> Result<(), Errno>;

    /// Takes no more work, says goodbye to the clients, and returns when they are gone or their time is up.
    ///
    /// After [`Next::Restart`] it is started again, on the same listeners, and nobody is refused in between.
    fn drain(&self, next: Next) -> impl Future<Output = ()> + Send;
}

/// What comes after a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The end.
    Stop,
    /// The next epoch of the same owner.
    Restart,
}

/// A gateway without clients: what is left when only ownership matters.
#[derive(Clone, Copy, Debug)]
pub struct Unserved;

impl<O: Os> Serve<O> for Unserved {
    fn start(&self, _: &O, _: &[Fd], _: &Identity, _: &Phase) -> Result<(), Errno> {
        Ok(())
    }

    async fn drain(&self, _: Next) {}
}

/// Runs a gateway until it is told to stop by `SIGTERM` or `SIGINT`, or finds that it has lost what it owns. At `SIGUSR1` it
/// begins anew, with the next epoch, and keeps every token and listener meanwhile.
///
/// # Errors
///
/// The refusal, if it did not come to serve. If it did not become the owner, nothing that existed has been changed. With
/// [`Reason::Fenced`] it has been the owner, and its locks are held until the process ends: the caller must end it at once.
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
    let catch = || async { os.catch_signals().await.map_err(trouble("catch")) };
    let owned = match claim.on_conflict {
        OnConflict::Refuse => {
            catch().await?;
            lock::acquire(os, claim).await?
        }
        // Whoever waits is ended by a signal like every program that owns nothing.
        OnConflict::Park => {
            let owned = lock::park(os, claim).await?;
            catch().await?;
            owned
        }
    };
    // Every token is held: whatever is written from here on, the owner writes.
    os.notify(Notice::Owner(owned.ownership(claim))).await.map_err(trouble("send"))?;
    let outcome = reign(os, claim, &owned, serve).await;
    if outcome.as_ref().is_err_and(|refusal| refusal.reason == Reason::Fenced) {
        // It may not act, and nobody may take its place while it lives: the kernel takes everything at once when it ends.
        std::mem::forget(owned);
        return outcome;
    }
    // However else it ended: first it is said that this is no owner any more, then the locks go.
    let told = os.notify(Notice::Released).await.map_err(trouble("send"));
    outcome.and(told)
}

/// What an owner does from its first moment to its last.
async fn reign<O: Os>(os: &O, claim: &Claim, owned: &Owned<O>, serve: impl Serve<O>) -> Result<(), Refusal> {
    let phase = Phase::default();
    let mut own = None;
    while let Next::Restart = rule(os, claim, owned, &serve, &phase, &mut own).await? {
        let remembered = enter(os, &phase, PhaseName::Starting).await;
        remembered.map_err(|errno| Refusal::from_errno("remember", "signals and notices", errno))?;
    }
    Ok(())
}

/// One epoch of an owner. `own` is the one that it had before, and then this one.
async fn rule<O: Os>(
    os: &O,
    claim: &Claim,
    owned: &Owned<O>,
    serve: &impl Serve<O>,
    phase: &Phase,
    own: &mut Option<u64>,
) -> Result<Next, Refusal> {
    let trouble = |doing| move |errno| Refusal::from_errno(doing, "signals and notices", errno);
    let mut tenure = owned.begin(os, claim, *own).await?;
    *own = Some(tenure.epoch());
    serve
        .start(os, &owned.listeners(), &owned.identity, phase)
        .map_err(|errno| Refusal::from_errno("serve on", "the listeners", errno))?;
    // The record only informs: an owner that cannot write it is an owner all the same.
    let _ = owned.record(os).await;
    tenure.write(os, Event::Ready).await?;
    // First for those who ask, then for those who watch: once the notice is out, nobody is told "starting" any more.
    enter(os, phase, PhaseName::Ready).await.map_err(trouble("remember"))?;
    os.notify(Notice::Ready).await.map_err(trouble("send"))?;
    let next = if tenure.wait(os).await? == Signal::User1 { Next::Restart } else { Next::Stop };
    enter(os, phase, PhaseName::Draining).await.map_err(trouble("remember"))?;
    serve.drain(next).await;
    match tenure.write(os, Event::Stop).await {
        Err(fenced) if fenced.reason == Reason::Fenced => Err(fenced),
        // An owner that cannot say that it has stopped has stopped all the same.
        Ok(()) | Err(_) => Ok(next),
    }
}

/// Tells the tasks of the lock and the server how far this gateway has come.
async fn enter<O: Os>(os: &O, phase: &Phase, name: PhaseName) -> Result<(), Errno> {
    os.store(PHASE, name.to_word()).await?;
    phase.set(name);
    Ok(())
}
