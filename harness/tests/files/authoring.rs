//! What helps to write scenarios: templates, warnings, and outcomes that are taken from the simulator.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test panics where its premises fail, and prepares files itself"
)]

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::program;
use crate::validator::mistakes;
use harness::scenario::{laid_out, parse};
use insta::assert_snapshot;
use tempfile::{TempDir, tempdir};

fn portcullis(folder: &Path, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = program::portcullis(folder).args(arguments).output().unwrap();
    let (out, errors) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    format!("{out}{errors}(exit {})", status.code().unwrap())
}

fn room_with(text: &str) -> TempDir {
    let room = tempdir().unwrap();
    fs::write(room.path().join("x.toml"), text).unwrap();
    room
}

fn read(room: &TempDir) -> String {
    fs::read_to_string(room.path().join("x.toml")).unwrap()
}

#[test]
fn every_template_is_a_laid_out_scenario_without_a_warning_that_passes() {
    let schema =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/scenario.v1.json")).unwrap();
    let schema = serde_json::from_str(&schema).unwrap();
    for template in ["race", "stale-lock", "port", "crash", "pause"] {
        let room = tempdir().unwrap();
        let name = format!("{template}.toml");
        assert_eq!(
            portcullis(room.path(), &["new", "--template", template]),
            format!("{name} is written; `portcullis run {name}` runs it\n(exit 0)")
        );
        let text = fs::read_to_string(room.path().join(&name)).unwrap();
        assert_eq!(laid_out(&text).as_ref(), Some(&text), "{template}");
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(
            mistakes(&schema, &serde_json::to_value(table).unwrap()),
            Vec::<String>::new(),
            "{template}"
        );
        assert_eq!(
            portcullis(room.path(), &["check", "--deny", "warnings", &name]),
            "1 scenario, 1 case: no mistake\n(exit 0)"
        );
        let ran = portcullis(room.path(), &["run", &name]);
        assert!(ran.contains(" 1 passed (1 complete), ") && ran.ends_with("(exit 0)"), "{template}: {ran}");
    }
}

