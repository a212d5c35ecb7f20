//! Bots under all kinds of weather: one reply a message, one poller a bot, and what happens without a part of the gateway.

mod common;

use common::{SEEDS, always, clean};
use network::{Broken, Gateway, Plan, Report, Slip, Step, Weather};
use portcullis_os::Signal;
use sim::network::Link;

/// One gateway that answers for a bot, and so many messages, one a second.
fn helper(gateway: Gateway, messages: u64) -> Plan {
    let name = "main".to_owned();
    let mut plan = Plan::new()
        .bot("helper")
        .gateway(gateway.bot("helper").supervisor(always()))
        .at(0, Step::Start(name));
    for number in 0..messages {
        let text = format!("m{number}");
        plan = plan.at(2_000 + number * 1_000, Step::Say { bot: "helper".into(), chat: 7, text });
    }
    plan.until(10_000 + messages * 1_000).lease_ms(20_000)
}

fn has(broken: &[Broken], check: &str) -> bool {
    broken.iter().any(|broken| broken.check == check)
}

#[test]
fn each_message_has_one_reply_where_nothing_goes_wrong() {
    let report = clean(&helper(Gateway::on("here", "main"), 30), 1);
    assert_eq!(report.replies, 30, "{report}");
}

#[test]
fn no_message_has_two_replies_whatever_happens() {
    let plan = helper(Gateway::on("here", "main"), 60).weather(Weather { every_ms: 4_000 });
    for seed in 0..SEEDS {
        clean(&plan, seed);
    }
}

#[test]
fn a_restart_in_place_and_a_takeover_lose_no_reply_and_double_none() {
    let next = Gateway::on("here", "next").state("main").bot("helper").takes_over();
    let plan = helper(Gateway::on("here", "main"), 40)
        .gateway(next)
        .at(9_500, Step::Signal("main".into(), Signal::User1))
        .at(20_300, Step::Start("next".into()));
    for seed in 0..SEEDS {
        let report = clean(&plan, seed);
        assert_eq!(report.replies, 40, "{report}");
    }
}

/// A slow way, on which much is under way when something happens.
const FAR: Link = Link { least_ms: 100, most_ms: 1_500, lost_permille: 0, is_cut: false };

/// Whether some message has two replies.
fn is_doubled(report: &Report) -> bool {
    report.broken.iter().any(|broken| broken.check == "one-reply" && broken.says.ends_with("has 2 replies"))
}

/// A gateway far from its bots that is killed again and again.
fn killed(gateway: Gateway) -> Plan {
    let kills = (1..10).map(|number| (number * 7_300, Step::Signal("main".into(), Signal::Kill)));
    let link = Link { least_ms: 50, most_ms: 400, ..Link::default() };
    kills.fold(helper(gateway, 60).link(link).lease_ms(1_000), |plan, (at_ms, step)| plan.at(at_ms, step))
}

#[test]
fn without_what_it_wrote_down_a_gateway_owes_replies_and_does_not_know_it() {
    let lacking = killed(Gateway::on("here", "main").slip(Slip::NoOutbox));
    let mut reports = (0..100).map(|seed| lacking.run(seed).expect("a plan"));
    let broken = reports.find(|report| has(&report.broken, "one-reply")).expect("some seed shows it");
    assert!(broken.to_string().contains("has no reply"), "{broken}");
    for seed in 0..SEEDS {
        clean(&killed(Gateway::on("here", "main")), seed);
    }
}

/// Two hosts that share a state on storage whose locks do not reach from one to the other.
fn split(slip: Option<Slip>) -> Plan {
    let on = |host: &str, name: &str| {
        let gateway = Gateway::on(host, name).state("shared").bot("helper").supervisor(always());
        slip.map_or(gateway.clone(), |slip| gateway.slip(slip))
    };
    let mut plan = Plan::new()
        .bot("helper")
        .lease_ms(5_000)
        .shared_without_locks("shared")
        .gateway(on("here", "main"))
        .gateway(on("there", "other"))
        .at(0, Step::Start("main".into()))
        .at(10_000, Step::Start("other".into()))
        .until(60_000);
    for number in 0..50 {
        let text = format!("m{number}");
        plan = plan.at(2_000 + number * 1_000, Step::Say { bot: "helper".into(), chat: 7, text });
    }
    plan
}

#[test]
fn where_locks_do_not_reach_the_epoch_fences_whoever_came_first() {
    for seed in 0..SEEDS {
        let report = split(None).run(seed).expect("a plan");
        assert!(report.happened.contains_key("ended by exit 70"), "{report}");
        assert!(has(&report.broken, "single-owner"), "{report}");
    }
}

#[test]
fn without_locks_and_without_epochs_replies_are_doubled() {
    // What one of them was told and has not confirmed yet, the other one is told too: far away that takes a while.
    let plan = split(Some(Slip::NoEpoch)).link(FAR);
    let mut reports = (0..100).map(|seed| plan.run(seed).expect("a plan"));
    assert!(reports.any(|report| is_doubled(&report)), "no seed shows it");
}
