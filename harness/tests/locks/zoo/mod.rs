//! The zoo: every naive lock is caught, by the shortest counterexample that there is, and what is right in it is proved.

mod moves;
mod rows;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use self::moves::{Move, moves};
use self::rows::{HOLDING, ROWS, Row};
use harness::designs::{Design, Naive};
use harness::scenario::{
    Action, Case, Check, Deed, Located, Locks, Operation, Outcome, Paint, Policy, Reach, Scenario, load,
};
use harness::simulate::{Simulation, run_case};
use harness::verdict::{Evidence, Verdict};
use sim::{Found, Who};

fn library() -> Vec<Case> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let scenarios = load(&[folder]).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)));
    scenarios.iter().flat_map(Scenario::cases).collect()
}

fn called<'a>(cases: &'a [Case], id: &str) -> &'a Case {
    cases.iter().find(|case| case.id == id).unwrap_or_else(|| panic!("there is no case {id}"))
}

/// The case with nothing demanded but some checks: what a naive lock says, and how it ends, is not what is judged.
fn demanding(case: &Case, checks: &[Check]) -> Case {
    let mut case = case.clone();
    let expect = &mut case.scenario.expect;
    expect.always = checks.iter().map(|check| Located { value: *check, line: 1 }).collect();
    expect.outcomes = vec![Located { value: Outcome { states: Vec::new() }, line: 1 }];
    expect.reach = Reach::Anything;
    expect.refusal = None;
    case
}

/// The least counterexample of a row.
fn found(cases: &[Case], row: &Row) -> (Simulation, Found) {
    let case = demanding(called(cases, row.case), &[row.check]);
    let simulation = Simulation::new(&case.scenario, Design::Naive(row.lock));
    let found = sim::explore(&simulation.setup, &simulation.checks, &simulation.bounds).found;
    let found = found.unwrap_or_else(|| panic!("{} holds {}", row.lock.name(), row.case));
    assert!(found.is_shortest, "{} {}", row.lock.id(), row.case);
    (simulation, found)
}

/// What it is: the check, faults, preemptions, steps, and the steps of the protocol.
fn least(cases: &[Case], row: &Row) -> (String, (usize, usize, usize), Vec<String>) {
    let (simulation, found) = found(cases, row);
    let (setup, checks, bounds) = (&simulation.setup, &simulation.checks, &simulation.bounds);
    let trace = sim::replay(setup, checks, bounds, &found.schedule);
    assert_eq!(trace.violation.as_ref(), Some(&found.violation));
    let count = |what: fn(&sim::TraceStep) -> bool| trace.steps.iter().filter(|step| what(step)).count();
    let faults = count(|step| matches!(step.who, Who::Fault(_) | Who::Outage(_)));
    let steps = (faults, count(|step| step.is_preemption), count(|step| !step.in_setup));
    let taken = moves(&simulation, &trace);
    let counted = taken.iter().filter(|(_, taken)| row.counted.is_none_or(|kinds| kinds.contains(taken)));
    (found.violation.check, steps, counted.map(|(who, taken)| format!("{who}.{taken}")).collect())
}

#[test]
fn each_naive_lock_is_caught_by_its_shortest_counterexample() {
    let cases = library();
    let line = |row: &Row, check: &str, least: (usize, usize, usize), moves: &str| {
        format!("{} {} {check} {least:?}: {moves}", row.lock.id(), row.case)
    };
    let mut seen = Vec::new();
    for row in ROWS {
        let (check, steps, moves) = least(&cases, row);
        seen.push(line(row, &check, steps, &moves.join(" ")));
    }
    let pinned: Vec<String> =
        ROWS.iter().map(|row| line(row, row.check.id(), row.least, row.moves)).collect();
    assert_eq!(seen, pinned);
}

