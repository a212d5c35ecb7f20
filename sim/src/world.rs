//! One state of everything: the machine, how far each program has come, how far the script is, what checkers remember.
//!
//! Both searches and the replay take their steps through one engine, so they cannot disagree.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_os::{Call, Errno, Fd, Ownership, Pid, Reply};

use crate::digest::Lanes;
use crate::kernel::{Completion, Effect, HostId, Kernel, Life, ProcessId, Spawn};
use crate::learn::{Answer, TaskState};
use crate::program::Program;
use crate::script::{Action, Script};
use crate::shared::Shared;
use crate::supervisor::{Supervision, Supervisor};

pub use crate::kernel::Ending;

/// A place for one process of a scenario.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Its name in the scenario.
    pub name: String,
    /// What the kernel knows of it.
    pub spawn: Spawn,
    /// What it does; `None` for a bystander that only exists.
    pub program: Option<Program>,
    /// The TCP ports that a bystander listens on from its start.
    pub listens: Vec<SocketAddr>,
    /// The local addresses of the connections to other machines that a bystander has from its start.
    pub connections: Vec<SocketAddr>,
    /// Who starts it again when it has ended.
    pub supervisor: Option<Supervised>,
    /// The path of the program that this is when another process starts it ([`Call::Spawn`]): the first free slot of that
    /// path is the child's.
    pub spawned_as: Option<String>,
    /// How many descriptors its processes may have open (`RLIMIT_NOFILE`); `None`: as many as usual.
    pub open_files: Option<u32>,
}

/// That a process is looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervised {
    /// By whom.
    pub by: Supervisor,
    /// How many processes are started in the slot, at least 1. A supervisor that would start more is left waiting, which
    /// [`Exploration::cut`](crate::Exploration::cut) says.
    pub most_starts: u8,
    /// Whether a process that it starts again may be given any pid that was given before and is free, besides the next one.
    pub reuses_pids: bool,
}

/// A machine, its processes and what happens to them.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The machine before anything has happened.
    pub kernel: Kernel,
    /// Every process that can exist.
    pub slots: Vec<Slot>,
    /// What is done from outside.
    pub script: Script,
}

/// How far the process of a slot has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SlotState {
    /// Its process, once it was started; the last one, if a supervisor has started several.
    pub process: Option<ProcessId>,
    /// The processes that it had before, all of them dead, in order.
    pub past: Vec<ProcessId>,
    /// What its supervisor knows, if it has one.
    pub supervision: Option<Supervision>,
    /// The slot whose supervisor looks after the process that has started this one, if one does.
    pub service: Option<usize>,
    /// What it says it owns, until it says that it has stopped owning it.
    pub owner: Option<Arc<Ownership>>,
    /// Whether it has said that it is ready.
    pub ready: bool,
    /// Whether it has said that it owns no more, if the script [waits for that](crate::Condition::Told), else `false`: nobody
    /// else needs to know, and states that differ in nothing else are one.
    pub released: bool,
    /// Whether it was asked to stop, by `SIGTERM` or `SIGINT`.
    pub asked: bool,
    /// How many calls its main task has made, if the checker [counts them](Checker::counts_calls), else 0.
    pub calls: u32,
    /// Why it has said that it gives up, and whom it has named.
    pub refused: Option<(Arc<str>, Option<Pid>)>,
    /// How far each of its tasks has come, the main task first.
    pub(crate) tasks: Vec<TaskState>,
}

/// A state, as a checker sees it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The machine.
    pub kernel: &'a Kernel,
    /// How far each process has come, in the order of [`Setup::slots`].
    pub slots: &'a [Shared<SlotState>],
}

impl View<'_> {
    /// Whether the process of a slot was started and is not dead. One that is dying still is in the way of others.
    pub fn is_alive(&self, slot: usize) -> bool {
        self.slots[slot].process.is_some_and(|process| !matches!(self.kernel.life(process), Life::Dead(_)))
    }

    /// The slots whose live process acts as an owner.
    pub fn owners(&self) -> Vec<usize> {
        (0..self.slots.len())
            .filter(|slot| self.slots[*slot].owner.is_some() && self.can_act(*slot))
            .collect()
    }

    /// Whether the process of a slot was started and has not come to its end.
    pub fn can_act(&self, slot: usize) -> bool {
        self.slots[slot].process.is_some_and(|process| match self.kernel.life(process) {
            Life::Running | Life::Stopped | Life::Uninterruptible => true,
            Life::Dying(_) | Life::Dead(_) => false,
        })
    }

    /// Whether the process of a slot owns, has said that it is ready, and can do something.
    pub fn serves(&self, slot: usize) -> bool {
        let state = &self.slots[slot];
        let runs = state.process.is_some_and(|process| self.kernel.life(process) == Life::Running);
        runs && state.ready && state.owner.is_some()
    }

    /// How many processes were started in a slot.
    pub fn starts(&self, slot: usize) -> usize {
        self.slots[slot].past.len() + usize::from(self.slots[slot].process.is_some())
    }

    /// The slot whose present process this is.
    pub fn slot_of(&self, process: ProcessId) -> Option<usize> {
        self.slots.iter().position(|slot| slot.process == Some(process))
    }
}

