//! Real processes are judged as they are, a gateway that breaks a promise is caught, and nothing is left behind.
//!
//! The gateways that break promises are shell scripts: they speak the language of `refgate gateway --json` and do wrong.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests look at real processes and files from outside")]
#![expect(clippy::unwrap_used, reason = "what prepares a test may fail it")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::real::{Isolation, Options, run_case};
use harness::scenario::{Case, parse};
use harness::target::{Pattern, Signs, Target};
use harness::verdict::{Evidence, Verdict};
use tempfile::TempDir;

use crate::endless::ENDLESS;
use crate::lives::lives;

const PORTCULLIS: &str = env!("CARGO_BIN_EXE_portcullis");

/// Two gateways on one state directory. `a` is ready before `b` starts.
const ONE_AFTER_THE_OTHER: &str = r#"
schema = 1
title  = "One after the other"
[gateway.a]
state = "S"
port  = 18789
[gateway.b]
state = "S"
port  = 18789
[run]
setup = [{ start = "a" }, { wait = "a.ready" }]
steps = [{ start = "b" }, { wait = "settled" }]
[expect]
always   = ["single-owner"]
outcomes = [{ a = "ready", b = "refused:held" }]
refusal  = { names = "a", exit = 78 }
"#;

/// A program that is run as `refgate`, and where it lies.
struct Refgate {
    directory: TempDir,
}

impl Refgate {
    /// The reference gateway: portcullis under another name.
    fn real() -> Self {
        let refgate = Self { directory: tempfile::tempdir().unwrap() };
        symlink(PORTCULLIS, refgate.path()).unwrap();
        refgate
    }

    /// A shell script. `$d` is its state directory; `say` tells an event, `live` never returns.
    fn script(body: &str) -> Self {
        let refgate = Self { directory: tempfile::tempdir().unwrap() };
        let text = format!(
            "#!/bin/sh\nd=$OPENCLAW_STATE_DIR; mkdir -p $d\nsay() {{ echo \"{{\\\"event\\\":\\\"$1\\\"$2}}\"; }}\n\
             refuse() {{ say refused \",\\\"code\\\":\\\"$1\\\",\\\"exit\\\":78$2\"; exit 78; }}\n\
             live() {{ say owner; say ready; exec sleep 1000; }}\n{body}\n"
        );
        fs::write(refgate.path(), text).unwrap();
        fs::set_permissions(refgate.path(), fs::Permissions::from_mode(0o755)).unwrap();
        refgate
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("refgate")
    }

    fn options(&self) -> Options {
        Options {
            target: Target::refgate(&self.path()),
            helper: PathBuf::from(PORTCULLIS),
            tries: Some(2),
            seed: 1,
            isolation: Isolation::WherePossible,
            interrupted: Arc::new(AtomicBool::new(false)),
        }
    }

    fn run(&self, text: &str) -> Verdict {
        run_case(&case(text), &self.options())
    }
}

fn case(text: &str) -> Case {
    let mut cases = parse(Path::new("scenarios/test.toml"), text).unwrap().cases();
    assert_eq!(cases.len(), 1);
    cases.remove(0)
}

/// The check that was broken, and what was said about it.
fn broken(verdict: Verdict) -> (String, String) {
    let Verdict::Fail(failure) = verdict else { panic!("this should have failed: {verdict:?}") };
    assert!(!failure.body.is_empty());
    (failure.check, failure.says)
}

/// The scenario with other checks.
fn with(checks: &str) -> String {
    ONE_AFTER_THE_OTHER.replace("\"single-owner\"", checks)
}

#[test]
fn the_reference_gateway_keeps_its_promises() {
    let checks =
        r#""single-owner", "effect-after-lock", "truthful", "no-theft", "no-wedge", "no-collateral""#;
    let verdict = Refgate::real().run(&with(checks));
    assert_eq!(verdict, Verdict::Pass(Evidence::Observed { runs: 2, note: None }));
}

#[test]
fn an_end_that_is_not_listed_fails_and_shows_what_was_seen() {
    let text = ONE_AFTER_THE_OTHER.replace("refused:held", "ready");
    let Verdict::Fail(failure) = Refgate::real().run(&text) else { panic!("it passed") };
    assert_eq!(failure.check, "outcomes");
    assert_eq!(
        failure.says,
        "it ends with a is ready, b is refused:held-ready, which is none of the allowed outcomes"
    );
    assert_eq!(failure.line, Some(15));
    let events: Vec<&str> = failure.body.iter().map(|line| &line["     0.0 ms  ".len()..]).collect();
    assert_eq!(events[0], "step  start a");
    assert!(events.contains(&"a     ready"), "{events:?}");
    assert!(events.iter().any(|event| event.starts_with("b     refused: held-ready by pid ")), "{events:?}");
}

