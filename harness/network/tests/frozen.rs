//! What a seed draws can be written down: the same execution, and then the same failure with less trouble.

#[path = "common/library.rs"]
mod library;

use library::{said, text};
use network::{Slip, Sweep};

/// A plan under weather whose gateway forgets what it owes.
fn forgetful(text: &str) -> Sweep {
    let mut sweep = Sweep::parse(text).unwrap_or_else(|mistake| panic!("{mistake}"));
    sweep.plan = sweep.plan.slip(Slip::NoOutbox);
    sweep
}

#[test]
fn a_failure_is_written_down_with_as_little_trouble_as_it_takes_and_is_the_same_when_read_again() {
    let plan = text("channel/one-reply-whatever-happens");
    let sweep = forgetful(&plan);
    let fails = |seed: &u64| !sweep.is_as_expected(&sweep.plan.run(*seed).expect("a plan"));
    let seed = (0..100).find(fails).expect("some seed fails");
    let frozen = sweep.freeze(seed, &|| false).expect("a plan").expect("it fails under weather");
    assert!(frozen.steps.len() < frozen.drawn / 2, "{} of {}", frozen.steps.len(), frozen.drawn);
    let steps: String =
        frozen.steps.iter().map(|(at_ms, words)| format!("[[step]]\nat_ms = {at_ms}\n{words}\n\n")).collect();
    let written =
        plan.replace("weather_every_ms = 4_000\n", "").replace("[expect]", &format!("{steps}[expect]"));
    let again = forgetful(&written).plan.run(seed).expect("a plan");
    assert_eq!(again.digest, frozen.report.digest, "{written}");
    assert_eq!(said(&again, "one-reply", "", "\u{0}"), said(&frozen.report, "one-reply", "", "\u{0}"));
}

#[test]
fn what_fails_without_weather_is_not_written_down() {
    let mut sweep = Sweep::parse(&text("channel/rival-on-another-port")).expect("a plan");
    sweep.plan = sweep.plan.slip(Slip::NoLock);
    assert!(sweep.freeze(0, &|| false).expect("a plan").is_none());
    let sweep = Sweep::parse(&text("channel/one-reply-whatever-happens")).expect("a plan");
    assert!(sweep.freeze(0, &|| false).expect("a plan").is_none(), "nothing fails");
}
