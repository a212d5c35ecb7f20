//! Many executions of one plan, one a seed, and what they have shown together.
//!
//! Executions are independent, so they are spread over threads; what is told does not depend on how many there are: the failure
//! that is shown is that of the first seed that fails, and every seed before it has been tried.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::file::Sweep;
use crate::plan::Plan;
#[cfg(target_os = "linux")]
use crate::real::Processes;
use crate::report::{Broken, Report, Unrunnable};
use crate::weather;

/// What many executions have shown.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// How many seeds were tried.
    pub tried: u64,
    /// The first execution that fails, its broken promises those that are not expected.
    pub failed: Option<Report>,
    /// The first seed whose execution differs from itself.
    pub differs: Option<u64>,
    /// How often each thing happened in all of them.
    pub happened: BTreeMap<String, u64>,
    /// What never happened, and was to happen at least once.
    pub missed: Vec<String>,
    /// The steps of the plan that have found nobody and nothing in any execution.
    pub idle: BTreeSet<String>,
    /// The seed to go on with, if not all were tried.
    pub next: Option<u64>,
}

/// Where executions are made.
#[derive(Clone, Copy, Debug)]
pub enum On<'a> {
    /// On a simulated network.
    Simulation,
    /// On real processes, which begin so.
    #[cfg(target_os = "linux")]
    Processes(&'a Processes<'a>),
    /// Nowhere else.
    #[cfg(not(target_os = "linux"))]
    Nowhere(std::marker::PhantomData<&'a ()>),
}

/// How to try.
#[derive(Clone, Copy)]
pub struct Effort<'a> {
    /// Where.
    pub on: On<'a>,
    /// How many at once.
    pub jobs: usize,
    /// Whether each is made twice and compared.
    pub twice: bool,
    /// Whether to stop.
    pub should_stop: &'a (dyn Fn() -> bool + Sync),
}

/// What the threads write together.
#[derive(Default)]
struct Found {
    swept: Swept,
    broken: BTreeSet<&'static str>,
    error: Option<(u64, Unrunnable)>,
}

impl On<'_> {
    const fn is_simulated(self) -> bool {
        match self {
            Self::Simulation => true,
            #[cfg(target_os = "linux")]
            Self::Processes(_) => false,
            #[cfg(not(target_os = "linux"))]
            Self::Nowhere(_) => false,
        }
    }
}

impl Plan {
    /// Lets it happen once, there.
    ///
    /// # Errors
    ///
    /// [`Unrunnable`]: what is wrong with the plan, or with the machine.
    pub fn run_on(&self, on: On<'_>, seed: u64) -> Result<Report, Unrunnable> {
        match on {
            On::Simulation => self.run(seed),
            #[cfg(target_os = "linux")]
            On::Processes(how) => self.run_on_processes(seed, how),
            #[cfg(not(target_os = "linux"))]
            On::Nowhere(_) => Err(Unrunnable::NotHere("processes")),
        }
    }
}

impl Sweep {
    /// Tries the seeds that have failed before, and then so many from the first one on.
    ///
    /// # Errors
    ///
    /// What is wrong with the plan.
    pub fn run(&self, first: u64, count: u64, effort: Effort<'_>) -> Result<Swept, Unrunnable> {
        let seeds: Vec<u64> =
            self.regressions.iter().copied().chain(first..first.saturating_add(count)).collect();
        let (next, least_bad, found) =
            (AtomicU64::new(0), AtomicU64::new(u64::MAX), Mutex::new(Found::default()));
        std::thread::scope(|scope| {
            for _ in 0..effort.jobs.max(1) {
                scope.spawn(|| {
                    while !(effort.should_stop)() {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        let Some(seed) = usize::try_from(place).ok().and_then(|place| seeds.get(place))
                        else {
                            return;
                        };
                        // Whatever comes after a failure does not matter any more.
                        if place > least_bad.load(Ordering::Relaxed) {
                            return;
                        }
                        if self.one(*seed, place, effort, &least_bad, &found) {
                            least_bad.fetch_min(place, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let Found { mut swept, broken, error } = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, error)) = error {
            return Err(error);
        }
        // Fewer seeds than the plan asks for need not show everything.
        let shows_all = count >= self.seeds;
        let is_whole = swept.tried == seeds.len() as u64;
        if swept.failed.is_some() || swept.differs.is_some() || (is_whole && !shows_all) {
            return Ok(swept);
        }
        if is_whole {
            let can_happen = |what: &&String| effort.on.is_simulated() || !weather::needs_simulation(what);
            let unseen = self.happens.iter().filter(|what| !swept.happened.contains_key(*what));
            let unseen = unseen.filter(can_happen);
            let unbroken = self.breaks.iter().filter(|check| !broken.contains(check.as_str()));
            swept.missed = unseen.chain(unbroken).cloned().collect();
        } else {
            swept.next = Some(first + swept.tried.saturating_sub(self.regressions.len() as u64));
        }
        Ok(swept)
    }

    /// One seed. Answers whether it fails.
    fn one(
        &self,
        seed: u64,
        place: u64,
        effort: Effort<'_>,
        least_bad: &AtomicU64,
        found: &Mutex<Found>,
    ) -> bool {
        let run = || self.plan.run_on(effort.on, seed);
        let made = run();
        let differs = effort.twice && made.as_ref().is_ok_and(|report| run().as_ref() != Ok(report));
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        let mut report = match made {
            Ok(report) => report,
            Err(Unrunnable::Interrupted) => return false,
            Err(error) => {
                if found.error.as_ref().is_none_or(|(before, _)| place < *before) {
                    found.error = Some((place, error));
                }
                return true;
            }
        };
        if found.swept.tried == 0 {
            found.swept.idle.clone_from(&report.idle);
        } else {
            found.swept.idle.retain(|words| report.idle.contains(words));
        }
        found.swept.tried += 1;
        for (what, often) in &report.happened {
            *found.swept.happened.entry(what.clone()).or_default() += often;
        }
        let unexpected = self.unexpected(&report, &mut found.broken);
        if differs {
            found.swept.differs = Some(found.swept.differs.map_or(seed, |before| before.min(seed)));
        }
        if unexpected.is_empty() {
            return differs;
        }
        if place < least_bad.load(Ordering::Relaxed) {
            report.broken = unexpected;
            found.swept.failed = Some(report);
            least_bad.fetch_min(place, Ordering::Relaxed);
        }
        true
    }

    /// Whether an execution breaks nothing that is not expected to break.
    pub fn is_as_expected(&self, report: &Report) -> bool {
        self.unexpected(report, &mut BTreeSet::new()).is_empty()
    }

    /// The broken promises of an execution that are not expected; those that are, are noted.
    pub(crate) fn unexpected(&self, report: &Report, seen: &mut BTreeSet<&'static str>) -> Vec<Broken> {
        let (expected, mut unexpected): (Vec<Broken>, Vec<Broken>) = report
            .broken
            .iter()
            .cloned()
            .partition(|broken| self.breaks.iter().any(|check| check == broken.check));
        seen.extend(expected.into_iter().map(|broken| broken.check));
        for what in self.never.iter().filter(|what| report.happened.contains_key(*what)) {
            unexpected.push(Broken { check: "never", says: format!("`{what}` happens, and is not to") });
        }
        if let Some(wanted) = self.replies.filter(|wanted| *wanted != report.replies) {
            let says = format!("there are {} replies, and {wanted} are expected", report.replies);
            unexpected.push(Broken { check: "replies", says });
        }
        unexpected
    }
}
