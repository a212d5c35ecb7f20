//! The whole life of a gateway: own everything or say why not, serve, stop cleanly.

use std::future::Future;
use std::path::PathBuf;

use portcullis_os::{Errno, Fd, Notice, Os, Signal};

use crate::claim::{Claim, OnConflict};
use crate::identity::{Identity, PHASE, Phase, PhaseName};
use crate::lock::{self, Event, Offered, Owned, Successor, Tenure};
use crate::refusal::{Reason, Refusal};

/// What a gateway does with its listeners once it owns everything.
pub trait Serve<O: Os>: Send + Sync {
    /// Reads what it must know, and starts to accept, in tasks of its own.
    ///
    /// # Errors
    ///
    /// What the system says when the listeners cannot be used.
    fn start(
        &self,
        os: &O,
        place: Place,
        listeners: &[Fd],
        identity: &Identity,
        phase: &Phase,
    ) -> impl Future<Output = Result<(), Errno>> + Send;

    /// Takes no more work, says goodbye to the clients, and returns when they are gone or their time is up.
    ///
    /// After [`Next::Restart`], and perhaps after [`Next::HandOver`], it is started again, on the same listeners, and nobody is
    /// refused in between.
    fn drain(&self, next: Next) -> impl Future<Output = ()> + Send;
}

/// Where an owner may write, and the number of its time.
#[derive(Clone, Debug)]
pub struct Place {
    /// The state directory. It is open for as long as the owner serves.
    pub state: Fd,
    /// The workspace that comes first in the configuration, if there is one.
    pub workspace: Option<PathBuf>,
    /// The epoch: no two owners of one state directory have the same.
    pub epoch: u64,
}

/// What comes after a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The end.
    Stop,
    /// The next epoch of the same owner.
    Restart,
    /// The next owner, in another process, or the next epoch of the same one if that does not take everything.
    HandOver,
}

/// A gateway without clients: what is left when only ownership matters.
#[derive(Clone, Copy, Debug)]
pub struct Unserved;

impl<O: Os> Serve<O> for Unserved {
    async fn start(&self, _: &O, _: Place, _: &[Fd], _: &Identity, _: &Phase) -> Result<(), Errno> {
        Ok(())
    }

    async fn drain(&self, _: Next) {}
}

/// Runs a gateway until it is told to stop by `SIGTERM` or `SIGINT`, or finds that it has lost what it owns. At `SIGUSR1` it
/// begins anew, with the next epoch, and keeps every token and listener meanwhile; if it cannot, it serves on. At `SIGUSR2` it
/// looks at once whether it still owns everything, and writes a line into its journal if it does.
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
        OnConflict::TakeOver => {
            let owned = lock::take_over(os, claim).await?;
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
        return outcome.map(|_| ());
    }
    // Whoever has handed over has said so before it gave the last token away.
    if matches!(outcome, Ok(true)) {
        return Ok(());
    }
    // However else it ended: first it is said that this is no owner any more, then the locks go.
    let told = os.notify(Notice::Released).await.map_err(trouble("send"));
    outcome.and(told)
}

/// How a time of serving has ended.
enum End<'a, O: Os> {
    /// For good.
    Stopped,
    /// The same owner goes on in another epoch.
    Restarted(Tenure<'a, O>),
    /// A successor has everything.
    HandedOver,
}

/// What an owner has been asked for.
enum Wish<'a, O: Os> {
    Stop,
    Restart(Tenure<'a, O>),
    /// The epoch is the one in which it goes on if the successor does not take everything.
    HandOver(Successor<O>, Tenure<'a, O>),
}

/// What an owner does from its first moment to its last. Answers whether a successor has everything.
async fn reign<O: Os>(
    os: &O,
    claim: &Claim,
    owned: &Owned<O>,
    serve: impl Serve<O>,
) -> Result<bool, Refusal> {
    let phase = Phase::default();
    let mut tenure = owned.begin(os, claim).await?;
    loop {
        match rule(os, claim, owned, &serve, &phase, &mut tenure).await? {
            End::Stopped => return Ok(false),
            End::HandedOver => return Ok(true),
            End::Restarted(next) => tenure = next,
        }
        let remembered = enter(os, &phase, PhaseName::Starting).await;
        remembered.map_err(|errno| Refusal::from_errno("remember", "signals and notices", errno))?;
    }
}

/// Serves until it is asked for something else, and does that.
async fn rule<'a, O: Os>(
    os: &O,
    claim: &Claim,
    owned: &'a Owned<O>,
    serve: &impl Serve<O>,
    phase: &Phase,
    tenure: &mut Tenure<'a, O>,
) -> Result<End<'a, O>, Refusal> {
    let trouble = |doing| move |errno| Refusal::from_errno(doing, "signals and notices", errno);
    let place = Place {
        state: owned.state_directory(),
        workspace: claim.workspaces.first().cloned(),
        epoch: tenure.epoch(),
    };
    serve
        .start(os, place, &owned.listeners(), &owned.identity, phase)
        .await
        .map_err(|errno| Refusal::from_errno("serve on", "the listeners", errno))?;
    // The record only informs: an owner that cannot write it is an owner all the same.
    let _ = owned.record(os).await;
    match tenure.write(os, Event::Ready).await {
        // Who serves already does not end because it cannot say so once more.
        Err(refusal) if tenure.succeeds() && refusal.reason != Reason::Fenced => {
            let note = format!("cannot write that it is ready again: {refusal}; this gateway serves on");
            // Whoever watches and is gone needs no note.
            let _ = os.notify(Notice::Noted(note)).await;
        }
        written => written?,
    }
    // First for those who ask, then for those who watch: once the notice is out, nobody is told "starting" any more.
    enter(os, phase, PhaseName::Ready).await.map_err(trouble("remember"))?;
    os.notify(Notice::Ready).await.map_err(trouble("send"))?;
    let wish = wait(os, claim, owned, tenure).await?;
    enter(os, phase, PhaseName::Draining).await.map_err(trouble("remember"))?;
    match wish {
        Wish::Restart(next) => {
            serve.drain(Next::Restart).await;
            Ok(End::Restarted(next))
        }
        Wish::Stop => {
            serve.drain(Next::Stop).await;
            say_stop(os, tenure).await?;
            Ok(End::Stopped)
        }
        Wish::HandOver(successor, next) => {
            serve.drain(Next::HandOver).await;
            hand_over(os, claim, owned, next, &successor).await
        }
    }
}

