//! How an execution ended, and whether the scenario allows it.

use std::collections::BTreeMap;

use gateway::Reason;
use portcullis_os::Notice;
use sim::kernel::{Effect, Ending, Life};
use sim::supervisor::Phase;
use sim::{SlotState, Step, View, Violation};

use super::{Checks, Role};
use crate::scenario::{Fate, Named};

/// How the process of a slot ended up.
pub fn fate(view: &View<'_>, slot: usize) -> Fate {
    let state = &view.slots[slot];
    let Some(process) = state.process else { return Fate::Unstarted };
    match view.kernel.life(process) {
        Life::Dead(_) if waits_for_restart(state) => Fate::Restarting,
        Life::Dying(ending) | Life::Dead(ending) => match (ending, &state.refused) {
            (Ending::Killed(_) | Ending::KilledBy(_), _) => Fate::Killed,
            (Ending::Exited(_), Some((code, _))) => Fate::Refused { code: code.to_string() },
            (Ending::Exited(_), None) => Fate::Exited,
        },
        Life::Stopped | Life::Uninterruptible => Fate::Paused,
        Life::Running if state.ready && state.owner.is_some() => Fate::Ready,
        Life::Running => Fate::Running,
    }
}

/// Whether a supervisor is about to start a process. At an end only one does that would have started it too often.
fn waits_for_restart(state: &SlotState) -> bool {
    state.supervision.is_some_and(|known| matches!(known.phase, Phase::Waiting { .. }))
}

impl Checks {
    /// How everybody who takes part ended up.
    pub(crate) fn fates(&self, view: &View<'_>) -> BTreeMap<String, Fate> {
        let shown = |slot: &usize| !matches!(self.slots[*slot].1, Role::Probe(_));
        (0..self.slots.len())
            .filter(shown)
            .map(|slot| (self.name(slot).to_owned(), fate(view, slot)))
            .collect()
    }

    /// Which of the listed outcomes this end is.
    pub(super) fn outcome(&self, view: &View<'_>) -> Result<usize, Violation> {
        let fates = self.fates(view);
        let admitted = self.expect.outcomes.iter().position(|outcome| outcome.value.admits(&fates));
        admitted.ok_or_else(|| {
            let ends: Vec<String> = fates.iter().map(|(name, fate)| format!("{name} is {fate}")).collect();
            let says = format!("it ends with {}, which is none of the allowed outcomes", ends.join(", "));
            Violation { check: "outcomes".to_owned(), says }
        })
    }

    /// That an execution goes on for ever is no outcome: these are neither served nor refused.
    pub(super) fn never_settles(&self, view: &View<'_>, restless: &[usize]) -> Violation {
        let names: Vec<&str> = restless.iter().map(|slot| self.name(*slot)).collect();
        let (verb, settle) = if names.len() == 1 { ("goes", "settles") } else { ("go", "settle") };
        let owners: Vec<&str> = view.owners().into_iter().map(|slot| self.name(slot)).collect();
        let owners = match owners.as_slice() {
            [] => "nobody owns".to_owned(),
            [alone] => format!("{alone} owns"),
            several => format!("{} own", several.join(" and ")),
        };
        let names = match names.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => "nobody".to_owned(),
        };
        let says = format!("{names} {verb} on for ever and never {settle}, while {owners}");
        Violation { check: "outcomes".to_owned(), says }
    }

    /// Whether a refusal names whom the scenario says it must.
    pub(super) fn refusal_names(&self, view: &View<'_>, step: &Step<'_>) -> Result<(), Violation> {
        let Some(wanted) = self.expect.refusal.as_ref().and_then(|refusal| refusal.value.names.as_ref())
        else {
            return Ok(());
        };
        for effect in step.effects {
            let Effect::Notified { process, notice: Notice::Refused { code, holder } } = effect else {
                continue;
            };
            let Some(observer) = view.slot_of(*process) else { continue };
            // An owner that fences itself was refused nothing: nobody is in its way.
            if matches!(self.slots[observer].1, Role::Probe(_)) || code == Reason::Fenced.code() {
                continue;
            }
            let is_named = holder.is_some_and(|pid| {
                self.named(view, observer, pid).any(|slot| match wanted {
                    Named::Owner => matches!(self.slots[slot].1, Role::Gateway(_)) && slot != observer,
                    Named::Process(name) => self.name(slot) == name,
                })
            });
            if !is_named {
                let wanted = match wanted {
                    Named::Owner => "the owner",
                    Named::Process(name) => name,
                };
                let whom = holder.map_or_else(|| "nobody".to_owned(), |pid| format!("pid {pid}"));
                let says = format!("{} says {code} and names {whom}, not {wanted}", self.name(observer));
                return Err(Violation { check: "refusal".to_owned(), says });
            }
        }
        Ok(())
    }

    /// Whether every refused gateway exits with one of the statuses that the scenario allows.
    pub(super) fn refusal_exits(&self, view: &View<'_>) -> Result<(), Violation> {
        let Some(refusal) = &self.expect.refusal else { return Ok(()) };
        if refusal.value.exit.is_empty() {
            return Ok(());
        }
        for (slot, state) in view.slots.iter().enumerate() {
            let (Some(process), Some((code, _))) = (state.process, &state.refused) else { continue };
            if let Life::Dead(Ending::Exited(status)) = view.kernel.life(process)
                && !refusal.value.exit.contains(&status)
            {
                let allowed: Vec<String> = refusal.value.exit.iter().map(ToString::to_string).collect();
                let says = format!(
                    "{} says {code} and exits with {status}, not {}",
                    self.name(slot),
                    allowed.join(" or ")
                );
                return Err(Violation { check: "refusal".to_owned(), says });
            }
        }
        Ok(())
    }
}
