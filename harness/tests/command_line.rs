//! The whole output of each command, exit status included, as a user sees it.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test panics where its premises fail, and prepares files itself"
)]

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::cargo::cargo_bin_cmd;
use insta::assert_snapshot;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn portcullis(arguments: &[&str]) -> Output {
    cargo_bin_cmd!("portcullis").current_dir(root()).args(arguments).output().unwrap()
}

/// Everything that is shown, with each `[ 1.23s]` made the same.
fn shown(output: &Output) -> String {
    let mut text = String::new();
    for (name, bytes) in [("", &output.stdout), ("(stderr)\n", &output.stderr)] {
        if !bytes.is_empty() {
            text.push_str(name);
            text.push_str(&without_times(&String::from_utf8_lossy(bytes)));
        }
    }
    let status = output.status.code().map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
    format!("{text}(exit {status})")
}

fn without_times(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        match after.split_once("s]") {
            Some((time, tail)) if time.trim().parse::<f64>().is_ok() => {
                out.push_str("[   TIME]");
                rest = tail;
            }
            _ => {
                out.push('[');
                rest = after;
            }
        }
    }
    out + rest
}

#[test]
fn a_passing_run_says_what_it_rests_on() {
    let output = portcullis(&["run", "scenarios/operator", "scenarios/pid/recycled-pid.toml"]);
    assert_snapshot!(shown(&output), @"");
}

#[test]
fn a_broken_lock_is_shown_as_lanes_that_end_in_two_owners() {
    let output =
        portcullis(&["run", "scenarios/pid/stale-lock-race.toml", "--design", "pidfile-unlink-stale"]);
    assert_snapshot!(shown(&output), @"");
}

#[test]
fn a_token_replays_byte_for_byte_and_the_one_in_the_readme_is_true() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let token = readme.split_whitespace().find(|word| word.starts_with("v1.")).unwrap();
    let first = portcullis(&["replay", token]);
    let second = portcullis(&["replay", token]);
    assert_eq!(first, second);
    assert_eq!(first.status.code(), Some(1));
    let run = portcullis(&["run", "scenarios/pid/stale-lock-race.toml", "--design", "pidfile-unlink-stale"]);
    let run = String::from_utf8(run.stdout).unwrap();
    assert!(run.contains(&format!("\n  replay  portcullis replay {token}\n")), "{run}");
    let replayed = String::from_utf8(first.stdout).unwrap();
    let lanes = |text: &str| -> Vec<String> {
        let lines = text.lines().skip_while(|line| !line.starts_with("   step"));
        lines.take_while(|line| !line.starts_with(" needed")).map(str::to_owned).collect()
    };
    assert_eq!(lanes(&replayed), lanes(&run));
    for line in lanes(&readme).iter().filter(|line| *line != "...") {
        assert!(run.contains(line.as_str()), "the README shows a line that is not shown: {line}");
    }
}

#[test]
fn a_token_says_when_it_no_longer_applies() {
    let gone = portcullis(&["replay", "v1.scenarios/gone.refgate.00000000.00000000.0003"]);
    assert_snapshot!(shown(&gone), @"");
    let changed = portcullis(&["replay", "v1.scenarios/race/two-gateways.refgate.00000000.00000000.0003"]);
    assert_snapshot!(shown(&changed), @"");
}

#[test]
fn the_right_lock_passes_where_the_token_of_a_wrong_one_fails() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let token = readme.split_whitespace().find(|word| word.starts_with("v1.")).unwrap();
    let fixed = portcullis(&["replay", &token.replace("pidfile-unlink-stale", "refgate")]);
    assert_ne!(fixed.status.code(), Some(1), "{}", shown(&fixed));
}

#[test]
fn wrong_usage_is_told_with_the_remedy() {
    assert_snapshot!(shown(&portcullis(&["replay", "nonsense"])), @"");
    assert_snapshot!(shown(&portcullis(&["run", "--design", "pidfile-unlink-stal"])), @"");
    assert_snapshot!(shown(&portcullis(&["run", "--on", "refgate", "--design", "pidfile-unlink-stale"])), @"");
    assert_snapshot!(shown(&portcullis(&["run", "--on", "refgate", "--refgate", "no/such/gateway"])), @"");
    assert_snapshot!(shown(&portcullis(&["run", "--tag", "nothing-has-this-tag"])), @"");
    assert_snapshot!(shown(&portcullis(&["run", "no-such-folder"])), @"");
}

#[test]
fn every_mistake_of_a_file_is_shown_at_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wrong.toml");
    std::fs::write(
        &file,
        r#"schema = 1
title  = "Three mistakes"
[gateway.a]
state = "S"
port  = 70000
[run]
steps = [{ start = "aa" }]
[expect]
always   = ["singel-owner"]
outcomes = [{ a = "ready" }]
"#,
    )
    .unwrap();
    let output = portcullis(&["check", file.to_str().unwrap()]);
    let text = shown(&output).replace(&directory.path().display().to_string(), "DIRECTORY");
    assert_snapshot!(text, @"");
}

#[test]
fn lists_are_one_line_a_case_and_one_line_a_design() {
    assert_snapshot!(shown(&portcullis(&["list", "scenarios/pid", "scenarios/operator"])), @"");
    assert_snapshot!(shown(&portcullis(&["list", "--designs"])), @"");
    assert_snapshot!(shown(&portcullis(&["check"])), @"");
}

#[test]
fn the_help_documents_the_exit_statuses() {
    assert_snapshot!(shown(&portcullis(&["--help"])), @"");
    assert_snapshot!(shown(&portcullis(&["run", "--help"])), @"");
}

#[test]
fn real_processes_of_the_built_in_gateway_keep_the_same_promises() {
    let output = portcullis(&["run", "scenarios/race/two-gateways.toml", "--on", "refgate", "--tries", "3"]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("observed  3 runs, 0 failures"), "{text}");
}
