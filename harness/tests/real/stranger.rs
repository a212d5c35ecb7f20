//! A gateway that has never heard of portcullis is described by a file, and the library catches its naive lock on real
//! processes; the same gateway with a kernel lock passes where the naive one fails.
//!
//! It is a Python program. Where there is no Python, or no namespaces, the tests say so on the standard error output and
//! prove nothing.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests prepare files and run the program from outside")]
#![expect(clippy::unwrap_used, reason = "what prepares a test may fail it")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use assert_cmd::cargo::cargo_bin_cmd;
use harness::real::{Isolation, Options, run_case};
use harness::scenario::{Case, Scenario, load, parse};
use harness::target::{Target, load as load_target};
use harness::verdict::{Evidence, Verdict};

const PYTHON: &str = "/usr/bin/python3";

/// A start on a full disk, and one when there is room again.
const FULL_DISK: &str = r#"
schema = 1
title  = "What a start on a full disk leaves keeps nobody out"
[gateway]
a = { state = "S", port = 18789 }
b = { state = "S", port = 18789 }
[mount.S]
directory_locks = true
[run]
setup = [{ disk = "full", state = "S" }, { start = "a" }, { wait = "a.settled" }]
steps = [{ disk = "healthy", state = "S" }, { start = "b" }, { wait = "settled" }]
[expect]
always   = ["single-owner"]
outcomes = [{ a = "refused:disk-full", b = "ready" }]
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn fixture(lock: &str) -> PathBuf {
    root().join(format!("harness/tests/fixtures/stranger/{lock}.toml"))
}

/// Whether the gateway can be run here; if not, that is said.
fn has_python() -> bool {
    let has = Path::new(PYTHON).exists();
    if !has {
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no {PYTHON}, so nothing is shown here");
    }
    has
}

fn target(lock: &str) -> Target {
    load_target(&fixture(lock)).unwrap()
}

/// A case of the library.
fn case(file: &str, id: &str) -> Case {
    let scenarios = load(&[root().join("scenarios").join(file)]).unwrap();
    let mut cases = scenarios.iter().flat_map(Scenario::cases);
    cases.find(|case| case.id == id).unwrap_or_else(|| panic!("there is no case {id}"))
}

fn full_disk() -> Case {
    parse(Path::new("scenarios/test/full-disk.toml"), FULL_DISK).unwrap().cases().remove(0)
}

fn run(case: &Case, target: Target, tries: u16) -> Verdict {
    let options = Options {
        target,
        helper: env!("CARGO_BIN_EXE_portcullis").into(),
        tries: Some(tries),
        seed: 1,
        isolation: Isolation::WherePossible,
        interrupted: Arc::new(AtomicBool::new(false)),
    };
    run_case(case, &options)
}

/// Whether the machine can show a case; if not, that is said.
fn is_shown(case: &Case, verdict: &Verdict) -> bool {
    if let Verdict::Unsupported(reason) = verdict {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {}: {reason}", case.id);
    }
    !matches!(verdict, Verdict::Unsupported(_))
}

#[test]
fn a_naive_lock_is_caught_on_real_processes_and_a_kernel_lock_passes_the_same_cases() {
    if !has_python() {
        return;
    }
    let table = [
        (
            case("pid/recycled-pid.toml", "pid/recycled-pid[cron]"),
            1,
            "truthful",
            "new says held, by pid 2 (old or cron), which was at no time so",
        ),
        (
            case("race/one-state-two-ports.toml", "race/one-state-two-ports"),
            8,
            "single-owner",
            "both serve, and both have the state directory",
        ),
        (
            full_disk(),
            1,
            "outcomes",
            "it ends with a is refused:disk-full, b is refused:held, which is none of the allowed outcomes",
        ),
    ];
    for (case, tries, check, says) in table {
        let naive = run(&case, target("naive"), tries);
        if !is_shown(&case, &naive) {
            continue;
        }
        let Verdict::Fail(failure) = naive else { panic!("{} should have failed: {naive:?}", case.id) };
        assert_eq!(failure.check, check, "{}: {}", case.id, failure.says);
        assert!(failure.says.contains(says), "{}: {}", case.id, failure.says);
        let kernel = run(&case, target("flock"), tries);
        let Verdict::Pass(Evidence::Observed { runs, .. }) = kernel else {
            panic!("{}: {kernel:?}", case.id)
        };
        assert_eq!(runs, u32::from(tries));
    }
}

#[test]
fn a_known_deviation_excuses_its_check_and_one_that_does_not_show_is_news() {
    if !has_python() {
        return;
    }
    let case = case("pid/recycled-pid.toml", "pid/recycled-pid[cron]");
    let with = |lock: &str, known: &str| {
        let text = fs::read_to_string(fixture(lock)).unwrap();
        let text = format!("{text}\n[[known]]\ncase = \"pid/*\"\nbecause = \"it trusts pids\"\n{known}\n");
        let target = harness::target::parse(&fixture(lock), &text);
        run(&case, target.unwrap_or_else(|problems| panic!("{problems:?}")), 1)
    };
    let known = with("naive", "check = \"truthful\"");
    if !is_shown(&case, &known) {
        return;
    }
    let Verdict::Known(known) = known else { panic!("{known:?}") };
    assert_eq!((known.because.as_str(), known.failure.check.as_str()), ("it trusts pids", "truthful"));
    for (deviation, why) in
        [("check = \"outcomes\"", "speaks of outcomes"), ("until = 2020-01-01", "until 2020-01-01")]
    {
        let Verdict::Fail(failure) = with("naive", deviation) else { panic!("it is excused by {deviation}") };
        assert!(failure.body.last().unwrap().contains(why), "{:?}", failure.body);
    }
    let Verdict::Fail(news) = with("flock", "") else { panic!("a deviation has vanished unseen") };
    assert_eq!(news.says, "it passes, although stranger-flock deviates: it trusts pids");
    assert!(matches!(with("flock", "sometimes = true"), Verdict::Pass(_)));
}

