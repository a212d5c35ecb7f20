//! Random executions of what has too many states to visit them all, and how much of what they saw was new.
//!
//! A sample proves nothing. It finds what is frequent, and says how far it is from having seen everything: while many of the
//! states of the machine that it met were first met in its last tenth, there are more that it has not met.
//!
//! # Invariants
//!
//! - A sample is a function of its options and its seed, on every machine and for every number of threads.
//! - A failure is reported as the least execution that could be found, and [`replay`](crate::replay) shows it.

mod distinct;
mod graph;
mod policy;
pub(crate) mod random;
mod shrink;
mod walker;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

pub use distinct::Novelty;
pub use policy::Sampler;
pub use walker::MOST_STEPS as MOST_SAMPLED_STEPS;

use distinct::Distinct;
pub use random::Random;
use walker::{End, Walker};

use crate::engine::Engine;
use crate::explore::{Bounds, Found, Policy};
use crate::schedule::Schedule;
use crate::world::{Checker, Setup, Violation};

/// What to sample, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// How a run chooses its steps.
    pub sampler: Sampler,
    /// How many runs are made.
    pub runs: u64,
    /// What all random numbers come from.
    pub seed: u64,
    /// How many threads share the runs. The result is the same for any number. 0 is taken as 1.
    pub threads: usize,
}

/// The first run that has broken a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRun {
    /// Its number, from 0.
    pub run: u64,
    /// The promise.
    pub violation: Violation,
    /// What it did.
    pub schedule: Schedule,
}

/// The result of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// How many runs were made.
    pub runs: u64,
    /// Whether somebody has stopped it before all runs were made.
    pub is_cut: bool,
    /// Which outcomes were reached, and by how many runs.
    pub ends: BTreeMap<usize, u64>,
    /// Which promises were broken, by the id of their check, and by how many runs.
    pub broken: BTreeMap<String, u64>,
    /// How many runs were given up after [`MOST_SAMPLED_STEPS`] steps: their processes went round in circles.
    pub given_up: u64,
    /// The states of the machine.
    pub states: Novelty,
    /// The schedules.
    pub schedules: Novelty,
    /// The first failure.
    pub first: Option<FailedRun>,
    /// The least execution that was found to break a promise, from that failure on.
    pub found: Option<Found>,
}

/// So many runs are made by one thread before it takes others.
const BLOCK: u64 = 256;

/// Makes random executions within bounds. Of `bounds`, the numbers of kills and of losses of power are those of a run at most;
/// a bound on preemptions is for [`explore`](crate::explore) alone, and [`Bounds::states`] says how far the search for the
/// least failure goes.
pub fn sample<C: Checker + Sync>(
    setup: &Setup,
    checker: &C,
    bounds: &Bounds,
    sampling: &Sampling,
) -> Sampled {
    sample_until(setup, checker, bounds, sampling, &|| false)
}

/// Makes random executions within bounds, unless it is told to stop.
pub fn sample_until<C: Checker + Sync>(
    setup: &Setup,
    checker: &C,
    bounds: &Bounds,
    sampling: &Sampling,
    should_stop: &(dyn Fn() -> bool + Sync),
) -> Sampled {
    sample_with(setup, checker, bounds, sampling, graph::MOST_STATES, should_stop)
}

