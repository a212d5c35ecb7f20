//! Runs cases, several at once where they do not disturb each other, and reports them in the order of the files.
//!
//! What was not run is told: when the user stops a run, and when an executor supports no case. When nobody reads the report
//! any more, the cases under way are stopped.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use sim::Sampling;

use crate::designs::Design;
use crate::report::{self, Plan};
use crate::scenario::{Case, Scenario};
use crate::simulate::{self, Simulation};
use crate::twice;
use crate::verdict::{CaseResult, Executor, Verdict};

/// What to run, and how.
#[derive(Debug)]
pub struct Request {
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
    /// Where to run them, in order.
    pub on: Vec<Executor>,
    /// Which lock, in the simulator.
    pub design: Design,
    /// An executable that behaves as `refgate`.
    pub refgate: PathBuf,
    /// How many runs of each case on real processes; `None`: as the scenario says.
    pub tries: Option<u16>,
    /// How many cases at once in the simulator.
    pub jobs: usize,
    /// How to sample each case in the simulator; `None`: as the scenario says.
    pub sampling: Option<Sampling>,
    /// Whether each search in the simulator is made twice and compared.
    pub twice: bool,
    /// Set when the user wants to stop.
    pub interrupted: Arc<AtomicBool>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every case passed or is unsupported.
    Passed,
    /// A case failed.
    Failed,
    /// No case failed, some are undecided.
    Inconclusive,
    /// The user stopped it.
    Interrupted,
}

/// Runs everything and writes the report.
///
/// # Errors
///
/// What the writer says.
pub fn run(request: &Request, out: &mut impl Write) -> io::Result<Ended> {
    let cases: Vec<Case> = request.scenarios.iter().flat_map(Scenario::cases).collect();
    let plan = Plan {
        scenarios: request.scenarios.len(),
        cases: cases.len(),
        on: request.on.clone(),
        design: request.design.name(),
    };
    report::begin(out, &plan)?;
    let begun = now();
    let mut results = Vec::new();
    for executor in &request.on {
        match executor {
            Executor::Sim => simulate_all(request, &cases, out, &mut results)?,
            Executor::Refgate => run_real(request, &cases, out, &mut results)?,
        }
    }
    for result in &results {
        if let Verdict::Fail(failure) = &result.verdict {
            report::failure(out, result, failure)?;
        }
    }
    report::end(out, &results, begun.elapsed())?;
    if request.is_interrupted() {
        report::interrupted(out, results.len(), cases.len() * request.on.len())?;
    }
    for executor in request.on.iter().filter(|executor| is_untested(**executor, &results, cases.len())) {
        report::untested(out, *executor)?;
    }
    Ok(ended(&results, request))
}

impl Request {
    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// Whether an executor was asked for every case and supports none.
fn is_untested(executor: Executor, results: &[CaseResult], cases: usize) -> bool {
    let is_unsupported = |result: &&CaseResult| matches!(result.verdict, Verdict::Unsupported(_));
    cases > 0 && results.iter().filter(|result| result.on == executor).filter(is_unsupported).count() == cases
}

fn ended(results: &[CaseResult], request: &Request) -> Ended {
    let any = |wanted: fn(&Verdict) -> bool| results.iter().any(|result| wanted(&result.verdict));
    if any(|verdict| matches!(verdict, Verdict::Fail(_))) {
        Ended::Failed
    } else if request.is_interrupted() {
        Ended::Interrupted
    } else if any(|verdict| matches!(verdict, Verdict::Inconclusive(_))) {
        Ended::Inconclusive
    } else {
        Ended::Passed
    }
}

/// Runs the cases on the simulator, `jobs` at a time, and writes them in order.
fn simulate_all(
    request: &Request,
    cases: &[Case],
    out: &mut impl Write,
    results: &mut Vec<CaseResult>,
) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..request.jobs.clamp(1, cases.len().max(1)) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while !request.is_interrupted() {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(index) else { return };
                    let result = timed(case, Executor::Sim, || simulate_case(request, case));
                    if sender.send((index, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        // Nobody waits for the rest of a report that cannot be written.
        write_in_order(receiver, cases.len(), out, results)
            .inspect_err(|_| request.interrupted.store(true, Ordering::Relaxed))
    })
}

/// The verdict on a case in the simulator, and what a second search has shown if one was asked for.
fn simulate_case(request: &Request, case: &Case) -> (Verdict, Option<String>) {
    let should_stop = || request.is_interrupted();
    let verdict = match &request.sampling {
        Some(sampling) => {
            let simulation = Simulation::new(&case.scenario, request.design);
            simulation.sample(case, request.design, sampling, &should_stop)
        }
        None => simulate::run_case_until(case, request.design, &should_stop),
    };
    if !request.twice {
        return (verdict, None);
    }
    match twice::compare(case, request.design, &verdict, &should_stop) {
        Ok(note) => (verdict, Some(note)),
        Err(differs) => (differs, None),
    }
}

/// Writes each result as soon as those before it are written.
fn write_in_order(
    receiver: mpsc::Receiver<(usize, CaseResult)>,
    cases: usize,
    out: &mut impl Write,
    results: &mut Vec<CaseResult>,
) -> io::Result<()> {
    let mut done: Vec<Option<CaseResult>> = (0..cases).map(|_| None).collect();
    let mut shown = 0;
    for (index, result) in receiver {
        done[index] = Some(result);
        while let Some(result) = done.get_mut(shown).and_then(Option::take) {
            report::line(out, &result)?;
            out.flush()?;
            results.push(result);
            shown += 1;
        }
    }
    Ok(())
}

/// Runs the cases on real processes, one after the other, and writes them.
fn run_real(
    request: &Request,
    cases: &[Case],
    out: &mut impl Write,
    results: &mut Vec<CaseResult>,
) -> io::Result<()> {
    for case in cases {
        if request.is_interrupted() {
            break;
        }
        let result = timed(case, Executor::Refgate, || (run_case_for_real(request, case), None));
        report::line(out, &result)?;
        out.flush()?;
        results.push(result);
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn run_case_for_real(request: &Request, case: &Case) -> Verdict {
    let options = crate::real::Options {
        refgate: request.refgate.clone(),
        helper: crate::real::Options::ITSELF.into(),
        tries: request.tries,
        seed: 0x5eed_0001,
        isolation: crate::real::Isolation::WherePossible,
        interrupted: Arc::clone(&request.interrupted),
    };
    crate::real::run_case(case, &options)
}

#[cfg(not(target_os = "linux"))]
fn run_case_for_real(_: &Request, _: &Case) -> Verdict {
    Verdict::Unsupported("real processes need Linux; run it on sim".to_owned())
}

fn timed(case: &Case, on: Executor, run: impl FnOnce() -> (Verdict, Option<String>)) -> CaseResult {
    let begun = now();
    let (verdict, twice) = run();
    let elapsed: Duration = begun.elapsed();
    let file = case.scenario.file.display().to_string();
    CaseResult { id: case.id.clone(), file, on, elapsed, verdict, twice }
}

#[expect(clippy::disallowed_methods, reason = "the edge where a run is timed, for display only")]
fn now() -> Instant {
    Instant::now()
}
