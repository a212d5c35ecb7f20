//! A verdict carries its evidence: "pass" alone says nothing, and what was not decided is no pass.

use std::fmt;
use std::time::Duration;

use sim::Novelty;

use crate::scenario::{Located, Outcome};

/// Where a case was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Executor {
    /// On the simulated machine.
    Sim,
    /// On real processes of the reference gateway.
    Refgate,
    /// On the simulated machine, and call by call on the real kernel.
    Stepped,
    /// On real processes of another one, by its name.
    Target(TargetName),
}

/// The name of a target, known for as long as the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetName(&'static str);

impl TargetName {
    /// Keeps a name. Each takes a few bytes for good; a command line names a few targets.
    pub fn keep(name: &str) -> Self {
        Self(Box::leak(name.to_owned().into_boxed_str()))
    }
}

impl fmt::Display for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sim => "sim",
            Self::Refgate => "refgate",
            Self::Stepped => "stepped",
            Self::Target(TargetName(name)) => name,
        })
    }
}

/// What a pass rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Every schedule was covered.
    Complete {
        /// Different states.
        states: usize,
        /// Steps between them.
        transitions: u64,
        /// How many gateways might be killed.
        kills: u8,
        /// How often the power might fail.
        power_losses: u8,
    },
    /// Every schedule within a bound was covered.
    Bounded {
        /// The bound on preemptions, if there was one.
        preemptions: Option<u8>,
        /// How often a supervisor started a gateway before it was left waiting, if one was.
        starts: Option<u8>,
        /// Different states.
        states: usize,
        /// Steps between them.
        transitions: u64,
        /// How many gateways might be killed.
        kills: u8,
        /// How often the power might fail.
        power_losses: u8,
    },
    /// Random executions showed no failure.
    Sampled {
        /// How they were chosen, for instance `uniform, seed 1`.
        how: String,
        /// How many.
        runs: u64,
        /// How many of them went round in circles and were given up.
        given_up: u64,
        /// The states of the machine that they met.
        states: Novelty,
        /// Their schedules.
        schedules: Novelty,
    },
    /// Real runs showed no failure.
    Observed {
        /// How many.
        runs: u32,
        /// What else is worth knowing, for instance how many kills fell inside start-up.
        note: Option<String>,
    },
}

impl Evidence {
    /// The word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Complete { .. } => "complete",
            Self::Bounded { .. } => "bounded",
            Self::Sampled { .. } => "sampled",
            Self::Observed { .. } => "observed",
        }
    }
}

/// Why a case failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The check that was broken, `outcomes`, `reach` or `refusal`.
    pub check: String,
    /// What happened, as a fragment of a sentence.
    pub says: String,
    /// The line of the expectation in the scenario file.
    pub line: Option<usize>,
    /// The lanes, or what was observed, line by line.
    pub body: Vec<String>,
    /// The token that replays it.
    pub replay: Option<String>,
}

/// A failure that is known of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// Why it is so, as the target says.
    pub because: String,
    /// Where it is discussed.
    pub issue: Option<String>,
    /// What failed.
    pub failure: Failure,
}

/// The end of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that was expected held.
    Pass(Evidence),
    /// Something did not.
    Fail(Box<Failure>),
    /// Something did not, and it is known of this target.
    Known(Box<Deviation>),
    /// A budget ran out first.
    Inconclusive(String),
    /// The executor cannot do what the scenario asks for.
    Unsupported(String),
}

/// One case, run once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseResult {
    /// The case.
    pub id: String,
    /// The scenario file, as it was named.
    pub file: String,
    /// Where it was run.
    pub on: Executor,
    /// How long it took.
    pub elapsed: Duration,
    /// The verdict.
    pub verdict: Verdict,
    /// What a second search has shown, if one was made: that it was the same.
    pub twice: Option<String>,
    /// The outcomes that the file lists and no schedule shows, each with its line; only where every schedule was tried.
    pub unshown: Vec<Located<Outcome>>,
}
