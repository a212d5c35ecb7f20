//! The service as its clients meet it: one poller of a bot at a time, a lease that outlives its holder, nothing given twice
//! once it is confirmed.

#![expect(clippy::expect_used, reason = "a test that cannot set its stage has failed")]

use std::net::{Ipv4Addr, SocketAddr};

use bot::{Answer, Asked, Bots, Deed, Poll, Rules, Ticket};
use serde_json::Value;

const TOKEN: &str = "7:x";

fn client(number: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, number).into()
}

fn bots() -> Bots {
    let mut bots = Bots::new(Rules { lease_ms: 3_000 });
    bots.add(TOKEN, "echo_bot");
    bots
}

fn long(offset: Option<i64>) -> Asked {
    Asked { offset, limit: 10, timeout_ms: 1_000 }
}

fn waits(poll: Poll) -> Ticket {
    match poll {
        Poll::Wait(ticket) => ticket,
        Poll::Now(answer) => panic!("{answer:?}"),
    }
}

fn answer(poll: Poll) -> Answer {
    match poll {
        Poll::Now(answer) => answer,
        Poll::Wait(ticket) => panic!("{ticket:?}"),
    }
}

fn texts(answer: &Answer) -> Vec<String> {
    let given = answer.body["result"].as_array().expect("a list");
    given.iter().map(|update| update["message"]["text"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_newer_poll_ends_the_older_one_and_who_vanishes_keeps_others_out_for_its_lease() {
    let mut bots = bots();
    let first = waits(bots.poll(TOKEN, client(1), long(None), 0));
    let second = waits(bots.poll(TOKEN, client(2), long(None), 10));
    let ended = bots.look(&first, 10).expect("it is over");
    assert_eq!(
        (ended.status, &ended.body["ok"], &ended.body["error_code"]),
        (409, &false.into(), &409.into())
    );
    let text = ended.body["description"].as_str().expect("a text");
    assert!(text.starts_with("Conflict: terminated by other getUpdates request;"), "{text}");
    assert_eq!(bots.look(&second, 10), None);
    bots.vanish(&second, 100);
    assert_eq!(answer(bots.poll(TOKEN, client(3), long(None), 3_099)).status, 409);
    let third = waits(bots.poll(TOKEN, client(3), long(None), 3_100));
    assert_eq!(bots.look(&third, 4_100).map(|answer| texts(&answer)), Some(Vec::new()), "its time is up");
    bots.vanish(&third, 4_200);
    waits(bots.poll(TOKEN, client(4), long(None), 4_201));
    assert_eq!(bots.record().conflicts("echo_bot"), 2);
}

#[test]
fn an_update_is_given_until_it_is_confirmed_and_their_numbers_grow() {
    let mut bots = bots();
    let first = bots.say(TOKEN, 5, "a", 0).expect("a bot");
    let second = bots.say(TOKEN, 5, "b", 0).expect("a bot");
    assert!(first < second);
    assert_eq!(texts(&answer(bots.poll(TOKEN, client(1), long(None), 0))), ["a", "b"]);
    assert_eq!(texts(&answer(bots.poll(TOKEN, client(1), Asked { limit: 1, ..long(None) }, 0))), ["a"]);
    assert_eq!(texts(&answer(bots.poll(TOKEN, client(1), long(Some(second)), 0))), ["b"]);
    assert_eq!(
        texts(&answer(bots.poll(TOKEN, client(1), long(Some(first)), 0))),
        ["b"],
        "it is gone for good"
    );
    let ticket = waits(bots.poll(TOKEN, client(1), long(Some(second + 1)), 0));
    bots.say(TOKEN, 5, "c", 1).expect("a bot");
    assert_eq!(bots.look(&ticket, 1).map(|answer| texts(&answer)), Some(vec!["c".to_owned()]));
    assert_eq!(answer(bots.poll("8:x", client(1), long(None), 0)).status, 401);
}

#[test]
fn what_is_sent_is_written_down_and_what_cannot_be_is_refused() {
    let mut bots = bots();
    let sent = bots.send(TOKEN, client(1), Some(5), "hello", 0);
    assert_eq!((sent.status, &sent.body["result"]["text"]), (200, &"hello".into()));
    for (chat, text) in [(None, "x"), (Some(5), ""), (Some(5), &*"x".repeat(4_097))] {
        assert_eq!(bots.send(TOKEN, client(1), chat, text, 0).status, 400);
    }
    assert_eq!(bots.send("8:x", client(1), Some(5), "x", 0).status, 401);
    assert_eq!(bots.record().sent("echo_bot"), [(5, "hello".to_owned())]);
    let deeds: Vec<_> = bots.record().happenings().map(|happening| happening.deed.clone()).collect();
    assert_eq!(deeds, [Deed::Sent { chat: 5, text: "hello".to_owned() }]);
    assert_eq!(bots.own(TOKEN).body["result"]["username"], Value::from("echo_bot"));
}
