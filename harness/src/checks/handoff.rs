//! `handoff`: a planned restart, an update or a takeover leaves no gap, and one gateway serves when it is over.
//!
//! Once a gateway serves, somebody must listen wherever it listens, through all that follows, and one gateway of its state
//! directory must serve in the end. That promise ends when one of them is told to stop, or is killed by what nobody plans.

use std::net::SocketAddr;

use portcullis_os::{Ending, Signal};
use sim::kernel::Effect;
use sim::{Step, View, Violation};

use super::{Checks, Stake, broken};
use crate::scenario::Check;

/// The first gateway of each state directory and port that has served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Memory {
    served: Vec<Served>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Served {
    slot: usize,
    /// Where it has listened.
    addresses: Vec<SocketAddr>,
    /// Nobody was told to stop, and nobody was killed.
    is_promised: bool,
}

impl Checks {
    pub(super) fn handoff(
        &self,
        memory: &mut Memory,
        view: &View<'_>,
        step: &Step<'_>,
    ) -> Result<(), Violation> {
        for slot in (0..self.slots.len()).filter(|slot| serves(view, *slot)) {
            let is_known = memory.served.iter().any(|served| self.succeed(served.slot, slot));
            if let Some(stake) = self.stake(slot).filter(|_| !is_known) {
                let addresses = self.listening(view, slot, stake);
                memory.served.push(Served { slot, addresses, is_promised: true });
            }
        }
        for served in &mut memory.served {
            let concerns = |slot: &usize| self.succeed(served.slot, *slot);
            let is_asked = (0..self.slots.len()).filter(concerns).any(|slot| view.slots[slot].asked);
            let is_killed = step.effects.iter().any(|effect| {
                let Effect::Died { process, how: Ending::Killed(signal) } = effect else { return false };
                *signal != Signal::User1 && view.slot_of(*process).is_some_and(|slot| concerns(&slot))
            });
            served.is_promised &= !is_asked && !is_killed;
            if !served.is_promised {
                continue;
            }
            let Some(stake) = self.stake(served.slot) else { continue };
            let listening: Vec<SocketAddr> = (0..self.slots.len())
                .filter(concerns)
                .flat_map(|slot| self.listening(view, slot, stake))
                .collect();
            if let Some(left) = served.addresses.iter().find(|address| !listening.contains(address)) {
                let name = self.name(served.slot);
                let says = format!(
                    "nobody listens on {left} any more, where {name} has served, and nobody was told to stop"
                );
                return Err(broken(Check::Handoff, says));
            }
        }
        Ok(())
    }

    pub(super) fn handed_off(&self, memory: &Memory, view: &View<'_>) -> Result<(), Violation> {
        for served in memory.served.iter().filter(|served| served.is_promised) {
            let count = (0..self.slots.len())
                .filter(|slot| self.succeed(served.slot, *slot) && serves(view, *slot))
                .count();
            if count != 1 {
                let name = self.name(served.slot);
                let says =
                    format!("{name} has served, nobody was told to stop, and {count} serve in the end");
                return Err(broken(Check::Handoff, says));
            }
        }
        Ok(())
    }

    /// Whether one slot may serve in the place of another.
    fn succeed(&self, one: usize, other: usize) -> bool {
        let of = |slot| self.stake(slot).map(|stake| (&stake.state, stake.ports));
        of(one).is_some() && of(one) == of(other)
    }

    fn listening(&self, view: &View<'_>, slot: usize, stake: &Stake) -> Vec<SocketAddr> {
        let listeners = view.kernel.listeners(stake.ports.base()).into_iter();
        listeners
            .filter(|(_, by)| view.slots[slot].process == Some(*by))
            .map(|(address, _)| address)
            .collect()
    }
}

fn serves(view: &View<'_>, slot: usize) -> bool {
    view.slots[slot].ready && view.slots[slot].owner.is_some() && view.can_act(slot)
}
