//! A run that is stopped or out of time still leaves every report.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use assert_cmd::cargo::cargo_bin;
use rustix::process::{Pid, Signal, kill_process};

use super::{Room, lines, root, text, verdicts};

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
