//! Runs cases, several at once where they do not disturb each other, and tells of them in the order of their selection.
//!
//! Whether a case is run after others have failed depends on the order of selection and never on which ended first: one behind
//! the last failure that is waited for is stopped or not begun, and told as not run.
//!
//! What was not run is told: when the user stops a run, when its time is spent, and when an executor supports no case. When
//! nobody reads the report any more, the cases under way are stopped.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use sim::Sampling;

use crate::designs::Design;
use crate::reports::event::{self, About, CaseEnd, CaseStart, Event, RunEnd, RunStart, Shard, Version};
use crate::reports::picture::Picture;
use crate::reports::{Live, Sink};
use crate::scenario::{Case, Located, Outcome, Scenario};
use crate::simulate::Simulation;
use crate::target::Target;
use crate::token::Token;
use crate::verdict::{CaseResult, Executor, TargetName, Verdict};
use crate::{twice, unshown};

pub use crate::reports::event::Ended;

/// How often it is looked whether the time is spent, and listeners are told how far the run is.
const TICK: Duration = Duration::from_millis(100);

/// How many schedules of a case are driven on the real kernel if nothing else is said: some seconds.
#[cfg(target_os = "linux")]
const SCHEDULES: u64 = 200;

/// One case, and where it is run.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its place among all that were selected, before they were shared out.
    pub index: usize,
    /// The case.
    pub case: Case,
    /// Where.
    pub on: Executor,
}

/// What to run, and how.
#[derive(Debug)]
pub struct Request {
    /// The cases, those of one executor together.
    pub planned: Vec<Planned>,
    /// Which lock, in the simulator.
    pub design: Design,
    /// An executable that behaves as `refgate`.
    pub refgate: PathBuf,
    /// The targets that are executors.
    pub targets: Vec<(TargetName, Target)>,
    /// How many runs of each case on real processes; `None`: as the scenario says.
    pub tries: Option<u16>,
    /// How many cases at once in the simulator.
    pub jobs: usize,
    /// How to sample each case in the simulator; `None`: as the scenario says.
    pub sampling: Option<Sampling>,
    /// Whether each search in the simulator is made twice and compared.
    pub twice: bool,
    /// After how many failures the cases behind them are not run; `None`: all are.
    pub most_failures: Option<NonZeroUsize>,
    /// How long all of it may take. What has not ended then is inconclusive.
    pub budget: Option<Duration>,
    /// The profile that options were taken from, for the report.
    pub profile: Option<String>,
    /// Which part of the cases this is, for the report.
    pub shard: Option<Shard>,
    /// Set when the user wants to stop.
    pub interrupted: Arc<AtomicBool>,
}

/// Every case of some scenarios on each executor, in order.
pub fn plan(scenarios: &[Scenario], on: &[Executor]) -> Vec<Planned> {
    let cases: Vec<Case> = scenarios.iter().flat_map(Scenario::cases).collect();
    let everywhere = on.iter().flat_map(|on| cases.iter().map(|case| (case.clone(), *on)));
    everywhere.enumerate().map(|(index, (case, on))| Planned { index, case, on }).collect()
}

/// Runs everything and tells of it.
///
/// # Errors
///
/// What a listener says.
pub fn run(request: &Request, sink: &mut dyn Sink) -> io::Result<Ended> {
    let planned = &request.planned;
    sink.event(&Event::RunStart(start_of(request)))?;
    let begun = now();
    let stop = Stop {
        request,
        begun,
        spent: AtomicBool::new(false),
        flag: Arc::new(AtomicBool::new(false)),
        last: AtomicUsize::new(usize::MAX),
    };
    stop.look();
    let mut ends = Vec::new();
    let mut rest = planned.as_slice();
    while let Some(first) = rest.first() {
        let length = rest.iter().take_while(|planned| planned.on == first.on).count();
        let (group, later) = rest.split_at(length);
        let jobs = match first.on {
            Executor::Sim => request.jobs,
            // Real processes share the machine, and are timed.
            Executor::Refgate | Executor::Stepped | Executor::Target(_) => 1,
        };
        run_group(
            &stop,
            planned.len() - rest.len(),
            group,
            jobs,
            &mut Telling { sink: &mut *sink, ends: &mut ends, planned: planned.len() },
        )?;
        rest = later;
    }
    let executors: Vec<String> = planned.iter().map(|planned| planned.on.to_string()).collect();
    let elapsed = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let end = RunEnd::new(&ends, &executors, request.is_interrupted(), elapsed);
    let ended = end.ended;
    sink.event(&Event::RunEnd(end))?;
    Ok(ended)
}

