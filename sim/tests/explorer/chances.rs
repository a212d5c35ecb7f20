//! What chance makes of a race, reckoned from its states and by taking every schedule; and where a race is lost.

use std::path::Path;

use portcullis_os::{Call, Links, Open, Os, Pid, Reply, UnixName};
use sim::{
    Bounds, Checker, Process, Risk, Schedule, Script, Setup, Step, Turn, View, Violation, Who, explore,
    replay, risk,
};

use crate::contest::{EVERYTHING, FAIR, LOCK, contenders, contest, own, program};

/// Creates a lock file, writes into it who it is, looks whether it still says so, binds, serves, and cleans up. Its length
/// is what it says, so that each look is one call.
async fn race(os: Process, me: u64) -> u8 {
    let lock = Path::new(LOCK);
    let mut tries = 0;
    let fd = loop {
        let is_there = os.stat(lock, Links::NoFollow).await.is_ok();
        if is_there && let Ok(status) = os.stat(lock, Links::NoFollow).await {
            // The pids of the two are 100 and 101. Nobody has the one of a file that says nothing or 9.
            let pid = if status.size == 0 { 999 } else { 99 + status.size };
            let Some(pid) = Pid::new(pid as u32) else { return 2 };
            if os.kill(pid, None).await.is_ok() {
                return 1;
            }
            let _ = os.unlink(lock).await;
        }
        let create = Call::Open { at: None, path: lock.to_owned(), open: Open::create_exclusive() };
        if let Ok(Reply::Fd(fd)) = os.call(create).await {
            break fd;
        }
        tries += 1;
        if tries > 2 {
            return 1;
        }
    };
    let _ = os.call(Call::Write { fd, offset: 0, bytes: vec![b'x'; me as usize] }).await;
    let _ = os.call(Call::Sync { fd }).await;
    let is_named = matches!(os.call(Call::StatFd { fd }).await, Ok(Reply::File(status)) if status.links > 0);
    if !is_named || !os.stat(lock, Links::NoFollow).await.is_ok_and(|status| status.size == me) {
        return 1;
    }
    let name = UnixName::Abstract("port".to_owned());
    if let Ok(Reply::Fd(socket)) = os.call(Call::ListenUnix { name, backlog: 1 }).await {
        let _ = os.own_pid().await;
        let _ = os.close(socket).await;
    }
    let _ = os.unlink(lock).await;
    0
}

/// Two of them, both of which have started when the race begins.
fn two(is_stale: bool) -> Setup {
    let racer = |me| program("race", move |os| race(os, me));
    let mut setup = contest(&[racer(1), racer(2)]);
    setup.script = Script { setup: setup.script.steps, steps: Vec::new() };
    if is_stale {
        setup.kernel.write_file(Path::new(LOCK), b"123456789");
        setup.kernel.take_effects();
    }
    setup
}

/// How far a process of the race has come, as far as it makes an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Trying,
    Written,
    Owning,
}

/// At most one has found in the file what it wrote there and has not removed the file since.
struct OneOwner;

impl Checker for OneOwner {
    type Memory = [Stage; 2];

    fn start(&self) -> [Stage; 2] {
        [Stage::Trying; 2]
    }

    fn step(&self, stages: &mut [Stage; 2], view: &View<'_>, step: &Step<'_>) -> Result<(), Violation> {
        let (Some(slot), Some(call)) = (step.slot, step.call) else { return Ok(()) };
        stages[slot] = match (stages[slot], call) {
            (Stage::Trying, Call::Write { .. }) => Stage::Written,
            (Stage::Written, Call::Stat { .. }) => {
                let says = view.kernel.contents(Path::new(LOCK)).map(|bytes| bytes.len());
                if says == Some(slot + 1) { Stage::Owning } else { Stage::Trying }
            }
            (Stage::Owning, Call::Unlink { .. }) => Stage::Trying,
            (stage, _) => stage,
        };
        if *stages == [Stage::Owning; 2] {
            return Err(Violation { check: "one-owner".to_owned(), says: "two own".to_owned() });
        }
        Ok(())
    }

