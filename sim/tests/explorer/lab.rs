//! A lab says in words what the explorer has found, and any bytes make a scenario and a way through it.

use std::path::Path;

use portcullis_os::{Links, LockMode, Open, Os};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use sim::{Action, Lab, MOST_CONTENDERS, Process, Sampler, Sampling, Variation, hold};

const LOCK: &str = "/state/lock";

async fn check_then_create(os: Process) -> u8 {
    if os.stat(Path::new(LOCK), Links::Follow).await.is_ok() {
        return 1;
    }
    let Ok(_file) = os.open(Path::new(LOCK), Open::create_truncate()).await else { return 1 };
    let _ = hold(&os).await;
    u8::from(os.unlink(Path::new(LOCK)).await.is_err())
}

async fn create_exclusive(os: Process) -> u8 {
    let Ok(_file) = os.open(Path::new(LOCK), Open::create_exclusive()).await else { return 1 };
    let _ = hold(&os).await;
    u8::from(os.unlink(Path::new(LOCK)).await.is_err())
}

async fn lock_directory(os: Process) -> u8 {
    let Ok(directory) = os.open(Path::new("/state"), Open::directory()).await else { return 1 };
    match os.flock(&directory, LockMode::Exclusive).await {
        Ok(()) => u8::from(hold(&os).await.is_err()),
        Err(_) => 1,
    }
}

fn lab() -> Lab {
    Lab::new().directory("/state").one_holder()
}

#[test]
fn a_broken_lock_is_shown_as_lanes() {
    let explored = lab().contenders(2, check_then_create).explore();
    assert!(!explored.holds());
    assert_eq!(explored.violation().map(|violation| violation.check.as_str()), Some("one-holder"));
    let shown = [
        "one-holder: 2 hold the lock at once",
        "faults 0, preemptions 2, steps 8, and nothing less breaks anything",
        "   step  a                       b                       holders",
        "      1  (started)                                       -",
        "      2  stat lock: ENOENT                               -",
        "      3                          (started)               -",
        ">>    4                          stat lock: ENOENT       -",
        "      5                          open or create lock: 3  -",
        "      6                          owner: ok               b",
        ">>    7  open or create lock: 3                          b",
        "      8  owner: ok                                       a b",
    ];
    let explored = explored.to_string();
    assert_eq!(explored.lines().collect::<Vec<_>>(), shown, "\n{explored}");
}

#[test]
fn a_sound_lock_holds_with_kills_and_removals_and_after_what_the_dead_have_left() {
    let explored = lab()
        .file(LOCK, "9")
        .contenders(2, lock_directory)
        .no_wedge(lock_directory)
        .removal(LOCK)
        .kills(1)
        .explore();
    assert!(explored.holds(), "{explored}");
    assert!(explored.to_string().starts_with("holds on every schedule: "), "{explored}");
    assert!(explored.exploration.ends.keys().eq(&[0, 1, 2]), "{:?}", explored.exploration.ends);
}

#[test]
fn what_a_kill_leaves_behind_wedges_and_one_call_less_would_not() {
    let exclusive = || lab().contenders(2, create_exclusive).no_wedge(create_exclusive);
    assert!(exclusive().explore().holds());
    let wedged = exclusive().kills(1).explore();
    assert_eq!(wedged.violation().map(|violation| violation.check.as_str()), Some("no-wedge"));
    assert_eq!(wedged.trace.map(|trace| trace.cost()), Some((1, 0, 3)));
}

#[test]
fn promises_of_ones_own_are_checked_after_each_step_and_at_the_end() {
    let one_dead = |view: &sim::View<'_>| match view.is_alive(0) || view.starts(0) == 0 {
        true => Ok(()),
        false => Err("a is dead".to_owned()),
    };
    let always = lab().contenders(1, lock_directory).always("immortal", one_dead).explore();
    let finally = lab().contenders(1, lock_directory).finally("immortal", one_dead).explore();
    for explored in [always, finally] {
        assert_eq!(explored.violation().map(ToString::to_string), Some("immortal: a is dead".to_owned()));
    }
}

#[test]
fn whoever_is_first_is_done_before_the_others_begin_and_a_script_starts_only_whom_it_names() {
    let early = lab().process("early", create_exclusive).contenders(2, create_exclusive).first("early");
    let explored = early.explore();
    assert!(explored.exploration.ends.keys().eq(&[2, 3]), "{:?}", explored.exploration.ends);
    let scripted = lab().contenders(3, create_exclusive).script([Action::Start(1)]).explore();
    assert!(scripted.exploration.ends.keys().eq(&[1]), "{:?}", scripted.exploration.ends);
}

#[test]
fn bounds_are_those_that_were_given() {
    let bounded = lab().contenders(2, check_then_create).preemptions(0).explore();
    assert!(bounded.to_string().starts_with("holds on every schedule within the bounds: "), "{bounded}");
    let cut = lab().contenders(2, lock_directory).states(3).explore();
    assert!(!cut.holds() && cut.to_string().starts_with("undecided: "), "{cut}");
}

#[test]
fn a_sample_of_a_lab_shows_what_it_has_found() {
    let sampling = Sampling { sampler: Sampler::Uniform, runs: 500, seed: 1, threads: 1 };
    let lab = lab().contenders(2, check_then_create);
    let (sampled, shown) = lab.sample(&sampling);
    assert!(sampled.found.is_some());
    let explored = lab.explore();
    assert_eq!(shown.map(|shown| shown.trace), explored.trace);
}

#[test]
fn a_property_test_finds_the_broken_lock_and_shrinks_it_to_a_small_scenario() {
    let lab = lab().contenders(MOST_CONTENDERS, create_exclusive);
    let config = Config { cases: 2_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let drawn = (vec(any::<u8>(), 0..9), vec(any::<u8>(), 0..60));
    let failed = runner.run(&drawn, |(shape, picks)| {
        let walked = lab.clone().vary(&Variation::from_picks(&shape), LOCK).walk(&picks);
        match &walked.trace.violation {
            None => Ok(()),
            Some(violation) => Err(TestCaseError::fail(violation.to_string())),
        }
    });
    // Only an operator's removal makes two holders here, and little that is not needed is left.
    let Err(TestError::Fail(why, (shape, picks))) = failed else { panic!("{failed:?}") };
    assert_eq!(why.message(), "one-holder: 2 hold the lock at once");
    let variation = Variation::from_picks(&shape);
    assert!(variation.order().len() <= 3 && variation.kills() == 0, "{variation:?}");
    assert!(variation.script(Path::new(LOCK)).len() <= variation.order().len() + 2, "{variation:?}");
    assert!(picks.len() < 20, "{picks:?}");
}
