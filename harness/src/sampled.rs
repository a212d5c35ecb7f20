//! One case on the simulated machine by random executions, where it has too many states to visit them all.
//!
//! What a sample has not shown may still be there, so an outcome that it did not reach leaves the case undecided, and a pass
//! says how much of what it saw was new.

use sim::{Sampled, Sampler, Sampling};

use crate::designs::Design;
use crate::report;
use crate::scenario::{Case, Reach, Scenario};
use crate::simulate::Simulation;
use crate::verdict::{Evidence, Verdict};

impl Simulation {
    /// Takes random schedules, unless it is told to stop.
    pub(crate) fn draw(&self, sampling: &Sampling, should_stop: &(dyn Fn() -> bool + Sync)) -> Sampled {
        sim::sample_until(&self.setup, &self.checks, &self.bounds, sampling, should_stop)
    }

    /// Judges a case by random schedules.
    pub(crate) fn sample(
        &self,
        case: &Case,
        design: Design,
        sampling: &Sampling,
        should_stop: &(dyn Fn() -> bool + Sync),
    ) -> Verdict {
        let sampled = self.draw(sampling, should_stop);
        if let Some(found) = &sampled.found {
            let searched = searched(&sampled, sampling);
            return Verdict::Fail(Box::new(self.failure(case, design, found, searched, should_stop)));
        }
        if sampled.is_cut {
            return Verdict::Inconclusive(format!("interrupted after {} runs", sampled.runs));
        }
        if let Some(why) = undecided(&case.scenario, &sampled) {
            return Verdict::Inconclusive(why);
        }
        Verdict::Pass(Evidence::Sampled {
            how: how(sampling),
            runs: sampled.runs,
            given_up: sampled.given_up,
            states: sampled.states,
            schedules: sampled.schedules,
        })
    }
}

/// How a failure was met, in one line. Its number counts from 1, as people do.
fn searched(sampled: &Sampled, sampling: &Sampling) -> String {
    let failed: u64 = sampled.broken.values().sum();
    let run = sampled.first.as_ref().map_or(0, |first| first.run) + 1;
    format!(
        " sampled      {} runs ({}): {failed} broke something, the first of them was run {run}",
        sampled.runs,
        how(sampling)
    )
}

/// How the runs were chosen, as the command line spells it.
fn how(sampling: &Sampling) -> String {
    let sampler = match sampling.sampler {
        Sampler::Uniform => "uniform".to_owned(),
        Sampler::Pct { depth } => format!("pct={depth}"),
        Sampler::Swarm => "swarm".to_owned(),
    };
    format!("{sampler}, seed {}", sampling.seed)
}

/// What a sample without a finding leaves open.
pub(crate) fn undecided(scenario: &Scenario, sampled: &Sampled) -> Option<String> {
    let runs = report::count(usize::try_from(sampled.runs).unwrap_or(usize::MAX), "run");
    if sampled.ends.is_empty() {
        return Some(format!("none of {runs} came to an end: their processes go on for ever"));
    }
    if scenario.expect.reach == Reach::Anything {
        return None;
    }
    let mut outcomes = scenario.expect.outcomes.iter().enumerate();
    let (_, missed) = outcomes.find(|(index, _)| !sampled.ends.contains_key(index))?;
    Some(format!("none of {runs} ended with: {}", missed.value))
}
