//! What bots are told and what they owe, across crashes: taken in once, and a reply whose fate is unknown is not sent again.

use serde_json::json;

use super::kept::Stand;
use crate::control::{Due, Health};
use crate::identity::{Phase, PhaseName};
use crate::protocol::Code;
use crate::store::tests::Fault;
use crate::store::{Fate, MOST_OWED, is_owed, is_unconfirmed};

const BOT: &str = "7";

/// The first reply that is due, once one is.
async fn due(stand: &Stand) -> Due {
    let mut changes = stand.control.watch_channels();
    loop {
        if let Some(due) = stand.control.due(BOT) {
            return due;
        }
        changes.changed().await.expect("the gateway is there");
    }
}

/// How many replies are owed, and how many are unconfirmed.
fn counts(stand: &Stand) -> (usize, usize) {
    let world = stand.control.world();
    let outbox = world.memory.outbox();
    (outbox.count(BOT, is_owed), outbox.count(BOT, is_unconfirmed))
}

#[tokio::test]
async fn what_was_said_to_a_bot_is_taken_in_once_and_what_was_being_sent_at_a_crash_is_unconfirmed() {
    let mut stand = Stand::new(Vec::new()).await;
    for _ in 0..2 {
        stand.control.receive("a", BOT, (10, 5), "hi").await.expect("it is written down");
    }
    let reply = Due { update: 10, chat: 5, text: "echo: hi".to_owned() };
    assert_eq!(due(&stand).await, reply);
    assert!(stand.control.begin_to_send(BOT, 10).await.expect("it is written down"));
    assert!(!stand.control.begin_to_send(BOT, 10).await.expect("it is known"), "it is being sent");
    stand.control.settle(BOT, 10, Fate::Unsent).await.expect("it is written down");
    stand.crash().await;
    assert_eq!(due(&stand).await, reply, "it certainly was not sent");
    assert!(stand.control.begin_to_send(BOT, 10).await.expect("it is written down"));
    stand.crash().await;
    assert_eq!((stand.control.due(BOT), counts(&stand)), (None, (0, 1)));
    stand.control.receive("a", BOT, (10, 5), "hi").await.expect("it is known");
    stand.control.settle(BOT, 10, Fate::Unsent).await.expect("it changes nothing");
    assert_eq!((stand.control.due(BOT), stand.control.last_update(BOT)), (None, Ok(Some(10))));
    let told = stand.client().answer("chat.history", &json!({"sessionKey": "telegram:a:5"})).await;
    assert_eq!(told["payload"]["messages"].as_array().map(Vec::len), Some(2), "{told}");
}

#[tokio::test]
async fn what_a_client_says_in_the_session_of_a_chat_stays_there() {
    let stand = Stand::new(Vec::new()).await;
    stand.control.pass(BOT, 9).await.expect("it is written down");
    let mut client = stand.client();
    let params = json!({"sessionKey": "telegram:a:5", "message": "psst", "idempotencyKey": "1"});
    client.answer("chat.send", &params).await;
    client.hears("chat", |_| true).await;
    assert_eq!((stand.control.due(BOT), counts(&stand)), (None, (0, 0)));
}

#[tokio::test]
async fn who_owes_too_much_takes_nothing_in_and_what_cannot_be_written_was_not_said() {
    let mut stand = Stand::new(Vec::new()).await;
    stand.os.set(Some(Fault::Full));
    stand.control.receive("a", BOT, (0, 5), "x").await.expect_err("the disk is full");
    assert_eq!(stand.control.last_update(BOT), Ok(None));
    stand.os.set(None);
    stand.again().await;
    for update in 0..MOST_OWED {
        let update = i64::try_from(update).expect("few");
        stand.control.receive("a", BOT, (update, 5), "x").await.expect("there is room");
    }
    let last = i64::try_from(MOST_OWED).expect("few");
    let failure = stand.control.receive("a", BOT, (last, 5), "x").await.expect_err("there is none");
    assert_eq!((failure.code, stand.control.last_update(BOT)), (Code::Unavailable, Ok(Some(last - 1))));
    let first = due(&stand).await.update;
    assert!(stand.control.begin_to_send(BOT, first).await.expect("it is written down"));
    stand.control.settle(BOT, first, Fate::Sent).await.expect("it is written down");
    stand.control.receive("a", BOT, (last, 5), "x").await.expect("there is room again");
    assert_eq!(counts(&stand), (MOST_OWED, 0));
}

#[tokio::test]
async fn only_the_owner_of_this_epoch_acts_and_only_while_it_is_ready() {
    let stand = Stand::new(Vec::new()).await;
    let control = &stand.control;
    assert!(!control.may_act(1), "nothing is opened");
    let _probes = control.open_channels();
    assert!(control.may_act(1) && !control.may_act(2));
    let phase = Phase::default();
    control.opened(&phase, super::NOW, None);
    for (name, may) in [(PhaseName::Starting, false), (PhaseName::Ready, true), (PhaseName::Draining, false)]
    {
        phase.set(name);
        assert_eq!(control.may_act(1), may, "{name:?}");
    }
    phase.set(PhaseName::Ready);
    control.close_channels();
    assert!(!control.may_act(1));
}

#[tokio::test]
async fn that_the_health_of_a_bot_changes_is_told() {
    let stand = Stand::new(Vec::new()).await;
    let mut client = stand.client();
    let show = |health| stand.control.channel("a", super::NOW, |live| live.health = health);
    show(Health::Conflict);
    client.hears("health", |_| true).await;
    show(Health::Conflict);
    show(Health::Healthy);
    client.hears("health", |_| true).await;
    let params = json!({"type": "channel.changed"});
    let told = client.answer("diagnostics.stability", &params).await;
    assert_eq!(told["payload"]["count"], 2, "{told}");
}
