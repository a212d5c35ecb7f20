//! Processes that start processes, and processes whose death takes time: what a child still holds, what outlives a service,
//! and what is free before its owner is dead.

use std::collections::BTreeSet;
use std::path::Path;

use portcullis_os::{Call, LockMode, Open, Os, Signal};
use sim::kernel::{Ending, HostId, Life};
use sim::supervisor::{
    KeepAlive, KillMode, Launchd, Order, Phase, Rest, Restart, StartLimit, Supervisor, Systemd,
};
use sim::{
    Action, Checker, Condition, Evidence, Exploration, Process, Program, Setup, Step, Supervised, TraceStep,
    View, Violation, What, explore, walk,
};

use crate::contest::{EVERYTHING, FAIR, LOCK, contenders, contest, program, said};

const HELPER: &str = "/usr/bin/helper";
const OTHER: &str = "/state/other";

/// The outcome of an end is the exit status of the second process; one that lives is 200, one that never began 201.
struct BySecond;

impl Checker for BySecond {
    type Memory = ();

    fn start(&self) {}

    fn step(&self, _: &mut (), _: &View<'_>, _: &Step<'_>) -> Result<(), Violation> {
        Ok(())
    }

    fn end(&self, _: &(), view: &View<'_>) -> Result<usize, Violation> {
        let Some(process) = view.slots[1].process else { return Ok(201) };
        Ok(match view.kernel.life(process) {
            Life::Dead(Ending::Exited(status)) => usize::from(status),
            Life::Dead(_) | Life::Dying(_) | Life::Running | Life::Stopped | Life::Uninterruptible => 200,
        })
    }
}

fn outcomes(exploration: &Exploration) -> BTreeSet<usize> {
    assert_eq!((said(exploration).as_str(), exploration.evidence), ("nothing", Evidence::Complete));
    exploration.ends.keys().copied().collect()
}

async fn spawn(os: &Process) -> bool {
    os.call(Call::Spawn { command: vec![HELPER.to_owned()] }).await.is_ok()
}

/// Takes the lock, starts a helper, and ends.
fn starts_helper(inherit: bool) -> Program {
    program("starts a helper", move |os| async move {
        let Ok(file) = os.open(Path::new(LOCK), Open::read_write_create()).await else { return 2 };
        if os.flock(&file, LockMode::Exclusive).await.is_err() {
            return 3;
        }
        if inherit && os.call(Call::SetInherit { fd: file.fd(), inherit: true }).await.is_err() {
            return 4;
        }
        u8::from(!spawn(&os).await)
    })
}

/// Lives until it is told to end.
fn lasts() -> Program {
    program("lasts", |os| async move {
        let _ = os.catch_signals().await;
        u8::from(os.next_signal().await.is_err())
    })
}

/// Lives, whatever it is told.
fn stays() -> Program {
    program("stays", |os| async move {
        let _ = os.catch_signals().await;
        loop {
            let _ = os.next_signal().await;
        }
    })
}

/// Says with its exit status whether it got the lock.
fn tries() -> Program {
    program("tries", |os| async move {
        let Ok(file) = os.open(Path::new(LOCK), Open::read_write_create()).await else { return 2 };
        u8::from(os.flock(&file, LockMode::Exclusive).await.is_err())
    })
}

/// One that starts a helper and, when it has ended, one that wants its lock.
fn successor(inherit: bool) -> Setup {
    let mut setup = contest(&[starts_helper(inherit), tries(), lasts()]);
    setup.slots[2].spawned_as = Some(HELPER.to_owned());
    setup.script.steps = vec![
        Action::Start(0),
        Action::Wait(Condition::Gone(0)),
        Action::Start(1),
        Action::Wait(Condition::AllSettled),
    ];
    setup
}

#[test]
fn a_child_that_has_not_executed_its_program_holds_the_locks_of_its_dead_parent() {
    let kept = outcomes(&explore(&successor(false), &BySecond, &EVERYTHING));
    assert_eq!(kept, BTreeSet::from([0, 1]), "busy until the child executes, free from then on");
}

#[test]
fn a_child_that_inherits_a_lock_holds_it_for_as_long_as_it_lives() {
    assert_eq!(outcomes(&explore(&successor(true), &BySecond, &EVERYTHING)), BTreeSet::from([1]));
}

