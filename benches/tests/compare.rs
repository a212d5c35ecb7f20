//! The comparison runs, every answer in it is right, and it says who did not run.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test reads the files that it judges, and fails if it cannot"
)]
#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn compare(arguments: &[&str]) -> Output {
    let turn = ["--rounds", "1", "--millis", "50"];
    Command::new(env!("CARGO_BIN_EXE_compare")).args(turn).args(arguments).output().unwrap()
}

#[test]
fn one_case_of_each_kind_tells_every_server_its_ratio_and_none_answers_wrongly() {
    let room = tempfile::tempdir().unwrap();
    let (json, plots) = (room.path().join("run.json"), room.path().join("plots"));
    let done = compare(&[
        "--only",
        "echo 16,16,32",
        "--only",
        "rpc 64,1,256",
        "--json",
        json.to_str().unwrap(),
        "--plot",
        plots.to_str().unwrap(),
    ]);
    let told = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{told}{}", String::from_utf8_lossy(&done.stderr));
    let report: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(report["failed"], json!([]), "{told}");
    assert_eq!(
        report["absent"],
        json!([
            { "server": "ws", "why": "no --ws DIR was given" },
            { "server": "gorilla", "why": "no --gorilla DIR was given" },
        ])
    );
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| &row["name"]).collect::<Vec<_>>(), ["echo 16,16,32", "rpc 64,1,256"]);
    for row in rows {
        let lines = row["lines"].as_array().unwrap();
        let servers = ["tcp", "refgate", "tungstenite", "fastwebsockets", "tokio-websockets", "sockudo-ws"];
        assert_eq!(lines.iter().map(|line| &line["server"]).collect::<Vec<_>>(), servers);
        assert_eq!(lines[0]["ratio"], 1.0, "the reference beside itself");
        for line in lines {
            for figure in ["ratio", "least_ns", "middle_ns", "rate"] {
                assert!(line[figure].as_f64().unwrap() > 0.0, "{line}");
            }
        }
    }
    let of = |what: &str| {
        let bars = report["bars"].as_array().unwrap();
        bars.iter().find(|bar| bar["what"] == what).unwrap()["verdict"].clone()
    };
    assert_ne!(of("best Rust peer / refgate, rpc 64,1,256"), "unknown");
    assert_eq!(of("echo 64,1,256 / raw TCP"), "unknown");
    for name in ["performance-echo.svg", "performance-rpc.svg"] {
        assert!(fs::read_to_string(plots.join(name)).unwrap().ends_with("</svg>\n"), "{name}");
    }
    assert!(told.contains("not run: gorilla: no --gorilla DIR was given"), "{told}");
}

#[test]
fn a_check_of_nothing_is_no_check() {
    let done = compare(&["--only", "no such case", "--check"]);
    assert_eq!(done.status.code(), Some(3), "{}", String::from_utf8_lossy(&done.stdout));
    assert_eq!(compare(&["--only", "no such case"]).status.code(), Some(0));
    assert_eq!(compare(&["--servers", "nobody"]).status.code(), Some(2));
}
