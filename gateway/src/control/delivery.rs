//! What comes of an update of a bot and of the reply to it, decided like every other piece of work.

use serde_json::{Value, json};

use super::Now;
use super::work::{self, Decision, Deed};
use super::world::World;
use crate::protocol::Failure;
use crate::store::{Fate, MOST_OWED, Record, Speaker, Stage, is_owed};

/// Something was said to a bot.
pub(super) fn receive(
    world: &mut World,
    bot: &str,
    (update, chat): (i64, i64),
    session: &str,
    text: &str,
    now: Now,
) -> Result<Decision, Failure> {
    let outbox = world.memory.outbox();
    if outbox.knows(bot, update) {
        return Ok(Decision::Done(Value::Null));
    }
    if outbox.count(bot, is_owed) >= MOST_OWED {
        return Err(work::busy());
    }
    let run = world.draws.uuid().ok_or_else(work::no_randomness)?;
    let mut records = Vec::new();
    if !world.memory.sessions().contains_key(session) {
        let id = world.draws.uuid().ok_or_else(work::no_randomness)?;
        records.push(Record::Session { key: session.to_owned(), id, at_ms: now.wall_ms });
    }
    let news = work::told(session, Speaker::User, &run, text, now);
    let (bot, session, text) = (bot.to_owned(), session.to_owned(), text.to_owned());
    records.push(Record::Received { bot, update, session, run, chat, text, at_ms: now.wall_ms });
    Ok(Decision::to_do(Deed { records, news, ..Deed::default() }))
}

/// An update asks for no answer.
pub(super) fn pass(world: &World, bot: &str, update: i64) -> Decision {
    if world.memory.outbox().knows(bot, update) {
        return Decision::Done(Value::Null);
    }
    let records = vec![Record::Passed { bot: bot.to_owned(), update }];
    Decision::to_do(Deed { records, ..Deed::default() })
}

/// A reply is about to be sent: only one that waits.
pub(super) fn sending(world: &World, bot: &str, update: i64) -> Decision {
    let stage = world.memory.outbox().reply(bot, update).map(|reply| reply.stage);
    if stage != Some(Stage::Waiting) {
        return Decision::Done(json!(false));
    }
    let records = vec![Record::Sending { bot: bot.to_owned(), update, epoch: world.epoch }];
    Decision::to_do(Deed { records, answer: json!(true), ..Deed::default() })
}

/// What became of a reply.
pub(super) fn settle(world: &World, bot: &str, update: i64, fate: Fate, now: Now) -> Decision {
    let Some(reply) = world.memory.outbox().reply(bot, update) else { return Decision::Done(Value::Null) };
    if !matches!(reply.stage, Stage::Sending { .. }) {
        return Decision::Done(Value::Null);
    }
    let warning = (fate == Fate::Unknown).then(|| {
        let what = format!("the reply to update {update} is not sent again: it may have gone out before");
        ("unconfirmed", what)
    });
    let records = vec![Record::Settled { bot: bot.to_owned(), update, fate, at_ms: now.wall_ms }];
    Decision::to_do(Deed { records, warning, ..Deed::default() })
}
