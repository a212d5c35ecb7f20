//! A run that is stopped or out of time still leaves every report.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use assert_cmd::cargo::cargo_bin;
use rustix::process::{Pid, Signal, kill_process};

use serde_json::Value;

use super::{BROKEN, Room, lines, root, text, timeless, verdicts};

#[test]
fn a_run_that_is_interrupted_still_writes_its_reports() {
    let room = Room::new();
    let library = root().join("scenarios");
    let mut run = Command::new(cargo_bin!("portcullis"))
        .current_dir(room.path(""))
        .args(["run", "--artifacts", "out/of/this", "--jobs", "2"])
        .arg(library)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(run.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("PASS") {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "no case has passed");
    }
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    let rest: Vec<String> = out.lines().map(Result::unwrap).collect();
    assert_eq!(run.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.last().unwrap().starts_with("interrupted: "), "{rest:?}");
    let events = lines(&room.read("out/of/this/run.jsonl"));
    let end = events.last().unwrap();
    assert_eq!((&end["event"], &end["interrupted"]), (&"run-end".into(), &true.into()));
    assert!(room.read("out/of/this/report.html").contains("The run was interrupted"));
    assert!(room.read("out/of/this/junit.xml").contains("</testsuites>"));
    assert!(room.read("out/of/this/perfetto.json").contains("traceEvents"));
}

#[test]
fn what_a_budget_leaves_undone_is_inconclusive() {
    let room = Room::new();
    let output = room.portcullis(&["run", "-q", "--budget", "0s", "scenarios/alone.toml"]);
    assert_eq!(output.status.code(), Some(3));
    let told = text(&output.stdout);
    assert_eq!(told.matches("not begun: the budget of 0 s is spent").count(), 3, "{told}");
    assert_eq!(
        verdicts(&room.events(&["--budget", "1h", "scenarios/alone.toml"])),
        ["sim alone[18789] pass", "sim alone[18989] pass", "sim alone[19189] pass"]
    );
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_of_the_environment() {
    let room = Room::new();
    room.write("file", "");
    for option in ["--jsonl", "--html", "--junit", "--perfetto", "--github-summary"] {
        let output = room.portcullis(&["run", "-q", "-E", "test(=alone[18789])", option, "file/inside"]);
        assert_eq!(output.status.code(), Some(5), "{option}");
        assert!(text(&output.stderr).contains("error: cannot write file/inside: "), "{option}");
    }
}

/// Two more races, one of them behind the other cases.
fn with_races() -> Room {
    let room = Room::new();
    let race = room.read("scenarios/race.toml");
    for name in ["beside", "zebra"] {
        room.write(&format!("scenarios/{name}.toml"), &race);
    }
    room
}

#[test]
fn behind_the_first_failure_nothing_is_run_and_every_report_says_so() {
    let room = with_races();
    let files = ["--artifacts", "out", "--github-summary", "summary.md"];
    let run = room.portcullis(&[&["run", "--design", BROKEN, "--fail-fast"], &files[..]].concat());
    assert_eq!(run.status.code(), Some(1));
    let shown = text(&run.stdout);
    assert!(
        shown.contains(
            " 4 cases: 3 passed (3 complete), 1 failed, 0 inconclusive, 0 unsupported, 3 not run\n"
        ),
        "{shown}"
    );
    assert!(shown.ends_with("not run: 3 of 7 cases, after the first failure\n"), "{shown}");
    let not_run = |on: &str| format!("sim {on} not-run");
    let told = verdicts(&lines(&room.read("out/run.jsonl")));
    assert_eq!(
        told[3..],
        ["sim beside fail".to_owned(), not_run("race"), not_run("unsupported"), not_run("zebra")]
    );
    let junit = room.read("out/junit.xml");
    assert_eq!(
        junit.matches("<skipped message=\"not run: a case before it has failed\"").count(),
        3,
        "{junit}"
    );
    assert!(room.read("out/report.html").contains("3 cases not run: enough had failed before."));
    assert!(room.read("summary.md").contains("3 cases not run: enough had failed before."));
    let merged = room.portcullis(&["report", "merge", "out/run.jsonl"]);
    assert_eq!(merged.status.code(), Some(1));
    assert_eq!(text(&merged.stdout).split_once("Summary").unwrap().1, shown.split_once("Summary").unwrap().1);
    // What was not run is as outstanding as it was before.
    let again = room.portcullis(&["run", "--design", BROKEN, "--rerun", "failed"]);
    assert!(
        text(&again.stdout).contains("Summary")
            && text(&again.stdout).contains(" 1 case: 0 passed, 1 failed")
    );
}

#[test]
fn what_is_run_before_enough_have_failed_is_a_matter_of_the_order_and_not_of_time() {
    let room = with_races();
    let run = |more: &[&str]| timeless(room.events(&[&["--design", BROKEN], more].concat()));
    let count =
        |events: &[Value], verdict: &str| verdicts(events).iter().filter(|it| it.ends_with(verdict)).count();
    for (options, failed, not_run) in [
        (&["--max-fail", "1"][..], 1, 3),
        (&["--max-fail", "2"], 2, 2),
        (&["--max-fail", "3"], 3, 1),
        (&["--max-fail", "9"], 4, 0),
        (&["--fail-fast", "--no-fail-fast"], 4, 0),
        (&["--no-fail-fast", "--max-fail", "2"], 2, 2),
    ] {
        let one = run(&[options, &["--jobs", "1"]].concat());
        assert_eq!((count(&one, " fail"), count(&one, " not-run")), (failed, not_run), "{options:?}");
        assert_eq!(one, run(&[options, &["--jobs", "4"]].concat()), "{options:?}");
    }
    room.write("portcullis.toml", "[profile.default]\nfail-fast = true\n");
    assert_eq!(count(&run(&[]), " not-run"), 3);
    assert_eq!(count(&run(&["--no-fail-fast"]), " not-run"), 0);
}