#[test]
fn a_child_is_a_process_of_its_slot_with_the_pid_that_its_parent_was_told() {
    let trace = walk(&successor(false), &BySecond, &EVERYTHING, &[]).trace;
    assert_eq!((trace.violation.as_ref(), trace.left_over), (None, 0));
    let spawned = trace.steps.iter().position(|step| matches!(step.what, What::Call(Call::Spawn { .. }, _)));
    let executed = trace.steps.iter().position(|step| step.what == What::Execute);
    assert!(spawned.is_some() && spawned < executed);
    let last = trace.steps.last().unwrap();
    assert!(last.view().can_act(2));
    assert_eq!(last.kernel.pid(last.slots[2].process.unwrap()).get(), 101);
}

#[test]
fn a_child_without_a_slot_is_a_finding_and_not_a_guess() {
    let setup = contenders(&starts_helper(false), 1);
    assert_eq!(
        said(&explore(&setup, &FAIR, &EVERYTHING)),
        "explorable: a: starts `/usr/bin/helper`, for which there is no free slot"
    );
    let mut job = successor(false);
    let by = Supervisor::Launchd(Launchd::keeping(KeepAlive::Always));
    job.slots[0].supervisor = Some(Supervised { by, most_starts: 1, reuses_pids: false });
    assert_eq!(
        said(&explore(&job, &FAIR, &EVERYTHING)),
        "explorable: a: what becomes of the children of its job is not modelled"
    );
}

/// A service that ends at once and leaves a helper behind, with places for two of these.
fn service(kill_mode: KillMode, helper: &Program) -> Setup {
    let mut setup = contest(&[starts_helper(false), helper.clone(), helper.clone()]);
    let start_limit = StartLimit { burst: 2, interval_ms: 1_000_000 };
    let unit = Systemd { restart: Restart::Always, start_limit, kill_mode, ..Systemd::plain() };
    setup.slots[0].supervisor =
        Some(Supervised { by: Supervisor::Systemd(unit), most_starts: 9, reuses_pids: false });
    for slot in &mut setup.slots[1..] {
        slot.spawned_as = Some(HELPER.to_owned());
    }
    setup.script.steps = vec![Action::Start(0), Action::Wait(Condition::AllSettled)];
    setup
}

/// How many processes are alive in the end, over all schedules, and how many are alive beside a main process at most.
fn left_by(kill_mode: KillMode, helper: &Program) -> (BTreeSet<usize>, usize) {
    let setup = service(kill_mode, helper);
    let left = outcomes(&explore(&setup, &FAIR, &EVERYTHING));
    let mut most = 0;
    for seed in 0..100_u8 {
        let picks: Vec<u8> = (0..200_u8).map(|place| seed.wrapping_mul(place ^ 0x5b) ^ place).collect();
        for step in walk(&setup, &FAIR, &EVERYTHING, &picks).trace.steps {
            let view = step.view();
            if view.is_alive(0) && view.starts(0) == 2 && step.what == What::Restart(None) {
                most = most.max((1..3).filter(|slot| view.is_alive(*slot)).count());
            }
        }
    }
    (left, most)
}

#[test]
fn the_next_process_of_a_service_finds_the_children_of_the_last_one_by_its_kill_mode() {
    assert_eq!(
        left_by(KillMode::ControlGroup, &lasts()),
        (BTreeSet::from([0]), 0),
        "told to end, and waited for"
    );
    assert_eq!(left_by(KillMode::ControlGroup, &stays()), (BTreeSet::from([0]), 0), "killed after a while");
    assert_eq!(left_by(KillMode::Mixed, &stays()), (BTreeSet::from([0]), 0), "killed at once");
    // Where the orphan has not executed its program yet, the next process finds the lock held and starts no helper.
    assert_eq!(left_by(KillMode::Process, &lasts()), (BTreeSet::from([1, 2]), 1), "orphans");
}

