//! Processes that a supervisor starts again: each restart is a choice, time stands still between them, and what is cut off
//! is said.

use std::path::Path;

use portcullis_os::{LockMode, Open, Os, Signal};
use sim::kernel::{Ending, HostId, Life};
use sim::supervisor::{KeepAlive, Launchd, Order, Phase, Rest, Restart, Supervisor, Systemd};
use sim::{
    Action, Bounds, Checker, Condition, Evidence, Program, Setup, Step, Supervised, Trace, View, Violation,
    What, Who, explore, replay, walk,
};

use crate::contest::{EVERYTHING, FAIR, LOCK, contenders, cost, own, passer_by, program, restarted, said};

/// Ends at once with a status.
fn ends_with(status: u8) -> Program {
    program("ends", move |os| async move { if os.own_pid().await.is_ok() { status } else { 1 } })
}

/// Holds the kernel's lock for as long as it serves.
fn flock() -> Program {
    program("flock", |os| async move {
        let Ok(file) = os.open(Path::new(LOCK), Open::read_write_create()).await else { return 2 };
        match os.flock(&file, LockMode::Exclusive).await {
            Ok(()) => u8::from(own(&os).await.is_err()),
            Err(_) => 78,
        }
    })
}

/// Is told to stop, and does not care.
fn stubborn() -> Program {
    program("stubborn", |os| async move {
        let _ = os.catch_signals().await;
        loop {
            let _ = os.next_signal().await;
        }
    })
}

/// One process that is looked after.
fn supervised(program: &Program, by: Supervisor, most_starts: u8) -> Setup {
    let mut setup = contenders(program, 1);
    setup.slots[0].supervisor = Some(Supervised { by, most_starts, reuses_pids: false });
    setup
}

/// The only execution of something in which nothing is left to choose.
fn only(setup: &Setup) -> Trace {
    walk(setup, &FAIR, &EVERYTHING, &[]).trace
}

/// When processes were started, in milliseconds after the first of them.
fn starts(trace: &Trace) -> Vec<u64> {
    let mut instants = Vec::new();
    for step in &trace.steps {
        if step.view().starts(0) > instants.len() {
            instants.push(step.kernel.monotonic_ms(HostId(0)));
        }
    }
    instants.iter().map(|instant| instant - instants[0]).collect()
}

#[test]
fn a_service_that_fails_at_once_is_started_until_its_start_limit_and_then_rests() {
    let setup = supervised(&ends_with(1), restarted(Restart::Always, 5).by, 20);
    let exploration = explore(&setup, &FAIR, &EVERYTHING);
    assert_eq!((said(&exploration).as_str(), exploration.evidence), ("nothing", Evidence::Complete));
    assert!(exploration.cut.is_empty());
    // Before the first start; three states of each process, and the wait after it; the start that is one too many.
    assert_eq!(exploration.states, 1 + 5 * 3 + 1);
    let trace = only(&setup);
    assert_eq!(starts(&trace), [0, 100, 200, 300, 400]);
    let supervision = trace.steps.last().unwrap().slots[0].supervision.unwrap();
    assert_eq!(supervision.phase, Phase::Resting(Rest::StartLimit));
}

#[test]
fn a_status_that_prevents_a_restart_ends_the_loop_of_systemd_and_not_that_of_launchd() {
    let unit = Systemd {
        restart: Restart::Always,
        restart_delay_ms: 5000,
        never_after: vec![Ending::Exited(78)],
        ..Systemd::plain()
    };
    let setup = supervised(&ends_with(78), Supervisor::Systemd(unit), 4);
    assert_eq!(starts(&only(&setup)), [0]);
    assert_eq!(explore(&setup, &FAIR, &EVERYTHING).evidence, Evidence::Complete);

    let job = Supervisor::Launchd(Launchd::keeping(KeepAlive::Always));
    let setup = supervised(&ends_with(78), job, 4);
    assert_eq!(starts(&only(&setup)), [0, 10_000, 20_000, 30_000]);
    let exploration = explore(&setup, &FAIR, &EVERYTHING);
    assert_eq!(said(&exploration), "nothing");
    assert_eq!(exploration.evidence, Evidence::Bounded, "it would go on for ever");
    assert_eq!(exploration.cut.into_iter().collect::<Vec<_>>(), [0]);
}