#[test]
fn a_new_scenario_goes_to_the_library_if_there_is_one_and_overwrites_nothing() {
    let room = tempdir().unwrap();
    fs::create_dir(room.path().join("scenarios")).unwrap();
    let written = "scenarios/race.toml is written; `portcullis run scenarios/race.toml` runs it\n(exit 0)";
    assert_eq!(portcullis(room.path(), &["new"]), written);
    assert_snapshot!(portcullis(room.path(), &["new"]), @"
    error: `scenarios/race.toml` exists
      = help: name a file that does not exist; nothing is overwritten
    (exit 2)
    ");
    assert_snapshot!(portcullis(room.path(), &["new", "race.yaml"]), @"
    error: `race.yaml` is not called like a scenario
      = help: a scenario file ends in `.toml`
    (exit 2)
    ");
    assert!(portcullis(room.path(), &["new", "/proc/x/y.toml"]).ends_with("(exit 5)"));
}

#[test]
fn the_library_has_no_warnings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let checked = portcullis(root, &["check", "--deny", "warnings"]);
    assert!(checked.ends_with(" plans: no mistake\n(exit 0)"), "{checked}");
}

/// A scenario in which one gateway meets another, and nothing is to be said of it.
const PLAIN: &str = r#"schema = 1
title  = "t"

[gateway.a]
state = "S"
port  = 18789

[gateway.b]
state = "S"
port  = 18789

[process.cron]
looks_like = "cron"
listens    = [7]

[run]
setup = [{ start = ["a", "cron"] }, { wait = "a.ready" }]
steps = [{ start = "b" }, { wait = "settled" }]

[expect]
always   = ["single-owner"]
outcomes = [{ a = "ready", b = "refused:held" }]
refusal  = { names = "a" }

[explore]
span = 1
"#;

/// One change of [`PLAIN`], and what is warned of then.
const WARNINGS: [(&str, &str, &str); 13] = [
    ("listens    = [7]\n", "", "nobody notices `cron`"),
    ("\"single-owner\"", "\"no-dead-end\"", "`no-dead-end` cannot be broken here"),
    ("{ wait = \"settled\" }]\n\n[e", "{ stop = \"a\" }]\n\n[e", "the steps end without a `wait`"),
    (
        "{ start = \"b\" }, ",
        "{ start = \"b\" }, { wait = \"b.settled\" }, { wait = \"b.settled\" }, ",
        "this has been waited for",
    ),
    (
        "setup = [{ start = [\"a\", \"cron\"] }, { wait = \"a.ready\" }]",
        "setup = [{ start = [\"a\", \"cron\"] }, { wait = \"a.ready\" }, { wait = \"a.gone\" }]",
        "nothing ends `a`, which serves",
    ),
    (
        "b = \"refused:held\" }]",
        "b = \"refused:held\" }, { a = \"ready\", b = \"refused:held-ready\" }]",
        "an earlier outcome covers this one",
    ),
    (
        "b = \"refused:held\" }]",
        "b = \"refused\" }, { a = \"ready\", b = \"refused:port\" }]",
        "an earlier outcome covers this one",
    ),
    ("b = \"refused:held\" }", "b = \"ready\" }", "nobody is refused"),
    ("span = 1\n", "span = 1\nkills = 3\n", "3 gateways cannot be killed"),
    ("span = 1\n", "span = 1\n[vary]\n\"gateway.b.port\" = [18789]\n", "this takes one value"),
    (
        "span = 1\n",
        "span = 1\n[vary]\n\"gateway.b.port\" = [18789, 0x4965]\n",
        "the cases `18789` and `4965` are the same",
    ),
    ("port  = 18789\n\n[p", "port  = 18789\nsupervisor = { kind = \"task-scheduler\" }\n\n[p", ""),
    ("b = \"refused:held\" }]\n", "b = \"restarting\" }]\n#", "`b` does not end restarting"),
];

#[test]
fn each_thing_that_says_nothing_is_warned_of_at_its_place() {
    let warned = |text: &str| {
        let scenario = parse(Path::new("x.toml"), text).unwrap_or_else(|problems| panic!("{problems:?}"));
        scenario.warnings()
    };
    assert_eq!(warned(PLAIN), []);
    for (from, to, message) in WARNINGS {
        let mut text = PLAIN.replacen(from, to, 1);
        assert_ne!(text, PLAIN, "{from} is not in it");
        if message.contains("restarting") {
            text = text.replacen(
                "port  = 18789\n\n[p",
                "port  = 18789\nsupervisor = { kind = \"task-scheduler\" }\n\n[p",
                1,
            );
        }
        let found = warned(&text);
        let messages: Vec<&str> = found.iter().map(|problem| &*problem.message).collect();
        let wanted: Vec<&str> = [message].into_iter().filter(|message| !message.is_empty()).collect();
        assert_eq!(messages, wanted, "{to}");
        assert!(found.iter().all(|problem| !problem.span.is_empty()), "{to}");
    }
    let alone = PLAIN
        .replace("[gateway.b]\nstate = \"S\"\nport  = 18789\n", "")
        .replace("start = \"b\"", "resume = \"cron\"");
    let alone = alone.replace(", b = \"refused:held\"", "").replace("refusal  = { names = \"a\" }\n", "");
    let alone = alone
        .replace("{ resume = \"cron\" }, ", "")
        .replace("single-owner", "ports-disjoint\", \"config-identity");
    let messages: Vec<String> = warned(&alone).into_iter().map(|problem| problem.message).collect();
    assert_eq!(
        messages,
        ["`ports-disjoint` cannot be broken here", "`config-identity` cannot be broken here"]
    );
}

#[test]
fn warnings_are_shown_and_denied_where_asked_for() {
    let room = room_with(&PLAIN.replace("listens    = [7]\n", ""));
    assert_snapshot!(portcullis(room.path(), &["check", "x.toml"]), @"
    1 scenario, 1 case: no mistake, 1 warning
    warning: nobody notices `cron`
      --> x.toml:12:10
       |
    12 | [process.cron]
       |          ^^^^ it does nothing, and no step and no outcome is about it
       |
       = help: say in `outcomes` how it ends, or leave it out

    (exit 0)
    ");
    assert!(portcullis(room.path(), &["check", "--deny", "warnings", "x.toml"]).ends_with("(exit 2)"));
    let ran = portcullis(room.path(), &["run", "x.toml"]);
    assert!(ran.contains("warning: nobody notices `cron`\n") && ran.ends_with("(exit 0)"), "{ran}");
    assert!(!portcullis(room.path(), &["run", "--quiet", "x.toml"]).contains("warning"));
}

#[test]
fn the_outcomes_that_are_found_go_into_the_file_and_those_that_are_not_leave_it() {
    let text = PLAIN.replace("{ start = \"b\" }", "{ start = \"b\" }, { stop = \"a\" }").replace(
        "[{ a = \"ready\", b = \"refused:held\" }]",
        "[\n  # Whoever is late.\n  { a = \"ready\", b = \"refused:held\" }, # never: a is stopped\n  { a = \"exited\", b = \"ready\" }, # b came in time\n]",
    );
    let text = text.replace("refusal  = { names = \"a\" }\n", "");
    let room = room_with(&text);
    assert_snapshot!(portcullis(room.path(), &["accept", "--dry-run", "x.toml"]), @r#"
    x.toml would change:
      -   { a = "ready", b = "refused:held" }, # never: a is stopped
      +   { a = "exited", b = "refused:held", cron = "running" },
    (exit 0)
    "#);
    assert_eq!(read(&room), text);
    let changed = portcullis(room.path(), &["accept", "x.toml"]);
    assert!(changed.ends_with("(exit 0)"), "{changed}");
    let kept = text.replace("  { a = \"ready\", b = \"refused:held\" }, # never: a is stopped\n", "");
    let added = "# b came in time\n  { a = \"exited\", b = \"refused:held\", cron = \"running\" },\n";
    assert_eq!(read(&room), kept.replace("# b came in time\n", added));
    assert_eq!(
        portcullis(room.path(), &["accept", "x.toml"]),
        "x.toml: its outcomes are those that are found\n(exit 0)"
    );
    let ran = portcullis(room.path(), &["run", "x.toml"]);
    assert!(ran.ends_with("(exit 0)"), "{ran}");
}

#[test]
fn outcomes_that_are_tables_of_their_own_are_left_alone_and_said_to_be() {
    let text = "schema = 1\ntitle = \"One\"\n[gateway.a]\nstate = \"S\"\nport = 18789\n[run]\nsteps = [{ start = \"a\" }, \
                { wait = \"settled\" }]\n[[expect.outcomes]]\na = \"exited\"\n";
    let room = room_with(text);
    assert_snapshot!(portcullis(room.path(), &["accept", "x.toml"]), @r#"
    error: nothing is taken into x.toml: its outcomes are `[[expect.outcomes]]`
      = help: write them as a list: `outcomes = [{ a = "ready" }]`
    (exit 1)
    "#);
    assert_snapshot!(portcullis(room.path(), &["fmt", "x.toml"]), @"
    1 scenario, 0 changed
    error: x.toml has tables in a list (`[[...]]`)
      = help: write them as `[{ ... }, { ... }]`
    (exit 2)
    ");
    assert_eq!(read(&room), text);
}

#[test]
fn nothing_is_taken_where_a_promise_is_broken_or_not_everything_was_tried_or_cases_differ() {
    let refused = |from: &str, to: &str| {
        let text = PLAIN.replacen(from, to, 1);
        let room = room_with(&text);
        let shown = portcullis(room.path(), &["accept", "x.toml"]);
        assert_eq!(read(&room), text);
        // The token is a matter of the lock.
        let (before, after) = shown.split_once("portcullis replay ").unwrap_or((&shown, ""));
        match after.split_once('`') {
            Some((_, after)) => format!("{before}portcullis replay TOKEN`{after}"),
            None => shown,
        }
    };
    assert_snapshot!(refused("{ names = \"a\" }", "{ exit = 3 }"), @"
    error: nothing is taken into x.toml: x breaks refusal: b says held-ready and exits with 78, not 3
      = help: no outcome makes that right; `portcullis replay TOKEN` shows it
    (exit 1)
    ");
    assert_snapshot!(refused("span = 1\n", "span = 1\npolicy = { exhaustive = 2 }\n"), @r#"
    error: nothing is taken into x.toml: not every schedule of x was tried: its policy tries schedules with 2 preemptions at most
      = help: only what all schedules show is taken into a file; make the scenario smaller, or its policy `"exhaustive"`
    (exit 3)
    "#);
    assert_snapshot!(refused("span = 1\n", "span = 1\npolicy = { random = 5 }\n"), @r#"
    error: nothing is taken into x.toml: not every schedule of x was tried: its policy draws some schedules
      = help: only what all schedules show is taken into a file; make the scenario smaller, or its policy `"exhaustive"`
    (exit 3)
    "#);
    assert_snapshot!(
        refused("refusal  = { names = \"a\" }\n\n[explore]\nspan = 1\n", "reach = \"every-outcome\"\n[explore]\nspan = 1\n[vary]\n\"gateway.b.state\" = [\"S\", \"T\"]\n"),
        @r#"
    error: nothing is taken into x.toml: x[S] can end with a is ready, b is refused:held, and x[T] cannot
      = help: `reach = "every-outcome"` asks each case for each outcome: split the scenario, or leave out `reach`
    (exit 1)
    "#
    );
    let room = tempdir().unwrap();
    fs::create_dir(room.path().join("scenarios")).unwrap();
    fs::write(room.path().join("scenarios/x.toml"), PLAIN).unwrap();
    assert!(portcullis(room.path(), &["accept", "y"]).ends_with("(exit 4)"));
    assert_eq!(
        portcullis(room.path(), &["accept", "x"]),
        "scenarios/x.toml: its outcomes are those that are found\n(exit 0)"
    );
}

#[test]
fn a_search_that_takes_too_long_ends_in_time_says_what_to_do_and_leaves_the_file() {
    let text = PLAIN
        .replace("span = 1\n", "span  = 110\nkills = 1\n")
        .replace("{ names = \"a\" }", "{ exit = [75, 78] }");
    let room = room_with(&text);
    assert_snapshot!(portcullis(room.path(), &["accept", "x.toml", "--max-states", "500"]), @"
    error: nothing is taken into x.toml: not every schedule of x was tried: its states are spent (501 states visited)
      = help: reserve fewer ports (`span = 3` in `[explore]` instead of 110), or give it more with `--max-states`
    (exit 3)
    ");
    assert_snapshot!(portcullis(room.path(), &["accept", "x.toml", "--budget", "0s"]), @"
    error: nothing is taken into x.toml: not every schedule of x was tried: the budget of 0 s is spent (31 states visited)
      = help: reserve fewer ports (`span = 3` in `[explore]` instead of 110), or give it more with `--budget`
    (exit 3)
    ");
    assert_eq!(read(&room), text);
}

#[test]
#[cfg(unix)]
fn whoever_interrupts_a_search_for_outcomes_finds_the_file_as_it_was() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use rustix::process::{Pid, Signal, kill_process};

    let room = room_with(PLAIN);
    let long = PLAIN
        .replace("span = 1\n", "span  = 110\nkills = 2\n")
        .replace("{ names = \"a\" }", "{ exit = [75, 78] }");
    fs::write(room.path().join("long.toml"), &long).unwrap();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("portcullis"));
    let command = command.current_dir(room.path()).args(["accept", "x.toml", "long.toml"]);
    let mut accept = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    // The first file is done then, and the other takes minutes.
    BufReader::new(accept.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("x.toml"), "{line}");
    kill_process(Pid::from_child(&accept), Signal::INT).unwrap();
    let output = accept.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "interrupted: long.toml is as it was\n");
    assert_eq!(fs::read_to_string(room.path().join("long.toml")).unwrap(), long);
}
