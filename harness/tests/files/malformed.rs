//! Two hundred files with one mistake each: every one has a message that says where it is and what to do, and status 2.

#![expect(clippy::disallowed_methods, reason = "a test prepares files itself")]

use std::path::Path;

use assert_cmd::cargo::cargo_bin_cmd;
use harness::scenario::{Paint, Scenario, load};

/// How many files.
const FILES: usize = 200;

/// One mistake each: what is written, and what it becomes.
const MISTAKES: [(&str, &str); 30] = [
    ("schema = 1", "schema = 2"),
    ("schema = 1", "schema = \"1\""),
    ("title  = ", "titel  = "),
    ("title  = \"", "title  = '"),
    ("tags   = [\"", "tags   = [\"No Tag\", \""),
    ("refs   = [", "refs   = [7, "),
    ("state = \"", "state = \"/srv/"),
    ("port  = ", "port  = 7"),
    ("port  = ", "prot  = "),
    ("port  = 18789", "port  = \"18789\""),
    ("port  = 18789", "port  = 18789\nport  = 18789"),
    ("port  = 18789", "port  = 18789\ncolour = \"red\""),
    ("[gateway.a]", "[gateway.A]"),
    ("[gateway.a]", "[gateway.a"),
    ("[run]", "[runs]"),
    ("steps = [", "steps = [[], "),
    ("steps = [", "steps = "),
    ("{ start = ", "{ strat = "),
    ("{ start = ", "{ kill = \"nobody\", start = "),
    ("{ wait = \"settled\" }", "{ wait = \"settle\" }"),
    ("{ wait = \"settled\" }", "{}"),
    ("{ wait = \"settled\" }", "{ wait = \"settled\", mode = 1 }"),
    ("[expect]", "[expect]\nnever = []"),
    ("always   = [", "always   = [\"no-such-check\", "),
    ("outcomes = [", "outcomes = [{ nobody = \"ready\" }, "),
    ("outcomes = [", "outcomes = [{}, "),
    ("\"ready\"", "\"redy\""),
    ("\"refused:held\"", "\"refused:heldd\""),
    ("reach    = \"every-outcome\"", "reach    = \"every\""),
    ("reach    = \"every-outcome\"", "reach    = every-outcome"),
];

#[test]
fn two_hundred_files_with_a_mistake_each_are_refused_with_a_place_and_a_remedy() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let scenarios = load(&[library]).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)));
    let files = malformed(&scenarios);
    assert_eq!(files.len(), FILES);
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (what, text) in &files {
        std::fs::write(folder.path().join("x.toml"), text).unwrap();
        let output = cargo_bin_cmd!("portcullis")
            .current_dir(folder.path())
            .args(["check", "x.toml"])
            .output()
            .unwrap();
        let shown = String::from_utf8(output.stderr).unwrap();
        let is_located = shown.lines().any(|line| {
            let place = line.trim_start().strip_prefix("--> x.toml:").and_then(|place| place.split_once(':'));
            place.is_some_and(|(line, column)| line.parse::<u32>().is_ok() && column.parse::<u32>().is_ok())
        });
        if output.status.code() != Some(2) || !is_located || !shown.contains("= help: ") {
            wrong.push(format!("{what}: {:?}\n{shown}", output.status.code()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), files.len(), wrong.join("\n"));
}

/// So many scenarios of the library with a mistake each, every mistake about as often.
fn malformed(scenarios: &[Scenario]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for round in 0..scenarios.len() {
        for (number, (from, to)) in MISTAKES.iter().enumerate() {
            let scenario = &scenarios[(round * MISTAKES.len() + number * 7) % scenarios.len()];
            let text = scenario.source.replacen(from, to, 1);
            if files.len() < FILES && text != *scenario.source {
                files.push((format!("{}: {from} becomes {to}", scenario.name), text));
            }
        }
    }
    files.dedup();
    files
}
