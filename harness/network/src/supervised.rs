//! Who starts a gateway again when it has ended, in virtual time.

use portcullis_os::{Ending, Signal};
use sim::supervisor::{Leftover, Phase, Reaction, Supervision, Supervisor};

/// What a supervisor wants done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Start,
    Send(&'static [Signal]),
}

/// A supervisor and what it knows. Nobody starts children here, so nothing is ever left over.
#[derive(Clone, Debug)]
pub(crate) struct Watchman {
    rules: Supervisor,
    known: Supervision,
}

impl Watchman {
    pub(crate) const fn new(rules: Supervisor) -> Self {
        Self { rules, known: Supervision::NEW }
    }

    fn wish(reaction: Reaction) -> Option<Wish> {
        match reaction {
            Reaction::Nothing => None,
            Reaction::Start => Some(Wish::Start),
            Reaction::Send(_, signals) => Some(Wish::Send(signals)),
        }
    }

    /// An operator asks for a start.
    pub(crate) fn start(&mut self, now_ms: u64) -> Option<Wish> {
        Self::wish(self.rules.start(&mut self.known, now_ms))
    }

    /// The process has ended.
    pub(crate) fn on_exit(&mut self, now_ms: u64, ending: Ending) -> Option<Wish> {
        Self::wish(self.rules.on_exit(&mut self.known, now_ms, ending, Leftover::Nobody))
    }

    /// When it wants to do something next.
    pub(crate) const fn next_ms(&self) -> Option<u64> {
        match self.known.phase {
            Phase::Waiting { until_ms } => Some(until_ms),
            Phase::Stopping { kill_ms, .. } | Phase::Clearing { kill_ms, .. } => kill_ms,
            Phase::Resting(_) | Phase::Watching => None,
        }
    }

    /// Whether it is about to do something.
    pub(crate) const fn waits(&self) -> bool {
        self.next_ms().is_some()
    }

    /// That time has come.
    pub(crate) fn wake(&mut self, now_ms: u64) -> Option<Wish> {
        match self.known.phase {
            Phase::Waiting { .. } => Self::wish(self.rules.resume(&mut self.known, now_ms)),
            Phase::Stopping { .. } | Phase::Clearing { .. } => {
                Self::wish(self.rules.lose_patience(&mut self.known, now_ms))
            }
            Phase::Resting(_) | Phase::Watching => None,
        }
    }
}
