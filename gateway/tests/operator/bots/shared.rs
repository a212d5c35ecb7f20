//! Two pollers of one bot, of which the service serves one at a time.

use rustix::process::Signal;
use serde_json::json;

use super::{NAME, Stage, account_once, kill};
use crate::ladder::client;
use crate::room::{Room, object, signal};

#[test]
fn two_gateways_with_one_bot_both_say_so_and_serve_on_until_one_of_them_is_gone() {
    let (stage, room, other) = (Stage::new(0), Room::new(83, None), Room::new(84, None));
    stage.furnish(&room);
    stage.furnish(&other);
    let (mut gateway, rival) = (room.gateway(&[]), other.gateway(&[]));
    for place in [&room, &other] {
        let account = account_once(place, "a conflict", |account| account["healthState"] == "conflict");
        let error = account["lastError"].as_str().expect("a text");
        assert!(error.starts_with("409 Conflict: terminated by other getUpdates request"), "{error}");
        assert_eq!(account["running"], true, "{account}");
        let output = client(place, "channels status --probe --json", "x").output().expect("it runs");
        let said = object(&output.stdout);
        assert_eq!((output.status.code(), &said["accounts"][0]["bad"]), (Some(1), &json!(true)), "{said}");
    }
    kill(rival);
    let account = account_once(&room, "it recovers", |account| account["healthState"] == "healthy");
    assert!(account["conflicts"].as_u64().is_some_and(|conflicts| conflicts > 0), "{account}");
    stage.say("still there?");
    stage.until_sent(1);
    signal(gateway.pid(), Signal::TERM);
    assert!(gateway.child.0.wait().expect("it ends").success());
}

#[test]
fn the_lease_that_a_killed_gateway_leaves_behind_is_waited_out() {
    let (stage, room) = (Stage::new(1_500), Room::new(85, None));
    stage.furnish(&room);
    let gateway = room.gateway(&[]);
    stage.say("one");
    stage.until_sent(1);
    // It polls again by then.
    account_once(&room, "it is connected", |account| account["connected"] == true);
    stage.until("a poll that waits", |bots| {
        let deed = bots.record().happenings().last().map(|happening| happening.deed.clone());
        matches!(deed, Some(bot::Deed::Polled(Some(_)))).then_some(())
    });
    kill(gateway);
    let _next = room.gateway(&[]);
    account_once(&room, "the lease is in the way", |account| account["healthState"] == "conflict");
    stage.say("two");
    stage.until_sent(2);
    assert!(stage.service.record().conflicts(NAME) > 0);
    assert!(stage.sent().values().all(|count| *count == 1), "{:?}", stage.sent());
    account_once(&room, "it recovers", |account| account["healthState"] == "healthy");
}