impl Request {
    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

fn start_of(request: &Request) -> RunStart {
    let mut on: Vec<String> = Vec::new();
    let mut files: Vec<&PathBuf> = Vec::new();
    let mut cases: Vec<(&PathBuf, &str)> = Vec::new();
    for Planned { case, on: executor, .. } in &request.planned {
        if !on.contains(&executor.to_string()) {
            on.push(executor.to_string());
        }
        files.push(&case.scenario.file);
        cases.push((&case.scenario.file, &case.id));
    }
    files.sort();
    files.dedup();
    cases.sort();
    cases.dedup();
    RunStart {
        version: Version,
        program: concat!("portcullis ", env!("CARGO_PKG_VERSION")).to_owned(),
        scenarios: files.len(),
        cases: cases.len(),
        planned: request.planned.len(),
        on,
        design: request.design.name(),
        profile: request.profile.clone(),
        shard: request.shard,
        seed: request.sampling.map(|sampling| sampling.seed),
    }
}

/// Why cases are stopped that are under way.
struct Stop<'r> {
    request: &'r Request,
    begun: Instant,
    /// The time is spent.
    spent: AtomicBool,
    /// For those who know only one reason.
    flag: Arc<AtomicBool>,
    /// The place of the last case that is run, among all of the run: behind it enough have failed.
    last: AtomicUsize,
}

impl Stop<'_> {
    fn look(&self) {
        if self.request.budget.is_some_and(|budget| self.begun.elapsed() >= budget) {
            self.spent.store(true, Ordering::Relaxed);
        }
        if self.should_stop() {
            self.flag.store(true, Ordering::Relaxed);
        }
    }

    fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    fn should_stop(&self) -> bool {
        self.request.is_interrupted() || self.is_spent()
    }

    fn is_behind_the_last(&self, place: usize) -> bool {
        place > self.last.load(Ordering::Relaxed)
    }

    /// Takes notice of failures, by the places of their cases.
    fn failed(&self, places: impl Iterator<Item = usize>) {
        let Some(most) = self.request.most_failures else { return };
        let mut places: Vec<usize> = places.collect();
        places.sort_unstable();
        if let Some(last) = places.get(most.get() - 1) {
            self.last.fetch_min(*last, Ordering::Relaxed);
        }
    }

    /// The verdict on a case that was not decided because the time is spent.
    fn spent_verdict(&self, when: &str) -> Verdict {
        let seconds = self.request.budget.unwrap_or_default().as_secs_f64();
        Verdict::Inconclusive(format!("{when}: the budget of {seconds} s is spent"))
    }
}

/// Listeners, and what they were told.
struct Telling<'t, 's> {
    sink: &'t mut (dyn Sink + 's),
    ends: &'t mut Vec<CaseEnd>,
    planned: usize,
}

/// What happens to a case of a group.
enum News {
    /// Somebody looks for the next one. What was told before this has been heard.
    Idle,
    Begun,
    Ended(Box<CaseEnd>),
}

/// Runs cases, some at once, and tells of them in order. The first of them has the place `from` among all.
fn run_group(
    stop: &Stop<'_>,
    from: usize,
    group: &[Planned],
    jobs: usize,
    telling: &mut Telling<'_, '_>,
) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        // Without room in it, nobody goes on before what has happened was told: who stops a run then stops it there.
        let (sender, receiver) = mpsc::sync_channel(0);
        for _ in 0..jobs.clamp(1, group.len().max(1)) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while sender.send((0, News::Idle)).is_ok() && !stop.request.is_interrupted() {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(planned) = group.get(place) else { return };
                    if stop.is_behind_the_last(from + place) {
                        return;
                    }
                    let is_heard = sender.send((place, News::Begun)).is_ok();
                    let news = News::Ended(Box::new(run_one(stop, from + place, planned)));
                    if !is_heard || sender.send((place, news)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        // Nobody waits for the rest of a report that cannot be written.
        tell_in_order(stop, receiver, from, group, telling)
            .inspect_err(|_| stop.request.interrupted.store(true, Ordering::Relaxed))
    })
}

