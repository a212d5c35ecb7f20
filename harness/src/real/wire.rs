//! What a try is told and what it answers: one line of JSON each way, over the helper's standard input and output.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::stress;
use crate::target::Target;

/// What a helper is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Say whether a room of one's own can be had here.
    Probe,
    /// Start one gateway of the case alone and say how long it takes to become ready.
    Measure(Order, String),
    /// Run the case once.
    Try(Order, Plan),
    /// Test whether the target describes its gateway.
    Check(Order),
    /// Drive a stress.
    Stress(stress::Order),
}

/// Which case, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The id of the case.
    pub(super) case: String,
    /// The name of its scenario.
    pub(super) name: String,
    /// The file of the scenario, as it was named.
    pub(super) file: String,
    /// The text of the file.
    pub(super) source: String,
    /// What is run as a gateway.
    pub(super) target: Target,
    /// An empty directory for everything that this try writes.
    pub(super) directory: PathBuf,
    /// Where its processes live.
    pub(super) room: Room,
}

/// Where the processes of a try live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Room {
    /// In user, pid, network and mount namespaces of their own.
    Own,
    /// Among everybody else, with each port moved.
    Shared {
        /// By how much.
        shift: i32,
    },
}

/// What is left open by the scenario and decided before the try, so that a seed repeats it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// For the order and the gaps of what starts at once.
    pub(super) seed: u64,
    /// Which try this is, counted from 0.
    pub(super) attempt: u32,
    /// The longest gap between two processes that start at once, in microseconds.
    pub(super) gap_us: u64,
    /// How long after its start a gateway is killed by a step that follows without a wait, in microseconds.
    pub(super) sweep_us: u64,
    /// Which gateways are killed as well, and how long after their start, in microseconds.
    pub(super) kills: BTreeMap<String, u64>,
}

impl Plan {
    /// Nothing is left open and nobody is killed.
    pub(super) const fn calm() -> Self {
        Self { seed: 0, attempt: 0, gap_us: 0, sweep_us: 0, kills: BTreeMap::new() }
    }
}

/// What a helper answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    /// A room of one's own can be had.
    Roomy,
    /// It cannot, for this reason.
    Crowded(String),
    /// From start to ready it took so many microseconds.
    Measured(u64),
    /// Everything that was expected held.
    Held(Kills),
    /// What a self-test has shown, line by line.
    Checked(Vec<Line>),
    /// What a stress has shown.
    Stressed(Box<stress::Outcome>),
    /// Something did not.
    Broken {
        /// The check, `outcomes` or `refusal`.
        check: String,
        /// What happened, as a fragment of a sentence.
        says: String,
        /// The line of the expectation in the scenario file.
        line: Option<usize>,
        /// What was seen, line by line.
        seen: Vec<String>,
    },
    /// This machine did not let it be decided, for this reason.
    Undecided(String),
}

/// One line of a self-test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What was looked at, in a few words.
    pub what: String,
    /// What came of it.
    pub finding: Finding,
    /// What was seen.
    pub seen: String,
    /// What to do about it; empty: nothing.
    pub remedy: String,
}

/// What came of one line of a self-test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// It is as the target says.
    Good,
    /// It is not.
    Bad,
    /// The target says nothing about it.
    Silent,
    /// It could not be looked at, because of what is bad above.
    Skipped,
}

/// How many gateways were killed by a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kills {
    /// All of them.
    pub(super) all: u32,
    /// Those that had not said `ready`.
    pub(super) inside: u32,
}
