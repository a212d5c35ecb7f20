//! What `stop` and `restart` have in common: they ask the proved owner of one state directory for something, and nobody else.

use clap::Args;
use portcullis_os::{Linux, Signal};

use super::aim::Own;
use super::{Desk, Unfit};
use crate::claim::Claim;
use crate::client::{Caller, Deadlines, scopes_of};
use crate::lock::{self, Asked, Certainty};
use crate::refusal::{Holder, Reason};
use crate::standing::{Asking, Depth, Standing, observe};

/// How long is waited between two looks, in milliseconds.
pub(super) const PAUSE_MS: u32 = 50;

/// What both can be told.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Wait {
    #[command(flatten)]
    pub(super) own: Own,

    /// How long to wait until it is so, in seconds
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(super) wait_s: u32,
}

/// Where the gateway stands before it is asked for anything, and after.
pub(super) async fn look(desk: &Desk, own: &Own) -> Result<(Standing, Claim), Unfit> {
    let (aim, claim) = own.aim(desk, None)?;
    let asking = Asking {
        caller: Caller::Probe,
        scopes: scopes_of("health"),
        deadlines: Deadlines::patient(),
        depth: Depth::Plain,
    };
    let (standing, session) = observe(&desk.os, &aim, asking).await;
    if let Some(session) = session {
        session.leave().await;
    }
    Ok((standing, claim))
}

/// The owner, if the kernel shows it and it can hear; else why nothing is asked of it.
pub(super) fn owner(standing: &Standing) -> Result<&Holder, String> {
    let Some(owner) = standing.owner() else {
        return Err("nobody owns the state directory".to_owned());
    };
    let is_gateway = matches!(
        owner.refusal.reason,
        Reason::HeldReady | Reason::HeldStarting | Reason::HeldDraining | Reason::HeldHung
    );
    match owner.refusal.holder.as_deref() {
        Some(_) if owner.refusal.reason == Reason::HeldStopped => {
            Err("it is paused, and would hear it only once it goes on".to_owned())
        }
        Some(holder) if is_gateway && owner.certainty == Certainty::Proved => Ok(holder),
        Some(_) | None => Err("nothing proves who that is".to_owned()),
    }
}

/// Asks the owner that was seen, if it is the owner still.
pub(super) async fn ask(
    desk: &Desk,
    claim: &Claim,
    standing: &Standing,
    request: Signal,
) -> Result<Asked<Linux>, String> {
    let holder = owner(standing)?;
    let instance = standing.owner().and_then(|owner| owner.instance.as_deref());
    lock::ask_owner(&desk.os, claim, holder, instance, request).await
}