/// A step, as a checker sees it.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The slot whose program took it; `None` for the script and for faults.
    pub slot: Option<usize>,
    /// The call that was carried out, if it was one.
    pub call: Option<&'a Call>,
    /// What it was answered.
    pub reply: Option<&'a Result<Reply, Errno>>,
    /// What happened, in order.
    pub effects: &'a [Effect],
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Violation {
    /// The stable id of the check.
    pub check: String,
    /// What happened, as a fragment of a sentence.
    pub says: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.says)
    }
}

/// What must be true after every step and at the end of every execution.
pub trait Checker {
    /// What it remembers of the past. Part of the state: two states with different memories are different.
    type Memory: Clone + Eq + Hash + fmt::Debug;

    /// What it remembers before the first step.
    fn start(&self) -> Self::Memory;

    /// Looks at the state after a step.
    ///
    /// # Errors
    ///
    /// The promise that the step has broken.
    fn step(&self, memory: &mut Self::Memory, view: &View<'_>, step: &Step<'_>) -> Result<(), Violation>;

    /// Looks at a state in which nothing can happen by itself any more. Answers which outcome it is.
    ///
    /// # Errors
    ///
    /// The promise that this end breaks.
    fn end(&self, memory: &Self::Memory, view: &View<'_>) -> Result<usize, Violation>;

    /// Looks at an execution that is fair, goes on for ever and never settles: these slots move, and do not serve. `view` is
    /// a state that it passes again and again. Answers which promise that breaks.
    fn endless(&self, view: &View<'_>, restless: &[usize]) -> Violation {
        let _ = (view, restless);
        Violation { check: "endless".to_owned(), says: "it goes on for ever and never settles".to_owned() }
    }

    /// Whether [`SlotState::calls`] is counted. Then it is a part of the state, and states that differ in nothing else are
    /// visited one by one.
    fn counts_calls(&self) -> bool {
        false
    }

    /// Whether nothing that can follow is of interest. Then nothing follows: such a state is an end, whatever could happen.
    fn is_over(&self, memory: &Self::Memory) -> bool {
        let _ = memory;
        false
    }

    /// Whether a script that waits for what never comes breaks a promise. A checker that looks for one execution, and not for
    /// what is wrong, has no interest in those that come to nothing.
    fn minds_stuck_scripts(&self) -> bool {
        true
    }

    /// Slots that the script never starts. Wherever one of them is free to start, it is started alone, and
    /// [`Checker::probed`] judges how far it came.
    fn probes(&self) -> &[usize] {
        &[]
    }

    /// Whether nothing alive stands in the way of a probe, so that it must be able to start.
    fn is_free(&self, probe: usize, view: &View<'_>) -> bool {
        let _ = probe;
        (0..view.slots.len()).all(|slot| !view.is_alive(slot))
    }

    /// Looks at the state in which a probe can do nothing more.
    ///
    /// # Errors
    ///
    /// The promise that is broken, usually that the probe must become ready.
    fn probed(&self, probe: usize, view: &View<'_>) -> Result<(), Violation> {
        let _ = (probe, view);
        Ok(())
    }
}

/// One thing that could happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The call that a task has under way is carried out.
    Run { slot: usize, task: usize, how: Completion },
    /// The process executes the program that it was made for.
    Execute { slot: usize },
    /// The process exits.
    Exit { slot: usize },
    /// The kernel takes a descriptor from a dying process.
    Release { slot: usize, fd: Fd },
    /// The next action of the script.
    Script,
    /// A supervisor starts the process again, with a pid that was given before if one is named, or finds that it has done
    /// so too often.
    Restart { slot: usize, pid: Option<Pid> },
    /// A supervisor kills the process that it has asked to end.
    LosePatience { slot: usize },
    /// A fault: the process is killed.
    Kill { slot: usize },
    /// A fault: the power of a host fails and comes back, and the machine is one of those that may stand there then.
    PowerLoss { host: HostId, outcome: usize },
}

