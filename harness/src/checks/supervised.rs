//! What a supervisor is for: where one wants an owner, somebody owns in the end.
//!
//! This is judged where nothing more happens by itself, and where something goes on for ever; before that, somebody may
//! still come to own.

use sim::supervisor::{Order, Phase, Rest};
use sim::{View, Violation};

use super::{Checks, broken};
use crate::scenario::Check;

impl Checks {
    /// Whether there is an owner of each state directory for which a supervisor wants one.
    pub(super) fn no_dead_end(&self, view: &View<'_>) -> Result<(), Violation> {
        if !self.wants(Check::NoDeadEnd) {
            return Ok(());
        }
        for (slot, state) in view.slots.iter().enumerate() {
            let (Some(known), Some(stake)) = (state.supervision, self.stake(slot)) else { continue };
            let Some(what) = wish(known.phase) else { continue };
            let wanted = view.kernel.lookup(&stake.state);
            let is_owned = view.owners().into_iter().any(|owner| {
                view.slots[owner].owner.as_ref().is_some_and(|owned| Some(owned.state) == wanted)
            });
            if !is_owned {
                let says = format!(
                    "nobody owns the state directory, and the supervisor of {} {what}",
                    self.name(slot)
                );
                return Err(broken(Check::NoDeadEnd, says));
            }
        }
        Ok(())
    }
}

/// What a supervisor does that wants its process to run.
const fn wish(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Watching => Some("waits for it"),
        Phase::Waiting { .. } => Some("starts it again and again"),
        Phase::Resting(Rest::StartLimit) => Some("has given up, because it was started too often"),
        Phase::Stopping { then: Order::Restart, .. } | Phase::Clearing { then: Some(Order::Restart), .. } => {
            Some("waits for its end")
        }
        // It was stopped, or has ended in a way after which it is not to run.
        Phase::Resting(Rest::Inactive | Rest::Failed)
        | Phase::Stopping { then: Order::Stop, .. }
        | Phase::Clearing { then: Some(Order::Stop) | None, .. } => None,
    }
}