#[cfg(target_os = "linux")]
fn options() -> harness::stepped::Options {
    harness::stepped::Options {
        helper: PathBuf::from(env!("CARGO_BIN_EXE_portcullis")),
        jobs: 2,
        limit: u64::MAX,
        interrupted: std::sync::Arc::default(),
    }
}

/// Nothing in what a naive lock is told is an invention of the simulated kernel.
#[cfg(target_os = "linux")]
#[test]
fn every_trace_of_two_gateways_with_a_naive_lock_goes_on_real_processes_as_in_the_simulator() {
    use harness::stepped::{Trouble, Which, drive};

    let cases = library();
    // Those that are left out have a connection that stays in the kernel, or a child that nobody drives.
    let (mut schedules, mut left_out) = (0, Vec::new());
    for lock in Naive::all() {
        let driven =
            drive(called(&cases, "race/two-gateways"), Design::Naive(lock), &Which::EveryTrace, &options());
        match driven {
            Ok(driven) => {
                assert!(driven.is_complete && driven.difference.is_none(), "{}: {driven:?}", lock.name());
                schedules += driven.schedules;
            }
            Err(Trouble::Unsupported(_)) => left_out.push(lock.id()),
            Err(other) => panic!("{}: {other}", lock.name()),
        }
    }
    assert_eq!((schedules, left_out), (542, vec!["N22", "N25"]));
}

#[cfg(target_os = "linux")]
#[test]
fn each_counterexample_goes_on_real_processes_as_in_the_simulator() {
    use harness::stepped::{Trouble, drive_plan};

    let cases = library();
    let mut left_out = Vec::new();
    for row in ROWS {
        let (case, design) = (called(&cases, row.case), Design::Naive(row.lock));
        if case.scenario.only_simulated().is_some() {
            continue;
        }
        let (simulation, found) = found(&cases, row);
        let plan = sim::Planner::new(&simulation.setup, simulation.bounds.kills).plan(&found.schedule);
        let plan = plan.unwrap_or_else(|violation| panic!("{} {}: {violation}", row.lock.name(), case.id));
        match drive_plan(case, design, &plan, &options()) {
            Ok(None) => {}
            Err(Trouble::Unsupported(_)) => left_out.push(row.lock.id()),
            other => panic!("{} {}: {other:?}", row.lock.name(), case.id),
        }
    }
    // For the same reasons.
    assert_eq!(left_out, ["N22", "N25"]);
}

#[test]
fn no_counterexample_is_longer_than_the_one_in_the_catalogue() {
    for row in ROWS {
        let length = row.moves.split_whitespace().count();
        assert!(row.listed.is_none_or(|listed| length <= listed), "{} {}: {length}", row.lock.id(), row.case);
    }
}

#[test]
fn every_naive_lock_is_caught_somewhere_but_those_that_hold_until_somebody_touches_their_file() {
    let caught: BTreeSet<Naive> =
        ROWS.iter().filter(|row| !is_touched(called(&library(), row.case))).map(|row| row.lock).collect();
    let free: Vec<Naive> = Naive::all().filter(|lock| !caught.contains(lock)).collect();
    assert_eq!(free, [HOLDING[0], HOLDING[1], Naive::FlockRecheckNeverUnlink]);
    for lock in free {
        let is_caught = ROWS.iter().any(|row| row.lock == lock && row.case == "operator/lock-file-removed");
        assert!(is_caught, "{}", lock.name());
    }
}

