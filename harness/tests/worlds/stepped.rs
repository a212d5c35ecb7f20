//! What the simulated kernel answers in a schedule, the real one answers too: all schedules of a few contenders.
//!
//! The numbers of schedules are pinned, so that an enumeration that shrinks shows.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use harness::designs::{Design, Naive};
use harness::scenario::{Case, parse};
use harness::simulate::Simulation;
use harness::stepped::{Driven, Options, Parting, Trouble, Which, drive, drive_plan};
use harness::token::Token;
use portcullis_os::{Call, Ending, Errno, FileKind, Notice, Pid, Reply};
use sim::kernel::Life;
use sim::{Plan, Planned, Planner, What, Who};

/// Two gateways on one state directory start at once.
const RACE: &str = include_str!("../../../scenarios/race/two-gateways.toml");
/// Three of them.
const THREE: &str = include_str!("../../../scenarios/race/three-gateways.toml");
/// Two of them, where a killed one has left its files behind.
const STALE: &str = include_str!("../../../scenarios/pid/stale-lock-race.toml");
/// An owner is told to stop, and a rival starts.
const RESTART: &str = include_str!("../../../scenarios/restart/rival-starts-while-owner-stops.toml");

fn case(text: &str) -> Case {
    let Ok(scenario) = parse(Path::new("scenarios/driven.toml"), text) else { panic!("{text}") };
    let mut cases = scenario.cases();
    assert_eq!(cases.len(), 1);
    cases.remove(0)
}

fn options() -> Options {
    Options {
        helper: PathBuf::from(env!("CARGO_BIN_EXE_portcullis")),
        jobs: 2,
        limit: u64::MAX,
        interrupted: Arc::new(AtomicBool::new(false)),
    }
}

/// Drives schedules, all of which must go as in the simulator. Answers how many they are, and how many steps they have.
fn driven(text: &str, design: Design, which: &Which) -> (u64, u64) {
    let driven = drive(&case(text), design, which, &options());
    let Driven { schedules, steps, is_complete, difference } =
        driven.unwrap_or_else(|trouble| panic!("{}: {trouble}", design.name()));
    if let Some(difference) = difference {
        panic!("{}: {difference}", design.name());
    }
    assert!(is_complete);
    (schedules, steps)
}

#[test]
fn every_trace_of_a_few_naive_contenders_goes_on_real_processes_as_in_the_simulator() {
    for (text, design, expected) in [
        (RACE, Design::Naive(Naive::PidfileUnlinkStale), (8, 148)),
        (STALE, Design::Naive(Naive::PidfileUnlinkStale), (30, 1110)),
        (RACE, Design::Naive(Naive::PidfileKillOwner), (16, 472)),
        (STALE, Design::Naive(Naive::PidfileKillOwner), (60, 2932)),
        (RACE, Design::Naive(Naive::LeaseWallClock), (12, 13016)),
        (THREE, Design::Naive(Naive::PidfileUnlinkStale), (36, 1008)),
    ] {
        assert_eq!(driven(text, design, &Which::EveryTrace), expected, "{}", design.name());
    }
}

#[test]
fn every_trace_of_two_reference_gateways_goes_on_real_processes_as_in_the_simulator() {
    assert_eq!(driven(RACE, Design::Refgate, &Which::EveryTrace), (2092, 184_076));
}

#[test]
fn every_trace_of_a_rival_that_starts_while_the_owner_stops_goes_as_in_the_simulator() {
    assert_eq!(driven(RESTART, Design::Refgate, &Which::EveryTrace), (1277, 198_685));
}

/// Here the real kernel shows too that the order of independent steps makes no difference.
#[test]
fn every_step_from_every_state_of_two_naive_contenders_goes_as_in_the_simulator() {
    for (text, design, expected) in [
        (RACE, Design::Naive(Naive::PidfileUnlinkStale), (77, 1431)),
        (STALE, Design::Naive(Naive::PidfileUnlinkStale), (251, 9415)),
        (RACE, Design::Naive(Naive::PidfileKillOwner), (188, 5468)),
        (STALE, Design::Naive(Naive::PidfileKillOwner), (628, 30_576)),
    ] {
        assert_eq!(driven(text, design, &Which::EveryStep), expected, "{}", design.name());
    }
}

/// The plan of the schedule in which always the first choice is taken.
fn plan(text: &str, design: Design) -> Plan {
    let simulation = Simulation::new(&case(text).scenario, design);
    let walk = sim::walk(&simulation.setup, &simulation.checks, &simulation.bounds, &[]);
    let mut planner = Planner::new(&simulation.setup, 0);
    planner.plan(&walk.schedule).unwrap_or_else(|violation| panic!("{violation}"))
}

/// The first step of a plan that is so.
fn find(plan: &Plan, is_so: impl Fn(&Planned) -> bool) -> usize {
    plan.steps.iter().position(is_so).unwrap_or_else(|| panic!("no step is so: {:?}", plan.steps))
}

