//! A gateway is asked for one write: what an owner writes, who does not dare, and who writes what is not its own any more.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what prepares a test may fail it")]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::library::{case, cases, failure};
use harness::designs::{Design, Slip};
use harness::real::{Isolation, Options};
use harness::scenario::{Case, Reach, parse};
use harness::simulate::run_case;
use harness::target::Target;
use harness::token::Token;
use harness::verdict::{Evidence, Verdict};

fn asked(run: &str, outcome: &str) -> Case {
    let text = format!(
        "schema = 1\ntitle = \"t\"\n[gateway]\na = {{ state = \"S\", port = 18789 }}\nb = {{ state = \"S\", port = 19001 }}\n\
         [run]\n{run}\n[expect]\nalways = [\"single-owner\", \"single-writer\"]\noutcomes = [{outcome}]\n[explore]\nspan = 1\n"
    );
    parse(Path::new("t.toml"), &text).unwrap().cases().remove(0)
}

#[test]
fn who_has_lost_what_it_owned_ends_instead_of_writing() {
    let run = "setup = [{ start = \"a\" }, { wait = \"a.ready\" }]\n\
               steps = [{ pause = \"a\" }, { remove = \"state-directory\", state = \"S\" }, { start = \"b\" }, \
               { resume = \"a\", when = \"b.ready\" }, { write = [\"a\", \"b\"] }, { wait = \"settled\" }]";
    let verdict = run_case(&asked(run, "{ a = \"refused:fenced\", b = \"ready\" }"), Design::Refgate);
    assert!(matches!(verdict, Verdict::Pass(Evidence::Complete { .. })), "{verdict:?}");
}

#[test]
fn a_write_comes_at_any_call_of_a_start_and_ends_who_does_not_catch_it_yet() {
    let run = "steps = [{ start = \"a\" }, { write = \"a\" }, { wait = \"settled\" }, { start = \"b\" }, { wait = \"settled\" }]";
    let ends = "{ a = \"ready\", b = \"refused\" }, { a = \"killed\", b = \"ready\" }";
    let mut case = asked(run, ends);
    case.scenario.expect.reach = Reach::EveryOutcome;
    let verdict = run_case(&case, Design::Refgate);
    assert!(matches!(verdict, Verdict::Pass(Evidence::Complete { .. })), "{verdict:?}");
}

/// How a design breaks a scenario of the library: by which check, after how many steps, and in which words.
fn broken(id: &str, design: Design) -> (String, usize, String) {
    let all = cases();
    let failure = failure(case(&all, id), design);
    let token = Token::parse(failure.replay.as_deref().unwrap()).unwrap();
    (failure.check, token.schedule.len(), failure.says)
}

#[test]
fn a_write_after_the_look_counts_only_where_nothing_seals_it() {
    let id = "lock/locks-lost-while-asked-to-write";
    let (check, steps, says) = broken(id, Design::Slipping(Slip::SealNotRecorded));
    assert_eq!((check.as_str(), steps), ("single-writer", 70));
    assert!(says.starts_with("readers see ") && says.contains(" bytes of epoch 1, that of a, "), "{says}");
}

#[test]
fn a_lease_that_ran_out_while_its_owner_slept_is_written_under_by_two() {
    for (design, steps) in [("N18", 14), ("N23", 27)] {
        let found = broken("operator/paused-owner-writes", Design::of(design).unwrap());
        assert_eq!((found.0.as_str(), found.1), ("single-owner", steps), "{design}");
    }
}

#[test]
fn whoever_looks_before_it_writes_can_be_asked_at_the_wrong_moment() {
    let run = |write: &str| {
        format!(
            "setup = [{{ start = \"a\" }}, {{ wait = \"a.released\" }}]\n\
             steps = [{write}{{ pause = \"a\" }}, {{ start = \"b\", after_ms = 60000 }}, \
             {{ resume = \"a\", when = \"b.ready\" }}, {{ wait = \"settled\" }}]"
        )
    };
    let design = Design::of("N23").unwrap();
    let quiet = run_case(&asked(&run(""), "{ b = \"running\" }"), design);
    assert!(matches!(quiet, Verdict::Pass(_)), "{quiet:?}");
    let found = failure(&asked(&run("{ write = \"a\" }, "), "{ b = \"running\" }"), design);
    assert_eq!(
        (found.check.as_str(), found.says.as_str()),
        ("single-owner", "a and b both own the state directory")
    );
}

#[test]
fn a_real_gateway_is_asked_by_the_signal_that_its_target_names() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("refgate");
    symlink(env!("CARGO_BIN_EXE_portcullis"), &path).unwrap();
    let options = Options {
        target: Target::refgate(&path),
        helper: PathBuf::from(env!("CARGO_BIN_EXE_portcullis")),
        tries: Some(2),
        seed: 1,
        isolation: Isolation::WherePossible,
        interrupted: Arc::new(AtomicBool::new(false)),
    };
    let run = "setup = [{ start = \"a\" }, { wait = \"a.ready\" }]\n\
               steps = [{ pause = \"a\" }, { start = \"b\" }, { resume = \"a\", when = \"b.settled\" }, \
               { write = [\"a\", \"b\"] }, { wait = \"settled\" }]";
    let case = asked(run, "{ a = \"ready\", b = \"refused:held-stopped\" }");
    let verdict = harness::real::run_case(&case, &options);
    assert_eq!(verdict, Verdict::Pass(Evidence::Observed { runs: 2, note: None }));
    let mut deaf = options.clone();
    deaf.target.write = None;
    assert_eq!(
        harness::real::run_case(&case, &deaf),
        Verdict::Unsupported(
            "refgate cannot do it: a write that is asked for needs `[write] signal`".to_owned()
        )
    );
}
