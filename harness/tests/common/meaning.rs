//! What a scenario file says, apart from where it says it.

use std::path::Path;

use harness::scenario::{Located, Paint, Scenario, Variant, parse};

/// The scenario in a text, without its text and its lines.
pub(crate) fn meaning(text: &str) -> Scenario {
    let path = Path::new("scenarios/x.toml");
    let scenario = parse(path, text).unwrap_or_else(|problems| {
        let drawn: Vec<_> = problems.iter().map(|problem| problem.render(path, text, Paint::Plain)).collect();
        panic!("{}", drawn.join("\n"))
    });
    without_places(scenario)
}

fn without_places(mut scenario: Scenario) -> Scenario {
    scenario.source = "".into();
    unlocate(&mut scenario.setup);
    unlocate(&mut scenario.steps);
    unlocate(&mut scenario.expect.always);
    unlocate(&mut scenario.expect.outcomes);
    unlocate(scenario.expect.refusal.as_mut_slice());
    let variants = scenario.variants.into_iter();
    scenario.variants = variants
        .map(|Variant { words, scenario }| Variant { words, scenario: without_places(scenario) })
        .collect();
    scenario
}

fn unlocate<T>(located: &mut [Located<T>]) {
    for value in located {
        value.line = 0;
    }
}
