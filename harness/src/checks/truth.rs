//! `truthful`: what a refused gateway says was so at some instant between its attempt and its report.
//!
//! For each gateway that is trying, everything that was true of every other process since is remembered. A report is
//! compared with that memory, so an answer that was overtaken while it travelled is still the truth, and one that never
//! was true is caught at the step that tells it.

use portcullis_os::{Notice, Pid, Signal};
use sim::kernel::Effect;
use sim::{Step, View, Violation};

use super::{Checks, Role, broken};
use crate::scenario::Check;

/// It held a lock that the observer needs.
const HOLDS: u8 = 1;
/// It held one and had not said that it is ready.
const STARTING: u8 = 2;
/// It acted as an owner. Its listeners take connections before it says so, and it says that it is ready only after it
/// has begun to answer so: between the two, "starting" and "ready" are both the truth.
const READY: u8 = 4;
/// It had been asked to stop and was still there.
const DRAINING: u8 = 8;
/// It was paused while it held one.
const STOPPED: u8 = 16;
/// It listened on the port that the observer needs.
const LISTENS: u8 = 32;
/// It had reserved a port that the observer needs.
const RESERVES: u8 = 64;

/// What was true of whom since an observer began.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Memory {
    slots: usize,
    facts: Vec<u8>,
    /// Whether each process was asked to stop.
    asked: Vec<bool>,
}

impl Memory {
    pub(super) fn new(slots: usize) -> Self {
        Self { slots, facts: vec![0; slots * slots], asked: vec![false; slots] }
    }

    fn of(&self, observer: usize, other: usize) -> u8 {
        self.facts[observer * self.slots + other]
    }

    /// Takes the present state into the memory of everybody who is still trying.
    pub(super) fn witness(&mut self, checks: &Checks, view: &View<'_>, step: &Step<'_>) {
        for effect in step.effects {
            if let Effect::Signalled { target, signal: Signal::Terminate | Signal::Interrupt, .. } = effect
                && let Some(slot) = view.slot_of(*target)
            {
                self.asked[slot] = true;
            }
        }
        for observer in 0..self.slots {
            let tries = matches!(checks.slots[observer].1, Role::Gateway(_))
                && view.is_alive(observer)
                && view.slots[observer].owner.is_none()
                && !view.slots[observer].ready;
            for other in 0..self.slots {
                let fact = &mut self.facts[observer * self.slots + other];
                if tries && other != observer {
                    *fact |= checks.facts(view, observer, other, *fact);
                    if self.asked[other] && view.is_alive(other) {
                        *fact |= DRAINING;
                    }
                } else if view.slots[observer].refused.is_none() || !view.is_alive(observer) {
                    *fact = 0;
                }
            }
        }
    }
}

impl Checks {
    /// What is true now of another process, as far as it concerns an observer and is not known of it already.
    fn facts(&self, view: &View<'_>, observer: usize, other: usize, known: u8) -> u8 {
        let Some(wanted) = self.stake(observer) else { return 0 };
        let Some(process) = view.slots[other].process.filter(|_| view.is_alive(other)) else { return 0 };
        let state = &view.slots[other];
        let mut facts = 0;
        let owns_state =
            state.owner.as_ref().is_some_and(|owner| view.kernel.lookup(&wanted.state) == Some(owner.state));
        let holds = owns_state
            || wanted.locked.iter().any(|path| {
                view.kernel.lookup(path).is_some_and(|file| view.kernel.lock_holders(file).contains(&process))
            });
        if holds {
            facts |= HOLDS;
            if !state.ready {
                facts |= STARTING;
            }
            if Self::is_paused(view, other) {
                facts |= STOPPED;
            }
        }
        if state.owner.is_some() {
            facts |= READY;
        }
        let port = wanted.ports.base();
        if view.kernel.listeners(port).iter().any(|(_, listener)| *listener == process) {
            facts |= LISTENS;
        }
        let may_reserve = self.stake(other).is_some_and(|stake| stake.ports.overlaps(wanted.ports));
        if may_reserve && known & RESERVES == 0 {
            let reserved = |port: u16| wanted.ports.ports().contains(&port);
            if view.kernel.unix_names(process).filter_map(gateway::lock::token_port).any(reserved) {
                facts |= RESERVES;
            }
        }
        facts
    }

    pub(super) fn truthful(
        &self,
        memory: &Memory,
        view: &View<'_>,
        step: &Step<'_>,
    ) -> Result<(), Violation> {
        for effect in step.effects {
            let Effect::Notified { process, notice: Notice::Refused { code, holder } } = effect else {
                continue;
            };
            let Some(observer) = view.slot_of(*process) else { continue };
            let Some(pid) = holder else {
                self.truthful_of_nobody(memory, observer, code)?;
                continue;
            };
            let needed = match code.as_str() {
                "held-ready" => HOLDS | READY,
                "held-starting" => HOLDS | STARTING,
                "held-draining" => HOLDS | DRAINING,
                "held-stopped" => STOPPED,
                "port-range" => RESERVES,
                "port-foreign" | "port-unknown" => LISTENS,
                _ => HOLDS,
            };
            let is_true = self.named(view, *pid).any(|other| memory.of(observer, other) & needed == needed);
            if !is_true {
                let who: Vec<&str> = self.named(view, *pid).map(|slot| self.name(slot)).collect();
                let who = if who.is_empty() { "nobody".to_owned() } else { who.join(" or ") };
                return Err(broken(
                    Check::Truthful,
                    format!(
                        "{} says {code} by pid {pid} ({who}), which was at no time so since it started",
                        self.name(observer)
                    ),
                ));
            }
        }
        Ok(())
    }

    /// A gateway that names nobody may still only say that a lock is held if one was.
    fn truthful_of_nobody(&self, memory: &Memory, observer: usize, code: &str) -> Result<(), Violation> {
        let was_held = (0..self.slots.len()).any(|other| memory.of(observer, other) & HOLDS == HOLDS);
        if !code.starts_with("held") || was_held {
            return Ok(());
        }
        let says = format!("{} says {code}, and nobody held the lock since it started", self.name(observer));
        Err(broken(Check::Truthful, says))
    }

    /// The slots whose process has or had a pid.
    pub(super) fn named(&self, view: &View<'_>, pid: Pid) -> impl Iterator<Item = usize> {
        let has =
            |slot: &usize| view.slots[*slot].process.is_some_and(|process| view.kernel.pid(process) == pid);
        (0..self.slots.len()).filter(has).collect::<Vec<_>>().into_iter()
    }
}
