//! The harness inside somebody's own tests: each case of a library is one test, or one scenario is one assertion.
//!
//! [`suite!`](crate::suite!) makes a test target of a directory of scenarios, [`scenario()`] runs one inside a `#[test]`. Where
//! they are run is said by [`sim()`] and [`real`].
//!
//! # Invariants
//!
//! - A test is green only if its case has passed: what is undecided fails, what is unsupported is ignored and says why.
//! - A failure shows all that is needed to see it again.

mod cases;
pub(crate) mod edge;
mod on;
mod replay;
mod told;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::scenario::{self, Case, Paint, Scenario};
use replay::Replay;

pub use cases::{Cases, Judged, scenario, scenario_text};
pub use on::{On, real, sim};
pub(crate) use told::told;

/// Scenarios with this tag are ignored unless somebody asks for what is ignored.
const SLOW: &str = "slow";

/// Makes a whole test target of scenario files and directories of them: the `main` of a target with `harness = false`.
///
/// Each case on each executor is one test, called `sim::LOCK::CASE` or `real::TARGET::CASE`, for `cargo test` and for
/// nextest. Paths are taken from the manifest of the package. Scenarios with the tag `slow` are ignored unless
/// `--ignored` or `--include-ignored` asks for them; what a real program cannot show is ignored and says why; what stays
/// undecided fails.
///
/// ```no_run
/// use harness::designs::Design;
/// use harness::{real, sim};
///
/// harness::suite!(
///     ["scenarios/race", "scenarios/mine.toml"],
///     on = [sim(Design::Refgate), real("targets/my-gateway.toml", "target/debug/my-gateway")]
/// );
/// ```
///
/// With one path the brackets can be left out: `harness::suite!("scenarios", on = [sim(MyLock)])`. In a package whose
/// program is called `gatewayd` the executor is `real("targets/gatewayd.toml", env!("CARGO_BIN_EXE_gatewayd"))`.
#[macro_export]
macro_rules! suite {
    ([$($path:expr),+ $(,)?], on = [$($on:expr),+ $(,)?] $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            $crate::suite::main(env!("CARGO_MANIFEST_DIR"), &[$($path),+], || vec![$($on),+])
        }
    };
    ($path:expr, on = [$($on:expr),+ $(,)?] $(,)?) => {
        $crate::suite!([$path], on = [$($on),+]);
    };
}

/// What [`suite!`](crate::suite!) expands to, for a `main` that has more to do. To be called before anything else is started:
/// the processes of real cases are made by this program, which starts itself for that.
///
/// # Panics
///
/// If a scenario cannot be read, with every problem of every file, or if two executors are called the same.
pub fn main(manifest: &str, paths: &[&str], on: impl FnOnce() -> Vec<On>) -> ExitCode {
    #[cfg(target_os = "linux")]
    {
        let arguments: Vec<_> = std::env::args_os().collect();
        if let Some(status) = crate::real::internal_main(&arguments) {
            return status;
        }
    }
    let trials = trials(manifest, paths, on());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Every case on every executor as a test.
fn trials(manifest: &str, paths: &[&str], on: Vec<On>) -> Vec<Trial> {
    // An archive of tests may be run where the package was not built.
    let manifest =
        edge::variable("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(manifest), PathBuf::from);
    let paths: Vec<PathBuf> = paths.iter().map(|path| edge::from(&manifest, Path::new(path))).collect();
    let scenarios = scenario::load(&paths).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)));
    let cases: Vec<Case> = scenarios.iter().flat_map(Scenario::cases).collect();
    let on: Vec<On> = on.into_iter().map(On::helped_by_itself).collect();
    let mut names = BTreeSet::new();
    for on in &on {
        assert!(names.insert(on.to_string()), "two executors are called {on}: give one of them another name");
    }
    on.iter().flat_map(|on| cases.iter().map(|case| trial(case, on))).collect()
}

/// One case on one executor as a test.
fn trial(case: &Case, on: &On) -> Trial {
    let is_slow = case.scenario.tags.iter().any(|tag| tag == SLOW);
    let is_ignored = is_slow || (edge::is_nextest() && on.unsupported(case).is_some());
    let name = format!("{on}::{}", case.id);
    let (case, on) = (case.clone(), on.clone());
    Trial::ignorable_test(name, move || run(&case, &on)).with_ignored_flag(is_ignored)
}

