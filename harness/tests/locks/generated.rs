//! Scenarios that are drawn: all are valid, the reference lock keeps its promises on them, and a naive one is refuted by a
//! small one, always the same.
#![expect(clippy::unwrap_used, reason = "what prepares a test may fail it")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use harness::arbitrary::{Drawn, Property, Scenarios, scenario};
use harness::designs::Design;
use harness::scenario::{Check, parse};
use harness::{On, sim};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Draws from a seed.
fn runner(seed: u8) -> TestRunner {
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
}

/// So many scenarios from a seed, as text.
fn texts(scenarios: &Scenarios, seed: u8, count: usize) -> Vec<String> {
    let (strategy, mut runner) = (scenarios.strategy(), runner(seed));
    let mut draw = || -> Drawn { strategy.new_tree(&mut runner).unwrap().current() };
    (0..count).map(|_| draw().text().to_owned()).collect()
}

fn naive() -> On {
    sim(Design::of("pidfile-unlink-stale").unwrap())
}

/// At most one owner, tried on scenarios with up to three gateways, with failures in a directory of its own.
fn single_owner(directory: &Path) -> Property {
    let scenarios = Scenarios { always: vec![Check::SingleOwner], ..Scenarios::all(2..=3) };
    Property { regressions: directory.to_owned(), scenarios, ..Property::named("pidfile") }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Every word that a drawn scenario may have.
const WORDS: [&str; 23] = [
    "kill =",
    "stop =",
    "pause =",
    "resume =",
    "restart =",
    "recycle =",
    "remove = \"lock-file\"",
    "remove = \"state-directory\"",
    "disk = \"full\"",
    "disk = \"read-only\"",
    "step_clock_ms = -",
    "step_clock_ms = 3",
    "suspend_ms",
    "setup =",
    "kills  = 1",
    "config =",
    "workspace =",
    "state = \"T\"",
    "port = 18790",
    "port = 19189",
    "d = {",
    "start = [\"a\", \"b\", \"c\", \"d\"]",
    "One gateway starts",
];

#[test]
fn every_scenario_that_is_drawn_is_a_valid_file_and_everything_is_drawn() {
    let many = Scenarios { most_faults: 6, ..Scenarios::all(1..=4) };
    let texts: Vec<String> = (0..4).flat_map(|seed| texts(&many, seed, 250)).collect();
    for text in &texts {
        assert!(parse(Path::new("again.toml"), text).is_ok(), "{text}");
    }
    for word in WORDS {
        assert!(texts.iter().any(|text| text.contains(word)), "nothing that is drawn has {word}");
    }
}

#[test]
fn the_same_seed_draws_the_same_scenarios_and_another_one_others() {
    let all = Scenarios::all(2..=4);
    assert_eq!(texts(&all, 7, 20), texts(&all, 7, 20));
    assert_ne!(texts(&all, 7, 20), texts(&all, 8, 20));
}

#[test]
fn a_drawn_scenario_shrinks_to_two_gateways_that_start_at_once() {
    let mut tree = scenario(2..=4).new_tree(&mut runner(3)).unwrap();
    while tree.simplify() {}
    insta::assert_snapshot!(tree.current().text(), @r#"
    schema = 1
    title  = "Two gateways start"
    tags   = ["generated"]

    [gateway]
    a = { state = "S", port = 18789 }
    b = { state = "S", port = 18789 }

    [run]
    steps = [{ start = ["a", "b"] }, { wait = "settled" }]

    [expect]
    always   = [
      "single-owner",
      "single-writer",
      "no-theft",
      "no-foreign-unlink",
      "no-collateral",
      "ports-disjoint",
      "config-identity",
      "effect-after-lock",
      "no-wedge",
      "truthful",
      "fail-fast",
      "clock-free",
    ]
    outcomes = [{ a = "ready" }, { a = "running" }, { a = "refused" }, { a = "exited" }] # whatever else comes of it

    [explore]
    policy = { exhaustive = 1 }
    span   = 1
    "#);
}

#[test]
fn the_reference_lock_keeps_every_promise_on_drawn_scenarios() {
    let property =
        Property { cases: 12, states: 5_000, scenarios: Scenarios::all(2..=3), ..Property::named("refgate") };
    let property = property.with_environment();
    let checked = property.check(&sim(Design::Refgate)).unwrap_or_else(|broken| panic!("{broken}"));
    // A restart that was asked for before its owner was ready, which `truthful` did not take for one.
    assert_eq!((checked.kept, checked.drawn), (1, property.cases), "{checked:?}");
    // For the test that runs this one in an environment of its own.
    writeln!(std::io::stderr(), "{} drawn from the seed {}", checked.drawn, property.seed).unwrap();
}

#[test]
fn a_night_draws_as_many_scenarios_and_from_the_seed_that_the_environment_says() {
    let draw = |cases: &str, seed: &str| {
        let test = "generated::the_reference_lock_keeps_every_promise_on_drawn_scenarios";
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", test, "--nocapture"])
            .env("PORTCULLIS_CASES", cases)
            .env("PORTCULLIS_SEED", seed);
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let (holds, told) = draw("2", "9");
    assert!(holds && told.contains("2 drawn from the seed 9\n"), "{told}");
    for (cases, seed, why) in [
        ("many", "9", "`PORTCULLIS_CASES` is `many`, which is no whole number"),
        ("0", "9", "`PORTCULLIS_CASES` is 0, and nothing would be shown"),
        ("2", "-9", "`PORTCULLIS_SEED` is `-9`, which is no whole number"),
    ] {
        let (holds, told) = draw(cases, seed);
        assert!(!holds && told.contains(why), "{told}");
    }
}

#[test]
fn a_naive_lock_is_refuted_by_a_small_scenario_which_is_kept_and_tried_first() {
    let directory = tempfile::tempdir().unwrap();
    let property = single_owner(directory.path());
    let broken = property.check(&naive()).unwrap_err();
    insta::assert_snapshot!(broken.text, @r#"
    # single-owner: b and c both own the state directory
    # Drawn by the property `pidfile` from the seed 1, on sim::pidfile-unlink-stale, and made small.
    schema = 1
    title  = "Three gateways start, one may be killed at any call"
    tags   = ["generated"]

    [gateway]
    a = { state = "S", port = 18789 }
    b = { state = "S", port = 18789 }
    c = { state = "S", port = 18789 }

    [run]
    steps = [{ start = ["a", "b", "c"] }, { wait = "settled" }]

    [expect]
    always   = ["single-owner"]
    outcomes = [{ a = "ready" }, { a = "running" }, { a = "refused" }, { a = "exited" }, { a = "killed" }] # whatever else comes of it

    [explore]
    policy = { exhaustive = 1 }
    kills  = 1
    span   = 1
    "#);
    assert!(!broken.was_kept);
    assert_eq!(files(directory.path()), std::slice::from_ref(&broken.file));
    let told = broken.to_string();
    assert!(told.starts_with("a drawn scenario fails; it is kept in "), "{told}");
    assert!(told.contains("\n needed       ") && told.contains("  replay  PORTCULLIS_REPLAY=v1."), "{told}");
    let again = property.check(&naive()).unwrap_err();
    assert_eq!((again.was_kept, &again.file, &again.text), (true, &broken.file, &broken.text));
    // A lock that is sound where nobody deletes its file holds on what was kept; another property has nothing kept.
    let sound = sim(Design::of("flock-never-unlink").unwrap());
    let quiet = Scenarios { most_faults: 0, ..property.scenarios.clone() };
    let holds = Property { cases: 3, scenarios: quiet, ..property };
    for (name, kept) in [("pidfile", 1), ("pid", 0)] {
        let checked = Property { name: name.to_owned(), ..holds.clone() }.check(&sound);
        assert_eq!(
            checked.map_err(|broken| broken.to_string()).map(|checked| checked.kept),
            Ok(kept),
            "{name}"
        );
    }
}

#[test]
fn a_property_of_which_most_is_too_large_shows_nothing_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let property = Property { states: 1, cases: 3, ..single_owner(directory.path()) };
    let panic = std::panic::catch_unwind(|| property.check(&naive())).unwrap_err();
    let says = panic.downcast_ref::<String>().unwrap();
    assert!(says.contains("were not decided, so nothing is shown"), "{says}");
}
