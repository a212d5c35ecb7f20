//! Checks that need nothing but the present state and the last step.

use portcullis_os::{Call, Clock, Notice, Port, Signal};
use sim::kernel::{Effect, Life, ProcessId};
use sim::{Step, View, Violation};

use super::truth::Memory;
use super::{Checks, Role, broken};
use crate::scenario::Check;

/// How many calls of its own a refused gateway may make besides two for each port it wanted.
const CALLS: u32 = 160;

impl Checks {
    /// The gateway that did something, if it was one: bystanders and operators have promised nothing.
    fn actor(&self, view: &View<'_>, by: ProcessId) -> Option<usize> {
        view.slot_of(by).filter(|slot| self.stake(*slot).is_some())
    }

    /// Whether ports mean the same to two processes.
    pub(super) fn share_network(view: &View<'_>, one: usize, other: usize) -> bool {
        let network =
            |slot: usize| view.slots[slot].process.map(|process| view.kernel.place(process).network);
        network(one) == network(other)
    }

    pub(super) fn single_owner(&self, view: &View<'_>) -> Result<(), Violation> {
        self.pairs_of_owners(view, |first, second| {
            let (one, other) = (view.slots[first].owner.as_ref()?, view.slots[second].owner.as_ref()?);
            (one.state == other.state).then(|| {
                let (first, second) = (self.name(first), self.name(second));
                broken(Check::SingleOwner, format!("{first} and {second} both own the state directory"))
            })
        })
    }

    pub(super) fn ports_disjoint(&self, view: &View<'_>) -> Result<(), Violation> {
        self.browsers_disjoint(view)?;
        self.pairs_of_owners(view, |first, second| {
            let (one, other) = (self.stake(first)?, self.stake(second)?);
            let shared = one.all_ports.intersection(&other.all_ports).next()?;
            Self::share_network(view, first, second).then(|| {
                let (first, second) = (self.name(first), self.name(second));
                let (one, other) = (one.ports, other.ports);
                let says =
                    format!("{first} has ports {one}, {second} has ports {other}, and both have {shared}");
                broken(Check::PortsDisjoint, says)
            })
        })
    }