fn called(planned: &Planned) -> Option<(&Call, &Result<Reply, Errno>)> {
    match &planned.what {
        What::Call(call, answer) => Some((call, answer)),
        What::Execute
        | What::Release(_)
        | What::Exit(_)
        | What::Action(_)
        | What::Kill
        | What::Restart(_)
        | What::LosePatience
        | What::PowerLoss { .. } => None,
    }
}

/// Changes a reply into one that cannot be true; `false` if it is none that it knows.
type Lie = fn(&Call, &mut Reply) -> bool;

/// Changes the first reply that a lie is about, drives that, and answers which step it was and where the drive parted.
fn falsified(text: &str, lie: Lie) -> (usize, Option<Parting>) {
    let mut plan = plan(text, Design::Refgate);
    let mut steps = plan.steps.iter_mut();
    let changed = steps.position(|planned| {
        if let What::Call(call, Ok(reply)) = &mut planned.what { lie(call, reply) } else { false }
    });
    let Some(step) = changed else { panic!("there is no such reply") };
    let parting = drive_plan(&case(text), Design::Refgate, &plan, &options());
    (step, parting.unwrap_or_else(|trouble| panic!("{trouble}")))
}

#[test]
fn a_plan_that_nobody_has_changed_goes_to_its_end() {
    for design in Design::all() {
        let plan = plan(RACE, design);
        let driven = drive_plan(&case(RACE), design, &plan, &options());
        if design.child().is_some() {
            assert!(matches!(driven, Err(Trouble::Unsupported(_))), "{}: {driven:?}", design.name());
        } else {
            assert_eq!(driven, Ok(None), "{}", design.name());
        }
    }
}

/// One for each way in which replies are compared.
const LIES: [(&str, Lie); 11] = [
    ("a pid", |_, reply| {
        let Reply::Pid(pid) = reply else { return false };
        Pid::new(pid.get() + 1).is_some_and(|other| std::mem::replace(pid, other) != other)
    }),
    ("a user", |_, reply| {
        let Reply::Uid(uid) = reply else { return false };
        uid.0 += 1;
        true
    }),
    ("a file that is another one", |call, reply| {
        let (Call::Stat { .. }, Reply::File(status)) = (call, reply) else { return false };
        status.id.inode += 1;
        true
    }),
    ("the mode of a directory", |_, reply| {
        let Reply::File(status) = reply else { return false };
        status.mode ^= 0o055;
        true
    }),
    ("the size of a file", |_, reply| {
        let Reply::File(status) = reply else { return false };
        status.size += 1;
        status.kind == FileKind::Regular
    }),
    ("a descriptor that is open", |call, reply| {
        let (Call::Open { at: Some(at), .. }, Reply::Fd(fd)) = (call, reply) else { return false };
        *fd = *at;
        true
    }),
    ("how much was written", |_, reply| {
        let Reply::Count(count) = reply else { return false };
        *count -= 1;
        true
    }),
    ("what was received", |_, reply| {
        let Reply::Bytes(bytes) = reply else { return false };
        bytes.pop().is_some()
    }),
    ("whether a lock is held", |_, reply| {
        let Reply::Truth(truth) = reply else { return false };
        *truth = !*truth;
        true
    }),
    ("the name of a process", |_, reply| {
        let Reply::Process(status) = reply else { return false };
        status.name.push('x');
        true
    }),
    ("who listens", |_, reply| {
        let Reply::Peer(peer) = reply else { return false };
        peer.pid.take().is_some()
    }),
];

#[test]
fn a_reply_that_the_real_kernel_does_not_give_is_a_difference_at_that_step() {
    for (what, lie) in LIES {
        let (step, parting) = falsified(RACE, lie);
        let parting = parting.unwrap_or_else(|| panic!("{what}: nothing is different"));
        assert_eq!(parting.step, step, "{what}: {}", parting.says);
        assert!(parting.says.starts_with("the simulated machine answers "), "{what}: {}", parting.says);
    }
}

#[test]
fn an_error_in_place_of_a_reply_is_a_difference() {
    let mut plan = plan(RACE, Design::Naive(Naive::PidfileUnlinkStale));
    let step = find(&plan, |planned| matches!(called(planned), Some((Call::MakeDirectory { .. }, Ok(_)))));
    if let What::Call(_, answer) = &mut plan.steps[step].what {
        *answer = Err(Errno::Exists);
    }
    let parting = drive_plan(&case(RACE), Design::Naive(Naive::PidfileUnlinkStale), &plan, &options());
    let Ok(Some(parting)) = parting else { panic!("{parting:?}") };
    assert_eq!(
        (parting.step, parting.says.as_str()),
        (step, "the simulated machine answers EEXIST (file exists), this one ok")
    );
}

