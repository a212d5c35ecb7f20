//! What one execution has come to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::plan::NAME;

/// A promise to users that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The stable id of the promise.
    pub check: &'static str,
    /// What happened, as a fragment of a sentence.
    pub says: String,
}

/// What one execution has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Every promise that was broken.
    pub broken: Vec<Broken>,
    /// How often each thing happened, so that one sees what was tried at all.
    pub happened: BTreeMap<String, u64>,
    /// The steps of the plan that found nobody and nothing.
    pub idle: BTreeSet<String>,
    /// How many replies bots have given.
    pub replies: usize,
    /// What happened, in order: when in milliseconds, to whom, what.
    pub log: Vec<(u64, String, String)>,
    /// A digest of the whole execution.
    pub digest: u128,
}

impl Report {
    /// One of which nothing is known yet.
    pub(crate) const fn of(seed: u64) -> Self {
        Self {
            seed,
            broken: Vec::new(),
            happened: BTreeMap::new(),
            idle: BTreeSet::new(),
            replies: 0,
            log: Vec::new(),
            digest: 0,
        }
    }
}

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrunnable {
    /// A step names somebody whom the plan does not have.
    #[error("{0}: there is nobody of that name in the plan")]
    Nobody(String),
    /// Somebody has a name that no directory can have.
    #[error("{0:?} is no name: {NAME}")]
    Misnamed(String),
    /// A gateway is set up in a way that it does not understand.
    #[error("{name}: {why}")]
    Unsettled {
        /// Which.
        name: String,
        /// Why.
        why: String,
    },
    /// The machine has no room for it.
    #[error("there is no room for {0}")]
    NoRoom(String),
    /// A step asks for what only simulated machines bear.
    #[error("`{0}` can be done to simulated machines only")]
    NotHere(&'static str),
    /// The machine that it runs on does not do what is asked of it.
    #[error("{what}: {why}")]
    Machine {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        why: String,
    },
    /// Somebody wants an end of it.
    #[error("interrupted")]
    Interrupted,
    /// A loss of power has too many outcomes to draw one.
    #[error(transparent)]
    Outcomes(#[from] sim::kernel::TooManyOutcomes),
    /// So much happens at once that time does not go on.
    #[error(transparent)]
    Restless(#[from] sim::network::Restless),
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        let width = self.log.iter().map(|(_, who, _)| who.len()).max().unwrap_or_default();
        for (at_ms, who, what) in &self.log {
            writeln!(f, "{:>9.3} s  {who:<width$}  {what}", *at_ms as f64 / 1000.0)?;
        }
        for Broken { check, says } in &self.broken {
            writeln!(f, "{check}: {says}")?;
        }
        let counts: Vec<String> =
            self.happened.iter().map(|(what, often)| format!("{what} {often}")).collect();
        write!(f, "{}", counts.join(", "))
    }
}
