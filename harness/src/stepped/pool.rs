//! Schedules are enumerated here and handed to drivers, several at a time, until one differs or all are driven.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use sim::{Plan, Planner, Schedule, Violation};

use super::difference::{Difference, Parting, last_steps};
use super::steps::steps;
use super::wire::{self, Order, Outcome, Step};
use super::{Driven, Options, Trouble, Which};
use crate::designs::Design;
use crate::machine::USER;
use crate::real::Helper;
use crate::scenario::{Answers, Case, MOST_STATES};
use crate::simulate::Simulation;
use crate::token::Token;

/// How much of what a driver complains about is shown, in bytes.
const LONGEST_COMPLAINT: u64 = 4096;

/// Drives schedules of one case.
///
/// # Errors
///
/// Why nothing was shown.
pub fn drive(case: &Case, design: Design, which: &Which, options: &Options) -> Result<Driven, Trouble> {
    let simulation = Simulation::new(&case.scenario, design);
    check(case, &simulation)?;
    let drive = Drive {
        order: order(case, design),
        simulation,
        options,
        driven: AtomicU64::new(0),
        steps: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        first: Mutex::new(None),
    };
    let is_complete = drive.run(which)?;
    let first = drive.first.lock().unwrap_or_else(PoisonError::into_inner).take();
    let difference = match first {
        None => None,
        Some((_, End::Trouble(trouble))) => return Err(trouble),
        Some((number, End::Different(job, parting))) => {
            Some(drive.difference(case, design, number, &job, parting)?)
        }
    };
    Ok(Driven {
        schedules: drive.driven.into_inner(),
        steps: drive.steps.into_inner(),
        is_complete: is_complete && difference.is_none(),
        difference,
    })
}

/// Drives one plan of one case, which need not be one that the simulator has made. Answers where it went otherwise.
///
/// # Errors
///
/// Why nothing was shown.
pub fn drive_plan(
    case: &Case,
    design: Design,
    plan: &Plan,
    options: &Options,
) -> Result<Option<Parting>, Trouble> {
    check(case, &Simulation::new(&case.scenario, design))?;
    let (numbers, steps) = steps(plan);
    let mut driver = Driver::start(options, &order(case, design))?;
    match driver.drive(&steps) {
        Outcome::Same => Ok(None),
        Outcome::Different { step, says } => Ok(Some(Parting::new(&numbers, step, says))),
        Outcome::Unsupported(reason) => Err(Trouble::Unsupported(reason)),
        Outcome::Undecided(reason) => Err(Trouble::Undecided(reason)),
    }
}

/// Refuses what a driver cannot make for real.
fn check(case: &Case, simulation: &Simulation) -> Result<(), Trouble> {
    let refused = |reason: &str| Err(Trouble::Unsupported(reason.to_owned()));
    if let Some(reason) = case.scenario.only_simulated() {
        return refused(reason);
    }
    let refusal = case.scenario.expect.refusal.as_ref();
    if refusal.is_some_and(|refusal| !refusal.value.never_says.is_empty()) {
        return refused("who is driven does not explain itself");
    }
    if !case.scenario.mounts.is_empty() {
        return refused("everything that is driven lies on one file system");
    }
    if case.scenario.processes.iter().any(|process| process.answers != Answers::NeverAccepts) {
        return refused("a process that answers is in no plan");
    }
    if simulation.setup.slots.iter().any(|slot| slot.spawned_as.is_some()) {
        return refused("a gateway of this design starts a process, which nobody would drive");
    }
    let spawns = || simulation.setup.slots.iter().map(|slot| &slot.spawn);
    if spawns().any(|spawn| spawn.uid != USER || spawn.parent.is_some()) {
        return refused("everybody who is driven is the same user's, and nobody's child");
    }
    Ok(())
}

fn order(case: &Case, design: Design) -> Order {
    Order {
        case: case.id.clone(),
        name: case.scenario.name.clone(),
        file: case.scenario.file.to_string_lossy().into_owned(),
        source: case.scenario.source.to_string(),
        design: design.name(),
    }
}

/// A schedule on its way to a driver.
struct Job {
    number: u64,
    schedule: Schedule,
    steps: Vec<Step>,
    /// Which steps of the plan these are.
    numbers: Vec<usize>,
}

/// Why a drive ends early.
enum End {
    Different(Job, Parting),
    Trouble(Trouble),
}

struct Drive<'a> {
    order: Order,
    simulation: Simulation,
    options: &'a Options,
    driven: AtomicU64,
    steps: AtomicU64,
    is_over: AtomicBool,
    /// What ended the drive, with the number of the schedule: of several the first.
    first: Mutex<Option<(u64, End)>>,
}

fn unfit(violation: &Violation) -> Trouble {
    Trouble::Unsupported(violation.to_string())
}