#[test]
fn another_next_call_another_exit_and_another_death_are_differences() {
    let untouched = plan(RESTART, Design::Refgate);
    let driven = |plan: &Plan| {
        let parting = drive_plan(&case(RESTART), Design::Refgate, plan, &options());
        let Ok(Some(parting)) = parting else { panic!("{parting:?}") };
        (parting.step, parting.says)
    };

    let mut plan = untouched.clone();
    let step = find(&plan, |planned| planned.asks.len() == 1);
    plan.steps[step].asks[0].1 = Call::Notify(Notice::Ready);
    let (at, says) = driven(&plan);
    assert_eq!(at, step);
    assert!(says.starts_with("the simulated process asks for ready (task 0) next, this one for "), "{says}");

    let mut plan = untouched.clone();
    let step = find(&plan, |planned| planned.exit.is_some());
    plan.steps[step].exit = Some(9);
    let (at, says) = driven(&plan);
    assert_eq!(at, step);
    assert!(says.starts_with("the simulated process ends with Some(9), "), "{says}");

    let mut plan = untouched;
    let step = find(&plan, |planned| {
        matches!(planned.who, Who::Slot(_)) && matches!(planned.fates[..], [(_, Life::Dead(_))])
    });
    plan.steps[step].fates[0].1 = Life::Dead(Ending::Exited(3));
    let (at, says) = driven(&plan);
    assert_eq!(at, step);
    assert!(says.starts_with("the process should be Exited(3) and is Exited("), "{says}");
}

#[test]
fn a_machine_that_begins_otherwise_is_found_out_by_the_first_who_looks() {
    let case = case(RACE);
    let mut simulation = Simulation::new(&case.scenario, Design::Refgate);
    let holder = simulation.setup.kernel.spawn(&simulation.setup.slots[0].spawn);
    let Ok(holder) = holder else { panic!("{holder:?}") };
    let address = ([127, 0, 0, 1], 18789).into();
    assert_eq!(simulation.setup.kernel.hold_port(holder, address), Ok(()));
    let walk = sim::walk(&simulation.setup, &simulation.checks, &simulation.bounds, &[]);
    let plan = Planner::new(&simulation.setup, 0).plan(&walk.schedule);
    let plan = plan.unwrap_or_else(|violation| panic!("{violation}"));
    let step = find(&plan, |planned| matches!(called(planned), Some((Call::BindTcp { .. }, Err(_)))));
    let parting = drive_plan(&case, Design::Refgate, &plan, &options());
    let Ok(Some(parting)) = parting else { panic!("{parting:?}") };
    assert_eq!(parting.step, step);
    assert!(parting.says.starts_with("the simulated machine answers EADDRINUSE "));
}

#[test]
fn what_cannot_be_driven_is_unsupported_and_a_drive_can_be_cut_short() {
    let text = include_str!("../../../scenarios/storage/file-lock-only.toml");
    let driven = drive(&case(text), Design::Refgate, &Which::EveryTrace, &options());
    let Err(Trouble::Unsupported(reason)) = driven else { panic!("{driven:?}") };
    assert_eq!(reason, "a mount whose directories cannot be locked needs the simulator");

    let short = Options { limit: 3, ..options() };
    let driven = drive(&case(RACE), Design::Naive(Naive::PidfileUnlinkStale), &Which::EveryTrace, &short);
    let Ok(Driven { schedules: 3, is_complete: false, difference: None, .. }) = driven else {
        panic!("{driven:?}")
    };
}

/// What the command line shows, and its exit status.
fn shown(arguments: &[&str]) -> (String, Option<i32>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let output = command.arg("schedules").args(arguments).current_dir(root).output();
    let Ok(output) = output else { panic!("{output:?}") };
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

#[test]
fn the_command_line_drives_cases_one_line_each_and_tells_what_stayed_open() {
    let file = "scenarios/race/two-gateways.toml";
    let naive = "race/two-gateways                              pidfile-unlink-stale     ";
    let refgate = "race/two-gateways                              refgate                  ";
    let Ok(scenario) = parse(Path::new(file), RACE) else { panic!("{RACE}") };
    let case = Case { id: scenario.name.clone(), scenario };
    let simulation = Simulation::new(&case.scenario, Design::Refgate);
    let walk = sim::walk(&simulation.setup, &simulation.checks, &simulation.bounds, &[]);
    let token = Token::new(&case, Design::Refgate, &walk.trace, walk.schedule).to_string();
    for (arguments, line, status) in [
        (
            &[file, "--design", "pidfile-unlink-stale"][..],
            format!("{naive}PASS  8 schedules, 148 steps as in the simulator; all that were asked for\n"),
            0,
        ),
        (
            &[file, "--design", "pidfile-unlink-stale", "--every", "step", "--limit", "2", "--jobs", "1"],
            format!("{naive}INCO  2 schedules, 38 steps as in the simulator; there are more\n"),
            3,
        ),
        (
            &["--token", &token],
            format!("{refgate}PASS  1 schedule, 87 steps as in the simulator; all that were asked for\n"),
            0,
        ),
    ] {
        assert_eq!(shown(arguments), (line, Some(status)), "{arguments:?}");
    }
}
