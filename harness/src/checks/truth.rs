//! `truthful`: what a refused gateway says was so at some instant between its attempt and its report.
//!
//! For each gateway that is trying, everything that was true of every other process since is remembered. A report is
//! compared with that memory, so an answer that was overtaken while it travelled is still the truth, and one that never
//! was true is caught at the step that tells it.

use std::cell::OnceCell;
use std::path::PathBuf;

use portcullis_os::{Call, FileId, Notice, Pid, Signal};
use sim::kernel::{Effect, ProcessId};
use sim::{Step, View, Violation};

use super::{Checks, Role, Stake, broken};
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
pub(super) struct Memory {
    slots: usize,
    facts: Vec<u8>,
    /// How many processes each slot had before its present one.
    lives: Vec<usize>,
    /// What was true of processes whose slot has another one by now: the observer, the process, the facts.
    past: Vec<(usize, ProcessId, u8)>,
    /// Who was told to begin anew and has not said since that it is ready.
    restarting: Vec<usize>,
    /// Who was told so before it was ready: it begins anew once it is.
    told_early: Vec<usize>,
}

impl Memory {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots,
            facts: vec![0; slots * slots],
            lives: vec![0; slots],
            past: Vec::new(),
            restarting: Vec::new(),
            told_early: Vec::new(),
        }
    }

    fn of(&self, observer: usize, other: usize) -> u8 {
        self.facts[observer * self.slots + other]
    }

    /// Whether a process was stopped while it held a lock that an observer needs, since that began to try.
    pub(super) fn was_stopped(&self, observer: usize, other: usize) -> bool {
        self.of(observer, other) & STOPPED == STOPPED
    }

    /// Takes the present state into the memory of everybody who is still trying.
    pub(super) fn witness(&mut self, checks: &Checks, view: &View<'_>, step: &Step<'_>) {
        if is_idle(step) {
            return;
        }
        self.bury(view);
        self.see_restarts(view, step);
        for observer in 0..self.slots {
            let needed = Needed { view, checks, observer, files: OnceCell::new() };
            let kept = needed.kept();
            let tries = matches!(checks.slots[observer].1, Role::Gateway(_))
                && view.is_alive(observer)
                && view.slots[observer].owner.is_none()
                && !view.slots[observer].ready;
            for other in 0..self.slots {
                let fact = &mut self.facts[observer * self.slots + other];
                if tries && other != observer {
                    *fact |= needed.facts(other, *fact);
                    if view.slots[other].asked && view.is_alive(other) {
                        *fact |= DRAINING;
                    }
                    if self.restarting.contains(&other) && view.is_alive(other) {
                        *fact |= DRAINING | STARTING;
                    }
                    *fact &= kept;
                } else if view.slots[observer].refused.is_none() || !view.is_alive(observer) {
                    *fact = 0;
                }
            }
            if !tries && (view.slots[observer].refused.is_none() || !view.is_alive(observer)) {
                self.past.retain(|(of, ..)| *of != observer);
            }
        }
    }

    /// Who begins anew drains, and then is starting until it says again that it is ready.
    fn see_restarts(&mut self, view: &View<'_>, step: &Step<'_>) {
        for effect in step.effects {
            match effect {
                Effect::Signalled { target, signal: Signal::User1, .. } => {
                    let Some(slot) = view.slot_of(*target) else { continue };
                    let told =
                        if view.slots[slot].ready { &mut self.restarting } else { &mut self.told_early };
                    if !told.contains(&slot) {
                        told.push(slot);
                    }
                }
                Effect::Notified { process, notice: Notice::Ready } => {
                    let is_it = |slot: &usize| view.slot_of(*process) == Some(*slot);
                    self.restarting.retain(|slot| !is_it(slot));
                    self.restarting.extend(self.told_early.extract_if(.., |slot| is_it(slot)));
                }
                Effect::Died { process, .. } => {
                    let is_it = |slot: &usize| view.slot_of(*process) == Some(*slot);
                    self.restarting.retain(|slot| !is_it(slot));
                    self.told_early.retain(|slot| !is_it(slot));
                }
                Effect::Signalled { .. }
                | Effect::Notified { .. }
                | Effect::Changed { .. }
                | Effect::Created { .. }
                | Effect::Unlinked { .. }
                | Effect::Linked { .. }
                | Effect::Renamed { .. }
                | Effect::Locked { .. }
                | Effect::Spawned { .. } => {}
            }
        }
    }

    /// What is known of the process that a slot had stays known of that process, and not of the slot's next one.
    fn bury(&mut self, view: &View<'_>) {
        for (slot, state) in view.slots.iter().enumerate() {
            let Some(dead) = state.past.last().filter(|_| state.past.len() > self.lives[slot]) else {
                continue;
            };
            self.lives[slot] = state.past.len();
            for observer in 0..self.slots {
                let known = std::mem::take(&mut self.facts[observer * self.slots + slot]);
                if known != 0 {
                    self.past.push((observer, *dead, known));
                }
            }
        }
        self.past.sort_unstable();
    }

    /// What is known of whoever has or had a pid, process by process.
    fn of_pid<'a>(&'a self, view: &'a View<'_>, observer: usize, pid: Pid) -> impl Iterator<Item = u8> + 'a {
        let has = move |process: &ProcessId| is_called(view, observer, *process, pid);
        let present = (0..self.slots).filter(move |slot| view.slots[*slot].process.as_ref().is_some_and(has));
        let past = self.past.iter().filter(move |(of, process, _)| *of == observer && has(process));
        present.map(move |slot| self.of(observer, slot)).chain(past.map(|(_, _, facts)| *facts))
    }
}