/// Tells of each case as soon as those before it are told.
fn tell_in_order(
    stop: &Stop<'_>,
    receiver: mpsc::Receiver<(usize, News)>,
    from: usize,
    group: &[Planned],
    telling: &mut Telling<'_, '_>,
) -> io::Result<()> {
    let mut done: BTreeMap<usize, Box<CaseEnd>> = BTreeMap::new();
    let mut running: BTreeMap<usize, Instant> = BTreeMap::new();
    let mut told = 0;
    loop {
        match receiver.recv_timeout(TICK) {
            Ok((_, News::Idle)) => continue,
            Ok((place, News::Begun)) => {
                running.insert(place, now());
                if place == told && !stop.is_behind_the_last(from + place) {
                    telling.sink.event(&start_of_case(&group[place]))?;
                }
            }
            Ok((place, News::Ended(end))) => {
                running.remove(&place);
                done.insert(place, end);
                let is_failed = |end: &CaseEnd| end.verdict == event::Verdict::Fail;
                let of_told =
                    telling.ends.iter().enumerate().filter(|(_, end)| is_failed(end)).map(|(at, _)| at);
                let of_done = done.iter().filter(|(_, end)| is_failed(end)).map(|(at, _)| from + at);
                stop.failed(of_told.chain(of_done));
                while let Some(end) = done.remove(&told) {
                    if stop.is_behind_the_last(from + told) {
                        break;
                    }
                    telling.ends.push((*end).clone());
                    telling.sink.event(&Event::CaseEnd(end))?;
                    told += 1;
                    if stop.is_behind_the_last(from + told) {
                        break;
                    }
                    if running.contains_key(&told) || done.contains_key(&told) {
                        telling.sink.event(&start_of_case(&group[told]))?;
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return tell_of_the_rest(stop, from + told, &group[told..], telling);
            }
        }
        stop.look();
        let named = |(place, begun): (&usize, &Instant)| (group[*place].case.id.clone(), begun.elapsed());
        let running: Vec<_> = running.iter().map(named).collect();
        let ended = telling.ends.len() + done.len();
        telling.sink.tick(&Live { ended, planned: telling.planned, running: &running })?;
    }
}

/// Tells of the cases that are not run because enough have failed before them.
fn tell_of_the_rest(
    stop: &Stop<'_>,
    from: usize,
    rest: &[Planned],
    telling: &mut Telling<'_, '_>,
) -> io::Result<()> {
    // Whoever stops a run sees what has ended until then.
    if !stop.is_behind_the_last(from) {
        return Ok(());
    }
    let failed = stop.request.most_failures.map_or(0, NonZeroUsize::get);
    for Planned { index, case, on } in rest {
        let end = CaseEnd::not_run(*index, case, *on, failed);
        telling.ends.push(end.clone());
        telling.sink.event(&Event::CaseEnd(Box::new(end)))?;
    }
    Ok(())
}

fn start_of_case(planned: &Planned) -> Event {
    Event::CaseStart(CaseStart {
        version: Version,
        index: planned.index,
        case: planned.case.id.clone(),
        on: planned.on.to_string(),
    })
}

/// Runs the case at a place among all.
fn run_one(stop: &Stop<'_>, place: usize, planned: &Planned) -> CaseEnd {
    let Planned { index, case, on } = planned;
    let begun = now();
    let mut unshown = Vec::new();
    let (verdict, twice) = if stop.is_spent() {
        (stop.spent_verdict("not begun"), None)
    } else {
        let (verdict, twice) = match on {
            Executor::Sim => simulate_case(stop, place, case, &mut unshown),
            Executor::Stepped => run_case_stepped(stop, case),
            Executor::Refgate | Executor::Target(_) => (run_case_for_real(stop, *on, case), None),
        };
        let is_cut = matches!(verdict, Verdict::Inconclusive(_)) && stop.is_spent();
        let is_cut = is_cut && !stop.request.is_interrupted();
        (if is_cut { stop.spent_verdict("stopped") } else { verdict }, twice)
    };
    let execution = execution_of(case, &verdict);
    let result = CaseResult {
        id: case.id.clone(),
        file: case.scenario.file.display().to_string(),
        on: *on,
        elapsed: begun.elapsed(),
        verdict,
        twice,
        unshown,
    };
    let about = About { title: case.scenario.title.clone(), refs: case.scenario.refs.clone() };
    CaseEnd::new(*index, about, &result, execution)
}

/// What the simulator has to show of a failure: its token is taken once more.
fn execution_of(case: &Case, verdict: &Verdict) -> Option<Picture> {
    let Verdict::Fail(failure) = verdict else { return None };
    let token = Token::parse(failure.replay.as_ref()?).ok()?;
    let simulation = Simulation::new(&case.scenario, token.design);
    let trace = sim::replay(&simulation.setup, &simulation.checks, &simulation.bounds, &token.schedule);
    Some(Picture::new(&simulation, &trace))
}

/// The verdict on a case in the simulator, and what a second search has shown if one was asked for. Listed outcomes that no
/// schedule shows go into `unshown`.
fn simulate_case(
    stop: &Stop<'_>,
    place: usize,
    case: &Case,
    unshown: &mut Vec<Located<Outcome>>,
) -> (Verdict, Option<String>) {
    let request = stop.request;
    let should_stop = || stop.should_stop() || stop.is_behind_the_last(place);
    let verdict = match &request.sampling {
        Some(sampling) => {
            let simulation = Simulation::new(&case.scenario, request.design);
            simulation.sample(case, request.design, sampling, &should_stop)
        }
        None => {
            let (verdict, never) = unshown::run_case(case, request.design, &should_stop);
            *unshown = never;
            verdict
        }
    };
    if !request.twice {
        return (verdict, None);
    }
    match twice::compare(case, request.design, &verdict, &should_stop) {
        Ok(note) => (verdict, Some(note)),
        Err(differs) => (differs, None),
    }
}

#[cfg(target_os = "linux")]
fn run_case_for_real(stop: &Stop<'_>, on: Executor, case: &Case) -> Verdict {
    let request = stop.request;
    let target = match on {
        Executor::Sim | Executor::Stepped | Executor::Refgate => Target::refgate(&request.refgate),
        Executor::Target(name) => match request.targets.iter().find(|(known, _)| *known == name) {
            Some((_, target)) => target.clone(),
            None => return Verdict::Unsupported(format!("no target is called {on}")),
        },
    };
    let options = crate::real::Options {
        target,
        helper: crate::real::Options::ITSELF.into(),
        tries: request.tries,
        seed: 0x5eed_0001,
        isolation: crate::real::Isolation::WherePossible,
        interrupted: Arc::clone(&stop.flag),
    };
    crate::real::run_case(case, &options)
}

#[cfg(target_os = "linux")]
fn run_case_stepped(stop: &Stop<'_>, case: &Case) -> (Verdict, Option<String>) {
    let request = stop.request;
    let options = crate::stepped::Options {
        helper: crate::real::Options::ITSELF.into(),
        jobs: request.jobs,
        limit: request.tries.map_or(SCHEDULES, u64::from),
        interrupted: Arc::clone(&stop.flag),
    };
    crate::stepped::run_case(case, request.design, &options)
}

#[cfg(not(target_os = "linux"))]
fn run_case_stepped(_: &Stop<'_>, _: &Case) -> (Verdict, Option<String>) {
    (Verdict::Unsupported("real processes need Linux; run it on sim".to_owned()), None)
}

#[cfg(not(target_os = "linux"))]
fn run_case_for_real(_: &Stop<'_>, _: Executor, _: &Case) -> Verdict {
    Verdict::Unsupported("real processes need Linux; run it on sim".to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge where a run is timed; no verdict but that of a budget depends on it"
)]
fn now() -> Instant {
    Instant::now()
}
