//! The published schema of plans says what their parser says: each plan that is shipped, and the example of the documentation, is
//! spoilt in many ways. What the parser accepts then, the schema accepts; what cannot even be read, the schema
//! refuses.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test panics where its premises fail, and reads the files that it judges"
)]

use std::fs;
use std::path::Path;

use crate::spoilt::spoilt_table;
use crate::target_schema::{json, root, schema};
use crate::validator::mistakes;
use network::{Mistake, Sweep};
use toml::{Table, Value};

/// Every so many ways to spoil a plan are tried.
const STRIDE: usize = 3;

/// The plans that are shipped, and the example of the documentation, each with its name.
fn plans() -> Vec<(String, String)> {
    let guide = fs::read_to_string(root().join("docs/sweeps.md")).unwrap();
    let example = guide.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let mut plans = vec![("docs/sweeps.md".to_owned(), example.to_owned())];
    for folder in ["channel", "network", "rescue"] {
        for file in fs::read_dir(root().join("scenarios").join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.to_string_lossy().ends_with(".sweep.toml") {
                plans.push((path.display().to_string(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    plans
}

#[test]
fn every_plan_that_is_shipped_fits_the_schema_that_it_names() {
    let schema = schema("plan");
    let plans = plans();
    assert!(plans.len() > 15, "{}", plans.len());
    for (name, text) in plans {
        let table: Table = text.parse().unwrap();
        assert_eq!(mistakes(&schema, &json(&Value::Table(table))), Vec::<String>::new(), "{name}");
        if let Some(named) = text.lines().next().unwrap().strip_prefix("#:schema ") {
            let named = Path::new(&name).parent().unwrap().join(named);
            assert_eq!(named.canonicalize().unwrap(), root().join("harness/schemas/plan.v1.json"));
        } else {
            assert_eq!(name, "docs/sweeps.md");
        }
    }
}

#[test]
fn what_can_be_no_plan_the_schema_refuses_and_what_is_one_it_accepts() {
    let schema = schema("plan");
    let (mut accepted, mut refused) = (0, 0);
    let mut wrong: Vec<String> = Vec::new();
    for (name, text) in plans() {
        let table: Table = text.parse().unwrap();
        for (what, spoilt) in spoilt_table(&table, "").into_iter().step_by(STRIDE) {
            let text = toml::to_string(&spoilt).unwrap();
            let found = mistakes(&schema, &json(&Value::Table(spoilt)));
            match (Sweep::parse(&text), found.first()) {
                (Ok(_), Some(why)) => {
                    wrong.push(format!("{name}: {what}: only the schema refuses it: {why}"));
                }
                (Ok(_), None) => accepted += 1,
                (Err(all), None) if matches!(all.0[..], [Mistake::Text(_)]) => {
                    wrong.push(format!("{name}: {what}: only the parser refuses it: {all}"));
                }
                (Err(_), Some(_)) => refused += 1,
                (Err(_), None) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    assert!(accepted > 100 && refused > 1000, "{accepted} {refused}");
}