/// Whether a step leaves nobody with a lock, a listener or a name that it had not before, and leaves every path where it led.
/// Most steps of a search are calls that do, and after them nothing new is true.
fn is_idle(step: &Step<'_>) -> bool {
    let fails = step.reply.is_some_and(Result::is_err);
    let is_content = |effect: &Effect| matches!(effect, Effect::Changed { .. });
    step.call.is_some_and(|call| fails || gives_nothing(call)) && step.effects.iter().all(is_content)
}

/// Whether a call that is carried out gives nobody a lock, a listener or a name.
fn gives_nothing(call: &Call) -> bool {
    matches!(
        call,
        Call::Open { .. }
            | Call::Write { .. }
            | Call::Truncate { .. }
            | Call::Close { .. }
            | Call::Read { .. }
            | Call::Stat { .. }
            | Call::StatFd { .. }
            | Call::FileSystem { .. }
            | Call::ReadLink { .. }
            | Call::ReadDirectory { .. }
            | Call::Sync { .. }
            | Call::OwnPid
            | Call::OwnUid
            | Call::OwnNamespaces
            | Call::Processes
            | Call::ProcessStatus { .. }
            | Call::ProcessCommand { .. }
            | Call::HoldsLock { .. }
            | Call::HoldsSocket { .. }
            | Call::LockTakers { .. }
            | Call::TcpSockets { .. }
            | Call::TcpListeners { .. }
            | Call::Accept { .. }
            | Call::ConnectUnix { .. }
            | Call::PeerCredentials { .. }
            | Call::Send { .. }
            | Call::Receive { .. }
            | Call::CatchSignals
            | Call::NextSignal
            | Call::Watch { .. }
            | Call::ReadClock { .. }
            | Call::Sleep { .. }
            | Call::Random
            | Call::BootId
            | Call::Load { .. }
            | Call::Store { .. }
    )
}

/// What an observer needs, at one moment. This is asked at every step of a search, so nothing is looked up twice.
struct Needed<'a> {
    view: &'a View<'a>,
    checks: &'a Checks,
    observer: usize,
    files: OnceCell<Files>,
}

/// The files that an observer needs.
struct Files {
    state: Option<FileId>,
    locked: Vec<FileId>,
}

