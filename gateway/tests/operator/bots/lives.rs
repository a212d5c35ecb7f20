//! A gateway that is killed, restarted and succeeded goes on with its bot where it was.

use std::collections::BTreeSet;
use std::fs;

use bot::Deed;
use rustix::process::Signal;
use serde_json::json;

use super::{NAME, Stage, TOKEN, account_once, kill};
use crate::memory::Client;
use crate::room::{Room, read, signal};

#[test]
fn what_is_said_to_a_bot_is_answered_once_and_its_token_is_shown_nowhere() {
    let (stage, room) = (Stage::new(0), Room::new(80, None));
    stage.furnish(&room);
    stage.say("before");
    let gateway = room.gateway(&[]);
    stage.until_sent(1);
    stage.say("after");
    stage.until_sent(2);
    let account = account_once(&room, "it is healthy", |account| account["repliesSent"] == 2);
    assert_eq!(
        (&account["healthState"], &account["connected"]),
        (&json!("healthy"), &json!(true)),
        "{account}"
    );
    assert_eq!(
        (&account["bot"]["username"], &account["repliesWaiting"]),
        (&json!(NAME), &json!(0)),
        "{account}"
    );
    let mut client = Client::of(&room);
    let history = client.ask("chat.history", &json!({"sessionKey": "telegram:default:5"}));
    let text = |number: usize| history["messages"][number]["content"][0]["text"].clone();
    assert_eq!([text(0), text(1), text(2), text(3)], ["before", "echo: before", "after", "echo: after"]);
    let status = client.ask("channels.status", &json!({"probe": true, "timeoutMs": 5000}));
    assert_eq!(status["channelAccounts"]["telegram"][0]["probe"]["ok"], true, "{status}");
    let shown = [status, client.ask("config.get", &json!({})), client.ask("logs.tail", &json!({}))];
    signal(gateway.pid(), Signal::TERM);
    let mut gateway = gateway;
    gateway.child.0.wait().expect("it ends");
    assert_eq!(stage.sent().values().sum::<usize>(), 2, "{:?}", stage.sent());
    assert_eq!(stage.service.record().conflicts(NAME), 1, "its own last word has ended its poll");
    let secret = TOKEN.split(':').next_back().expect("a part");
    assert!(shown.iter().all(|shown| !shown.to_string().contains(secret)), "{shown:?}");
    for (path, (.., bytes, _, _)) in room.files() {
        let is_config = path.ends_with("openclaw.json");
        assert!(is_config || !String::from_utf8_lossy(&bytes).contains(secret), "{}", path.display());
    }
    assert!(!read(&room.at("state/control.1.jsonl")).is_empty());
}

#[test]
fn a_restart_in_place_and_a_takeover_under_load_lose_and_double_nothing() {
    let (stage, room) = (Stage::new(3_000), Room::new(81, None));
    stage.furnish(&room);
    let mut gateway = room.gateway(&[]);
    let mut said = 0;
    let mut say = |count: usize| {
        for _ in 0..count {
            said += 1;
            stage.say(&format!("m{said}"));
        }
        said
    };
    for round in 0..3 {
        let most = say(40);
        stage.until_sent(most - 30);
        if round == 1 {
            let next = room.gateway(&["--takeover"]);
            assert_eq!(gateway.next()["event"], "released");
            gateway = next;
        } else {
            signal(gateway.pid(), Signal::USR1);
            assert_eq!(gateway.next()["event"], "ready");
        }
    }
    stage.until_sent(120);
    let sent = stage.sent();
    assert!(sent.len() == 120 && sent.values().all(|count| *count == 1), "{sent:?}");
    let account = account_once(&room, "it is at rest", |account| account["repliesWaiting"] == 0);
    assert_eq!(account["repliesUnconfirmed"], 0, "{account}");
    assert_eq!(account["conflicts"], 0, "who came next was kept out by nobody: {account}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test takes the directory away")]
fn a_gateway_that_has_lost_its_state_directory_polls_and_sends_nothing_more() {
    let (stage, room) = (Stage::new(0), Room::new(88, None));
    stage.furnish(&room);
    let mut gateway = room.gateway(&[]);
    stage.say("one");
    stage.until_sent(1);
    let polls = |bots: &bot::Bots| {
        bots.record().happenings().filter(|happening| matches!(happening.deed, Deed::Polled(_))).count()
    };
    // A poll waits that confirms what was answered.
    stage.until("a poll that waits", |bots| (bots.waiting(TOKEN) == 0).then_some(()));
    gateway.pause();
    fs::rename(room.at("state"), room.at("elsewhere")).expect("it is mine");
    stage.say("two");
    let before = stage.until("the state of things", |bots| Some(polls(bots)));
    signal(gateway.pid(), Signal::CONT);
    let ended = gateway.child.0.wait().expect("it ends");
    assert_eq!(ended.code(), Some(70), "it is fenced");
    assert_eq!(stage.until("the state of things", |bots| Some(polls(bots))), before);
    assert_eq!(stage.sent().len(), 1, "{:?}", stage.sent());
}

#[test]
fn a_gateway_that_is_killed_at_any_moment_doubles_no_reply_and_names_each_that_may_be_missing() {
    let (stage, room) = (Stage::new(50), Room::new(82, None));
    stage.furnish(&room);
    let mut updates = Vec::new();
    let mut say = |count: usize| {
        for _ in 0..count {
            let text = format!("m{}", updates.len());
            updates.push((stage.say(&text), format!("echo: {text}")));
        }
    };
    for round in 0..12 {
        say(10);
        let gateway = room.gateway(&[]);
        let before = stage.sent().len();
        // Another moment each time: after so many of the replies of this round.
        stage.until("it has begun", |bots| {
            (bots.record().sent(NAME).len() >= before + round % 4).then_some(())
        });
        kill(gateway);
    }
    say(1);
    let _gateway = room.gateway(&[]);
    let last = updates.last().expect("it was said").1.clone();
    stage.until("the last reply", |bots| {
        bots.record().sent(NAME).iter().any(|(_, text)| *text == last).then_some(())
    });
    let account = account_once(&room, "it is at rest", |account| account["repliesWaiting"] == 0);
    let sent = stage.sent();
    assert!(sent.values().all(|count| *count == 1), "{sent:?}");
    let unconfirmed = account["unconfirmed"].as_array().expect("a list");
    let unconfirmed: BTreeSet<_> = unconfirmed.iter().filter_map(|reply| reply["update"].as_i64()).collect();
    assert_eq!(account["repliesUnconfirmed"], unconfirmed.len(), "{account}");
    assert!(unconfirmed.len() <= 12, "at most the one that was under way: {account}");
    for (update, reply) in &updates {
        assert!(sent.contains_key(reply) || unconfirmed.contains(update), "{reply} is lost: {account}");
    }
}