impl Choice {
    /// The program that takes the step, if one does.
    pub(crate) const fn runs(self) -> Option<usize> {
        match self {
            Self::Run { slot, .. } | Self::Execute { slot } | Self::Exit { slot } => Some(slot),
            Self::Release { .. }
            | Self::Script
            | Self::Restart { .. }
            | Self::LosePatience { .. }
            | Self::Kill { .. }
            | Self::PowerLoss { .. } => None,
        }
    }

    /// Whether it is that a call ends because its deadline passes.
    pub(crate) const fn passes_deadline(self) -> bool {
        matches!(self, Self::Run { how: Completion::TimedOut, .. })
    }

    /// Whether it is a fault: something that nobody has to expect.
    pub(crate) const fn is_fault(self) -> bool {
        match self {
            Self::Kill { .. } | Self::PowerLoss { .. } => true,
            Self::Run { .. }
            | Self::Execute { .. }
            | Self::Exit { .. }
            | Self::Release { .. }
            | Self::Script
            | Self::Restart { .. }
            | Self::LosePatience { .. } => false,
        }
    }
}

/// One state.
#[derive(Debug)]
pub(crate) struct World<M> {
    pub(crate) kernel: Shared<Kernel>,
    pub(crate) slots: Vec<Shared<SlotState>>,
    pub(crate) position: usize,
    pub(crate) kills: u8,
    pub(crate) power_losses: u8,
    pub(crate) memory: M,
    /// The slot that took the last step. Not part of the state unless preemptions are counted.
    pub(crate) last: Option<usize>,
}

impl<M: Clone> Clone for World<M> {
    fn clone(&self) -> Self {
        let Self { kernel, slots, position, kills, power_losses, memory, last } = self;
        Self {
            kernel: kernel.clone(),
            slots: slots.clone(),
            position: *position,
            kills: *kills,
            power_losses: *power_losses,
            memory: memory.clone(),
            last: *last,
        }
    }

    /// Keeps what the two have in common, and the room of the slots.
    fn clone_from(&mut self, source: &Self) {
        let Self { kernel, slots, position, kills, power_losses, memory, last } = source;
        self.kernel.clone_from(kernel);
        self.slots.clone_from(slots);
        (self.position, self.kills, self.power_losses) = (*position, *kills, *power_losses);
        self.memory.clone_from(memory);
        self.last = *last;
    }
}

impl<M: Hash> World<M> {
    pub(crate) fn view(&self) -> View<'_> {
        View { kernel: &self.kernel, slots: &self.slots }
    }

    /// A key of 128 bits that is equal for equal states.
    pub(crate) fn key(&self, with_last: bool) -> u128 {
        let mut hasher = Lanes::new();
        self.kernel.hash(&mut hasher);
        self.slots.hash(&mut hasher);
        self.position.hash(&mut hasher);
        self.kills.hash(&mut hasher);
        self.power_losses.hash(&mut hasher);
        self.memory.hash(&mut hasher);
        if with_last {
            self.last.hash(&mut hasher);
        }
        hasher.write_u8(0xff);
        hasher.digest()
    }
}

/// The answer to a call, and which process it went to.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) slot: usize,
    /// How many processes the slot had before this one.
    pub(crate) life: usize,
    /// How many tasks the process had started before the one that was answered.
    pub(crate) task: u16,
    pub(crate) answer: Arc<Answer>,
}

impl Stepped {
    /// Which answer the step that has led to a state was.
    pub(crate) fn answered<M>(&self, choice: Choice, world: &World<M>) -> Option<Answered> {
        let (Choice::Run { slot, .. }, Told::Call { task, reply, .. }) = (choice, &self.told) else {
            return None;
        };
        Some(Answered { slot, life: world.slots[slot].past.len(), task: *task, answer: Arc::clone(reply) })
    }

    pub(crate) fn step(&self, choice: Choice) -> Step<'_> {
        let (call, reply) = match &self.told {
            Told::Call { call, reply, .. } => (Some(&**call), Some(&**reply)),
            Told::Execute
            | Told::Exit(_)
            | Told::Release(_)
            | Told::Action(_)
            | Told::Restart(_)
            | Told::LosePatience
            | Told::Kill
            | Told::PowerLoss { .. } => (None, None),
        };
        Step { slot: choice.runs(), call, reply, effects: self.effects.as_slice() }
    }
}

/// What one step did.
pub(crate) struct Stepped {
    pub(crate) effects: Vec<Effect>,
    pub(crate) told: Told,
}

/// A step in words, for a trace.
pub(crate) enum Told {
    Call { task: u16, call: Arc<Call>, reply: Arc<Answer> },
    Execute,
    Exit(u8),
    Release(Fd),
    Action(Action),
    Restart(Option<Pid>),
    LosePatience,
    Kill,
    PowerLoss { outcome: usize },
}
