//! What a run leaves for machines and for later: events, reports made of them, and which cases are run at all.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test panics where its premises fail, and prepares files itself"
)]

mod ended;
mod events;
mod hostile;
mod merged;
mod page;
#[path = "../common/program.rs"]
mod program;
mod selected;
mod validator;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

/// Two gateways that race; a lock file that is unlinked when stale breaks it, the reference gateway does not.
const RACE: &str = r#"schema = 1
title  = "Two gateways start where a killed one has left its lock behind"
tags   = ["race"]
[gateway.old]
state = "S"
port  = 18789
[gateway.a]
state = "S"
port  = 18789
[gateway.b]
state = "S"
port  = 18789
[run]
setup = [{ start = "old" }, { wait = "old.ready" }, { kill = "old" }]
steps = [{ start = ["a", "b"] }, { wait = "settled" }]
[expect]
always   = ["single-owner"]
outcomes = [{ a = "ready" }, { b = "ready" }]
[explore]
span   = 1
policy = { exhaustive = 1 }
"#;

/// One gateway alone, in three cases.
const ALONE: &str = r#"schema = 1
title  = "A gateway starts alone"
tags   = ["alone", "smoke"]
[gateway.a]
state = "S"
port  = 18789
[run]
steps = [{ start = "a" }, { wait = "settled" }]
[expect]
always   = ["single-owner"]
outcomes = [{ a = "ready" }]
[explore]
span = 1
[vary]
"gateway.a.port" = [18789, 18989, 19189]
"#;

/// A mount that no real machine is made to have.
const UNSUPPORTED: &str = r#"schema = 1
title  = "Directories cannot be locked"
[gateway.a]
state = "S"
port  = 18789
[mount.S]
directory_locks = false
[run]
steps = [{ start = "a" }, { wait = "settled" }]
[expect]
outcomes = [{ a = "refused:unsupported-fs" }]
"#;

/// A lock that breaks in the race.
const BROKEN: &str = "pidfile-unlink-stale";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A directory of its own with the scenarios in it.
struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        let room = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(room.path("scenarios")).unwrap();
        for (name, text) in [("alone", ALONE), ("race", RACE), ("unsupported", UNSUPPORTED)] {
            room.write(&format!("scenarios/{name}.toml"), text);
        }
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs the program here, in an environment that says nothing of where.
    fn portcullis(&self, arguments: &[&str]) -> Output {
        program::portcullis(self.0.path()).args(arguments).output().unwrap()
    }

    /// The events that a run prints.
    fn events(&self, arguments: &[&str]) -> Vec<Value> {
        let arguments = [&["run", "--message-format", "json"], arguments].concat();
        lines(&text(&self.portcullis(&arguments).stdout))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The same without how long it took.
fn timeless(mut events: Vec<Value>) -> Vec<Value> {
    fn strip(value: &mut Value) {
        if let Value::Object(keys) = value {
            keys.retain(|key, _| !key.ends_with("_ms"));
            keys.values_mut().for_each(strip);
        }
    }
    events.iter_mut().for_each(strip);
    events
}

/// The cases that have ended, each with its verdict.
fn verdicts(events: &[Value]) -> Vec<String> {
    let ends = events.iter().filter(|event| event["event"] == "case-end");
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    ends.map(|end| format!("{} {} {}", word(&end["on"]), word(&end["case"]), word(&end["verdict"]))).collect()
}