/// The same, where each thread remembers so many states.
fn sample_with<C: Checker + Sync>(
    setup: &Setup,
    checker: &C,
    bounds: &Bounds,
    sampling: &Sampling,
    most_states: usize,
    should_stop: &(dyn Fn() -> bool + Sync),
) -> Sampled {
    let bounds = Bounds { policy: Policy::Exhaustive, ..*bounds };
    let next = AtomicU64::new(0);
    let part = || {
        let engine = Engine::new(setup, checker);
        Tally::of(
            Walker::new(engine, &bounds, sampling.sampler, sampling.seed, most_states),
            |walker, tally| {
                while !should_stop() {
                    let block = next.fetch_add(1, Ordering::Relaxed);
                    let Some(first) = block.checked_mul(BLOCK).filter(|first| *first < sampling.runs) else {
                        return;
                    };
                    let last = sampling.runs.min(first.saturating_add(BLOCK));
                    (first..last).for_each(|run| tally.note(run, walker, sampling.seed));
                }
            },
        )
    };
    let tally = std::thread::scope(|scope| {
        let others: Vec<_> = (1..sampling.threads.max(1)).map(|_| scope.spawn(part)).collect();
        let mut tally = part();
        for other in others {
            match other.join() {
                Ok(other) => tally.merge(other),
                // What a program panics with is caught and told; this is a mistake of a checker or of ours.
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        tally
    });
    // At least one run, so that few runs never look as if they had seen everything.
    let late = sampling.runs - sampling.runs.div_ceil(10);
    let found = tally.first.as_ref().map(|first| shrink::shrink(setup, checker, &bounds, first, should_stop));
    Sampled {
        runs: tally.runs,
        is_cut: tally.runs < sampling.runs && !tally.is_hopeless,
        ends: tally.ends,
        broken: tally.broken,
        given_up: tally.given_up,
        states: tally.states.novelty(late),
        schedules: tally.schedules.novelty(late),
        first: tally.first,
        found,
    }
}

/// What some of the runs have shown.
struct Tally {
    runs: u64,
    ends: BTreeMap<usize, u64>,
    broken: BTreeMap<String, u64>,
    given_up: u64,
    states: Distinct,
    schedules: Distinct,
    first: Option<FailedRun>,
    /// The setup breaks something, so no run was made.
    is_hopeless: bool,
}

impl Tally {
    /// What a walker shows.
    fn of<C: Checker>(
        walker: Result<Walker<'_, C>, Violation>,
        walk: impl FnOnce(&mut Walker<'_, C>, &mut Self),
    ) -> Self {
        let mut tally = Self {
            runs: 0,
            ends: BTreeMap::new(),
            broken: BTreeMap::new(),
            given_up: 0,
            states: Distinct::new(),
            schedules: Distinct::new(),
            first: None,
            is_hopeless: false,
        };
        match walker {
            Ok(mut walker) => {
                walk(&mut walker, &mut tally);
                (tally.states, tally.schedules) = walker.seen();
            }
            Err(violation) => {
                tally.is_hopeless = true;
                tally.first = Some(FailedRun { run: 0, violation, schedule: Schedule::default() });
            }
        }
        tally
    }

    fn note<C: Checker>(&mut self, run: u64, walker: &mut Walker<'_, C>, seed: u64) {
        self.runs += 1;
        match walker.run(Random::of(seed, run), run) {
            End::Outcome(outcome) => *self.ends.entry(outcome).or_default() += 1,
            End::GivenUp => self.given_up += 1,
            End::Unseen => unreachable!("a run that meets something unseen is made again"),
            End::Broken(number) => {
                let violation = walker.violation(number);
                match self.broken.get_mut(&violation.check) {
                    Some(count) => *count += 1,
                    None => drop(self.broken.insert(violation.check.clone(), 1)),
                }
                // The runs of one thread come in ascending order.
                if self.first.is_none() {
                    let schedule = Schedule::from_indices(walker.path().to_vec());
                    self.first = Some(FailedRun { run, violation: violation.clone(), schedule });
                }
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.given_up += other.given_up;
        self.is_hopeless |= other.is_hopeless;
        other.ends.into_iter().for_each(|(end, count)| *self.ends.entry(end).or_default() += count);
        other.broken.into_iter().for_each(|(check, count)| *self.broken.entry(check).or_default() += count);
        self.states.merge(&other.states);
        self.schedules.merge(&other.schedules);
        self.first = [self.first.take(), other.first].into_iter().flatten().min_by_key(|first| first.run);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use portcullis_os::{Open, Os};

    use super::{Sampler, Sampling, graph, sample_with};
    use crate::explore::{Bounds, Policy};
    use crate::lab::{Lab, hold};

    #[test]
    fn how_much_is_remembered_changes_nothing_but_the_cost() {
        let lab = Lab::new().directory("/state").one_holder().contenders(3, |os| async move {
            let lock = Path::new("/state/lock");
            let Ok(_file) = os.open(lock, Open::create_exclusive()).await else { return 1 };
            let _ = hold(&os).await;
            u8::from(os.unlink(lock).await.is_err())
        });
        let (setup, judge) = (lab.setup(), lab.judge());
        let bounds = Bounds { policy: Policy::Exhaustive, kills: 1, power_losses: 0, states: 100_000 };
        for sampler in [Sampler::Uniform, Sampler::Pct { depth: 3 }, Sampler::Swarm] {
            let sampling = Sampling { sampler, runs: 400, seed: 5, threads: 1 };
            let with = |most| sample_with(&setup, &judge, &bounds, &sampling, most, &|| false);
            let all = with(graph::MOST_STATES);
            assert_eq!(all.ends.values().sum::<u64>(), 400);
            for most in [1, 40] {
                assert_eq!(with(most), all, "{sampler:?} with {most} states");
            }
        }
    }
}
