//! Every key that a command says as JSON stands on the page, and what others have said is passed on under one key.

use std::collections::BTreeSet;

use serde_json::Value;

use super::situations::{SITUATIONS, Stage};
use super::{TOKEN, client, page};

/// What is under these keys is what a gateway has answered, not what this program says.
const PASSED_ON: [&str; 8] =
    ["result", "status", "health", "channels", "presence", "summary", "self", "details"];

/// The commands and the names of what they say.
const COMMANDS: [(&str, &str); 12] = [
    ("gateway status --deep --require-rpc", "gateway-status"),
    ("gateway probe", "gateway-probe"),
    ("gateway call status", "gateway-call"),
    ("gateway health", "health"),
    ("status --all --deep", "status"),
    ("channels status --probe", "channels-status"),
    ("logs --limit 5", "logs"),
    ("watch --once --interval-s 1", "watch"),
    ("gateway start", "gateway-start"),
    ("gateway uninstall --dry-run", "gateway-uninstall"),
    ("gateway restart --wait-s 5", "gateway-restart"),
    ("gateway stop --wait-s 5", "gateway-stop"),
];

/// Adds the keys of what this program says.
fn collect(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                keys.insert(key.clone());
                if !PASSED_ON.contains(&key.as_str()) {
                    collect(value, keys);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, keys)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_key_is_documented_and_every_command_says_how_it_ends() {
    let documented: BTreeSet<String> = page()
        .1
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    let mut keys = BTreeSet::new();
    for name in ["none", "ready", "paused", "wrong token"] {
        let situation = SITUATIONS.iter().find(|situation| situation.name == name).expect("it is one");
        let stage = Stage::set(situation);
        for (line, event) in COMMANDS {
            let output =
                client(&stage.room, &format!("{line} --json"), situation.token).output().expect("it runs");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(!text.contains(TOKEN), "{name}: {line}: {text}");
            let mut lines = 0;
            for said in text.lines() {
                let said: Value =
                    serde_json::from_str(said).unwrap_or_else(|_| panic!("{name}: {line}: {text}"));
                if said["event"] == event {
                    lines += 1;
                    // Of a watch that looks twice the last line counts.
                    let is_last = event != "watch" || said["verdict"] != "suspect";
                    let exit = said["exit"].as_i64().expect("it is told");
                    assert!(
                        !is_last || Some(exit) == output.status.code().map(i64::from),
                        "{name}: {line}: {text}"
                    );
                    assert_eq!(said["ok"], exit == 0, "{name}: {line}: {text}");
                    assert!(
                        said["next"].as_str().is_some_and(|next| !next.is_empty()),
                        "{name}: {line}: {text}"
                    );
                }
                collect(&said, &mut keys);
            }
            // Where there are lines of a log, they are what is said.
            let is_log = event == "logs" && output.status.success();
            assert!((1..=2).contains(&lines) || is_log, "{name}: {line}: {text}");
            stage.forgive();
        }
    }
    let missing: Vec<_> = keys.difference(&documented).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    for kind in gateway::standing::Kind::ALL {
        assert!(documented.contains(kind.code()), "{} is not documented", kind.code());
    }
}