impl Drive<'_> {
    fn run(&self, which: &Which) -> Result<bool, Trouble> {
        let jobs = self.options.jobs.max(1);
        let (sender, receiver) = sync_channel(2 * jobs);
        let receiver = Mutex::new(receiver);
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| self.work(&receiver));
            }
            self.enumerate(which, sender)
        })
    }

    /// Hands out schedules until there are no more or somebody has seen enough. Answers whether these were all.
    fn enumerate(&self, which: &Which, sender: SyncSender<Job>) -> Result<bool, Trouble> {
        let kills = self.simulation.bounds.kills;
        let mut planner = Planner::new(&self.simulation.setup, kills);
        let mut number = 0;
        let mut trouble = None;
        let mut hand_out = |schedule: &Schedule| {
            let is_enough = number >= self.options.limit
                || self.is_over.load(Ordering::Relaxed)
                || self.options.interrupted.load(Ordering::Relaxed);
            if is_enough {
                return ControlFlow::Break(());
            }
            let plan = match planner.plan(schedule) {
                Ok(plan) => plan,
                Err(violation) => {
                    trouble = Some(unfit(&violation));
                    return ControlFlow::Break(());
                }
            };
            let (numbers, steps) = steps(&plan);
            // Nobody receives any more once every driver has stopped.
            let is_sent = sender.send(Job { number, schedule: schedule.clone(), steps, numbers }).is_ok();
            number += 1;
            if is_sent { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let setup = &self.simulation.setup;
        let is_complete = match which {
            Which::EveryTrace => {
                sim::each_trace(setup, kills, &mut hand_out).map(|traces| traces.is_complete)
            }
            Which::EveryStep => {
                sim::each_step(setup, kills, MOST_STATES, &mut hand_out).map(|cover| cover.is_complete)
            }
            Which::One(schedule) => Ok(hand_out(schedule).is_continue()),
        };
        match trouble {
            Some(trouble) => Err(trouble),
            None => is_complete.map_err(|violation| unfit(&violation)),
        }
    }

    /// Drives what is handed out.
    fn work(&self, jobs: &Mutex<Receiver<Job>>) {
        let mut driver = match Driver::start(self.options, &self.order) {
            Ok(driver) => driver,
            Err(trouble) => return self.end(0, End::Trouble(trouble)),
        };
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            // What was handed out before the end is taken and left.
            if self.is_over.load(Ordering::Relaxed) {
                continue;
            }
            let end = match driver.drive(&job.steps) {
                Outcome::Same => {
                    self.driven.fetch_add(1, Ordering::Relaxed);
                    self.steps.fetch_add(job.steps.len() as u64, Ordering::Relaxed);
                    continue;
                }
                Outcome::Different { step, says } => {
                    let parting = Parting::new(&job.numbers, step, says);
                    (job.number, End::Different(job, parting))
                }
                Outcome::Unsupported(reason) => (job.number, End::Trouble(Trouble::Unsupported(reason))),
                Outcome::Undecided(reason) => (job.number, End::Trouble(Trouble::Undecided(reason))),
            };
            self.end(end.0, end.1);
        }
    }

    fn end(&self, number: u64, end: End) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|(other, _)| number < *other) {
            *first = Some((number, end));
        }
        self.is_over.store(true, Ordering::Relaxed);
    }

    fn difference(
        &self,
        case: &Case,
        design: Design,
        schedule: u64,
        job: &Job,
        parting: Parting,
    ) -> Result<Difference, Trouble> {
        let Simulation { setup, checks, bounds, .. } = &self.simulation;
        let plan: Plan =
            Planner::new(setup, bounds.kills).plan(&job.schedule).map_err(|error| unfit(&error))?;
        let trace = sim::replay(setup, checks, bounds, &job.schedule);
        let token = Token::new(case, design, &trace, job.schedule.clone()).to_string();
        let steps = last_steps(setup, &plan, parting.step);
        Ok(Difference { schedule, parting, steps, token })
    }
}

/// A driver process.
struct Driver {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    complaints: File,
}

impl Driver {
    fn start(options: &Options, order: &Order) -> Result<Self, Trouble> {
        let trouble = |error: std::io::Error| {
            Trouble::Undecided(format!("the driver {}: {error}", options.helper.display()))
        };
        let complaints = tempfile::tempfile().map_err(trouble)?;
        let mut child = Helper::Stepped
            .command(options.helper.as_os_str())
            // What a terminal sends to its foreground group is meant for portcullis, which ends its drivers itself.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.try_clone().map_err(trouble)?)
            .spawn()
            .map_err(trouble)?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both were asked for")
        };
        // A driver that has gone already says why in its first answer.
        let _ = wire::write(&mut input, order);
        Ok(Self { child, input: Some(input), output: BufReader::new(output), complaints })
    }

    fn drive(&mut self, steps: &[Step]) -> Outcome {
        if let Some(input) = &mut self.input {
            let _ = wire::write(input, &steps);
        }
        match wire::read(&mut self.output) {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Outcome::Undecided(format!("the driver has ended{}", self.complaints())),
            Err(error) => Outcome::Undecided(format!("the driver is not understood: {error}")),
        }
    }

    /// What the driver and its processes have written to their standard error, as the end of a sentence.
    fn complaints(&mut self) -> String {
        let mut text = String::new();
        let file = &mut self.complaints;
        let read = file.rewind().and_then(|()| file.take(LONGEST_COMPLAINT).read_to_string(&mut text));
        match read {
            Ok(_) if !text.trim().is_empty() => format!(": {}", text.trim()),
            Ok(_) | Err(_) => String::new(),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The end of its input ends it, and everything in its namespaces with it.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
