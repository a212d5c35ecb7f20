//! What a scenario file says, apart from where it says it.

use std::path::Path;

use harness::scenario::{Paint, Scenario, parse};

/// The scenario in a text, without its text and its lines.
pub(crate) fn meaning(text: &str) -> Scenario {
    let path = Path::new("scenarios/x.toml");
    let scenario = parse(path, text).unwrap_or_else(|problems| {
        let drawn: Vec<_> = problems.iter().map(|problem| problem.render(path, text, Paint::Plain)).collect();
        panic!("{}", drawn.join("\n"))
    });
    scenario.without_places()
}
