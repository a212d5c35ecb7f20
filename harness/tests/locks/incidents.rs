//! Each incident breaks the design that had its bug, by the check that says what was seen, in as few steps as there can be.
//!
//! The numbers of steps are pinned, so that a search that finds less, or a check that looks away, shows. That the lock that
//! ships holds each of them is shown by whoever runs the library.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use harness::designs::Design;
use harness::scenario::{Check, Located, Outcome, Paint, Reach, Scenario, load};
use harness::simulate::{Simulation, run_case};
use harness::verdict::Verdict;

/// The incident, the design with its bug, the check that it breaks, and the steps of the shortest way there.
const BROKEN: [(&str, &str, Check, usize); 19] = [
    ("incident/desktop-app-kills-the-service", "G4", Check::SingleOwner, 44),
    ("incident/detached-child-and-service", "G3", Check::SingleOwner, 38),
    ("incident/first-restart-after-a-kill", "N18", Check::NoWedge, 1),
    ("incident/forced-where-nothing-can-be-seen", "N24", Check::NoCollateral, 8),
    ("incident/killed-after-shutdown-timeout", "N18", Check::NoWedge, 2),
    ("incident/lock-file-half-written", "N4", Check::NoWedge, 0),
    ("incident/lock-file-of-no-bytes", "G4", Check::NoWedge, 0),
    ("incident/lock-inherited-by-a-child", "N25", Check::NoWedge, 6),
    ("incident/new-container-of-a-dead-owner", "G6", Check::NoWedge, 0),
    ("incident/own-pid-in-the-lock", "N3", Check::NoDeadEnd, 11),
    ("incident/rebind-after-restart", "G2", Check::Handoff, 4),
    ("incident/respawned-between-stop-and-start", "G4", Check::SingleOwner, 38),
    ("incident/slow-start", "G3", Check::SingleOwner, 31),
    ("incident/three-containers-on-one-volume", "G4", Check::SingleOwner, 12),
    ("incident/two-boot-entries", "G4", Check::NoCollateral, 25),
    ("incident/two-successors-after-a-restart", "G4", Check::SingleOwner, 38),
    ("incident/warm-up-taken-for-stale", "G4", Check::NoCollateral, 31),
    ("incident/web-server-taken-for-a-gateway", "G4", Check::Truthful, 34),
    ("incident/wizard-beside-the-launch-agent", "G3", Check::SingleOwner, 31),
];

/// The incident whose bug shows in how it ends, and the design that has it.
const ENDS_OTHERWISE: (&str, &str) = ("incident/orphan-holds-the-port", "G2");

/// What went wrong there is in no lock of the zoo: a lease of another part, a scheduler, what a signal is taken for, an update.
const NO_DESIGN: [&str; 4] = [
    "incident/scheduler-ignores-start",
    "incident/stop-during-restart",
    "incident/stopped-during-start",
    "incident/two-updates-at-once",
];

fn incidents() -> Vec<Scenario> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/incident");
    load(&[folder]).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)))
}

fn called<'a>(incidents: &'a [Scenario], name: &str) -> &'a Scenario {
    incidents
        .iter()
        .find(|scenario| scenario.name == name)
        .unwrap_or_else(|| panic!("there is no incident {name}"))
}

fn design(name: &str) -> Design {
    Design::of(name).unwrap_or_else(|| panic!("there is no design {name}"))
}

#[test]
fn each_incident_breaks_the_design_that_had_its_bug_in_the_fewest_steps() {
    let incidents = incidents();
    for (name, broken, check, steps) in BROKEN {
        let mut scenario = called(&incidents, name).clone();
        assert!(
            scenario.expect.always.iter().any(|wanted| wanted.value == check),
            "{name} does not ask for it"
        );
        // How a design with that bug ends, and what it says, is not what is judged.
        let expect = &mut scenario.expect;
        expect.always = vec![Located { value: check, line: 1 }];
        expect.outcomes = vec![Located { value: Outcome { states: Vec::new() }, line: 1 }];
        expect.reach = Reach::Anything;
        expect.refusal = None;
        let simulation = Simulation::new(&scenario, design(broken));
        let (setup, checks, bounds) = (&simulation.setup, &simulation.checks, &simulation.bounds);
        let found = sim::explore(setup, checks, bounds).found;
        let found = found.unwrap_or_else(|| panic!("{broken} does not break {name}"));
        let trace = sim::replay(setup, checks, bounds, &found.schedule);
        let taken = trace.steps.iter().filter(|step| !step.in_setup).count();
        assert_eq!((found.violation.check.as_str(), taken), (check.id(), steps), "{name} {broken}");
    }
}

#[test]
fn a_service_that_is_restarted_again_and_again_ends_otherwise_than_it_may() {
    let (name, broken) = ENDS_OTHERWISE;
    let mut cases = called(&incidents(), name).cases();
    for case in &mut cases {
        case.scenario.expect.always.retain(|check| check.value == Check::SingleOwner);
        match run_case(case, design(broken)) {
            Verdict::Fail(failure) => assert_eq!(failure.check, "outcomes", "{}", failure.says),
            other @ (Verdict::Pass(_)
            | Verdict::Known(_)
            | Verdict::Inconclusive(_)
            | Verdict::Unsupported(_)) => {
                panic!("{broken} does not break {name}: {other:?}")
            }
        }
    }
    assert_eq!(cases.len(), 1);
}

#[test]
fn every_incident_says_where_it_was_reported_and_which_design_had_its_bug_if_any_did() {
    let incidents = incidents();
    for scenario in &incidents {
        assert!(!scenario.refs.is_empty(), "{} was reported nowhere", scenario.name);
        assert_eq!(scenario.tags.first().map(String::as_str), Some("incident"), "{}", scenario.name);
    }
    let names: BTreeSet<&str> = incidents.iter().map(|scenario| scenario.name.as_str()).collect();
    let broken = BROKEN.iter().map(|(name, ..)| *name);
    let told: BTreeSet<&str> = broken.chain([ENDS_OTHERWISE.0]).chain(NO_DESIGN).collect();
    assert_eq!(names, told);
}
