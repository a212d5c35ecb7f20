//! Real contenders for one state directory, killed, stopped and robbed of their lock file: their writes stay in order.
//!
//! Each contender is a process that runs a design over the real kernel and, for as long as it says that it is the owner,
//! appends lines with its own number to one log. A driver starts them without end, kills them with `SIGKILL`, stops them
//! with `SIGSTOP` and lets them go on, tells some to end, and plays the operator who deletes the lock file. Afterwards the
//! log tells: an owner that writes after another one has begun was an owner beside it. Of the reference gateway the
//! journals are read as well, all the time: what is sealed stays as it is.
//!
//! # Invariants
//!
//! - A contender writes only between its notices `Owner` and `Released`, so that no order is broken by an honest end.
//! - Nothing is left behind: the processes live in a room that ends with the driver, the files in one directory.
//! - A contender ends as it was made to or as it says, and in time: one that hangs, panics, dies of a signal that nobody has
//!   sent or ends with a status that its refusal does not have is a breach like one of the order.
//! - Few acquisitions or few kills prove nothing, nor does a stress without a stop or a removal: it is inconclusive.

mod audit;
mod breaches;
pub(crate) mod contender;
pub(crate) mod driver;
mod ends;
mod log;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::designs::Design;
use crate::real::{self, Isolation};
use crate::target::Target;

/// How many acquisitions a minute of stress must show.
const ACQUISITIONS_A_MINUTE: u64 = 1000;
/// How many kills a minute of stress must show.
const KILLS_A_MINUTE: u64 = 500;

/// A stress to be made.
#[derive(Clone, Debug)]
pub struct Request {
    /// The lock of the contenders.
    pub design: Design,
    /// How long, in seconds.
    pub seconds: u32,
    /// What is done to whom and when, as far as a driver decides that.
    pub seed: u64,
    /// Set to end soon, without a verdict.
    pub interrupted: Arc<AtomicBool>,
}

/// What the helper that drives it is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The name of the design.
    pub(crate) design: String,
    pub(crate) seconds: u32,
    pub(crate) seed: u64,
    /// The first port of the contenders' block.
    pub(crate) base: u16,
    /// An empty directory.
    pub(crate) directory: PathBuf,
}

/// What was done, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How many contenders wrote as owners.
    pub acquisitions: u64,
    /// How many contenders were killed.
    pub kills: u64,
    /// How many of these had not become ready.
    pub kills_inside: u64,
    /// How often a contender was stopped.
    pub stops: u64,
    /// How many lock files were deleted.
    pub removals: u64,
    /// How many contenders were refused.
    pub refusals: u64,
    /// How many owners noticed that they had lost their lock file, and stopped.
    pub fenced: u64,
    /// How many lines the owners wrote.
    pub writes: u64,
    /// How long contenders took until they were ready, in microseconds, ascending.
    pub acquire_us: Vec<u64>,
    /// How long contenders took until they were refused, in microseconds, ascending.
    pub refuse_us: Vec<u64>,
    /// How many breaches there were: of the order, of sealed journals, and of how contenders end.
    pub violations: u64,
    /// The first of them, as sentences.
    pub shown: Vec<String>,
}

/// What a stress shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Enough was done, and nothing broke.
    Held,
    /// Something broke.
    Broken,
    /// Nothing broke, and too little was done to say anything.
    TooLittle,
}

impl Request {
    /// How many acquisitions it must show.
    pub fn acquisitions_needed(&self) -> u64 {
        scaled(ACQUISITIONS_A_MINUTE, self.seconds)
    }

    /// How many kills it must show.
    pub fn kills_needed(&self) -> u64 {
        scaled(KILLS_A_MINUTE, self.seconds)
    }

    /// How many lock files must have been deleted: one, if the design has any.
    pub fn removals_needed(&self) -> u64 {
        u64::from(!self.design.lock_files(Path::new("/")).is_empty())
    }

    /// What an outcome of it shows.
    pub fn judge(&self, outcome: &Outcome) -> Verdict {
        if outcome.violations > 0 {
            Verdict::Broken
        } else if outcome.acquisitions < self.acquisitions_needed()
            || outcome.kills < self.kills_needed()
            || outcome.stops < 1
            || outcome.removals < self.removals_needed()
        {
            Verdict::TooLittle
        } else {
            Verdict::Held
        }
    }

    /// Makes the stress, in a room of its own if there is one. The second value says whether there was.
    ///
    /// # Errors
    ///
    /// Why it could not be made, as a fragment of a sentence.
    pub fn run(&self) -> Result<(Outcome, Isolation), String> {
        let options = real::Options {
            // A stress starts contenders of its own and no gateway.
            target: Target::refgate(Path::new("")),
            helper: real::Options::ITSELF.into(),
            tries: None,
            seed: self.seed,
            isolation: Isolation::WherePossible,
            interrupted: Arc::clone(&self.interrupted),
        };
        real::stress(&options, |base, directory| Order {
            design: self.design.name(),
            seconds: self.seconds,
            seed: self.seed,
            base,
            directory,
        })
    }
}

fn scaled(a_minute: u64, seconds: u32) -> u64 {
    (a_minute * u64::from(seconds)).div_ceil(60)
}

/// The value that so many percent of some ascending values do not exceed.
pub fn percentile(ascending: &[u64], percent: usize) -> Option<u64> {
    let rank = (ascending.len() * percent).div_ceil(100).max(1);
    ascending.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Request, Verdict, percentile};
    use crate::designs::Design;

    fn request(seconds: u32) -> Request {
        Request { design: Design::Refgate, seconds, seed: 1, interrupted: std::sync::Arc::default() }
    }

    #[test]
    fn what_is_needed_grows_with_the_time_and_a_breach_outweighs_everything() {
        assert_eq!((request(60).acquisitions_needed(), request(60).kills_needed()), (1000, 500));
        assert_eq!((request(1).acquisitions_needed(), request(1).kills_needed()), (17, 9));
        let done = |acquisitions, kills, violations| Outcome {
            acquisitions,
            kills,
            stops: 1,
            removals: 1,
            violations,
            ..Outcome::default()
        };
        for (outcome, expected) in [
            (done(1000, 500, 0), Verdict::Held),
            (done(999, 500, 0), Verdict::TooLittle),
            (done(1000, 499, 0), Verdict::TooLittle),
            (done(2, 0, 1), Verdict::Broken),
            (Outcome { stops: 0, ..done(1000, 500, 0) }, Verdict::TooLittle),
            (Outcome { removals: 0, ..done(1000, 500, 0) }, Verdict::TooLittle),
        ] {
            assert_eq!(request(60).judge(&outcome), expected, "{outcome:?}");
        }
        let listener = Design::of("bind-only").expect("it is in the catalogue");
        assert_eq!(Request { design: listener, ..request(60) }.removals_needed(), 0, "it has no lock file");
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99)), (Some(100), Some(198)));
        assert_eq!(
            (percentile(&[7], 50), percentile(&[7], 99), percentile(&[], 50)),
            (Some(7), Some(7), None)
        );
    }
}