    fn end(&self, _: &[Stage; 2], _: &View<'_>) -> Result<usize, Violation> {
        Ok(0)
    }
}

/// The risk of a race, which is small enough.
fn risk_of(setup: &Setup, schedule: &Schedule) -> Risk {
    risk(setup, &OneOwner, &EVERYTHING, schedule, &|| false).unwrap_or_else(|| panic!("the graph is small"))
}

#[test]
fn the_race_for_a_pid_file_breaks_as_often_as_is_known_of_it() {
    // Both numbers are sums of a few powers of two, so they are exact.
    for (is_stale, wanted, turn) in
        [(false, 0.007_965_087_890_625, Turn::Jump(12)), (true, 0.015_915_870_666_503_906, Turn::Jump(15))]
    {
        let setup = two(is_stale);
        let found = explore(&setup, &OneOwner, &EVERYTHING).found.unwrap();
        let risk = risk_of(&setup, &found.schedule);
        assert!((risk.overall - wanted).abs() < 1e-16, "{is_stale}: {}", risk.overall);
        assert_eq!(risk.after.len(), found.schedule.len());
        assert_eq!((risk.after.last(), risk.turn), (Some(&1.0), turn));
    }
}

/// The probability of breaking something after a beginning of a schedule, by taking every way to go on from the first step.
fn by_brute_force(setup: &Setup, bounds: &Bounds, begun: &mut String) -> f64 {
    let mut chances = Vec::new();
    for choice in 0_u8.. {
        let length = begun.len();
        begun.push_str(&format!("{choice:02x}00"));
        let schedule = Schedule::parse(begun).unwrap_or_else(|error| panic!("{error}"));
        let trace = replay(setup, &FAIR, bounds, &schedule);
        let is_fault = matches!(trace.steps.last().map(|step| step.who), Some(Who::Fault(_)));
        if trace.left_over == 0 && !is_fault {
            chances.push(if trace.violation.is_some() { 1.0 } else { by_brute_force(setup, bounds, begun) });
        }
        begun.truncate(length);
        if trace.left_over > 0 || is_fault {
            // There is no such choice, or it is the first of the faults, which are last.
            break;
        }
    }
    let count = chances.len() as f64;
    if chances.is_empty() { 0.0 } else { chances.into_iter().sum::<f64>() / count }
}

#[test]
fn the_probability_is_that_of_all_schedules_taken_one_by_one() {
    let hasty = program("hasty", |os| async move {
        if os.stat(Path::new(LOCK), Links::NoFollow).await.is_ok() {
            return 1;
        }
        let _ = os.open(Path::new(LOCK), Open::create_truncate()).await;
        u8::from(own(&os).await.is_err())
    });
    let setup = contenders(&hasty, 2);
    for kills in [0, 1] {
        let bounds = Bounds { kills, ..EVERYTHING };
        let found = explore(&setup, &FAIR, &bounds).found.unwrap();
        let risk = risk(&setup, &FAIR, &bounds, &found.schedule, &|| false).unwrap();
        let wanted = by_brute_force(&setup, &bounds, &mut String::new());
        assert!((risk.overall - wanted).abs() < 1e-12, "{} {wanted}", risk.overall);
        // Both have started, and the first has looked and found nothing: the second will not find anything either.
        assert_eq!(risk.turn, Turn::NoReturn(4));
        assert_eq!(risk.after[..4], [0.375, 0.25, 0.5, 1.0]);
    }
}

#[test]
fn where_there_are_too_many_states_nothing_is_said_of_chance() {
    let setup = two(false);
    let found = explore(&setup, &OneOwner, &EVERYTHING).found.unwrap();
    let few = Bounds { states: 1000, ..EVERYTHING };
    assert_eq!(risk(&setup, &OneOwner, &few, &found.schedule, &|| false), None);
    assert_eq!(risk(&setup, &OneOwner, &EVERYTHING, &found.schedule, &|| true), None);
}