impl Needed<'_> {
    fn files(&self, wanted: &Stake) -> &Files {
        self.files.get_or_init(|| {
            let file = |path: &PathBuf| self.view.kernel.lookup(path);
            Files { state: file(&wanted.state), locked: wanted.locked.iter().filter_map(file).collect() }
        })
    }

    /// What can matter of another process. Whoever sees nothing and ends nobody can say no more than that somebody holds what
    /// it needs, and what can never be asked for would only keep states apart.
    fn kept(&self) -> u8 {
        let names_nobody = |stake: &Stake| stake.blind && !stake.force;
        if self.checks.stake(self.observer).is_some_and(names_nobody) { HOLDS } else { u8::MAX }
    }

    /// What is true now of another process, as far as it concerns the observer and is not known of it already.
    fn facts(&self, other: usize, known: u8) -> u8 {
        let Self { view, checks, observer, .. } = *self;
        let Some(wanted) = checks.stake(observer) else { return 0 };
        let Some(process) = view.slots[other].process.filter(|_| view.is_alive(other)) else { return 0 };
        let state = &view.slots[other];
        let mut facts = 0;
        let mut of_holders = HOLDS;
        if !state.ready {
            of_holders |= STARTING;
        }
        if Checks::is_paused(view, other) {
            of_holders |= STOPPED;
        }
        let kept = self.kept();
        of_holders &= kept;
        if known & of_holders != of_holders {
            let Files { state: directory, locked } = self.files(wanted);
            let owns = state.owner.as_ref().is_some_and(|owner| *directory == Some(owner.state));
            if owns || locked.iter().any(|file| view.kernel.shares_lock(process, *file)) {
                facts |= of_holders;
            }
        }
        if kept == HOLDS {
            return facts;
        }
        if state.owner.is_some() {
            facts |= READY;
        }
        if !Checks::share_network(view, observer, other) {
            return facts;
        }
        if known & LISTENS == 0 && view.kernel.listens(process, wanted.ports.base()) {
            facts |= LISTENS;
        }
        let may_reserve =
            || checks.stake(other).is_some_and(|stake| !stake.all_ports.is_disjoint(&wanted.all_ports));
        let reserves = || {
            let reserved = |port: u16| wanted.all_ports.contains(&port);
            view.kernel.unix_names(process).filter_map(gateway::lock::token_port).any(reserved)
        };
        if known & RESERVES == 0 && may_reserve() && reserves() {
            facts |= RESERVES;
        }
        facts
    }
}

impl Checks {
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
                "port-range" | "port-gateway" | "port-other-user" => RESERVES,
                "port-foreign" | "port-unknown" => LISTENS,
                _ => HOLDS,
            };
            let is_true = memory.of_pid(view, observer, *pid).any(|facts| facts & needed == needed);
            if !is_true {
                let who: Vec<&str> = self.named(view, observer, *pid).map(|slot| self.name(slot)).collect();
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
        let past = memory.past.iter().filter(|(of, ..)| *of == observer).map(|(_, _, facts)| *facts);
        let mut known = (0..self.slots.len()).map(|other| memory.of(observer, other)).chain(past);
        let was_held = known.any(|facts| facts & HOLDS == HOLDS);
        if !code.starts_with("held") || was_held {
            return Ok(());
        }
        let says = format!("{} says {code}, and nobody held the lock since it started", self.name(observer));
        Err(broken(Check::Truthful, says))
    }

    /// The slots whose process has or had a pid, as it is called where the observer is.
    pub(super) fn named(&self, view: &View<'_>, observer: usize, pid: Pid) -> impl Iterator<Item = usize> {
        let has = |slot: &usize| {
            let state = &view.slots[*slot];
            state.past.iter().chain(&state.process).any(|process| is_called(view, observer, *process, pid))
        };
        (0..self.slots.len()).filter(has).collect::<Vec<_>>().into_iter()
    }
}

/// Whether a process has or had a pid where the observer is.
fn is_called(view: &View<'_>, observer: usize, process: ProcessId, pid: Pid) -> bool {
    let Some(namespace) = view.slots[observer].process.map(|own| view.kernel.place(own).pids) else {
        return false;
    };
    view.kernel.pid_in(namespace, process) == Some(pid)
}