#[test]
fn a_restart_too_slow_for_the_start_limit_is_cut_and_that_is_said() {
    let unit = Systemd { restart: Restart::Always, restart_delay_ms: 5000, ..Systemd::plain() };
    let exploration = explore(&supervised(&ends_with(1), Supervisor::Systemd(unit), 9), &FAIR, &EVERYTHING);
    assert_eq!((exploration.evidence, exploration.cut.len()), (Evidence::Bounded, 1));
}

#[test]
fn a_bound_that_the_start_limit_comes_before_cuts_nothing() {
    for most_starts in [4, 5] {
        let setup = supervised(&ends_with(1), restarted(Restart::Always, 5).by, most_starts);
        let exploration = explore(&setup, &FAIR, &EVERYTHING);
        assert_eq!(exploration.cut.is_empty(), most_starts == 5, "{most_starts}");
    }
}

#[test]
fn a_process_that_does_not_end_when_it_is_stopped_is_killed_and_not_started_again() {
    let unit = Systemd { restart: Restart::Always, ..Systemd::plain() };
    let mut setup = supervised(&stubborn(), Supervisor::Systemd(unit), 3);
    setup.script.setup = vec![Action::Start(0), Action::Wait(Condition::Settled(0))];
    setup.script.steps = vec![
        Action::Order(0, Order::Stop),
        Action::Wait(Condition::Gone(0)),
        Action::Wait(Condition::AllSettled),
    ];
    let exploration = explore(&setup, &FAIR, &EVERYTHING);
    assert_eq!((said(&exploration).as_str(), exploration.evidence), ("nothing", Evidence::Complete));
    assert_eq!(exploration.ends.keys().copied().collect::<Vec<_>>(), [0], "nobody is left alive");
    let trace = only(&setup);
    let last = trace.steps.last().unwrap();
    assert_eq!((last.who, &last.what), (Who::Supervisor(0), &What::LosePatience));
    let phase = last.slots[0].supervision.unwrap().phase;
    assert_eq!(phase, Phase::Resting(Rest::Failed));
    let asked_ms =
        trace.steps.iter().rfind(|step| step.who == Who::Script).unwrap().kernel.monotonic_ms(HostId(0));
    assert_eq!(last.kernel.monotonic_ms(HostId(0)) - asked_ms, 90_000);
}

#[test]
fn a_paused_process_that_is_stopped_by_systemd_wakes_up_and_ends() {
    let mut setup = supervised(&flock(), restarted(Restart::Always, 5).by, 3);
    setup.script.setup =
        vec![Action::Start(0), Action::Wait(Condition::Ready(0)), Action::Signal(0, Signal::Stop)];
    setup.script.steps = vec![Action::Order(0, Order::Stop), Action::Wait(Condition::Gone(0))];
    let exploration = explore(&setup, &FAIR, &EVERYTHING);
    assert_eq!((said(&exploration).as_str(), exploration.evidence), ("nothing", Evidence::Complete));
}

#[test]
fn a_wait_for_everybody_waits_for_restarts_and_a_wait_for_the_end_does_not() {
    let mut setup = supervised(&ends_with(1), restarted(Restart::Always, 3).by, 20);
    setup.script.steps =
        vec![Action::Start(0), Action::Wait(Condition::AllSettled), Action::Remove(Vec::new())];
    let removal = |trace: &Trace| {
        let last = trace.steps.iter().rfind(|step| step.who == Who::Script).unwrap();
        last.view().starts(0)
    };
    assert_eq!(removal(&only(&setup)), 3);
    setup.script.steps[1] = Action::Wait(Condition::Gone(0));
    let first = replay(&setup, &FAIR, &EVERYTHING, &sim::Schedule::parse("0002").unwrap());
    assert_eq!(removal(&first), 1, "it is dead for a while");
}

#[test]
fn two_restarted_rivals_for_a_kernel_lock_never_both_own_whoever_is_killed() {
    let mut setup = contenders(&flock(), 2);
    for slot in &mut setup.slots {
        slot.supervisor = Some(restarted(Restart::OnFailure, 2));
    }
    let exploration = explore(&setup, &FAIR, &Bounds { kills: 1, ..EVERYTHING });
    assert_eq!((said(&exploration).as_str(), exploration.evidence), ("nothing", Evidence::Complete));
    assert!(exploration.ends.contains_key(&1));
}

