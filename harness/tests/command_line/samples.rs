//! What runs by random schedules, searches that are made twice and saved failures show.

use insta::assert_snapshot;
use tempfile::tempdir;

use super::{portcullis, shown, token_of_the_readme};

const RACE: &str = "scenarios/pid/stale-lock-race.toml";

#[test]
fn a_sample_says_how_much_of_what_it_saw_was_new() {
    let sample = |jobs: &str| {
        let paths = ["scenarios/operator/lock-file-removed.toml", "scenarios/race/two-gateways.toml"];
        portcullis(&["run", paths[0], paths[1], "--sample", "500", "--seed", "3", "--jobs", jobs])
    };
    assert_snapshot!(shown(&sample("1")), @"
    portcullis 0.1.0   2 scenarios, 2 cases   on sim   design refgate   seed 3
       PASS [   TIME] sim operator/lock-file-removed                 sampled   500 runs (uniform, seed 3), 319 states (0.6% new in the last tenth), 406 schedules (8.1% new in the last tenth)
       PASS [   TIME] sim race/two-gateways                          sampled   500 runs (uniform, seed 3), 1 202 states (8.4% new in the last tenth), 500 schedules (10.0% new in the last tenth)
    --------------------------------------------------------------------------------
    Summary [   TIME] 2 cases: 2 passed (2 sampled), 0 failed, 0 inconclusive, 0 unsupported
    (exit 0)
    ");
    assert_eq!(shown(&sample("2")), shown(&sample("1")));
}

#[test]
fn a_sample_that_does_not_reach_an_outcome_that_was_asked_for_decides_nothing() {
    assert_snapshot!(shown(&portcullis(&["run", "scenarios/supervisor/systemd-rival-refused.toml", "--sample", "1"])), @"
    portcullis 0.1.0   1 scenario, 1 case   on sim   design refgate   seed 1
       INCO [   TIME] sim supervisor/systemd-rival-refused           none of 1 run ended with: a is ready, b is refused:held-ready
    --------------------------------------------------------------------------------
    Summary [   TIME] 1 case: 0 passed, 0 failed, 1 inconclusive, 0 unsupported
    (exit 3)
    ");
}

#[test]
fn a_failure_that_a_sample_meets_is_the_one_that_the_search_finds() {
    for sampler in ["uniform", "pct", "swarm"] {
        let output = portcullis(&[
            "run",
            RACE,
            "--design",
            "pidfile-unlink-stale",
            "--sample",
            "3000",
            "--sampler",
            sampler,
        ]);
        let text = shown(&output);
        assert!(
            text.contains(&format!("\n  replay  portcullis replay {}\n", token_of_the_readme())),
            "{text}"
        );
        assert!(text.contains("; nothing less breaks it\n"), "{text}");
        assert!(text.contains(" sampled      3000 runs ("), "{text}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn options_of_samples_that_have_no_meaning_are_wrong_usage() {
    for wrong in [
        ["--sample", "0"],
        ["--sampler", "swarm"],
        ["--seed", "3"],
        ["--sample", "3 --twice"],
        ["--sample", "3 --sampler random"],
        ["--sample", "3 --sampler pct=0"],
        ["--sample", "3 --on refgate"],
        ["--twice", "--on refgate"],
    ] {
        let words: Vec<&str> = wrong.iter().flat_map(|words| words.split(' ')).collect();
        let output = portcullis(&[&["run"], words.as_slice()].concat());
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", shown(&output));
    }
    assert_snapshot!(shown(&portcullis(&["run", "--sample", "3", "--sampler", "random"])), @"
    (stderr)
    error: invalid value 'random' for '--sampler <HOW>': it can be `uniform`, `pct`, `pct=DEPTH` or `swarm`

    For more information, try '--help'.
    (exit 2)
    ");
}

#[test]
fn a_search_that_is_made_twice_says_that_it_was_the_same() {
    let output = portcullis(&["run", "scenarios/operator/lock-file-removed.toml", "--twice"]);
    // The events of another version of the machine have another hash.
    let (before, after) =
        shown(&output).split_once(", events ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let (events, after) = after.split_once('\n').unwrap();
    assert!(events.len() == 16 && u64::from_str_radix(events, 16).is_ok(), "{events}");
    assert_snapshot!(format!("{before}\n{after}"), @"
    portcullis 0.1.0   1 scenario, 1 case   on sim   design refgate
       PASS [   TIME] sim operator/lock-file-removed                 complete  3 667 states, 4 929 steps; the same twice: 4 929 steps
    --------------------------------------------------------------------------------
    Summary [   TIME] 1 case: 1 passed (1 complete), 0 failed, 0 inconclusive, 0 unsupported
    (exit 0)
    ");
    let broken = portcullis(&["run", RACE, "--design", "pidfile-unlink-stale", "--twice"]);
    assert!(shown(&broken).contains("; the same twice: "), "{}", shown(&broken));
    assert_eq!(broken.status.code(), Some(1));
}

#[test]
fn a_scenario_that_asks_for_a_sample_is_sampled_and_is_the_same_twice() {
    let full = "scenarios/race/three-gateways-with-all-ports.toml";
    // What it meets on the way is a matter of the lock, and how it was drawn is one of the scenario.
    let twice = portcullis(&["run", full, "--twice"]);
    let text = shown(&twice);
    assert!(text.contains(" sampled   200 runs (pct=3, seed 1), "), "{text}");
    assert!(text.contains(" new in the last tenth); the same twice: 200 runs\n"), "{text}");
    assert!(
        text.ends_with(" 1 passed (1 sampled), 0 failed, 0 inconclusive, 0 unsupported\n(exit 0)"),
        "{text}"
    );
    let otherwise = portcullis(&["run", full, "--sample", "20", "--sampler", "swarm", "--seed", "2"]);
    assert!(shown(&otherwise).contains(" 20 runs (swarm, seed 2), "), "{}", shown(&otherwise));
    let broken = portcullis(&["run", full, "--design", "bind-only"]);
    assert!(shown(&broken).contains(" sampled      200 runs (pct=3, seed 1): "), "{}", shown(&broken));
    assert_eq!(broken.status.code(), Some(1));
}

#[test]
fn the_explanation_of_a_sampled_case_calls_no_outcome_unreachable() {
    let text = shown(&portcullis(&["explain", "scenarios/race/three-gateways-with-all-ports.toml"]));
    assert!(text.contains("\n  sampled   200 runs (pct=3, seed 1)"), "{text}");
    assert!(!text.contains("outcome 1"), "{text}");
    assert!(text.ends_with("(exit 0)"), "{text}");
}

/// Saves the failure that the README shows. Answers the path of the file, and what is in it.
fn saved(folder: &std::path::Path) -> (String, String) {
    let name = folder.join("race.causal").to_str().unwrap().to_owned();
    let saving = portcullis(&["replay", &token_of_the_readme(), "--save", &name]);
    assert_eq!(saving.status.code(), Some(1));
    assert!(shown(&saving).ends_with(&format!("\n  saved   {name}\n(exit 1)")), "{}", shown(&saving));
    let text = std::fs::read_to_string(&name).unwrap();
    (name, text)
}

#[test]
fn a_failure_is_saved_as_what_had_to_come_before_what() {
    let folder = tempdir().unwrap();
    let (_, text) = saved(folder.path());
    assert_snapshot!(text, @"
    # `portcullis replay` with the path of this file says whether this still fails.
    # case scenarios/pid/stale-lock-race
    # design pidfile-unlink-stale
    # breaks single-owner: a and b both own the state directory
    portcullis causal trace, version 1
       1 script: Start a = ok
       2 a: CatchSignals = ok after 1
       3 a: MakeDirectory /srv/S = EEXIST
       4 a: Open /srv/S/gateway.pid = EEXIST
       5 a: Open /srv/S/gateway.pid = ok
       6 a: Read /srv/S/gateway.pid = ok
       7 a: Close /srv/S/gateway.pid = ok
       8 a: Kill nobody = ESRCH
       9 script: Start b = ok
      10 b: CatchSignals = ok after 9
      11 b: MakeDirectory /srv/S = EEXIST
      12 b: Open /srv/S/gateway.pid = EEXIST
      13 b: Open /srv/S/gateway.pid = ok
      14 b: Read /srv/S/gateway.pid = ok
      15 b: Close /srv/S/gateway.pid = ok
      16 b: Kill nobody = ESRCH
      17 b: Unlink /srv/S/gateway.pid = ok after 6
      18 b: Open /srv/S/gateway.pid = ok
      19 b: OwnPid = ok
      20 b: Write /srv/S/gateway.pid = ok
      21 b: Stat /srv/S = ok
      22 b: Notify owner = ok
      23 b: Notify ready = ok
      24 a: Unlink /srv/S/gateway.pid = ok after 20
      25 a: Open /srv/S/gateway.pid = ok
      26 a: OwnPid = ok
      27 a: Write /srv/S/gateway.pid = ok
      28 a: Stat /srv/S = ok
         then a goes on
    ");
}

#[test]
fn a_saved_failure_still_fails_until_its_steps_change_and_says_which() {
    let folder = tempdir().unwrap();
    let (name, text) = saved(folder.path());
    let name = name.as_str();
    let again = portcullis(&["replay", name]);
    assert_eq!((again.status.code(), &again), (Some(1), &portcullis(&["replay", name])));
    let again = shown(&again);
    assert!(
        again.starts_with("still fails: pid/stale-lock-race   on sim   design pidfile-unlink-stale"),
        "{again}"
    );
    assert!(again.contains(&format!("\n  replay  portcullis replay {}\n", token_of_the_readme())), "{again}");

    let edited = |from: &str, to: &str| {
        std::fs::write(name, text.replace(from, to)).unwrap();
        shown(&portcullis(&["replay", name]))
    };
    assert_snapshot!(edited("gateway.pid", "gateway.lock"), @"
    not applicable: pid/stale-lock-race   on sim   design pidfile-unlink-stale   scenarios/pid/stale-lock-race.toml
      step 4 of the trace does not happen any more: a never comes to `a: Open /srv/S/gateway.lock`: it waits in `wait for a signal`
      help: `portcullis run scenarios/pid/stale-lock-race.toml --design pidfile-unlink-stale` tries every schedule
    (exit 3)
    ");
    assert_snapshot!(edited("# design pidfile-unlink-stale", "# design refgate"), @"
    not applicable: pid/stale-lock-race   on sim   design refgate   scenarios/pid/stale-lock-race.toml
      step 4 of the trace does not happen any more: a never comes to `a: Open /srv/S/gateway.pid`: it waits in `wait and watch`
      help: `portcullis run scenarios/pid/stale-lock-race.toml --design refgate` tries every schedule
    (exit 3)
    ");
    assert_snapshot!(edited("# design pidfile-unlink-stale", "# design forgotten"), @"
    not applicable: no design is called `forgotten` any more
    (exit 3)
    ");
    assert_snapshot!(edited("version 1", "version 9").replace(name, "FILE"), @"
    (stderr)
    error: FILE is no saved failure: the first line is not `portcullis causal trace, version 1`
      = help: `portcullis replay TOKEN --save FILE` writes one
    (exit 2)
    ");
}

#[test]
fn what_shows_no_failure_is_not_saved() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("none.causal");
    let name = file.to_str().unwrap();
    let token = token_of_the_readme();
    let parsed = harness::token::Token::parse(&token).unwrap();
    let less = harness::token::Token { schedule: sim::Schedule::parse("0007010e0004").unwrap(), ..parsed };
    let output = portcullis(&["replay", &less.to_string(), "--save", name]);
    assert_eq!((output.status.code(), file.exists()), (Some(0), false));
    assert!(shown(&output).contains("was not written: the token shows no failure"), "{}", shown(&output));
    std::fs::write(&file, "").unwrap();
    assert_eq!(portcullis(&["replay", name, "--save", name]).status.code(), Some(2));
}
