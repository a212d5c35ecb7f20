//! Whole gateways under all kinds of weather: what users must never see is not seen, whatever the seed.

mod common;

use std::time::Duration;

use common::{SEEDS, always, clean};
use network::{Client, Gateway, Plan, Step, Weather};
use portcullis_os::Signal;

/// One gateway with two clients.
fn alone() -> Plan {
    Plan::new()
        .gateway(Gateway::on("here", "main").supervisor(always()).job(Duration::from_secs(10)))
        .client(Client::on("here", "near", "main"))
        .client(Client::on("there", "far", "main").every(Duration::from_millis(300)))
        .at(0, Step::Start("main".into()))
        .until(120_000)
}

#[test]
fn clients_are_answered_where_nothing_goes_wrong() {
    let report = clean(&alone(), 1);
    assert_eq!(report.happened.get("ready"), Some(&1), "{report}");
}

#[test]
fn what_was_said_is_kept_once_whatever_happens() {
    let mut happened = std::collections::BTreeMap::new();
    for seed in 0..SEEDS {
        let report = clean(&alone().weather(Weather { every_ms: 8_000 }), seed);
        for (what, often) in report.happened {
            *happened.entry(what).or_insert(0) += often;
        }
    }
    for kind in ["SIGKILL", "SIGSTOP", "SIGUSR1", "SIGTERM", "cut", "slow", "lossy", "sleep", "clock"] {
        assert!(happened.contains_key(kind), "no seed had {kind}: {happened:?}");
    }
}

#[test]
fn one_seed_is_one_execution() {
    let plan = alone().weather(Weather { every_ms: 8_000 });
    for seed in 0..5 {
        assert_eq!(clean(&plan, seed), clean(&plan, seed));
    }
}

#[test]
fn a_restart_in_place_and_a_takeover_lose_nothing() {
    let plan = alone()
        .gateway(Gateway::on("here", "next").state("main").job(Duration::from_secs(10)).takes_over())
        .at(20_000, Step::Signal("main".into(), Signal::User1))
        .at(60_000, Step::Start("next".into()));
    for seed in 0..SEEDS {
        clean(&plan, seed);
    }
}