#[test]
fn a_service_waits_as_long_as_it_says_for_children_that_do_not_end() {
    let main = program("serves with a helper", |os| async move {
        let _ = os.catch_signals().await;
        let _ = spawn(&os).await;
        u8::from(os.next_signal().await.is_err())
    });
    let mut setup = service(KillMode::ControlGroup, &stays());
    setup.slots[0].program = Some(main);
    setup.script.setup = setup.script.steps.split_off(0);
    setup.script.steps = vec![Action::Order(0, Order::Stop), Action::Wait(Condition::AllSettled)];
    assert_eq!(outcomes(&explore(&setup, &FAIR, &EVERYTHING)), BTreeSet::from([0]));

    let trace = walk(&setup, &FAIR, &EVERYTHING, &[]).trace;
    let now_ms = |step: &TraceStep| step.kernel.monotonic_ms(HostId(0));
    let cleared = trace.steps.iter().rev().find_map(|step| match step.slots[0].supervision?.phase {
        Phase::Clearing { kill_ms, .. } => Some((kill_ms, now_ms(step))),
        Phase::Resting(_) | Phase::Watching | Phase::Waiting { .. } | Phase::Stopping { .. } => None,
    });
    let (kill_ms, asked_ms) = cleared.unwrap();
    assert_eq!(kill_ms, Some(asked_ms + 90_000));
    let last = trace.steps.last().unwrap();
    assert_eq!((&last.what, now_ms(last)), (&What::LosePatience, asked_ms + 90_000));
    assert_eq!(last.slots[0].supervision.unwrap().phase, Phase::Resting(Rest::Failed));
}

/// Holds two locks and lives.
fn holds_two() -> Program {
    program("holds two", |os| async move {
        let Ok(one) = os.open(Path::new(LOCK), Open::read_write_create()).await else { return 2 };
        let Ok(two) = os.open(Path::new(OTHER), Open::read_write_create()).await else { return 2 };
        if os.flock(&one, LockMode::Exclusive).await.is_err()
            || os.flock(&two, LockMode::Exclusive).await.is_err()
        {
            return 3;
        }
        let _ = os.catch_signals().await;
        u8::from(os.next_signal().await.is_err())
    })
}

/// Says which of the two it gets: 1 is the first one, 2 the other one.
fn tries_two() -> Program {
    program("tries two", |os| async move {
        let mut got = 0;
        for (bit, path) in [(1, LOCK), (2, OTHER)] {
            let Ok(file) = os.open(Path::new(path), Open::read_write_create()).await else { return 8 };
            if os.flock(&file, LockMode::Exclusive).await.is_ok() {
                got |= bit;
            }
        }
        got
    })
}

/// A holder that is killed while somebody tries its locks.
fn killed_holder(slowly: bool) -> Setup {
    let mut setup = contest(&[holds_two(), tries_two()]);
    if slowly {
        setup.kernel.release_slowly();
    }
    setup.script.setup = vec![Action::Start(0), Action::Wait(Condition::AllSettled)];
    setup.script.steps =
        vec![Action::Signal(0, Signal::Kill), Action::Start(1), Action::Wait(Condition::AllSettled)];
    setup
}

#[test]
fn a_process_that_dies_slowly_gives_its_locks_back_one_by_one_and_in_any_order() {
    assert_eq!(outcomes(&explore(&killed_holder(false), &BySecond, &EVERYTHING)), BTreeSet::from([3]));
    assert_eq!(
        outcomes(&explore(&killed_holder(true), &BySecond, &EVERYTHING)),
        BTreeSet::from([0, 1, 2, 3])
    );
}

#[test]
fn a_process_that_is_dying_is_neither_gone_nor_settled_nor_an_owner() {
    let trace = walk(&killed_holder(true), &BySecond, &EVERYTHING, &[]).trace;
    let dying = trace.steps.iter().filter(|step| {
        let process = step.slots[0].process;
        process.is_some_and(|process| matches!(step.kernel.life(process), Life::Dying(_)))
    });
    let mut seen = 0;
    for step in dying {
        let view = step.view();
        assert!(view.is_alive(0) && !view.can_act(0) && view.owners().is_empty());
        seen += 1;
    }
    assert!(seen >= 2);
    let mut waits = killed_holder(true);
    waits.script.steps.insert(1, Action::Wait(Condition::Gone(0)));
    assert_eq!(outcomes(&explore(&waits, &BySecond, &EVERYTHING)), BTreeSet::from([3]));
}
