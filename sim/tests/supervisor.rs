//! The rules of supervisors, row by row: those of systemd were read off version 252 running on Linux.

use portcullis_os::{Ending, Signal};
use sim::supervisor::{
    KeepAlive, KillMode, Launchd, Leftover, Order, Phase, Reaction, Recipients, Rest, Restart, StartLimit,
    Stop, Supervision, Supervisor, Systemd,
};

const SETTINGS: [Restart; 6] = [
    Restart::No,
    Restart::Always,
    Restart::OnSuccess,
    Restart::OnFailure,
    Restart::OnAbnormal,
    Restart::OnAbort,
];

const TERMINATED: Ending = Ending::Killed(Signal::Terminate);
const KILLED: Ending = Ending::Killed(Signal::Kill);
const ABORTED: Ending = Ending::KilledBy(6);

/// The options of a service besides `Restart=`, how it ends, and by which settings it is started again.
type Row = (&'static str, Systemd, Ending, [bool; 6]);

fn with(success: &[Ending], never_after: &[Ending], always_after: &[Ending]) -> Systemd {
    Systemd {
        success: success.to_vec(),
        never_after: never_after.to_vec(),
        always_after: always_after.to_vec(),
        ..Systemd::plain()
    }
}

fn rows() -> Vec<Row> {
    let plain = Systemd::plain;
    let clean = [false, true, true, false, false, false];
    let status = [false, true, false, true, false, false];
    let signal = [false, true, false, true, true, true];
    vec![
        ("clean status", plain(), Ending::Exited(0), clean),
        ("SIGHUP", plain(), Ending::KilledBy(1), clean),
        ("SIGINT", plain(), Ending::Killed(Signal::Interrupt), clean),
        ("SIGTERM", plain(), TERMINATED, clean),
        ("SIGPIPE", plain(), Ending::KilledBy(13), clean),
        ("unclean status", plain(), Ending::Exited(1), status),
        ("SIGKILL", plain(), KILLED, signal),
        ("SIGABRT", plain(), ABORTED, signal),
        ("success status", with(&[Ending::Exited(7)], &[], &[]), Ending::Exited(7), clean),
        ("success signal", with(&[KILLED], &[], &[]), KILLED, clean),
        ("prevented status", with(&[], &[Ending::Exited(78)], &[]), Ending::Exited(78), [false; 6]),
        ("another status", with(&[], &[Ending::Exited(78)], &[]), Ending::Exited(75), status),
        ("prevented success", with(&[], &[Ending::Exited(0)], &[]), Ending::Exited(0), [false; 6]),
        ("prevented signal", with(&[], &[KILLED], &[]), KILLED, [false; 6]),
        ("forced status", with(&[], &[], &[Ending::Exited(1)]), Ending::Exited(1), [true; 6]),
        ("forced success", with(&[], &[], &[Ending::Exited(0)]), Ending::Exited(0), [true; 6]),
        ("forced signal", with(&[], &[], &[TERMINATED]), TERMINATED, [true; 6]),
        (
            "forced and prevented",
            with(&[], &[Ending::Exited(1)], &[Ending::Exited(1)]),
            Ending::Exited(1),
            [false; 6],
        ),
    ]
}

#[test]
fn systemd_restarts_after_an_end_as_the_table_of_its_manual_says() {
    for (name, unit, ending, restarted) in rows() {
        for (restart, restarted) in SETTINGS.into_iter().zip(restarted) {
            let unit = Systemd { restart, ..unit.clone() };
            assert_eq!(unit.restarts_after(ending, Stop::InTime), restarted, "{name} with {restart:?}");
        }
    }
}

/// A supervisor and what it knows, told what happens.
struct Told {
    by: Supervisor,
    known: Supervision,
}

impl Told {
    fn new(by: Supervisor) -> Self {
        Self { by, known: Supervision::NEW }
    }

    fn start(&mut self, now_ms: u64) -> Reaction {
        self.by.start(&mut self.known, now_ms)
    }

    fn resume(&mut self, now_ms: u64) -> Reaction {
        self.by.resume(&mut self.known, now_ms)
    }

    fn order(&mut self, order: Order, now_ms: u64) -> Reaction {
        self.by.order(&mut self.known, order, now_ms)
    }

    fn lose_patience(&mut self, now_ms: u64) -> Reaction {
        self.by.lose_patience(&mut self.known, now_ms)
    }

    fn exit(&mut self, now_ms: u64, ending: Ending) -> Phase {
        let reaction = self.by.on_exit(&mut self.known, now_ms, ending, Leftover::Nobody);
        assert_eq!(reaction, Reaction::Nothing, "nobody is left to signal");
        self.known.phase
    }
}

fn service(restart: Restart, restart_delay_ms: u64, burst: u32, interval_ms: u64) -> Told {
    let start_limit = StartLimit { burst, interval_ms };
    Told::new(Supervisor::Systemd(Systemd { restart, restart_delay_ms, start_limit, ..Systemd::plain() }))
}

/// The instants at which a service starts that ends as soon as it is started, until it starts no more; at most 14.
fn starts(told: &mut Told) -> Vec<u64> {
    let mut instants = Vec::new();
    let mut reaction = told.start(0);
    let mut now_ms = 0;
    while reaction == Reaction::Start && instants.len() < 14 {
        instants.push(now_ms);
        let Phase::Waiting { until_ms } = told.exit(now_ms, Ending::Exited(1)) else { break };
        now_ms = until_ms;
        reaction = told.resume(now_ms);
    }
    instants
}

#[test]
fn a_start_limit_counts_the_starts_of_an_interval_that_begins_with_a_start() {
    // As measured: 3 starts in 3 s, one each 0.4 s, and then a refusal which lasts until the interval is over.
    let mut fast = service(Restart::Always, 400, 3, 3000);
    assert_eq!(starts(&mut fast), [0, 400, 800]);
    assert_eq!(fast.known.phase, Phase::Resting(Rest::StartLimit));
    assert_eq!(fast.start(3000), Reaction::Nothing, "a start by hand counts like any other");
    assert_eq!(fast.known.phase, Phase::Resting(Rest::StartLimit));
    assert_eq!(fast.start(3001), Reaction::Start);
    assert_eq!(fast.exit(3001, Ending::Exited(0)), Phase::Waiting { until_ms: 3401 });

    // As measured: one start each 0.7 s is never more than 3 in 2 s, whatever is counted from when.
    assert_eq!(starts(&mut service(Restart::Always, 700, 3, 2000)).len(), 14);
    // The interval includes its end: 3 starts in exactly 2 s, and the fourth begins the next one.
    assert_eq!(starts(&mut service(Restart::Always, 1000, 3, 2000)).len(), 14);
    assert_eq!(starts(&mut service(Restart::Always, 1000, 2, 2000)), [0, 1000]);
}

#[test]
fn the_defaults_of_systemd_give_up_after_five_starts_and_a_slow_restart_never_does() {
    let restarting = |restart_delay_ms| {
        let unit = Systemd { restart: Restart::Always, restart_delay_ms, ..Systemd::plain() };
        starts(&mut Told::new(Supervisor::Systemd(unit)))
    };
    assert_eq!(restarting(100), [0, 100, 200, 300, 400]);
    assert_eq!(restarting(5000).len(), 14, "RestartSec=5 is too slow for the limit of 5 starts in 10 s");
}

#[test]
fn no_start_limit_limits_nothing() {
    for (burst, interval_ms) in [(0, 10_000), (5, 0)] {
        assert_eq!(starts(&mut service(Restart::Always, 0, burst, interval_ms)).len(), 14);
    }
    assert_eq!(StartLimit::NONE, StartLimit { burst: 0, interval_ms: 0 });
}

#[test]
fn a_service_rests_as_inactive_or_failed_by_how_it_ended() {
    for (restart, ending, rest) in [
        (Restart::No, Ending::Exited(0), Rest::Inactive),
        (Restart::No, TERMINATED, Rest::Inactive),
        (Restart::No, Ending::Exited(1), Rest::Failed),
        (Restart::OnSuccess, KILLED, Rest::Failed),
    ] {
        let mut told = service(restart, 100, 5, 10_000);
        assert_eq!(told.start(0), Reaction::Start);
        assert_eq!(told.exit(0, ending), Phase::Resting(rest), "{restart:?} {ending:?}");
    }
}

#[test]
fn a_service_that_is_stopped_is_not_started_again_whatever_its_settings_say() {
    for ending in [Ending::Exited(0), Ending::Exited(1), TERMINATED, KILLED] {
        let mut told = service(Restart::Always, 100, 5, 10_000);
        told.start(0);
        assert_eq!(
            told.order(Order::Stop, 5),
            Reaction::Send(Recipients::All, &[Signal::Terminate, Signal::Continue])
        );
        let rest = if matches!(ending, Ending::Exited(1) | KILLED) { Rest::Failed } else { Rest::Inactive };
        assert_eq!(told.exit(10, ending), Phase::Resting(rest));
    }
}

#[test]
fn a_stop_that_takes_too_long_ends_with_a_kill_and_in_failure() {
    let mut told = service(Restart::Always, 100, 5, 10_000);
    told.start(0);
    told.order(Order::Stop, 5);
    let kill_ms = Some(90_005);
    assert_eq!(told.known.phase, Phase::Stopping { kill_ms, stop: Stop::InTime, then: Order::Stop });
    assert_eq!(told.lose_patience(90_005), Reaction::Send(Recipients::All, &[Signal::Kill]));
    assert_eq!(told.exit(90_005, KILLED), Phase::Resting(Rest::Failed));
}

#[test]
fn a_restart_by_hand_waits_for_the_end_and_for_nothing_else() {
    let mut told = service(Restart::No, 5000, 5, 10_000);
    told.start(0);
    assert_eq!(
        told.order(Order::Restart, 1),
        Reaction::Send(Recipients::All, &[Signal::Terminate, Signal::Continue])
    );
    assert_eq!(told.exit(2, TERMINATED), Phase::Waiting { until_ms: 2 });
    assert_eq!(told.resume(2), Reaction::Start);
}

#[test]
fn what_operators_ask_for_while_a_service_waits_is_what_systemd_does() {
    let waiting = || {
        let mut told = service(Restart::Always, 4000, 5, 10_000);
        told.start(0);
        assert_eq!(told.exit(0, Ending::Exited(0)), Phase::Waiting { until_ms: 4000 });
        told
    };
    let mut started = waiting();
    assert_eq!(started.start(1000), Reaction::Nothing, "the job waits for the timer");
    assert_eq!(started.known.phase, Phase::Waiting { until_ms: 4000 });
    let mut restarted = waiting();
    assert_eq!(restarted.order(Order::Restart, 1000), Reaction::Start);
    let mut stopped = waiting();
    assert_eq!(stopped.order(Order::Stop, 1000), Reaction::Nothing);
    assert_eq!(stopped.known.phase, Phase::Resting(Rest::Inactive));
}

#[test]
fn a_start_during_a_stop_comes_after_it() {
    let mut told = service(Restart::No, 100, 5, 10_000);
    told.start(0);
    told.order(Order::Stop, 1);
    assert_eq!(told.start(2), Reaction::Nothing);
    assert_eq!(told.exit(3, TERMINATED), Phase::Waiting { until_ms: 3 });
}

#[test]
fn launchd_restarts_by_keep_alive_and_never_looks_at_which_status_it_was() {
    for (keep_alive, after) in [
        (KeepAlive::Never, [false; 4]),
        (KeepAlive::Always, [true; 4]),
        (KeepAlive::AfterSuccess, [true, false, false, false]),
        (KeepAlive::AfterFailure, [false, true, true, true]),
    ] {
        let endings = [Ending::Exited(0), Ending::Exited(1), Ending::Exited(78), KILLED];
        for (ending, restarted) in endings.into_iter().zip(after) {
            assert_eq!(keep_alive.restarts_after(ending), restarted, "{keep_alive:?} {ending:?}");
        }
    }
}

#[test]
fn launchd_starts_a_job_once_in_ten_seconds_counted_from_its_last_start() {
    let mut told = Told::new(Supervisor::Launchd(Launchd::keeping(KeepAlive::Always)));
    assert_eq!(starts(&mut told)[..4], [0, 10_000, 20_000, 30_000]);
    let mut late = Told::new(Supervisor::Launchd(Launchd::keeping(KeepAlive::Always)));
    late.start(0);
    assert_eq!(late.exit(7000, Ending::Exited(0)), Phase::Waiting { until_ms: 10_000 });
    late.resume(10_000);
    assert_eq!(
        late.exit(60_000, Ending::Exited(0)),
        Phase::Waiting { until_ms: 60_000 },
        "it ran long enough"
    );
}

#[test]
fn a_task_scheduler_ignores_a_start_while_one_runs_and_starts_nothing_by_itself() {
    let mut told = Told::new(Supervisor::TaskScheduler);
    assert_eq!(told.start(0), Reaction::Start);
    assert_eq!(told.start(1), Reaction::Nothing);
    assert_eq!(told.exit(2, Ending::Exited(1)), Phase::Resting(Rest::Failed));
    assert_eq!(told.start(3), Reaction::Start);
    assert_eq!(told.order(Order::Stop, 4), Reaction::Send(Recipients::Process, &[Signal::Kill]));
    assert_eq!(
        told.start(5),
        Reaction::Nothing,
        "it is not dead yet, and a start that is ignored is not made up for"
    );
    assert_eq!(told.exit(6, KILLED), Phase::Resting(Rest::Failed));
}

#[test]
fn a_timeout_after_a_clean_end_counts_as_abnormal_and_one_after_a_failure_as_that_failure() {
    for (ending, restarted) in [
        (Ending::Exited(0), [false, true, false, true, true, false]),
        (Ending::Exited(1), [false, true, false, true, false, false]),
        (KILLED, [false, true, false, true, true, true]),
    ] {
        for (restart, restarted) in SETTINGS.into_iter().zip(restarted) {
            let unit = Systemd { restart, ..Systemd::plain() };
            assert_eq!(unit.restarts_after(ending, Stop::TimedOut), restarted, "{ending:?} with {restart:?}");
        }
    }
}

fn of_mode(kill_mode: KillMode) -> Told {
    Told::new(Supervisor::Systemd(Systemd { restart: Restart::Always, kill_mode, ..Systemd::plain() }))
}

#[test]
fn what_a_dead_process_has_started_is_asked_to_end_or_killed_or_left_alone_by_the_kill_mode() {
    let request: &[Signal] = &[Signal::Terminate, Signal::Continue];
    for (mode, stopped, reaction) in [
        (KillMode::ControlGroup, Recipients::All, Reaction::Send(Recipients::Rest, request)),
        (KillMode::Mixed, Recipients::Process, Reaction::Send(Recipients::Rest, &[Signal::Kill])),
        (KillMode::Process, Recipients::Process, Reaction::Nothing),
    ] {
        let mut told = of_mode(mode);
        told.start(0);
        let by = told.by.clone();
        assert_eq!(
            by.on_exit(&mut told.known, 7, Ending::Exited(1), Leftover::Somebody),
            reaction,
            "{mode:?}"
        );
        let waits = Phase::Waiting { until_ms: if mode == KillMode::Process { 107 } else { 109 } };
        assert_eq!(told.known.phase == waits, mode == KillMode::Process);
        by.on_empty(&mut told.known, 9);
        assert_eq!(told.known.phase, waits, "{mode:?}");

        let mut told = of_mode(mode);
        told.start(0);
        assert_eq!(told.order(Order::Stop, 1), Reaction::Send(stopped, request), "{mode:?}");
    }
}

#[test]
fn what_does_not_end_after_a_dead_process_is_killed_before_the_next_one_starts() {
    let mut told = of_mode(KillMode::ControlGroup);
    told.start(0);
    let by = told.by.clone();
    by.on_exit(&mut told.known, 0, Ending::Exited(0), Leftover::Somebody);
    assert_eq!(
        told.start(5),
        Reaction::Nothing,
        "it starts when the rest has ended, and then without a delay"
    );
    assert_eq!(told.lose_patience(90_000), Reaction::Send(Recipients::All, &[Signal::Kill]));
    by.on_empty(&mut told.known, 90_000);
    assert_eq!(told.known.phase, Phase::Waiting { until_ms: 90_000 });
}
