//! What a refusal says to people is judged, and how long it takes to come: on the simulated machine and on real processes.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what prepares a test may fail it")]
#![expect(clippy::disallowed_methods, reason = "the tests make programs that are run")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use harness::designs::Design;
use harness::real::{Isolation, Options};
use harness::scenario::{Case, Paint, load, parse};
use harness::target::Target;
use harness::verdict::{Evidence, Verdict};
use harness::{real, simulate};

const PORTCULLIS: &str = env!("CARGO_BIN_EXE_portcullis");

/// `a` serves when `b` starts, or a program that is no gateway has the port of `b`.
fn case(refusal: &str) -> Case {
    let text = format!(
        "schema = 1\ntitle = \"t\"\n[gateway]\na = {{ state = \"S\", port = 18789 }}\nb = {{ state = \"S\", port = 18789 }}\n\
         [run]\nsetup = [{{ start = \"a\" }}, {{ wait = \"a.ready\" }}]\nsteps = [{{ start = \"b\" }}, {{ wait = \"settled\" }}]\n\
         [expect]\noutcomes = [{{ a = \"ready\" }}]\nrefusal = {{ {refusal} }}\n[explore]\nspan = 1\n"
    );
    let problems = |problems: Vec<harness::scenario::Problem>| {
        let drawn = problems.iter().map(|problem| problem.render(Path::new("t.toml"), &text, Paint::Plain));
        drawn.collect::<Vec<_>>().join("\n")
    };
    let scenario = parse(Path::new("t.toml"), &text).map_err(problems);
    scenario.unwrap_or_else(|drawn| panic!("{drawn}")).cases().remove(0)
}

/// What breaks the demand on a refusal, or that nothing does.
fn told(verdict: Verdict) -> String {
    match verdict {
        Verdict::Fail(failure) if failure.check == "refusal" => failure.says,
        Verdict::Pass(_) => "passes".to_owned(),
        other @ (Verdict::Fail(_)
        | Verdict::Known(_)
        | Verdict::Inconclusive(_)
        | Verdict::Unsupported(_)) => format!("{other:?}"),
    }
}

fn simulated(refusal: &str, design: Design) -> String {
    told(simulate::run_case(&case(refusal), design))
}

#[test]
fn the_sentence_that_people_are_told_is_searched_in_either_case_and_quoted() {
    assert_eq!(simulated("never_says = [\"another gateway\", \"dead\"]", Design::Refgate), "passes");
    let says = simulated("never_says = [\"dead\", \"The STATE directory\"]", Design::Refgate);
    assert_eq!(
        says,
        "b says held-ready and tells people \"gateway already running (pid 100): the state directory /srv/S is owned by \
         pid 100 (refgate)\", and must never say \"The STATE directory\""
    );
}

#[test]
fn nobody_tells_more_where_nobody_listens() {
    let states = |refusal: &str| match simulate::run_case(&case(refusal), Design::Refgate) {
        Verdict::Pass(Evidence::Complete { states, .. }) => states,
        other @ (Verdict::Pass(_)
        | Verdict::Fail(_)
        | Verdict::Known(_)
        | Verdict::Inconclusive(_)
        | Verdict::Unsupported(_)) => panic!("{other:?}"),
    };
    assert!(states("names = \"a\"") < states("never_says = [\"dead\"]"));
    assert!(states("names = \"a\"") <= states("within_ms = 60000"));
}

#[test]
fn a_refusal_that_comes_too_late_fails_by_the_deadlines_that_it_has_waited_for() {
    assert_eq!(simulated("within_ms = 60000", Design::Refgate), "passes");
    // Where the owner has no turn until every question to it has run out of time.
    assert_eq!(simulated("within_ms = 400", Design::Refgate), "passes");
    let says = simulated("within_ms = 399", Design::Refgate);
    assert_eq!(says, "b says held-hung after 400 ms, later than 399 ms");
}

/// The scenario of the library.
fn foreign_holder() -> Case {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/port/foreign-holder-is-no-gateway.toml");
    let scenarios = load(&[file]).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)));
    scenarios[0].cases().remove(0)
}

#[test]
fn whoever_calls_a_stranger_a_gateway_is_caught_by_what_it_says() {
    let mut case = foreign_holder();
    case.scenario.expect.always.clear();
    if let Some(refusal) = &mut case.scenario.expect.refusal {
        refusal.value.names = None;
    }
    for generation in ["G1", "G2", "G3", "G4", "G5", "G6"] {
        let design = Design::of(generation).unwrap();
        assert_eq!(
            told(simulate::run_case(&case, design)),
            "a says held and tells people \"another gateway instance is already listening on ws://127.0.0.1:18789\", \
             and must never say \"another gateway\"",
            "{generation}"
        );
    }
    assert_eq!(told(simulate::run_case(&case, Design::Refgate)), "passes");
}

/// Runs a program as `refgate` on real processes.
fn on_real(case: &Case, script: Option<&str>) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("refgate");
    match script {
        None => symlink(PORTCULLIS, &path).unwrap(),
        Some(text) => {
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    let options = Options {
        target: Target::refgate(&path),
        helper: PathBuf::from(PORTCULLIS),
        tries: Some(1),
        seed: 1,
        isolation: Isolation::WherePossible,
        interrupted: Arc::new(AtomicBool::new(false)),
    };
    told(real::run_case(case, &options))
}

#[test]
fn what_a_real_gateway_writes_before_it_gives_up_is_searched_as_well() {
    assert_eq!(on_real(&foreign_holder(), None), "passes");
    let blames = r#"echo "Another gateway instance is already listening" >&2
        echo '{"event":"refused","code":"port-foreign","exit":78,"message":"no luck"}'; exit 78"#;
    let mut case = foreign_holder();
    if let Some(refusal) = &mut case.scenario.expect.refusal {
        refusal.value.names = None;
    }
    assert_eq!(
        on_real(&case, Some(blames)),
        "a says port-foreign and tells people \"Another gateway instance is already listening\", \
         and must never say \"another gateway\""
    );
    let says_so =
        blames.replace("no luck", "the gateway is ALREADY RUNNING").replace("Another gateway", "Some");
    let says = on_real(&case, Some(&says_so));
    assert_eq!(
        says,
        "a says port-foreign and tells people \"the gateway is ALREADY RUNNING\", and must never say \"already running\""
    );
}