#[test]
fn every_process_of_a_slot_is_run_again_as_a_whole() {
    let setup = supervised(&passer_by(), restarted(Restart::Always, 4).by, 20);
    let exploration = explore(&setup, &FAIR, &EVERYTHING);
    assert_eq!((said(&exploration).as_str(), exploration.evidence), ("nothing", Evidence::Complete));
    let trace = only(&setup);
    assert_eq!((trace.violation.as_ref(), trace.steps.last().unwrap().view().starts(0)), (None, 4));
}

/// Writes down that it has begun, and finds a leftover in its way when it begins anew.
fn wedges_itself() -> Program {
    program("wedges itself", |os| async move {
        match os.open(Path::new(LOCK), Open::create_exclusive()).await {
            Ok(_file) => 1,
            Err(_) => {
                let _ = own(&os).await;
                panic!("it has met what it left behind")
            }
        }
    })
}

#[test]
fn what_only_a_restart_breaks_is_found_on_the_shortest_way_and_replayed() {
    let mut setup = supervised(&wedges_itself(), restarted(Restart::OnFailure, 3).by, 20);
    setup.script.steps.extend([Action::Wait(Condition::Settled(0)), Action::Signal(0, Signal::Terminate)]);
    let exploration = explore(&setup, &FAIR, &EVERYTHING);
    assert_eq!(said(&exploration), "panicked: a: panicked: it has met what it left behind");
    let found = exploration.found.unwrap();
    assert!(found.is_shortest);
    let trace = replay(&setup, &FAIR, &EVERYTHING, &found.schedule);
    assert_eq!(trace.violation, Some(found.violation));
    assert_eq!(trace.steps.iter().filter(|step| step.what == What::Restart(None)).count(), 1);
    assert_eq!(cost(&trace).0, 0, "a restart is no fault");
}

#[test]
fn a_slot_without_a_supervisor_obeys_no_order_and_starts_once() {
    let mut setup = contenders(&ends_with(0), 1);
    setup.script.steps = vec![
        Action::Start(0),
        Action::Order(0, Order::Restart),
        Action::Wait(Condition::Gone(0)),
        Action::Start(0),
    ];
    let trace = only(&setup);
    assert_eq!((trace.violation.as_ref(), trace.steps.last().unwrap().view().starts(0)), (None, 1));
}

/// An end is how many processes there were, in thousands, and the exit status of the last one.
struct LastStatus;

impl Checker for LastStatus {
    type Memory = ();

    fn start(&self) {}

    fn step(&self, (): &mut (), _: &View<'_>, _: &Step<'_>) -> Result<(), Violation> {
        Ok(())
    }

    fn end(&self, (): &(), view: &View<'_>) -> Result<usize, Violation> {
        let last = view.slots[0].process.map(|process| view.kernel.life(process));
        let Some(Life::Dead(Ending::Exited(status))) = last else { return Ok(0) };
        Ok(view.starts(0) * 1000 + usize::from(status))
    }
}

#[test]
fn a_process_that_is_started_again_may_have_any_pid_that_is_free_again() {
    let told = program("tells its pid", |os| async move {
        os.own_pid().await.map_or(0, |pid| u8::try_from(pid.get()).unwrap_or_default())
    });
    let ends = |reuses_pids: bool| {
        let mut setup = contenders(&told, 1);
        let by = restarted(Restart::OnAbnormal, 5).by;
        setup.slots[0].supervisor = Some(Supervised { by, most_starts: 3, reuses_pids });
        let exploration = explore(&setup, &LastStatus, &Bounds { kills: 2, ..EVERYTHING });
        assert_eq!((exploration.evidence, exploration.found), (Evidence::Complete, None));
        exploration.ends.into_keys().collect::<Vec<usize>>()
    };
    assert_eq!(ends(false), [1100, 2101, 3102]);
    assert_eq!(ends(true), [1100, 2100, 2101, 3100, 3101, 3102]);
}
