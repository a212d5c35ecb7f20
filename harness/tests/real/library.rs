//! One scenario inside a `#[test]`, with a lock of somebody's own: what it says when it fails, and when it is used wrongly.
#![expect(clippy::unwrap_used, reason = "a test asks what a panic says")]

use std::panic::{UnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use harness::designs::Design;
use harness::own::{announce, refuse, serve};
use harness::verdict::Verdict;
use harness::{Claim, Lock, scenario, scenario_text, sim};
use portcullis_os::{Errno, Links, Open, Os};

/// Looks whether the file is there, and makes it: between the two others look as well.
struct LookThenWrite;

/// The file.
fn lock_file(state: &Path) -> PathBuf {
    state.join("my.lock")
}

impl Lock for LookThenWrite {
    fn name(&self) -> &str {
        "look-then-write"
    }

    async fn run<O: Os>(&self, os: O, claim: Claim) -> u8 {
        if own(&os, &claim).await != Ok(true) {
            return refuse(&os, "held", None).await;
        }
        serve(&os).await;
        u8::from(os.unlink(&lock_file(&claim.state)).await.is_err())
    }

    fn lock_files(&self, state: &Path) -> Vec<PathBuf> {
        vec![lock_file(state)]
    }
}

async fn own<O: Os>(os: &O, claim: &Claim) -> Result<bool, Errno> {
    os.catch_signals().await?;
    match os.make_directory(&claim.state, 0o700).await {
        Ok(()) | Err(Errno::Exists) => {}
        Err(errno) => return Err(errno),
    }
    let file = lock_file(&claim.state);
    if os.stat(&file, Links::Follow).await.is_ok() {
        return Ok(false);
    }
    os.open(&file, Open::create_truncate()).await?;
    announce(os, claim).await?;
    Ok(true)
}

/// A lock with a name and nothing else.
struct Named(&'static str);

impl Lock for Named {
    fn name(&self) -> &str {
        self.0
    }

    async fn run<O: Os>(&self, _: O, _: Claim) -> u8 {
        0
    }
}

const RACE: &str = r#"schema = 1
title  = "Two gateways start at once"
[gateway]
a = { state = "S", port = 18789 }
b = { state = "S", port = 19001 }
[run]
steps = [{ start = ["a", "b"] }, { wait = "settled" }]
[expect]
always   = ["single-owner"]
outcomes = [{ a = "ready" }, { a = "refused" }]
[explore]
span = 1
"#;

/// What somebody is told by a panic.
fn told(act: impl FnOnce() + UnwindSafe) -> String {
    let panic = catch_unwind(act).unwrap_err();
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap()
}

#[test]
fn a_scenario_of_the_library_holds_on_the_reference_lock() {
    let judged = scenario("../scenarios/known/owner-killed.toml").on(sim(Design::Refgate));
    judged.assert();
    assert_eq!(judged.verdicts().map(|(id, _)| id).collect::<Vec<_>>(), ["known/owner-killed"]);
    assert!(judged.verdicts().all(|(_, verdict)| matches!(verdict, Verdict::Pass(_))));
}

#[test]
fn what_varies_is_judged_case_by_case() {
    let cases = scenario("../scenarios/pid/recycled-pid.toml");
    let ids: Vec<&str> = cases.cases().iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids, ["pid/recycled-pid[cron]", "pid/recycled-pid[api-gateway]"]);
    cases.on(sim(Design::Refgate)).assert();
}

#[test]
fn a_lock_of_ones_own_that_looks_and_then_writes_is_refuted_with_lanes_and_a_replay() {
    let judged = scenario_text(RACE).on(sim(LookThenWrite));
    assert!(judged.has_failed());
    insta::assert_snapshot!(told(|| judged.assert()), @"
    scenario on sim::look-then-write
    single-owner: a and b both own the state directory
      expected at scenario.toml:9

       step  a                                 b                                 lock of S   owners     risk
          1  (started)                                                           (none)      -          27.34 %
        ...  (2 calls)                                                           (none)      -          15.62 %
          4  stat my.lock: ENOENT                                                (none)      -          6.25 %
          5                                    (started)                         (none)      -          12.50 %
     >>   6                                    catch signals                     (none)      -          25.00 %
          7                                    mkdir S: EEXIST                   (none)      -          50.00 %
          8                                    stat my.lock: ENOENT              (none)      -          100 %
          9                                    open or create my.lock            (empty)     -          100 %
        ...                                    (2 calls)                         (empty)     -          100 %
         12                                    owner                             (empty)     b          100 %
         13                                    ready                             (empty)     b          100 %
        ...  (3 calls)                                                           (empty)     b          100 %
         17  owner                                                               (empty)     a b  <- 2  100 %
     needed       0 faults, 1 preemption, 17 steps; nothing less breaks it
     risk         27.3438 % of random schedules break it; step 8 is the point of no return
     searched     52 states, 79 steps
      replay  PORTCULLIS_REPLAY=v1.scenario.look-then-write.6edd7952.c8c6c113.000301080003.530c cargo test
    ");
}

#[test]
fn a_path_that_leads_nowhere_says_so_and_what_may_be_meant() {
    let told = told(|| drop(scenario("../scenarios/race/two-gatewais.toml")));
    insta::assert_snapshot!(told, @"
    error: there is no file or directory `../scenarios/race/two-gatewais.toml`
     |
     = help: did you mean `../scenarios/race/two-gateways.toml`?
    ");
}

#[test]
fn a_scenario_with_two_mistakes_is_told_with_both_and_their_places() {
    let text = RACE.replace("single-owner", "single-ownr").replace("19001", "99999");
    insta::assert_snapshot!(told(move || drop(scenario_text(&text))), @r#"
    error: `port` is 99999, which is out of range
     --> scenario.toml:5:27
      |
    5 | b = { state = "S", port = 99999 }
      |                           ^^^^^ not in 1 to 65425
      |
      = help: a gateway claims its base port and the 110 above it, so 65425 is the highest base

    error: no check is called `single-ownr`
     --> scenario.toml:9:13
      |
    9 | always   = ["single-ownr"]
      |             ^^^^^^^^^^^^^ unknown check
      |
      = help: did you mean `single-owner`?
    "#);
}

#[test]
fn a_lock_is_called_like_no_design_of_the_catalogue_and_fits_into_a_token() {
    for (name, part) in [
        ("refgate", "`refgate` is a design of the catalogue"),
        ("N14", "`N14` is no name for a lock"),
        ("my.lock", "`my.lock` is no name for a lock"),
        ("", "`` is no name for a lock"),
    ] {
        let told = told(|| drop(sim(Named(name))));
        assert!(told.contains(part), "{told}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn real_processes_without_a_helper_say_what_is_missing() {
    let on = harness::real("tests/fixtures/stranger/flock.toml", "/bin/sh");
    let told = told(std::panic::AssertUnwindSafe(|| drop(scenario_text(RACE).on(on))));
    assert!(told.starts_with("real processes need a helper"), "{told}");
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_program_cannot_show_is_no_pass() {
    let on = harness::real("tests/fixtures/stranger/flock.toml", "/bin/sh")
        .helper(env!("CARGO_BIN_EXE_portcullis"));
    let judged = scenario_text(&RACE.replacen("port = 18789", "port = 18789, blind = true", 1)).on(on);
    let told = told(|| judged.assert());
    assert!(told.contains("unsupported: a gateway that sees no other process"), "{told}");
}
