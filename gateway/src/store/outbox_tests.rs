//! What bots were told and what they owe: each reply goes out once at most, and what is kept of them is bounded.

use super::memory::{MOST_SESSIONS, Memory};
use super::outbox::{Fate, MOST_OWED, Stage, is_owed, is_unconfirmed};
use super::tests::{all, answered, received, sending, session, settled, text};

#[test]
fn an_update_is_taken_in_once_and_its_reply_goes_out_at_most_once() {
    let mut memory =
        all(&[session("a"), received("p", 7, "a"), received("p", 7, "a"), received("p", 6, "a")]);
    assert_eq!((memory.open(), memory.sessions()["a"].messages.len()), (1, 1));
    assert_eq!((memory.outbox().last("p"), memory.outbox().last("q")), (Some(7), None));
    let stage = |memory: &Memory| memory.outbox().reply("p", 7).map(|reply| reply.stage);
    memory.apply(&sending("p", 7, 1));
    assert_eq!(stage(&memory), Some(Stage::Asked), "what is not answered is not sent");
    memory.apply(&answered("p", 7, "a"));
    assert_eq!(stage(&memory), Some(Stage::Waiting));
    memory.apply(&sending("p", 7, 1));
    memory.apply(&settled("p", 7, Fate::Unsent));
    assert_eq!(stage(&memory), Some(Stage::Waiting));
    memory.apply(&sending("p", 7, 2));
    assert_eq!(memory.outbox().interrupted(3), [(text("p"), 7)]);
    assert_eq!(memory.outbox().interrupted(2), []);
    let mut sent = memory.clone();
    sent.apply(&settled("p", 7, Fate::Sent));
    assert_eq!(stage(&sent), None);
    memory.apply(&settled("p", 7, Fate::Unknown));
    memory.apply(&sending("p", 7, 3));
    memory.apply(&settled("p", 7, Fate::Unsent));
    assert_eq!(stage(&memory), Some(Stage::Unconfirmed), "nobody sends it again");
    memory.apply(&received("p", 7, "a"));
    assert_eq!(stage(&memory), Some(Stage::Unconfirmed), "nor is it asked again");
}

#[test]
fn what_bots_owe_is_bounded_and_a_session_takes_what_was_asked_in_it_along() {
    let mut memory = all(&[session("a")]);
    for update in 0..1_000 {
        memory.apply(&received("p", update, "a"));
        memory.apply(&answered("p", update, "a"));
    }
    assert_eq!(memory.outbox().count("p", is_owed), MOST_OWED);
    for update in 0..2_000 {
        for record in [
            received("q", update, "a"),
            answered("q", update, "a"),
            sending("q", update, 1),
            settled("q", update, Fate::Unknown),
        ] {
            memory.apply(&record);
        }
    }
    assert_eq!((memory.outbox().count("q", is_owed), memory.outbox().count("q", is_unconfirmed)), (0, 256));
    assert!(memory.outbox().reply("q", 1_999).is_some(), "the oldest go first");
    for bot in 0..100 {
        memory.apply(&received(&format!("b{bot}"), 1, "a"));
    }
    assert_eq!(memory.outbox().last("p"), None, "the bot that was heard of least recently is forgotten");
    memory.apply(&session("b"));
    memory.apply(&received("z", 1, "b"));
    for number in 0..MOST_SESSIONS {
        memory.apply(&session(&format!("s{number}")));
    }
    assert_eq!((memory.outbox().last("z"), memory.outbox().count("z", is_owed)), (Some(1), 0));
}
