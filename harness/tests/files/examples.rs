//! The documentation of the format is true: each example is a scenario, each key is shown by one, and says what the schema
//! says.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test panics where its premises fail, and reads the files that it judges"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::validator::mistakes;
use harness::scenario::{Paint, laid_out, parse};
use serde_json::Value as Json;
use toml::{Table, Value};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn schema() -> Json {
    serde_json::from_str(&read("harness/schemas/scenario.v1.json")).unwrap()
}

/// Every TOML block of the documentation, with the line that it begins on.
fn examples() -> Vec<(usize, String)> {
    let readme = read("scenarios/README.md");
    let blocks = readme.match_indices("```toml\n").map(|(at, fence)| {
        let text = readme[at + fence.len()..].split("```").next().unwrap();
        (readme[..at].lines().count() + 2, text.to_owned())
    });
    blocks.collect()
}

/// The whole scenario that an example is, or is a part of: everybody whom it declares is started, and whatever it does not
/// say is as short as it can be.
fn whole(example: &str) -> Table {
    let mut table: Table = example.parse().unwrap();
    if table.contains_key("schema") {
        return table;
    }
    let frame = "schema = 1\ntitle = \"t\"\n[gateway.a]\nstate = \"S\"\nport = 18789\n";
    for (key, value) in frame.parse::<Table>().unwrap() {
        table.entry(key).or_insert(value);
    }
    let names = |section: &str| -> Vec<Value> {
        let section = table.get(section).and_then(Value::as_table);
        section.into_iter().flat_map(Table::keys).map(|name| Value::String(name.clone())).collect()
    };
    let (gateways, processes) = (names("gateway"), names("process"));
    let mut run = Table::new();
    let start: Table =
        [("start".to_owned(), Value::Array([gateways.clone(), processes].concat()))].into_iter().collect();
    run.insert("steps".to_owned(), Value::Array(vec![Value::Table(start)]));
    let mut expect = Table::new();
    let ready = [(gateways[0].as_str().unwrap().to_owned(), Value::String("ready".to_owned()))];
    expect.insert("outcomes".to_owned(), Value::Array(vec![Value::Table(ready.into_iter().collect())]));
    table.entry("run").or_insert(Value::Table(run));
    table.entry("expect").or_insert(Value::Table(expect));
    table
}

#[test]
fn every_example_is_a_scenario_or_a_part_of_one_and_is_laid_out() {
    let schema = schema();
    let examples = examples();
    assert!(examples.len() >= 14, "{} examples", examples.len());
    for (line, example) in examples {
        let table = whole(&example);
        let text = toml::to_string(&table).unwrap();
        let path = Path::new("scenarios/README.toml");
        if let Err(problems) = parse(path, &text) {
            let drawn: Vec<_> =
                problems.iter().map(|problem| problem.render(path, &text, Paint::Plain)).collect();
            panic!("line {line}:\n{}", drawn.join("\n"));
        }
        assert_eq!(
            mistakes(&schema, &serde_json::to_value(&table).unwrap()),
            Vec::<String>::new(),
            "line {line}"
        );
        assert_eq!(laid_out(&example).unwrap().trim_start(), example, "line {line}");
    }
}

/// Marks each key of the schema that a value has, by its place in the schema.
fn mark(root: &Json, at: &str, value: &Json, used: &mut BTreeSet<String>) {
    let schema = root.pointer(at).unwrap();
    if let Some(reference) = schema.get("$ref") {
        return mark(root, reference.as_str().unwrap().strip_prefix('#').unwrap(), value, used);
    }
    for (number, one) in schema["oneOf"].as_array().into_iter().flatten().enumerate() {
        let mut alone = one.clone();
        if let Some(alone) = alone.as_object_mut() {
            alone.insert("$defs".to_owned(), root["$defs"].clone());
        }
        if mistakes(&alone, value).is_empty() {
            mark(root, &format!("{at}/oneOf/{number}"), value, used);
        }
    }
    for item in value.as_array().into_iter().flatten().filter(|_| schema.get("items").is_some()) {
        mark(root, &format!("{at}/items"), item, used);
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        let known = format!("{at}/properties/{key}");
        if schema["properties"].get(key).is_some() {
            mark(root, &known, inner, used);
            used.insert(known);
        } else if let Some(patterns) = schema.get("patternProperties").filter(|_| !at.ends_with("vary")) {
            for pattern in patterns.as_object().unwrap().keys() {
                let escaped = pattern.replace('~', "~0").replace('/', "~1");
                mark(root, &format!("{at}/patternProperties/{escaped}"), inner, used);
            }
        }
    }
}

/// Every key of the schema, by its place in it, with what it means.
fn keys(at: &str, schema: &Json, all: &mut Vec<(String, Option<String>)>) {
    for (word, inner) in schema.as_object().into_iter().flatten() {
        // What varies is what does not, in a list.
        if word == "vary" || word.starts_with("vary-") {
            continue;
        }
        let here = format!("{at}/{}", word.replace('~', "~0").replace('/', "~1"));
        if word == "properties" {
            // What every step may have is described once, and shown with some.
            let is_own =
                |of: &Json| !of.is_boolean() && (of.get("$ref").is_none() || of.get("description").is_some());
            for (key, of) in inner.as_object().unwrap().iter().filter(|(_, of)| is_own(of)) {
                let meaning = of["description"].as_str().map(str::to_owned);
                all.push((format!("{here}/{key}"), meaning));
            }
        }
        keys(&here, inner, all);
    }
    for (number, inner) in schema.as_array().into_iter().flatten().enumerate() {
        keys(&format!("{at}/{number}"), inner, all);
    }
}

#[test]
fn every_key_is_shown_by_an_example() {
    let schema = schema();
    let mut used = BTreeSet::new();
    for (_, example) in examples() {
        mark(&schema, "", &serde_json::to_value(whole(&example)).unwrap(), &mut used);
    }
    let mut all = Vec::new();
    keys("", &schema, &mut all);
    let missing: Vec<&String> = all.iter().map(|(key, _)| key).filter(|key| !used.contains(*key)).collect();
    assert!(all.len() > 100, "{} keys", all.len());
    assert_eq!(missing, Vec::<&String>::new());
}

#[test]
fn every_key_means_in_the_documentation_what_the_schema_says() {
    let (schema, readme) = (schema(), read("scenarios/README.md"));
    let mut all = Vec::new();
    keys("", &schema, &mut all);
    // What is told of steps, policies and deeds has rows of its own, and what is told of sections has headings.
    let is_elsewhere = |key: &str| {
        key.contains("/$defs/") || key.contains("/does/") || key.matches("/properties/").count() < 2
    };
    let told = all.into_iter().filter(|(key, _)| !is_elsewhere(key));
    let meanings: BTreeSet<String> = told.filter_map(|(_, meaning)| meaning).collect();
    assert!(meanings.len() > 40, "{} meanings", meanings.len());
    let missing: Vec<&String> =
        meanings.iter().filter(|meaning| !readme.contains(meaning.as_str())).collect();
    assert_eq!(missing, Vec::<&String>::new());
}