/// Waits until an owner is asked for something that it can do.
async fn wait<'a, O: Os>(
    os: &O,
    claim: &Claim,
    owned: &'a Owned<O>,
    tenure: &mut Tenure<'a, O>,
) -> Result<Wish<'a, O>, Refusal> {
    loop {
        match tenure.wait(os).await? {
            Signal::User1 => {}
            Signal::User2 => {
                say_checked(os, tenure).await?;
                continue;
            }
            Signal::Terminate | Signal::Interrupt | Signal::Kill | Signal::Stop | Signal::Continue => {
                return Ok(Wish::Stop);
            }
        }
        match owned.offer(os, claim).await {
            // Before any client is sent away: if the next epoch cannot be begun, nobody has noticed anything.
            Offered::Nobody => {
                if let Some(next) = succeed(os, tenure, "restart in place").await? {
                    return Ok(Wish::Restart(next));
                }
            }
            // What this owner cannot begin its successor cannot either, for they have one disk.
            Offered::Accepted(successor) => {
                if let Some(next) = succeed(os, tenure, "hand over").await? {
                    return Ok(Wish::HandOver(successor, next));
                }
            }
            // Nobody has lost anything by asking.
            Offered::Declined => {
                note(os, "whoever was about to take over did not go on: this gateway serves on as before")
                    .await;
            }
        }
    }
}

/// The next epoch of the same owner; `None` if it cannot be begun, and this one goes on.
async fn succeed<'a, O: Os>(
    os: &O,
    tenure: &mut Tenure<'a, O>,
    doing: &str,
) -> Result<Option<Tenure<'a, O>>, Refusal> {
    match tenure.succeed(os).await {
        Ok(next) => Ok(Some(next)),
        Err(fenced) if fenced.reason == Reason::Fenced => Err(fenced),
        Err(refusal) => {
            note(os, &format!("cannot {doing}: {refusal}; this gateway serves on as before")).await;
            Ok(None)
        }
    }
}

async fn note<O: Os>(os: &O, text: &str) {
    // Whoever watches and is gone needs no note.
    let _ = os.notify(Notice::Noted(text.to_owned())).await;
}

/// Writes that an owner has stopped. One that cannot say so has stopped all the same.
async fn say_stop<O: Os>(os: &O, tenure: &mut Tenure<'_, O>) -> Result<(), Refusal> {
    match tenure.write(os, Event::Stop).await {
        Err(fenced) if fenced.reason == Reason::Fenced => Err(fenced),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Looks whether everything is still owned, and writes that it is. One that cannot write serves on.
async fn say_checked<O: Os>(os: &O, tenure: &mut Tenure<'_, O>) -> Result<(), Refusal> {
    match tenure.write(os, Event::Checked).await {
        Err(fenced) if fenced.reason == Reason::Fenced => Err(fenced),
        Err(refusal) => {
            note(
                os,
                &format!("cannot write that it was checked: {refusal}; this gateway serves on as before"),
            )
            .await;
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Gives everything to a successor, or goes on as the owner: the last token decides, and is given away after it was said that
/// this is no owner any more.
async fn hand_over<'a, O: Os>(
    os: &O,
    claim: &Claim,
    owned: &'a Owned<O>,
    mut next: Tenure<'a, O>,
    successor: &Successor<O>,
) -> Result<End<'a, O>, Refusal> {
    let trouble = |errno| Refusal::from_errno("send", "signals and notices", errno);
    if owned.hand_over(os, successor).await {
        say_stop(os, &mut next).await?;
        os.notify(Notice::Released).await.map_err(trouble)?;
        if owned.hand_over_last(os, successor).await {
            return Ok(End::HandedOver);
        }
        // The successor is gone, and all that it had was shared with this one.
        os.notify(Notice::Owner(owned.ownership(claim))).await.map_err(trouble)?;
    }
    Ok(End::Restarted(next))
}

/// Tells the tasks of the lock and the server how far this gateway has come.
async fn enter<O: Os>(os: &O, phase: &Phase, name: PhaseName) -> Result<(), Errno> {
    os.store(PHASE, name.to_word()).await?;
    phase.set(name);
    Ok(())
}
