//! What is said to the agent and by it, and who hears of that.

use serde_json::{Value, json};

use super::super::agent::AGENT;
use super::super::work::{self, Work};
use super::super::{LONGEST_MESSAGE, LONGEST_NAME};
use super::{Call, Done};
use crate::protocol::{Failure, Field, Shape};
use crate::store::{Chat, Memory, Message};

const KEY: Shape = Shape::Text { least: 1, most: 512 };
pub(super) const SEND: &[Field] = &[
    Field::required("sessionKey", KEY),
    // Looked at here, because nothing long should wait for whoever writes it down.
    Field::required("message", Shape::Bytes { least: 0, most: LONGEST_MESSAGE }),
    Field::required("idempotencyKey", Shape::Bytes { least: 1, most: LONGEST_NAME }),
    Field::optional("agentId", Shape::Words(&[AGENT])),
    // An agent without a model does nothing else for these.
    Field::optional("deliver", Shape::Bool),
    Field::optional("thinking", Shape::Text { least: 0, most: usize::MAX }),
    Field::optional("timeoutMs", Shape::COUNT),
];
pub(super) const HISTORY: &[Field] = &[
    Field::required("sessionKey", Shape::TEXT),
    Field::optional("agentId", Shape::Words(&[AGENT])),
    Field::optional("limit", Shape::Whole { least: 1, most: 1000 }),
    Field::optional("maxChars", Shape::Whole { least: 1, most: 500_000 }),
];
pub(super) const LIST: &[Field] = &[
    Field::optional("limit", Shape::Whole { least: 1, most: u64::MAX }),
    Field::optional("offset", Shape::COUNT),
    Field::optional("search", Shape::Text { least: 0, most: 512 }),
    Field::optional("includeLastMessage", Shape::Bool),
    Field::optional("includeDerivedTitles", Shape::Bool),
    Field::optional("includeGlobal", Shape::Bool),
    Field::optional("includeUnknown", Shape::Bool),
    Field::optional("agentId", Shape::Words(&[AGENT])),
];
pub(super) const WATCH: &[Field] =
    &[Field::required("key", KEY), Field::optional("agentId", Shape::Words(&[AGENT]))];
pub(super) const UNWATCH: &[Field] = WATCH;

/// How many messages are told of unless somebody asks for another number.
const PAGE: u64 = 200;
/// How much of what was said is told at most in one answer, in bytes.
const MOST_TOLD: usize = 6 * 1024 * 1024;
/// At most so many sessions are watched by one client.
const MOST_WATCHED: usize = 64;
/// How much of the last message is shown beside a session, in characters.
const PREVIEW: usize = 120;

/// Why what was said cannot be told at the moment, if it cannot.
fn remembered(call: &Call<'_>) -> Result<(), Failure> {
    call.control.world().amnesia().map_or(Ok(()), |why| Err(work::unkept(why)))
}

pub(super) fn send(call: &Call<'_>) -> Done {
    let text = |name: &str| call.text(name).to_owned();
    Done::Work(Work::Say { session: text("sessionKey"), run: text("idempotencyKey"), text: text("message") })
}

pub(super) fn history(call: &Call<'_>) -> Done {
    if let Err(failure) = remembered(call) {
        return Done::Refused(failure);
    }
    let key = call.text("sessionKey");
    let limit = usize::try_from(call.number("limit").unwrap_or(PAGE)).unwrap_or(usize::MAX);
    let most = call.number("maxChars").and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let (id, latest) = latest(&call.control.world().memory, key, limit);
    // Made where nobody waits for it.
    let messages: Vec<Value> = latest.iter().rev().map(|message| shown(message, most)).collect();
    json!({ "sessionKey": key, "sessionId": id, "messages": messages }).into()
}

/// The name of a session, and what was said in it last, the latest first, as far as there is room.
fn latest(memory: &Memory, key: &str, limit: usize) -> (Option<String>, Vec<Message>) {
    let Some(chat) = memory.sessions().get(key) else { return (None, Vec::new()) };
    let mut told = 0;
    let latest = chat.messages.iter().rev().take(limit).take_while(|message| {
        told += message.text.len();
        told <= MOST_TOLD
    });
    (Some(chat.id.clone()), latest.cloned().collect())
}

fn shown(message: &Message, most: usize) -> Value {
    let text: String = message.text.chars().take(most).collect();
    work::message(message.speaker, &message.run, &text, message.at_ms)
}

pub(super) fn list(call: &Call<'_>) -> Done {
    if let Err(failure) = remembered(call) {
        return Done::Refused(failure);
    }
    let world = call.control.world();
    let mut chats: Vec<(&String, &Chat)> =
        world.memory.sessions().iter().filter(|(key, _)| key.contains(call.text("search"))).collect();
    chats.sort_by_key(|(_, chat)| std::cmp::Reverse(chat.updated_ms));
    let with_last = call.params["includeLastMessage"] == true;
    let rows = chats.iter().map(|(key, chat)| row(key, chat, with_last));
    let count = |name: &str| call.number(name).and_then(|number| usize::try_from(number).ok());
    let (offset, limit) = (count("offset").unwrap_or(0), count("limit").unwrap_or(usize::MAX));
    let rows: Vec<Value> = rows.skip(offset).take(limit).collect();
    json!({
        "ts": call.now.wall_ms,
        "path": world.identity.as_ref().map_or("", |identity| &identity.state),
        "count": rows.len(),
        "totalCount": chats.len(),
        "defaults": { "modelProvider": null, "model": null, "contextTokens": null },
        "sessions": rows,
    })
    .into()
}

fn row(key: &str, chat: &Chat, with_last: bool) -> Value {
    let mut row = json!({
        "key": key,
        "sessionId": chat.id,
        "kind": "direct",
        "agentId": AGENT,
        "createdAt": chat.began_ms,
        "updatedAt": chat.updated_ms,
    });
    if let (true, Some(last)) = (with_last, chat.messages.back()) {
        row["lastMessagePreview"] = json!(last.text.chars().take(PREVIEW).collect::<String>());
    }
    row
}

pub(super) fn watch(call: &Call<'_>) -> Done {
    let (mut world, key) = (call.control.world(), call.text("key"));
    let Some(present) = world.present.get_mut(&call.client.number) else { return Value::Null.into() };
    if present.watched.len() >= MOST_WATCHED && !present.watched.contains(key) {
        let message =
            format!("at most {MOST_WATCHED} sessions can be watched: unsubscribe from another first");
        return Done::Refused(Failure::invalid(message));
    }
    present.watched.insert(key.to_owned());
    json!({ "subscribed": true, "key": key }).into()
}

pub(super) fn unwatch(call: &Call<'_>) -> Done {
    let (mut world, key) = (call.control.world(), call.text("key"));
    if let Some(present) = world.present.get_mut(&call.client.number) {
        present.watched.remove(key);
    }
    json!({ "subscribed": false, "key": key }).into()
}

pub(super) fn follow(call: &Call<'_>, follows: bool) -> Done {
    if let Some(present) = call.control.world().present.get_mut(&call.client.number) {
        present.lists = follows;
    }
    json!({ "subscribed": follows }).into()
}
