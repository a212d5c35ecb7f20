//! What the plans of the library promise can fail: each with a gateway that lacks what keeps it, or with the trouble in another place.

#[path = "common/library.rs"]
mod library;

use library::{said, text};
use network::{Broken, Report, Slip, Sweep};

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
fn without_epochs_or_without_a_memory_messages_have_two_replies() {
    for (name, slip) in [
        ("network/one-state-on-two-hosts", Slip::NoEpoch),
        ("channel/one-reply-whatever-happens", Slip::NoOutbox),
    ] {
        let sweep = lacking(name, &[slip]);
        let is_doubled = |broken: &Broken| broken.check == "one-reply" && broken.says.ends_with(" 2 replies");
        let mut reports = (0..200).map(|seed| sweep.plan.run(seed).expect("a plan"));
        let report = reports.find(|report| report.broken.iter().any(is_doubled));
        let report = report.unwrap_or_else(|| panic!("{name}: no seed shows it"));
        let doubled = report.broken.iter().find(|broken| is_doubled(broken)).expect("it is one");
        let text = doubled.says.split('`').nth(1).expect("a message");
        let replies =
            report.log.iter().filter(|(.., what)| what.starts_with(&format!("replies `echo: {text}`, by ")));
        assert_eq!(replies.count(), 2, "{report}");
    }
}

/// Two owners of one state that do not see each other, with a job that is due all the time.
fn blind(slips: &[Slip]) -> Sweep {
    let text = text("network/one-state-on-two-hosts");
    let with_job = text.replace("restart = \"always\"", "job_every_ms = 1_000");
    assert_ne!(text, with_job);
    let mut sweep = Sweep::parse(&with_job).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    for slip in [&[Slip::NoEpoch], slips].concat() {
        sweep.plan = sweep.plan.slip(slip);
    }
    sweep
}

#[test]
fn without_epochs_a_slot_is_still_one_file_and_without_that_it_runs_twice() {
    let report = blind(&[]).plan.run(0).expect("a plan");
    assert!(report.happened.contains_key("job run"), "{report}");
    assert!(report.broken.iter().all(|broken| broken.check != "cron-once"), "{report}");
    let report = first_broken(&blind(&[Slip::AnySlot]), "cron-once");
    assert!(report.to_string().contains(" of the job of main has 2 runs"), "{report}");
}

#[test]
fn what_lies_in_the_workspace_of_another_gateway_is_found() {
    // Locks on the workspace would have kept it out.
    let sweep = lacking("rescue/main-dies-beside-its-rescue", &[Slip::OneWorkspace, Slip::NoLock]);
    let report = first_broken(&sweep, "right-workspace");
    assert!(report.to_string().contains("/here/main holds what was made for "), "{report}");
}

#[test]
fn a_gateway_that_listens_and_takes_nobody_in_does_not_answer() {
    let sweep = lacking("rescue/main-dies-beside-its-rescue", &[Slip::Mute]);
    let report = first_broken(&sweep, "answered");
    assert!(report.to_string().contains("rescue serves, and doctor was not answered"), "{report}");
}

#[test]
fn a_panic_and_a_plan_in_which_nobody_serves_are_told() {
    let report = first_broken(&lacking("channel/rival-on-another-port", &[Slip::Panics]), "panicked");
    assert!(report.to_string().contains("this gateway panics"), "{report}");
    let nobody = "schema = 1\ntitle = 't'\nlength_ms = 1000\n[gateway.main]\nhost = 'here'\n";
    let report = Sweep::parse(nobody).expect("a plan").plan.run(0).expect("a plan");
    assert!(report.to_string().contains("served: no gateway was ever ready"), "{report}");
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
