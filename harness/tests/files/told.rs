//! What is said about a mistake that is put into a valid scenario.

use std::path::Path;

use harness::scenario::{Problem, parse};

use crate::valid::VALID;

/// What is said about the scenario with other words in the place of some of them: line, message, remedy.
pub(crate) fn told(old: &str, new: &str) -> Vec<String> {
    assert!(VALID.contains(old), "{old}");
    let text = VALID.replacen(old, new, 1);
    let problems = parse(Path::new("x.toml"), &text).err().unwrap_or_default();
    let line = |problem: &Problem| {
        let help = problem.help.as_ref().map_or(String::new(), |help| format!("; {help}"));
        format!("{}: {}{help}", problem.line(&text), problem.message)
    };
    problems.iter().map(line).collect()
}
