//! The published schemas of target files and of profiles say what the parsers say, as far as the shape of a file goes.
//!
//! Each target that is shipped, and the example of the documentation, is spoilt in every way that a shape can be. What the
//! parser accepts then, the schema accepts; what it refuses for its shape, the schema refuses.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test panics where its premises fail, and reads the files that it judges"
)]

use std::path::{Path, PathBuf};

use crate::spoilt::spoilt_table;
use crate::validator::mistakes;
use assert_cmd::cargo::cargo_bin_cmd;
use harness::target::parse;
use serde_json::Value as Json;
use tempfile::tempdir;
use toml::{Table, Value};

/// Messages about the shape of a file, by what is in them.
const OF_SHAPE: [&str; 20] = [
    " has no key `",
    " has no `",
    " must be ",
    " is empty",
    "out of range",
    " cannot be `",
    "no check is called",
    "no refusal has the reason",
    "no event is called",
    "no events are called",
    "no scenario asks for",
    " is no name of a variable",
    "a brace stands alone",
    "there is no `{",
    " has no sign",
    " has two signs",
    "` says nothing without `",
    "` has 0 ends",
    "` has 1 ends",
    "` has 3 ends",
];

/// Messages about what the words of a file mean together, or what a pattern of a schema cannot tell.
const OF_MEANING: [&str; 8] = [
    "is never told",
    "no port is called",
    "ends before it begins",
    "nothing tells this refusal",
    "is never seen",
    "is no regular expression",
    " has no group `",
    "no group of an event",
];

/// Every so many ways to spoil a file are tried.
const STRIDE: usize = 2;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

pub(crate) fn schema(of: &str) -> Json {
    serde_json::from_str(&read(&format!("harness/schemas/{of}.v1.json"))).unwrap()
}

/// A file as JSON, in which a day is a string.
pub(crate) fn json(value: &Value) -> Json {
    match value {
        Value::Datetime(day) => Json::String(day.to_string()),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => {
            serde_json::to_value(value).unwrap()
        }
    }
}

/// The targets that are shipped, and the example of the documentation.
fn targets() -> Vec<(&'static str, Table)> {
    let readme = read("targets/README.md");
    let example = readme.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0.to_owned();
    let texts = [
        ("refgate", read("targets/refgate.toml")),
        ("openclaw", read("targets/openclaw.toml")),
        ("the example", example),
    ];
    texts.into_iter().map(|(name, text)| (name, text.parse().unwrap())).collect()
}

#[test]
fn the_published_schemas_are_those_that_the_program_prints() {
    for what in ["target", "profiles", "plan"] {
        let printed = cargo_bin_cmd!("portcullis").args(["schema", what]).output().unwrap();
        assert_eq!(printed.status.code(), Some(0));
        assert!(
            String::from_utf8(printed.stdout).unwrap() == read(&format!("harness/schemas/{what}.v1.json")),
            "write it anew: portcullis schema {what} > harness/schemas/{what}.v1.json"
        );
    }
}

#[test]
fn what_the_parser_refuses_for_its_shape_the_schema_refuses_and_what_it_accepts_the_schema_accepts() {
    let schema = schema("target");
    let (mut accepted, mut refused) = (0, 0);
    let mut wrong: Vec<String> = Vec::new();
    for (name, table) in targets() {
        let whole = json(&Value::Table(table.clone()));
        assert_eq!(mistakes(&schema, &whole), Vec::<String>::new(), "{name}");
        for (what, spoilt) in spoilt_table(&table, "").into_iter().step_by(STRIDE) {
            let text = toml::to_string(&spoilt).unwrap();
            let found = mistakes(&schema, &json(&Value::Table(spoilt)));
            let Err(problems) = parse(Path::new("t.toml"), &text) else {
                accepted += 1;
                wrong.extend(
                    found.first().map(|why| format!("{name}: {what}: only the schema refuses it: {why}")),
                );
                continue;
            };
            let messages: Vec<&str> = problems.iter().map(|problem| &*problem.message).collect();
            let has = |message: &&str, of: &[&str]| of.iter().any(|part| message.contains(part));
            if let Some(message) = messages.iter().find(|message| has(message, &OF_SHAPE)) {
                refused += 1;
                if found.is_empty() {
                    wrong.push(format!("{name}: {what}: the schema accepts it: {message}"));
                }
            }
            let unknown = messages.iter().find(|it| !has(it, &OF_SHAPE) && !has(it, &OF_MEANING));
            wrong.extend(unknown.map(|message| format!("neither shape nor meaning: {message}")));
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    assert!(accepted > 100 && refused > 1000, "{accepted} are accepted and {refused} are refused");
}

#[test]
fn the_profiles_fit_their_schema_and_what_it_refuses_the_program_refuses() {
    let schema = schema("profiles");
    let fits = |text: &str| mistakes(&schema, &json(&Value::Table(text.parse().unwrap()))).is_empty();
    assert!(fits(&read("portcullis.toml")));
    let room = tempdir().unwrap();
    let is_read = |text: &str| {
        std::fs::write(room.path().join("portcullis.toml"), text).unwrap();
        let mut command = cargo_bin_cmd!("portcullis");
        let command = command.current_dir(room.path()).env_remove("PORTCULLIS_PROFILE");
        let output = command.args(["run", "--profile", "x", "no-such-file.toml"]).output().unwrap();
        // Only a file that was read leads on to the scenarios.
        String::from_utf8_lossy(&output.stderr).contains("there is no file or directory `no-such-file.toml`")
    };
    let profile = |line: &str| format!("[profile.x]\n{line}\n");
    for (line, wanted) in [
        ("on = [\"sim\", \"refgate\"]", true),
        ("on = \"sim\"", true),
        ("budget = \"10m\"", true),
        ("budget = 90", true),
        ("max-states = 100_000_000", true),
        ("quiet = true", true),
        ("message-format = \"json\"", true),
        ("message-format = \"yaml\"", false),
        ("quiet = 1", false),
        ("budget = true", false),
        ("budget = [\"10m\"]", false),
        ("on = [true]", false),
        ("on = { sim = true }", false),
        ("colour = \"never\"", false),
        ("rerun = \"failed\"", false),
        ("jobs = 0.5", false),
    ] {
        let text = profile(line);
        assert_eq!((fits(&text), is_read(&text)), (wanted, wanted), "{line}");
    }
    for text in ["profil = 1\n", "[profile]\nx = 1\n"] {
        assert_eq!((fits(text), is_read(text)), (false, false), "{text}");
    }
}
