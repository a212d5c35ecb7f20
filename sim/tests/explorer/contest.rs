//! Small contests for the explorer: a machine with one directory, programs that start at once, and a judge of owners.
//!
//! [`every_execution`] knows nothing of states, keys or learned histories. It takes every schedule there is, one after the
//! other, so what it counts is a check on what the explorer says it has covered.

use std::future::Future;
use std::path::Path;

use portcullis_os::{Errno, Links, LockMode, Notice, Open, Os, Ownership, Port, Uid};
use sim::kernel::{Place, Spawn};
use sim::supervisor::{Restart, StartLimit, Supervisor, Systemd};
use sim::{
    Action, Bounds, Checker, Exploration, Kernel, Policy, Process, Program, Schedule, Script, Setup, Slot,
    Step, Supervised, Trace, View, Violation, Who, replay,
};

/// The lock file of all contenders.
pub(crate) const LOCK: &str = "/state/lock";

/// Every schedule, nobody killed, far more states than any test needs.
pub(crate) const EVERYTHING: Bounds =
    Bounds { policy: Policy::Exhaustive, kills: 0, power_losses: 0, states: 1_000_000 };

/// A program that ends with what `body` returns.
pub(crate) fn program<F>(name: &str, body: impl Fn(Process) -> F + Send + Sync + 'static) -> Program
where
    F: Future<Output = u8> + Send + 'static,
{
    Program::new(name, body)
}

/// One slot for each program, in order; all are started at once.
pub(crate) fn contest(programs: &[Program]) -> Setup {
    let mut kernel = Kernel::new();
    kernel.make_directory(Path::new("/state"), 0o700, Uid(1000));
    kernel.take_effects();
    let starts = (0..programs.len()).map(Action::Start).collect();
    let slots =
        ["a", "b", "c"].into_iter().zip(programs).map(|(name, program)| slot(name, program)).collect();
    Setup { kernel, slots, script: Script { setup: Vec::new(), steps: starts } }
}

/// The same program `count` times, at most three.
pub(crate) fn contenders(program: &Program, count: usize) -> Setup {
    contest(&vec![program.clone(); count])
}

/// Adds a place for a process that is started only to see whether one still can. Answers its number.
pub(crate) fn add_probe(setup: &mut Setup, program: &Program) -> usize {
    setup.slots.push(slot("probe", program));
    setup.slots.len() - 1
}

fn slot(name: &str, program: &Program) -> Slot {
    let spawn = Spawn {
        name: name.to_owned(),
        command: name.to_owned(),
        uid: Uid(1000),
        parent: None,
        pid: None,
        place: Place::default(),
    };
    Slot {
        name: name.to_owned(),
        spawn,
        program: Some(program.clone()),
        listens: Vec::new(),
        connections: Vec::new(),
        supervisor: None,
        spawned_as: None,
        open_files: None,
    }
}

/// A service of systemd whose file says when it is restarted, and how often it may be started.
pub(crate) fn restarted(restart: Restart, burst: u32) -> Supervised {
    let start_limit = StartLimit { burst, interval_ms: 10_000 };
    let unit = Systemd { restart, start_limit, stop_timeout_ms: None, ..Systemd::plain() };
    Supervised { by: Supervisor::Systemd(unit), most_starts: 20, reuses_pids: false }
}

/// Takes the lock, gives it back by dropping the descriptor, and makes one more call.
pub(crate) fn passer_by() -> Program {
    program("passer-by", |os| async move {
        let Ok(file) = os.open(Path::new(LOCK), Open::read_write_create()).await else { return 2 };
        if os.flock(&file, LockMode::Exclusive).await.is_err() {
            return 1;
        }
        drop(file);
        u8::from(os.own_pid().await.is_err())
    })
}

/// Says that this process owns `/state`, and serves until it is told to stop.
pub(crate) async fn own(os: &Process) -> Result<(), Errno> {
    os.catch_signals().await?;
    let state = os.stat(Path::new("/state"), Links::Follow).await?.id;
    let Some(base) = Port::new(18789) else { return Err(Errno::InvalidArgument) };
    os.notify(Notice::Owner(Ownership { state, config: None, base, span: 0 })).await?;
    os.notify(Notice::Ready).await?;
    os.next_signal().await?;
    Ok(())
}

/// Whoever gets the kernel's lock on the file is the owner. The file stays, the lock does not outlive its process.
pub(crate) fn flock() -> Program {
    program("flock", |os| async move {
        let Ok(file) = os.open(Path::new(LOCK), Open::read_write_create()).await else { return 2 };
        match os.flock(&file, LockMode::Exclusive).await {
            Ok(()) => u8::from(own(&os).await.is_err()),
            Err(_) => 1,
        }
    })
}

/// Whoever creates the lock file is the owner. It is never removed.
pub(crate) fn create_exclusive() -> Program {
    program("create-exclusive", |os| async move {
        match os.open(Path::new(LOCK), Open::create_exclusive()).await {
            Ok(_file) => u8::from(own(&os).await.is_err()),
            Err(_) => 1,
        }
    })
}

/// Looks first and creates then, which are two steps.
pub(crate) fn check_then_create() -> Program {
    program("check-then-create", |os| async move {
        match os.stat(Path::new(LOCK), Links::NoFollow).await {
            Err(Errno::NotFound) => {}
            Ok(_) | Err(_) => return 1,
        }
        match os.open(Path::new(LOCK), Open::create_truncate()).await {
            Ok(_file) => u8::from(own(&os).await.is_err()),
            Err(_) => 1,
        }
    })
}

/// At most one owner, and a probe becomes ready. The outcome of an end is how many processes live.
pub(crate) struct Judge {
    pub(crate) probes: Vec<usize>,
}

/// The judge of a contest without probes.
pub(crate) const FAIR: Judge = Judge { probes: Vec::new() };

impl Checker for Judge {
    type Memory = ();

    fn start(&self) {}

    fn step(&self, _: &mut (), view: &View<'_>, _: &Step<'_>) -> Result<(), Violation> {
        match view.owners().len() {
            0 | 1 => Ok(()),
            owners => Err(Violation { check: "single-owner".to_owned(), says: format!("{owners} owners") }),
        }
    }

    fn end(&self, _: &(), view: &View<'_>) -> Result<usize, Violation> {
        Ok((0..view.slots.len()).filter(|slot| view.is_alive(*slot)).count())
    }

    fn probes(&self) -> &[usize] {
        &self.probes
    }

    fn is_free(&self, _: usize, view: &View<'_>) -> bool {
        (0..view.slots.len()).all(|slot| !view.is_alive(slot))
    }

    fn probed(&self, probe: usize, view: &View<'_>) -> Result<(), Violation> {
        if view.slots[probe].ready {
            return Ok(());
        }
        Err(Violation { check: "no-wedge".to_owned(), says: "nobody can start any more".to_owned() })
    }
}

/// What is wrong with a single program, as the explorer says it, and as the replay of what it has found says again.
pub(crate) fn complaint(program: &Program) -> String {
    let setup = contenders(program, 1);
    let exploration = sim::explore(&setup, &FAIR, &EVERYTHING);
    if let Some(found) = &exploration.found {
        let trace = replay(&setup, &FAIR, &EVERYTHING, &found.schedule);
        assert_eq!(trace.violation.as_ref(), Some(&found.violation));
    }
    said(&exploration)
}

/// What was found, or that nothing was.
pub(crate) fn said(exploration: &Exploration) -> String {
    exploration.found.as_ref().map_or_else(|| "nothing".to_owned(), |found| found.violation.to_string())
}

/// Faults, preemptions and steps of an execution: what it takes, in the order in which it counts.
pub(crate) fn cost(trace: &Trace) -> (usize, usize, usize) {
    let faults = trace.steps.iter().filter(|step| matches!(step.who, Who::Fault(_) | Who::Outage(_))).count();
    let preemptions = trace.steps.iter().filter(|step| step.is_preemption).count();
    (faults, preemptions, trace.steps.len())
}

/// Takes every schedule and every beginning of one, each as an execution of its own from the first step on.
pub(crate) fn every_execution(setup: &Setup, bounds: &Bounds, mut each: impl FnMut(&Trace)) {
    let mut begun = vec![Vec::new()];
    while let Some(indices) = begun.pop() {
        let trace = replay(setup, &FAIR, bounds, &schedule(&indices));
        if trace.left_over > 0 {
            // There is no such choice, nor any after it.
            continue;
        }
        each(&trace);
        if let Some(last) = indices.last() {
            let next = [&indices[..indices.len() - 1], &[last + 1]].concat();
            begun.push(next);
        }
        if trace.violation.is_none() {
            begun.push([&indices[..], &[0]].concat());
        }
    }
}

fn schedule(indices: &[u8]) -> Schedule {
    let text: String = indices.iter().map(|index| format!("{index:02x}00")).collect();
    Schedule::parse(&text).unwrap_or_else(|error| panic!("{error}"))
}