fn run(case: &Case, on: &On) -> Result<Completion, Failed> {
    if let Some(why) = on.unsupported(case) {
        return Ok(Completion::ignored_with(why));
    }
    if matches!(on.asked_to_replay(case), Replay::Other) {
        return Ok(Completion::ignored_with(format!("{} names another test", edge::REPLAY)));
    }
    let verdict = on.judge(case);
    // The machine may lack what the target has.
    if let crate::verdict::Verdict::Unsupported(why) = verdict {
        return Ok(Completion::ignored_with(why));
    }
    told(case, on, &verdict).map_or(Ok(Completion::Completed), |told| Err(told.into()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use libtest_mimic::Completion;

    use super::{run, sim, trial, trials};
    use crate::designs::Design;
    use crate::scenario::{Case, parse};
    use crate::suite::On;

    const RACE: &str = "schema = 1\ntitle = \"t\"\ntags = [\"smoke\"]\n[gateway]\na = { state = \"S\", port = 18789 }\n\
        b = { state = \"S\", port = 19001 }\n[run]\nsteps = [{ start = [\"a\", \"b\"] }, { wait = \"settled\" }]\n\
        [expect]\nalways = [\"single-owner\"]\noutcomes = [{ a = \"ready\" }, { a = \"refused\" }]\n[explore]\nspan = 1\n";

    fn case(text: &str) -> Case {
        parse(Path::new("scenarios/race.toml"), text).unwrap().cases().remove(0)
    }

    fn naive() -> On {
        sim(Design::of("pidfile-check-then-write").unwrap())
    }

    #[test]
    fn each_case_on_each_executor_is_a_test_with_a_name_of_its_own() {
        let paths = ["../scenarios/pid", "../scenarios/race/two-gateways.toml"];
        let trials = trials(env!("CARGO_MANIFEST_DIR"), &paths, vec![sim(Design::Refgate), naive()]);
        let names: Vec<&str> = trials.iter().map(libtest_mimic::Trial::name).collect();
        insta::assert_snapshot!(names.join("\n"), @"
        sim::refgate::pid/recycled-pid[cron]
        sim::refgate::pid/recycled-pid[api-gateway]
        sim::refgate::pid/stale-lock-race
        sim::refgate::pid/stale-lock-three-starters
        sim::refgate::race/two-gateways
        sim::pidfile-check-then-write::pid/recycled-pid[cron]
        sim::pidfile-check-then-write::pid/recycled-pid[api-gateway]
        sim::pidfile-check-then-write::pid/stale-lock-race
        sim::pidfile-check-then-write::pid/stale-lock-three-starters
        sim::pidfile-check-then-write::race/two-gateways
        ");
        assert!(trials.iter().all(|trial| !trial.has_ignored_flag()));
    }

    #[test]
    fn what_is_slow_is_ignored_unless_it_is_asked_for() {
        assert!(trial(&case(&RACE.replace("smoke", "slow")), &naive()).has_ignored_flag());
        assert!(!trial(&case(RACE), &naive()).has_ignored_flag());
    }

    #[test]
    fn a_test_passes_with_its_case_and_a_failure_says_everything() {
        assert!(matches!(run(&case(RACE), &sim(Design::Refgate)), Ok(Completion::Completed)));
        let failed = run(&case(RACE), &naive()).map(drop).unwrap_err();
        let told = failed.message().unwrap();
        assert!(
            told.starts_with("race on sim::pidfile-check-then-write\nsingle-owner: a and b both own"),
            "{told}"
        );
        for part in [
            "expected at scenarios/race.toml:10",
            "lock of S",
            ">>",
            " needed ",
            "  replay  PORTCULLIS_REPLAY=v1.",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_program_cannot_show_is_ignored_and_says_why() {
        let python = super::real("tests/fixtures/stranger/flock.toml", "/bin/sh");
        let blind = case(&RACE.replacen("port = 18789", "port = 18789, blind = true", 1));
        let Ok(Completion::Ignored { reason: Some(why) }) = run(&blind, &python) else { panic!("it is run") };
        assert_eq!(why, "a gateway that sees no other process needs the simulator");
    }

    #[test]
    fn an_undecided_case_fails() {
        let says = |text: &str| {
            let drawn = case(&text.replace("span = 1", "span = 1\npolicy = { random = 1 }"));
            run(&drawn, &sim(Design::Refgate)).map(drop).unwrap_err().message().unwrap().to_owned()
        };
        let every = RACE.replace("[explore]", "reach = \"every-outcome\"\n[explore]");
        let told = says(&every);
        assert!(told.starts_with("race on sim::refgate\nundecided: none of 1 run ended with"), "{told}");
    }
}