    /// A browser of a gateway that owns listens on no port that another gateway claims or listens on.
    fn browsers_disjoint(&self, view: &View<'_>) -> Result<(), Violation> {
        for (slot, (name, role)) in self.slots.iter().enumerate() {
            let Role::Browser { of } = role else { continue };
            let Some(process) = view.slots[slot].process.filter(|_| view.can_act(slot)) else { continue };
            if view.slots[*of].owner.is_none() || !view.can_act(*of) {
                continue;
            }
            let others = (0..self.slots.len()).filter(|other| other != of && view.can_act(*other));
            for other in others.filter(|other| Self::share_network(view, slot, *other)) {
                let Some(stake) = self.stake(other) else { continue };
                for port in view.kernel.bound(process).map(|address| address.port()) {
                    let claims = view.slots[other].owner.is_some() && stake.all_ports.contains(&port);
                    let listens = || {
                        let listeners = Port::new(port).map(|port| view.kernel.listeners(port));
                        let mut holders = listeners.iter().flatten().map(|(_, holder)| *holder);
                        holders.any(|holder| view.slots[other].process == Some(holder))
                    };
                    let verb = if claims { "claims" } else { "listens on" };
                    if claims || listens() {
                        let (of, other) = (self.name(*of), self.name(other));
                        let says =
                            format!("{name}, a browser of {of}, listens on {port}, which {other} {verb}");
                        return Err(broken(Check::PortsDisjoint, says));
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn config_identity(&self, view: &View<'_>) -> Result<(), Violation> {
        self.pairs_of_owners(view, |first, second| {
            let (one, other) = (view.slots[first].owner.as_ref()?, view.slots[second].owner.as_ref()?);
            (one.config.is_some() && one.config == other.config).then(|| {
                let (first, second) = (self.name(first), self.name(second));
                broken(Check::ConfigIdentity, format!("{first} and {second} use one configuration"))
            })
        })
    }

    fn pairs_of_owners(
        &self,
        view: &View<'_>,
        judge: impl Fn(usize, usize) -> Option<Violation>,
    ) -> Result<(), Violation> {
        // Most of the time there is one at most, and this is asked at every step of a search.
        if view.slots.iter().filter(|slot| slot.owner.is_some()).nth(1).is_none() {
            return Ok(());
        }
        let owners = view.owners();
        for (place, first) in owners.iter().enumerate() {
            for second in &owners[place + 1..] {
                if let Some(violation) = judge(*first, *second) {
                    return Err(violation);
                }
            }
        }
        Ok(())
    }

    pub(super) fn no_theft(&self, view: &View<'_>, step: &Step<'_>) -> Result<(), Violation> {
        for effect in step.effects {
            let Effect::Unlinked { by, file } = effect else { continue };
            let Some(thief) = self.actor(view, *by) else { continue };
            // Whose file it is: who made it, and who holds a lock on it whoever made it.
            let owners = view.owners();
            let mut concerned = view.kernel.lock_holders(*file);
            concerned.push(view.kernel.creator(*file));
            let victims = concerned.into_iter().filter_map(|process| view.slot_of(process));
            if let Some(victim) =
                victims.into_iter().find(|victim| *victim != thief && owners.contains(victim))
            {
                let (thief, victim) = (self.name(thief), self.name(victim));
                return Err(broken(
                    Check::NoTheft,
                    format!("{thief} removed a file of {victim}, which is an owner"),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn no_foreign_unlink(&self, view: &View<'_>, step: &Step<'_>) -> Result<(), Violation> {
        for effect in step.effects {
            let Effect::Unlinked { by, file } = effect else { continue };
            let Some(actor) = self.actor(view, *by) else { continue };
            // What lies in a state directory belongs to whoever owns that directory.
            if view.kernel.creator(*file) != *by && view.slots[actor].owner.is_none() {
                let actor = self.name(actor);
                return Err(broken(
                    Check::NoForeignUnlink,
                    format!("{actor} removed a file that it had not made, without being an owner"),
                ));
            }
        }
        Ok(())
    }

    /// Who forces its start may signal an owner that was stopped at some time since it began; who takes over may tell a gateway
    /// of its state directory to begin anew, which finds out by itself what is wanted of it. Nobody else may be signalled.
    pub(super) fn no_collateral(
        &self,
        memory: &Memory,
        view: &View<'_>,
        step: &Step<'_>,
    ) -> Result<(), Violation> {
        for effect in step.effects {
            let Effect::Signalled { by, target, signal } = effect else { continue };
            let Some(actor) = self.actor(view, *by) else { continue };
            let is_meant = self.stake(actor).is_some_and(|stake| stake.force)
                && view.slot_of(*target).is_some_and(|target| memory.was_stopped(actor, target));
            let is_asked = *signal == Signal::User1
                && self.stake(actor).filter(|stake| stake.takeover).is_some_and(|stake| {
                    let target = view.slot_of(*target).and_then(|target| self.stake(target));
                    target.is_some_and(|target| target.state == stake.state)
                });
            if by != target && !is_meant && !is_asked {
                let target = view.slot_of(*target).map_or("a stranger", |slot| self.name(slot));
                let actor = self.name(actor);
                return Err(broken(Check::NoCollateral, format!("{actor} sent {signal} to {target}")));
            }
        }
        Ok(())
    }

    pub(super) fn effect_after_lock(&self, view: &View<'_>, step: &Step<'_>) -> Result<(), Violation> {
        for effect in step.effects {
            let (by, did) = match effect {
                Effect::Changed { by, .. } => (by, "wrote to"),
                Effect::Unlinked { by, .. } => (by, "removed"),
                Effect::Renamed { by, .. } => (by, "renamed"),
                Effect::Signalled { .. }
                | Effect::Created { .. }
                // One more name takes nothing from anybody.
                | Effect::Linked { .. }
                | Effect::Locked { .. }
                | Effect::Spawned { .. }
                | Effect::Died { .. }
                | Effect::Notified { .. } => continue,
            };
            let Some(actor) = self.actor(view, *by) else { continue };
            if view.slots[actor].owner.is_none() {
                let actor = self.name(actor);
                return Err(broken(
                    Check::EffectAfterLock,
                    format!("{actor} {did} a file without being an owner"),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn fail_fast(&self, view: &View<'_>, step: &Step<'_>) -> Result<(), Violation> {
        for effect in step.effects {
            let Effect::Notified { process, notice: Notice::Refused { .. } } = effect else { continue };
            let Some(slot) = view.slot_of(*process) else { continue };
            let ports = self.stake(slot).map_or(0, |stake| u32::from(stake.ports.span()) + 1);
            let (calls, limit) = (view.slots[slot].calls, CALLS + 2 * ports);
            if calls > limit {
                let name = self.name(slot);
                return Err(broken(
                    Check::FailFast,
                    format!("{name} made {calls} calls before it gave up, more than {limit}"),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn clock_free(&self, view: &View<'_>, step: &Step<'_>) -> Result<(), Violation> {
        let (Some(slot), Some(Call::ReadClock { clock: Clock::Wall })) = (step.slot, step.call) else {
            return Ok(());
        };
        if view.slots[slot].owner.is_some() {
            return Ok(());
        }
        let name = self.name(slot);
        Err(broken(Check::ClockFree, format!("{name} read the wall clock before it was an owner")))
    }

    /// Whether a slot's process is paused.
    pub(super) fn is_paused(view: &View<'_>, slot: usize) -> bool {
        view.slots[slot].process.is_some_and(|process| view.kernel.life(process) == Life::Stopped)
    }
}
