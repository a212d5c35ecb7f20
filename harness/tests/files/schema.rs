//! The published schema of scenario files says what the parser says, as far as the shape of a file goes.
//!
//! Each scenario of the library is spoilt in every way that a shape can be: a key too many, a key too few, another type,
//! an unknown word. What the parser accepts then, the schema accepts; what it refuses for its shape, the schema refuses.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test panics where its premises fail, and reads the files that it judges"
)]

use std::path::{Path, PathBuf};

use crate::spoilt::spoilt_table;
use crate::validator::mistakes;
use assert_cmd::cargo::cargo_bin_cmd;
use harness::scenario::{Paint, Scenario, load, parse};
use toml::Table;

/// Messages about the shape of a file, by what is in them.
const OF_SHAPE: [&str; 29] = [
    " has no key `",
    " has no `",
    " must be ",
    " is empty",
    "out of range",
    " cannot be `",
    "no check is called",
    "no final state is called",
    "no refusal has the reason",
    "no policy is called",
    "no supervisor is called",
    "no process does",
    "an operator cannot remove",
    "two verbs in one step",
    "this step does nothing",
    " which is no label",
    " which is neither a label nor",
    " is nothing to wait for",
    "` belongs to `",
    " does not say ",
    " is no tag",
    " is no name for a process",
    "no process may be called `",
    " declares nobody",
    " demands nothing",
    " names nobody",
    " is no address to listen on",
    " varies nothing",
    " is no end of a process",
];

/// Messages about what the words of a file mean together.
const OF_MEANING: [&str; 25] = [
    "is for gateways with few ports",
    "no process is called `",
    "no gateway ",
    "is never started",
    "is not started before",
    "cannot end ",
    "listed twice",
    "nothing that can vary",
    "lies on no mount",
    "started twice",
    "named twice",
    " may still be alive",
    "nothing ends `",
    " can no longer become ready",
    " has no supervisor",
    " is not paused",
    " is paused already",
    " was killed before",
    " is given away twice",
    " has no browsers",
    " never opens its browsers",
    " opens its browsers twice",
    " is opened by `",
    " answers nobody",
    "a process that answers does nothing else",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn library() -> Vec<Scenario> {
    load(&[root().join("scenarios")]).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)))
}

fn published() -> String {
    std::fs::read_to_string(root().join("harness/schemas/scenario.v1.json")).unwrap()
}

fn schema() -> serde_json::Value {
    serde_json::from_str(&published()).unwrap()
}

fn json(table: &Table) -> serde_json::Value {
    serde_json::to_value(table).unwrap()
}

#[test]
fn the_published_schema_is_the_one_that_the_program_prints() {
    let printed = cargo_bin_cmd!("portcullis").args(["schema", "scenario"]).output().unwrap();
    assert_eq!(printed.status.code(), Some(0));
    assert!(
        String::from_utf8(printed.stdout).unwrap() == published(),
        "write it anew: portcullis schema scenario > harness/schemas/scenario.v1.json"
    );
}

#[test]
fn every_scenario_of_the_library_fits_the_published_schema() {
    let schema = schema();
    for scenario in library() {
        let table: Table = scenario.source.parse().unwrap();
        assert_eq!(mistakes(&schema, &json(&table)), Vec::<String>::new(), "{}", scenario.name);
    }
}

#[test]
fn what_the_parser_refuses_for_its_shape_the_schema_refuses_and_what_it_accepts_the_schema_accepts() {
    let schema = schema();
    let (mut accepted, mut refused) = (0, 0);
    let mut wrong: Vec<String> = Vec::new();
    for (number, scenario) in library().iter().enumerate() {
        let table: Table = scenario.source.parse().unwrap();
        for (what, spoilt) in spoilt_table(&table, "").into_iter().skip(number % STRIDE).step_by(STRIDE) {
            let text = toml::to_string(&spoilt).unwrap();
            let found = mistakes(&schema, &json(&spoilt));
            let name = &scenario.name;
            match parse(Path::new("scenarios/x.toml"), &text) {
                Ok(_) => {
                    accepted += 1;
                    wrong.extend(
                        found.first().map(|why| format!("{name}: {what}: only the schema refuses it: {why}")),
                    );
                }
                Err(problems) => {
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
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    assert!(accepted > 300 && refused > 3000, "{accepted} are accepted and {refused} are refused");
}

/// Every so many ways to spoil a file are tried, others of each file.
const STRIDE: usize = 11;