#[test]
fn without_namespaces_all_ports_are_moved_and_recycling_is_unsupported() {
    let refgate = Refgate::real();
    let options = Options { isolation: Isolation::Never, ..refgate.options() };
    let verdict = run_case(&case(ONE_AFTER_THE_OTHER), &options);
    let Verdict::Pass(Evidence::Observed { runs: 2, note: Some(note) }) = verdict else {
        panic!("{verdict:?}")
    };
    assert!(note.starts_with("not isolated, ports +"), "{note}");
    let text = ENDLESS.replace(
        r#"start = ["a", "p"] }, { wait = "a.ready" }"#,
        r#"start = "a" }, { kill = "a" }, { wait = "a.gone" }, { recycle = "a", as = "p" }"#,
    );
    let text =
        text.replace(r#"{ pause = "a" }, { stop = "a" }, { wait = "a.gone" }"#, r#"{ wait = "settled" }"#);
    let verdict = run_case(&case(&text), &options);
    assert_eq!(verdict, Verdict::Unsupported("recycle needs a pid namespace".to_owned()));
}

#[test]
fn two_owners_are_caught() {
    let (check, says) = broken(Refgate::script("live").run(ONE_AFTER_THE_OTHER));
    assert_eq!((check.as_str(), says.as_str()), ("single-owner", "b and a both own the state directory"));
    let ports = broken(Refgate::script("live").run(&with(r#""ports-disjoint""#)));
    assert_eq!(ports.1, "b and a both own a part of the port block");
    let config = broken(Refgate::script("live").run(&with(r#""config-identity""#)));
    assert_eq!(config.1, "b and a both own the configuration");
}

#[test]
fn a_lock_that_fails_in_some_runs_fails_and_is_called_flaky() {
    // Every second run has two owners: of four starts the last is let in although there is an owner.
    let counted = "n=$(cat ${0%/*}/n 2>/dev/null || echo 0); echo $((n + 1)) > ${0%/*}/n";
    let script = Refgate::script(&format!(
        "{counted}\nmkdir $d/owned 2>/dev/null && live\n[ $((n % 4)) = 3 ] && live\nrefuse held-ready"
    ));
    let options = Options { tries: Some(4), ..script.options() };
    let (check, says) = broken(run_case(&case(&ONE_AFTER_THE_OTHER.replace("refusal  =", "#")), &options));
    assert_eq!(check, "single-owner");
    assert_eq!(says, "b and a both own the state directory (flaky: in 2 of 4 runs)");
}

#[test]
fn a_refusal_that_names_a_stranger_or_a_wrong_state_is_a_lie() {
    // The owner's start tick is field 22 of its stat line; its name has no blanks.
    let script = |refusal: &str| {
        let owner = "mkdir $d/owned 2>/dev/null && { echo $$ > $d/pid; live; }";
        let look = "p=$(cat $d/pid); t=$(cut -d' ' -f22 /proc/$p/stat)";
        Refgate::script(&format!("{owner}\n{look}\n{refusal}"))
    };
    let checks = with(r#""truthful""#);
    let stranger = script(r#"refuse held-ready ',"holder":{"pid":1,"startTick":1}'"#);
    let (check, says) = broken(stranger.run(&checks));
    assert_eq!(check, "truthful");
    assert_eq!(says, "b says held-ready, by pid 1 that started at tick 1, which is no process here");
    let holder = r#"",\"holder\":{\"pid\":$p,\"startTick\":$t}""#;
    let (check, says) = broken(script(&format!("refuse held-stopped {holder}")).run(&checks));
    assert_eq!(check, "truthful");
    assert!(
        says.starts_with("b says held-stopped, by pid ") && says.ends_with(" (a), which was at no time so"),
        "{says}"
    );
    let honest = script(&format!("refuse held-ready {holder}")).run(&checks);
    assert_eq!(honest, Verdict::Pass(Evidence::Observed { runs: 2, note: None }));
}

#[test]
fn a_refusal_that_names_nobody_or_exits_otherwise_fails() {
    let nobody = Refgate::script("mkdir $d/owned 2>/dev/null && live\nrefuse held-unknown");
    assert_eq!(
        broken(nobody.run(ONE_AFTER_THE_OTHER)),
        ("refusal".to_owned(), "b says held-unknown and names nobody, not a".to_owned())
    );
    let other = Refgate::script("mkdir $d/owned 2>/dev/null && live\n(refuse held-ready)\nexit 75");
    let (check, says) = broken(other.run(ONE_AFTER_THE_OTHER));
    assert_eq!((check.as_str(), says.as_str()), ("refusal", "b says held-ready and exits with 75, not 78"));
}

#[test]
fn a_refused_start_that_writes_is_caught() {
    let script = Refgate::script("mkdir $d/owned 2>/dev/null && live\necho x > $d/note\nrefuse held-ready");
    let (check, says) = broken(script.run(&with(r#""effect-after-lock""#)));
    assert_eq!(check, "effect-after-lock");
    assert!(
        says.starts_with("b was refused, and ") && says.ends_with("/state-S/note was left behind"),
        "{says}"
    );
}

#[test]
fn a_lock_that_outlives_its_owner_is_caught() {
    let script = Refgate::script("mkdir $d/owned 2>/dev/null && live\nrefuse held-ready");
    let text = with(r#""no-wedge""#).replace("refusal  =", "#");
    let (check, says) = broken(script.run(&text));
    assert_eq!(check, "no-wedge");
    assert_eq!(says, "nobody is alive, and a fresh a that runs alone ends as refused:held-ready");
}

#[test]
fn a_gateway_that_kills_another_or_replaces_its_lock_file_is_caught() {
    let killer = Refgate::script(
        "mkdir $d/owned 2>/dev/null && { echo $$ > $d/pid; live; }\nkill -9 $(cat $d/pid)\nlive",
    );
    let (check, says) = broken(killer.run(&with(r#""no-collateral""#)));
    assert_eq!(
        (check.as_str(), says.as_str()),
        ("no-collateral", "a was ended by signal 9, which the scenario did not send")
    );
    let thief = Refgate::script("echo > $d/new; mv $d/new $d/gateway.lock\nlive");
    let (check, says) = broken(thief.run(&with(r#""no-theft""#)));
    assert_eq!(check, "no-theft");
    assert!(says.ends_with("was replaced"), "{says}");
}

#[test]
fn an_interrupted_case_ends_without_a_verdict_and_leaves_no_process_behind() {
    for (isolation, mark) in
        [(Isolation::WherePossible, "endless-alone"), (Isolation::Never, "endless-shared")]
    {
        let refgate = Refgate::real();
        let options = Options { isolation, ..refgate.options() };
        let interrupted = Arc::clone(&options.interrupted);
        let case = case(&ENDLESS.replace("MARK", mark));
        let run = std::thread::spawn(move || run_case(&case, &options));
        while !lives(mark) {
            assert!(!run.is_finished(), "{:?}", run.join());
            std::thread::yield_now();
        }
        interrupted.store(true, Ordering::Relaxed);
        assert_eq!(run.join().unwrap(), Verdict::Inconclusive("interrupted".to_owned()));
        assert!(!lives(mark));
        assert!(!lives(&refgate.path().display().to_string()));
    }
}

/// Two gateways on one state directory, and what is done to them.
fn told(steps: &str, outcome: &str) -> String {
    format!(
        "schema = 1\ntitle = \"What is told\"\n[gateway]\na = {{ state = \"S\", port = 18789 }}\n\
         b = {{ state = \"S\", port = 18789 }}\n[run]\nsteps = [{steps}]\n[expect]\noutcomes = [{outcome}]\n"
    )
}

#[test]
fn a_step_waits_for_what_a_real_gateway_tells_and_for_time_that_passes() {
    let steps = r#"{ start = "a" }, { kill = "a", when = "a.owner", after_ms = 20 }, { start = "b", when = "a.gone" },
        { stop = "b", when = "b.ready" }, { wait = "b.draining" }, { wait = "b.released" }, { wait = "settled" }"#;
    let verdict = Refgate::real().run(&told(steps, r#"{ a = "killed", b = "exited" }"#));
    assert_eq!(verdict, Verdict::Pass(Evidence::Observed { runs: 2, note: None }));
}

#[test]
fn who_ends_without_telling_what_is_waited_for_fails_and_who_cannot_tell_it_is_not_tried() {
    let steps = r#"{ start = "a" }, { start = "b", when = "a.owner" }, { wait = "settled" }"#;
    let text = told(steps, r#"{ a = "ready" }"#);
    let (check, says) = broken(Refgate::script("refuse held").run(&text));
    assert_eq!((check.as_str(), says.as_str()), ("outcomes", "a is refused:held and will never be owner"));
    let refgate = Refgate::real();
    let mut options = refgate.options();
    options.target.ready = Signs::Log(Pattern::new("ready").unwrap());
    let Verdict::Unsupported(why) = run_case(&case(&text), &options) else { panic!("it was tried") };
    assert_eq!(why, "refgate does not tell when it is owner: `[[event]]` with `emits = \"owner\"` says how");
}

#[test]
fn a_try_that_takes_longer_than_its_limit_is_inconclusive_and_says_how_to_raise_it() {
    let text = told(r#"{ start = "a" }, { start = "b" }, { pass_ms = 9000 }"#, r#"{ a = "ready" }"#);
    let text = format!("{text}[limits]\nreal_ms = 200\n").replace("outcomes", "always = []\noutcomes");
    let why = "the limit of 200 ms for one try is reached: `[limits] real_ms` raises it";
    assert_eq!(Refgate::real().run(&text), Verdict::Inconclusive(why.to_owned()));
}
