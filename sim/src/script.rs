//! What happens to a machine from outside: who is started, stopped, paused, and what operators do, in order.

use std::path::PathBuf;

use portcullis_os::Signal;

use crate::operator::Operation;
use crate::supervisor::Order;

/// One thing that is done to the machine. Processes are named by their place in [`Setup::slots`](crate::Setup::slots).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A process is started, or its supervisor is asked to start it.
    Start(usize),
    /// The supervisor of a process is asked to end it, or to end and start it.
    Order(usize, Order),
    /// A process is sent a signal, if it lives.
    Signal(usize, Signal),
    /// A process is started with the pid of one that is dead. Waits until that pid is free.
    Recycle {
        /// The dead one.
        old: usize,
        /// The one that gets its pid.
        heir: usize,
    },
    /// A process is started by the one of another slot, if that one serves at this moment. Else nothing happens.
    Open {
        /// Who starts it.
        by: usize,
        /// Who is started.
        slot: usize,
    },
    /// An operator deletes files, where they exist.
    Remove(Vec<PathBuf>),
    /// Something is done to the machine.
    Operate(Operation),
    /// Nothing further is done until something is the case.
    Wait(Condition),
}

/// What a script can wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Each started process is ready, gone or stopped, or can do nothing more, and no supervisor is about to start one.
    AllSettled,
    /// The same for one process.
    Settled(usize),
    /// A process has said that it is ready.
    Ready(usize),
    /// A process is dead. Its supervisor may be about to start the next one.
    Gone(usize),
    /// A process has told something, however long ago and whatever has become of it since. One that its supervisor has
    /// started again has told nothing yet.
    Told(usize, Telling),
}

/// What a process tells of itself once, and a script can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Telling {
    /// That it acts as the owner.
    Owner,
    /// That it has been asked to stop, by `SIGTERM` or `SIGINT`: who is asked knows it.
    Draining,
    /// That it owns no more.
    Released,
    /// That it gives up.
    Refused,
}

impl Telling {
    /// Every one of them, with its name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("owner", Self::Owner),
        ("draining", Self::Draining),
        ("released", Self::Released),
        ("refused", Self::Refused),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, telling)| *telling == self).map_or("", |(name, _)| name)
    }
}

/// Everything that is done to a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Done first, one after the other: between two of them the processes run in turn, in the order of their slots.
    pub setup: Vec<Action>,
    /// Issued in order; what they set in motion interleaves freely until a wait.
    pub steps: Vec<Action>,
}

impl Script {
    pub(crate) fn get(&self, position: usize) -> Option<&Action> {
        self.setup.get(position).or_else(|| self.steps.get(position.checked_sub(self.setup.len())?))
    }

    /// Whether it waits for what is known only if it is remembered that a process has owned something and does so no more.
    pub(crate) fn minds_release(&self, slot: usize) -> bool {
        let mut actions = self.setup.iter().chain(&self.steps);
        actions.any(|action| {
            matches!(action, Action::Wait(Condition::Told(of, Telling::Owner | Telling::Released)) if *of == slot)
        })
    }

    pub(crate) const fn is_setup(&self, position: usize) -> bool {
        position < self.setup.len()
    }
}