/// What a command shows, each number of milliseconds, pid and version made the same.
fn shown(arguments: &[&str]) -> String {
    let output = cargo_bin_cmd!("portcullis").current_dir(root()).args(arguments).output().unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.stderr.is_empty() {
        text += &format!("(stderr)\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let words = text.split_inclusive([' ', '\n']).collect::<Vec<_>>();
    let mut out = String::new();
    for (index, word) in words.iter().enumerate() {
        let is_time = words.get(index + 1).is_some_and(|next| next.trim_end_matches([':', ' ']) == "ms")
            && word.trim_end().parse::<u32>().is_ok();
        let is_pid = index > 0 && words[index - 1].trim_start_matches('(') == "pid ";
        match word.trim_end_matches([')', '\n']) {
            number if is_pid && number.parse::<u32>().is_ok() => {
                out.push('N');
                out.push_str(&word[number.len()..]);
            }
            _ => out.push_str(if is_time { "N " } else { word }),
        }
    }
    let line = |line: &str| match line.split_once("Python 3.") {
        Some((before, _)) => format!("{before}Python 3.N\n"),
        None => format!("{line}\n"),
    };
    let out: String = out.lines().map(line).collect();
    format!("{out}(exit {})", output.status.code().unwrap())
}

#[test]
fn a_target_is_tested_in_a_short_table() {
    if !has_python() {
        return;
    }
    insta::assert_snapshot!(shown(&["target", "check", "harness/tests/fixtures/stranger/naive.toml"]), @"
    target stranger-naive in harness/tests/fixtures/stranger/naive.toml
       good  version             Python 3.N
       good  becomes ready       after N ms: it answers HTTP /healthz on port 18789 with 200
       good  answers             HTTP /healthz on port 18789 with 200
       good  ports               18789 (control)
       good  lock files          state-S/gateway.pid
       good  second start        refused:held, it exits with status 3
       good  names the owner     pid N
       good  stop                after N ms: it exits with status 0
       good  start after a kill  after N ms: it answers HTTP /healthz on port 18789 with 200
    the gateway does what harness/tests/fixtures/stranger/naive.toml says
    (exit 0)
    ");
}

#[test]
fn what_a_target_describes_wrongly_is_told_with_its_remedy() {
    if !has_python() {
        return;
    }
    let text = fs::read_to_string(fixture("naive")).unwrap();
    let here = fixture("naive").parent().unwrap().display().to_string();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wrong.toml");
    let wrong = text
        .replace("{here}", &here)
        .replace("gateway.pid\"]\nowner", "gateway.lock\"]\nowner")
        .replace("exit   = 3", "exit   = 33");
    fs::write(&file, wrong).unwrap();
    let path = file.display().to_string();
    let shown = shown(&["target", "check", &path]).replace(&path, "wrong.toml");
    insta::assert_snapshot!(shown, @r#"
    target stranger-naive in wrong.toml
       good  version             Python 3.N
       good  becomes ready       after N ms: it answers HTTP /healthz on port 18789 with 200
       good  answers             HTTP /healthz on port 18789 with 200
       good  ports               18789 (control)
        bad  lock files          state-S/gateway.lock is not there while it is ready
                                 remedy: correct `[lock] files`
        bad  second start        no `[[refusal]]` fits: it exits with status 3; its last words: already running (pid N)
                                 remedy: add a `[[refusal]]` with its `exit` status and the `reason`, for instance "held"
       skip  names the owner     it was not refused
       good  stop                after N ms: it exits with status 0
       good  start after a kill  after N ms: it answers HTTP /healthz on port 18789 with 200
    2 things are not as wrong.toml says
    (exit 1)
    "#);
}

#[test]
fn what_a_run_requires_and_a_target_lacks_ends_it_before_it_begins() {
    if !has_python() {
        return;
    }
    let naive = "harness/tests/fixtures/stranger/naive.toml";
    insta::assert_snapshot!(shown(&["run", "--on", naive, "--require", "restart", "scenarios/race"]), @"
    (stderr)
    error: the target stranger-naive lacks `restart`, which `--require` demands
      = help: add `[restart] signal` to harness/tests/fixtures/stranger/naive.toml
    (exit 5)
    ");
    insta::assert_snapshot!(shown(&["run", "--require", "restart", "scenarios/race"]), @"
    (stderr)
    error: `--require` has no effect: nothing is to be run on real processes
      = help: add `--on refgate`, or leave out `--require`
    (exit 2)
    ");
    insta::assert_snapshot!(shown(&["run", "--on", naive, "--require", "restrat", "scenarios/race"]), @"
    (stderr)
    error: invalid value 'restrat' for '--require <CAPABILITY>': no capability is called so; there are namespaces, recycle, disk, restart, config, workspace, holder, lock-files, write, events

    For more information, try '--help'.
    (exit 2)
    ");
    insta::assert_snapshot!(shown(&["run", "--on", "no-such-executor", "scenarios/race"]), @"
    (stderr)
    error: invalid value 'no-such-executor' for '--on <EXECUTOR>': it is `sim`, `refgate`, `stepped`, or a target file, which ends in `.toml`

    For more information, try '--help'.
    (exit 2)
    ");
    insta::assert_snapshot!(shown(&["run", "--on", "no-such-file.toml", "scenarios/race"]), @"
    (stderr)
    error: there is no file or directory `no-such-file.toml`
     |
     = help: check the path; it is taken from the current directory
    (exit 2)
    ");
}
