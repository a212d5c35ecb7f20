//! What a service does wrong doubles nothing, and what nobody can know is said to be unknown.

use bot::Fault;
use serde_json::json;

use super::{Stage, account_once};
use crate::ladder::client;
use crate::room::{Room, object};

#[test]
fn a_reply_is_sent_again_only_where_it_certainly_was_not_sent_before() {
    let (stage, room) = (Stage::new(0), Room::new(86, None));
    stage.furnish(&room);
    for fault in [Fault::TooMany(1), Fault::Late(50), Fault::Error, Fault::ErrorAfter, Fault::Drop] {
        assert!(stage.service.fault("sendMessage", fault));
    }
    for fault in [Fault::Error, Fault::Drop, Fault::TooMany(1)] {
        assert!(stage.service.fault("getUpdates", fault));
    }
    let updates: Vec<i64> = (0..5).map(|number| stage.say(&format!("m{number}"))).collect();
    let _gateway = room.gateway(&[]);
    let account = account_once(&room, "it is at rest", |account| {
        account["messagesReceived"] == 5 && account["repliesWaiting"] == 0
    });
    // The first was put off and answered late, the second failed, the third and the fourth went out all the same.
    let sent: Vec<_> = stage.sent().into_iter().collect();
    let once = |text: &str| (text.to_owned(), 1);
    assert_eq!(sent, [once("echo: m0"), once("echo: m2"), once("echo: m3"), once("echo: m4")]);
    let unconfirmed = account["unconfirmed"].as_array().expect("a list").iter();
    let mut unconfirmed: Vec<_> = unconfirmed.filter_map(|reply| reply["update"].as_i64()).collect();
    unconfirmed.sort_unstable();
    assert_eq!(unconfirmed, updates[1..4], "{account}");
    assert_eq!(
        (&account["repliesUnconfirmed"], &account["repliesSent"]),
        (&json!(3), &json!(2)),
        "{account}"
    );
}

#[test]
fn a_service_that_cannot_be_reached_is_shown_and_tried_again() {
    let ((stage, socket), room) = (Stage::closed(0), Room::new(89, None));
    stage.furnish(&room);
    stage.say("are you there?");
    let _gateway = room.gateway(&[]);
    let account =
        account_once(&room, "it is not reached", |account| account["healthState"] == "disconnected");
    let expected = format!("127.0.0.1:{} cannot be reached: connection refused", stage.port);
    assert_eq!(
        (&account["lastError"], &account["connected"]),
        (&json!(expected), &json!(false)),
        "{account}"
    );
    let output = client(&room, "channels status --probe --json", "x").output().expect("it runs");
    let said = object(&output.stdout);
    let probe = &said["channels"]["channelAccounts"]["telegram"][0]["probe"];
    assert_eq!((output.status.code(), &probe["error"]), (Some(1), &json!(expected)), "{said}");
    stage.open(socket);
    stage.until_sent(1);
    account_once(&room, "it recovers", |account| account["healthState"] == "healthy");
}

#[test]
fn a_token_that_the_service_does_not_know_stops_the_account_and_nothing_else() {
    let (stage, room) = (Stage::new(0), Room::new(87, None));
    let config = stage.config().to_string().replace("7:s3cret", "8:an0ther");
    room.put("openclaw.json", config.as_bytes());
    let _gateway = room.gateway(&[]);
    let account = account_once(&room, "it stops", |account| account["healthState"] == "unauthorized");
    assert_eq!(
        (&account["lastError"], &account["connected"]),
        (&json!("401 Unauthorized"), &json!(false)),
        "{account}"
    );
    account_once(&room, "it has stopped", |account| account["running"] == false);
}
