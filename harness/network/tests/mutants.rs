//! What the plans of the library promise can fail: each with a gateway that lacks what keeps it, or with the trouble in another place.

#[path = "common/library.rs"]
mod library;

use library::{said, text};
use network::{Report, Slip, Sweep};

/// The first execution in which a promise is broken, of a hundred at most.
fn first_broken(sweep: &Sweep, check: &str) -> Report {
    let run = |seed| sweep.plan.run(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let mut reports = (0..100).map(run);
    reports
        .find(|report| report.broken.iter().any(|broken| broken.check == check))
        .unwrap_or_else(|| panic!("no seed breaks {check}"))
}

/// A plan of the library whose gateways lack something.
fn lacking(name: &str, slips: &[Slip]) -> Sweep {
    let mut sweep = Sweep::parse(&text(name)).unwrap_or_else(|mistake| panic!("{name}: {mistake}"));
    for slip in slips {
        sweep.plan = sweep.plan.slip(*slip);
    }
    sweep
}

#[test]
fn without_locks_two_gateways_of_one_state_answer_one_message() {
    let sweep = lacking("channel/rival-on-another-port", &[Slip::NoLock, Slip::NoEpoch]);
    let report = first_broken(&sweep, "one-reply");
    let text = said(&report, "one-reply", "`", "`");
    let shown = report.to_string();
    for words in [
        "rival    owner".to_owned(),
        format!("helper   is told `{text}`"),
        format!("helper   replies `echo: {text}`, by 10.0.0.1:"),
        "single-owner: rival owns the state that main owns, at 10000 ms".to_owned(),
        format!("one-reply: `{text}`, which was said to helper, has 2 replies"),
    ] {
        assert!(shown.contains(&words), "{words}\n{shown}");
    }
}

#[test]
fn without_locks_the_epoch_still_ends_whoever_came_first() {
    let report = first_broken(&lacking("channel/rival-on-another-port", &[Slip::NoLock]), "single-owner");
    assert!(report.happened.contains_key("refused fenced"), "{report}");
}

#[test]
fn what_was_never_on_the_disk_is_gone_with_the_power() {
    let report = first_broken(&lacking("network/power-fails", &[Slip::LateSync]), "said-once");
    assert!(report.to_string().contains("and it is kept 0 times"), "{report}");
}

#[test]
fn a_gateway_that_waits_for_whoever_does_not_read_answers_nobody_else() {
    let report = first_broken(&lacking("network/slow-consumer", &[Slip::OneWriter]), "prompt");
    assert!(report.to_string().contains("prompt: near has waited for "), "{report}");
}

#[test]
fn a_gateway_that_forgets_turns_its_nodes_away() {
    let sweep = lacking("network/nodes-come-again", &[Slip::NoOutbox]);
    let report = sweep.plan.run(0).expect("a plan");
    assert!(report.happened.contains_key("node: turned away"), "{report}");
    assert!(!sweep.is_as_expected(&report), "{report}");
}

#[test]
fn takeovers_by_gateways_that_forget_lose_replies() {
    let report = first_broken(&lacking("channel/takeovers-in-a-storm", &[Slip::NoOutbox]), "one-reply");
    assert!(report.to_string().contains("has no reply"), "{report}");
}

#[test]
fn a_monitor_that_is_cut_off_itself_says_that_the_gateway_is_down() {
    let text = text("network/probe-through-a-partition");
    let moved = text.replace("[\"here\", \"service\"]", "[\"here\", \"there\"]");
    assert_ne!(text, moved);
    let sweep = Sweep::parse(&moved).expect("a plan");
    let report = sweep.plan.run(0).expect("a plan");
    assert!(report.happened.contains_key("probe: down"), "{report}");
    assert!(!sweep.is_as_expected(&report), "{report}");
}

#[test]
fn a_step_that_finds_nobody_is_told() {
    let text = text("network/nodes-come-again");
    let sweep = Sweep::parse(&text.replace("at_ms = 25_000", "at_ms = 10_000")).expect("a plan");
    assert_eq!(sweep.plan.run(0).expect("a plan").idle.len(), 0);
    let late = Sweep::parse(
        &text.replace("stop  = \"main\"", "resume = \"main\"\n\n[[step]]\nat_ms = 25_001\nkill = \"main\""),
    );
    let idle = late.expect("a plan").plan.run(0).expect("a plan").idle;
    assert_eq!(idle.into_iter().collect::<Vec<_>>(), ["step at 25001 ms: kill = \"main\""]);
    let cut = format!("{text}\n[[step]]\nat_ms = 80_000\ncut = [\"here\", \"service\"]\n");
    let idle = Sweep::parse(&cut).expect("a plan").plan.run(0).expect("a plan").idle;
    assert_eq!(idle.into_iter().collect::<Vec<_>>(), ["step at 80000 ms: cut = [\"here\", \"service\"]"]);
}
