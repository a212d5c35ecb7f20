//! Many executions of one plan, one a seed, and what they have shown together.
//!
//! Executions are independent, so they are spread over threads; which failure is told does not depend on how many there are: it is that
//! of the first seed that fails, and every seed before it has been tried, unless somebody wanted an end of it.

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
    /// The seed, if two executions of the first that fails differ.
    pub differs: Option<u64>,
    /// How often each thing happened in all of them.
    pub happened: BTreeMap<String, u64>,
    /// What never happened, and was to happen at least once.
    pub missed: Vec<String>,
    /// The same, where fewer seeds were asked for than the plan says: then it need not happen.
    pub unseen: Vec<String>,
    /// The steps of the plan that have found nobody and nothing in any execution.
    pub idle: BTreeSet<String>,
    /// The seed to go on with, if not all were tried, and how many are left.
    pub next: Option<(u64, u64)>,
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

/// What has become of one seed.
enum Fate {
    /// It breaks nothing that is not expected to break.
    Sound,
    /// It breaks something, or cannot be run at all.
    Bad,
    /// Somebody wanted an end of it before it was over.
    Cut,
}

/// What the threads write together.
#[derive(Default)]
struct Found {
    swept: Swept,
    broken: BTreeSet<&'static str>,
    /// What is wrong with the first seed with which anything is, and its place.
    wrong: Option<(u64, Wrong)>,
}

/// What is wrong with an execution.
enum Wrong {
    /// It breaks something, or differs from another one of the same seed, or both.
    Bad { failed: Option<Report>, differs: Option<u64> },
    /// There was none.
    Error(Unrunnable),
}

impl Swept {
    /// Counts what has happened in an execution.
    fn take_in(&mut self, report: &Report) {
        if self.tried == 0 {
            self.idle.clone_from(&report.idle);
        } else {
            self.idle.retain(|words| report.idle.contains(words));
        }
        self.tried += 1;
        for (what, often) in &report.happened {
            *self.happened.entry(what.clone()).or_default() += often;
        }
    }
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
    /// Lets it happen once, there, unless somebody wants an end of it meanwhile.
    ///
    /// # Errors
    ///
    /// [`Unrunnable`]: what is wrong with the plan, or with the machine, or that it was interrupted.
    pub fn run_on(
        &self,
        on: On<'_>,
        seed: u64,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Report, Unrunnable> {
        match on {
            On::Simulation => self.run_unless(seed, should_stop),
            #[cfg(target_os = "linux")]
            On::Processes(how) => self.run_on_processes(seed, how, should_stop),
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
        let before = self.regressions.len() as u64;
        let count = count.min(u64::MAX - first);
        let all = before.saturating_add(count);
        let seed = |place: u64| {
            let known = usize::try_from(place).ok().and_then(|place| self.regressions.get(place)).copied();
            known.unwrap_or_else(|| first + (place - before))
        };
        let (next, found) = (AtomicU64::new(0), Mutex::new(Found::default()));
        let (least_bad, least_cut) = (AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX));
        std::thread::scope(|scope| {
            for _ in 0..effort.jobs.max(1) {
                scope.spawn(|| {
                    while !(effort.should_stop)() {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        // Whatever comes after a failure does not matter any more.
                        if place >= all || place > least_bad.load(Ordering::Relaxed) {
                            return;
                        }
                        match self.one(seed(place), place, effort, &found) {
                            Fate::Sound => {}
                            Fate::Bad => drop(least_bad.fetch_min(place, Ordering::Relaxed)),
                            Fate::Cut => drop(least_cut.fetch_min(place, Ordering::Relaxed)),
                        }
                    }
                });
            }
        });
        let Found { mut swept, broken, wrong } = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        match wrong {
            Some((_, Wrong::Error(error))) => return Err(error),
            Some((_, Wrong::Bad { failed, differs })) => return Ok(Swept { failed, differs, ..swept }),
            None => {}
        }
        // Every seed before that was tried to its end.
        let whole = next.into_inner().min(least_cut.into_inner()).min(all);
        if whole < all {
            let tried = whole.saturating_sub(before);
            swept.next = Some((first + tried, count - tried));
            return Ok(swept);
        }
        let can_happen = |what: &&String| effort.on.is_simulated() || !weather::needs_simulation(what);
        let unseen = self.happens.iter().filter(|what| !swept.happened.contains_key(*what));
        let unseen = unseen.filter(can_happen);
        let unbroken = self.breaks.iter().filter(|check| !broken.contains(check.as_str()));
        let lacking = unseen.chain(unbroken).cloned().collect();
        // Fewer seeds than the plan asks for need not show everything.
        if count >= self.seeds {
            swept.missed = lacking;
        } else {
            swept.unseen = lacking;
        }
        Ok(swept)
    }

    /// One seed.
    fn one(&self, seed: u64, place: u64, effort: Effort<'_>, found: &Mutex<Found>) -> Fate {
        let run = || self.plan.run_on(effort.on, seed, effort.should_stop);
        let made = run();
        let again = (effort.twice && made.is_ok()).then(run);
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        let differs = again.as_ref().is_some_and(|again| *again != made);
        let wrong = match made {
            Err(Unrunnable::Interrupted) => return Fate::Cut,
            Ok(_) if again == Some(Err(Unrunnable::Interrupted)) => return Fate::Cut,
            Err(error) => Wrong::Error(error),
            Ok(mut report) => {
                found.swept.take_in(&report);
                report.broken = self.unexpected(&report, &mut found.broken);
                if report.broken.is_empty() && !differs {
                    return Fate::Sound;
                }
                let failed = Some(report).filter(|report| !report.broken.is_empty());
                Wrong::Bad { failed, differs: differs.then_some(seed) }
            }
        };
        if found.wrong.as_ref().is_none_or(|(before, _)| place < *before) {
            found.wrong = Some((place, wrong));
        }
        Fate::Bad
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