/// Whether somebody takes away what a lock file stands on: its name, its locks, its disk.
fn is_touched(case: &Case) -> bool {
    let scenario = &case.scenario;
    let is_taken_away = |operation: &Operation| match operation {
        Operation::RemoveState { .. }
        | Operation::Tamper { .. }
        | Operation::MoveAway { .. }
        | Operation::MoveBack { .. }
        | Operation::Disk { .. }
        | Operation::LoseLocks { .. } => true,
        Operation::SetMode { .. }
        | Operation::StepClock { .. }
        | Operation::Suspend { .. }
        | Operation::Pass(_)
        | Operation::Reboot { .. } => false,
    };
    let loses_a_lock = |action: &Action| {
        matches!(action, Action::RemoveLockFile { .. }) || action.operation().is_some_and(is_taken_away)
    };
    let mut actions = scenario.setup.iter().chain(&scenario.steps);
    // Who may read a lock file of somebody else may hold it, and does.
    let is_let_in = scenario.gateways.iter().any(|gateway| gateway.uid.is_some());
    let excludes_nobody = |locks| matches!(locks, Some(Locks::PerHost | Locks::Nothing | Locks::Unenforced));
    actions.any(|step| loses_a_lock(&step.value))
        || scenario.processes.iter().any(|process| matches!(process.does, Some(Deed::Clean { .. })))
        || scenario.mounts.iter().any(|mount| excludes_nobody(mount.locks))
        || is_let_in
}

#[test]
fn a_flock_whose_name_nobody_else_removes_holds_in_every_schedule_with_two_kills() {
    let cases = library();
    let contests = [
        "race/three-gateways",
        "pid/stale-lock-three-starters",
        "restart/two-rivals-start-while-owner-stops",
    ];
    for lock in HOLDING {
        for id in contests {
            let mut case =
                demanding(called(&cases, id), &[Check::SingleOwner, Check::NoTheft, Check::NoWedge]);
            case.scenario.explore.policy = Policy::Exhaustive;
            case.scenario.explore.kills = 2;
            let verdict = run_case(&case, Design::Naive(lock));
            let Verdict::Pass(Evidence::Complete { states, kills: 2, .. }) = verdict else {
                panic!("{} {id}: {verdict:?}", lock.name())
            };
            assert!(states > 500, "{} {id}: {states} states are no contest of three", lock.name());
        }
    }
}

#[test]
fn such_a_lock_holds_every_case_of_the_library_in_which_nobody_takes_its_file_away() {
    let cases = library();
    let touched: Vec<&str> =
        cases.iter().filter(|case| is_touched(case)).map(|case| case.id.as_str()).collect();
    assert!(
        touched.contains(&"operator/lock-file-removed") && touched.len() < cases.len() / 2,
        "{touched:?}"
    );
    for case in cases.iter().filter(|case| !is_touched(case)) {
        for lock in HOLDING {
            let case = demanding(case, &[Check::SingleOwner, Check::NoTheft, Check::NoWedge]);
            let verdict = run_case(&case, Design::Naive(lock));
            assert!(matches!(verdict, Verdict::Pass(_)), "{} {}: {verdict:?}", lock.name(), case.id);
        }
    }
}

#[test]
fn the_reference_lock_holds_every_case_that_breaks_a_naive_one_with_at_most_one_preemption() {
    let cases = library();
    let broken: BTreeSet<&str> = ROWS.iter().map(|row| row.case).collect();
    for id in broken {
        let mut case = called(&cases, id).clone();
        // Whoever runs the library explores them further, which takes longer than a test should.
        case.scenario.explore.policy = Policy::Preemptions(1);
        case.scenario.expect.reach = Reach::Anything;
        let verdict = run_case(&case, Design::Refgate);
        assert!(matches!(verdict, Verdict::Pass(_)), "{id}: {verdict:?}");
    }
}

#[test]
fn a_design_is_found_by_its_number_and_by_its_name() {
    let mut words = BTreeSet::new();
    for design in Design::all() {
        assert_eq!(Design::of(&design.name()), Some(design));
        assert!(words.insert(design.name()), "{} is taken", design.name());
        if let Some(id) = design.id() {
            assert_eq!(Design::of(id), Some(design));
            assert!(words.insert(id.to_owned()), "{id} is taken");
        }
    }
    for number in 1..=27 {
        assert!(Design::of(&format!("N{number}")).is_some(), "there is no N{number}");
    }
}
