//! What changes what is remembered: decided from what is known, written down, and only then done and told.
//!
//! One at a time: nothing happens between a decision and its deed, so none is made on what is no longer so.

use std::sync::Arc;

use serde_json::{Value, json};

use super::agent::{self, AGENT};
use super::mailbox::Event;
use super::pairing::Asking;
use super::world::World;
use super::{Now, delivery, pairing};
use crate::protocol::{Failure, Scopes, Told, scope};
use crate::store::{Fate, Hidden, Message, Record, Speaker};

/// Something that is asked for.
#[derive(Debug)]
pub(super) enum Work {
    /// This gateway wants a key, unless it has one.
    Key,
    /// A device wants to come in with a secret.
    Pair(Box<Asking>),
    /// Somebody with these scopes lets a device in.
    Approve { request: String, by: Scopes },
    /// Somebody does not let a device in. That is not remembered: whoever was rejected may ask again.
    Reject { request: String },
    /// A device may not come any more.
    Remove { device: String },
    /// The tokens of a device in a role count no more.
    Revoke { device: String, role: String },
    /// Somebody says something in a session.
    Say { session: String, run: String, text: String },
    /// The agent has answered that.
    Reply { session: String, run: String, text: String },
    /// Somebody says something to a bot, in the update of that number.
    Receive { bot: String, update: i64, session: String, chat: i64, text: String },
    /// An update of a bot asks for no answer.
    Pass { bot: String, update: i64 },
    /// The reply to an update is about to be sent.
    Sending { bot: String, update: i64 },
    /// What became of it.
    Settle { bot: String, update: i64, fate: Fate },
    /// A job is to run, for a slot if it is due.
    Run { job: String, slot_ms: Option<u64> },
    /// It has run.
    Finish { job: String, run: String, duration_ms: u64, error: Option<String> },
}

/// What comes of it.
#[derive(Debug)]
pub(super) enum Decision {
    /// Nothing, for this reason; and what others are told of that.
    Refused(Failure, Option<News>),
    /// Nothing, because it is so already.
    Done(Value),
    /// This, once it is written down.
    Do(Box<Deed>),
}

/// What is to be written down, and what happens then.
#[derive(Debug, Default)]
pub(super) struct Deed {
    pub(super) records: Vec<Record>,
    /// What whoever asked is told.
    pub(super) answer: Value,
    /// What others are told.
    pub(super) news: Vec<News>,
    /// The request of a device that is settled.
    pub(super) settled: Option<String>,
    /// The device that has to go, in one role or in all.
    pub(super) expelled: Option<(String, Option<String>)>,
    /// What an operator has to know of it.
    pub(super) warning: Option<(&'static str, String)>,
    /// What is noted of it.
    pub(super) note: Option<(&'static str, String)>,
}

/// An event, and whom it concerns.
#[derive(Debug)]
pub(super) struct News {
    pub(super) event: Arc<Event>,
    pub(super) audience: Audience,
}

/// Whom an event concerns.
#[derive(Debug)]
pub(super) enum Audience {
    /// Whoever has this scope.
    Scope(&'static str),
    /// Whoever watches this session.
    Watchers(String),
    /// Whoever wants to know that sessions change.
    Lists,
}

impl News {
    /// That something has happened which nobody may miss whom it concerns.
    pub(super) fn of(name: &'static str, payload: &Value, audience: Audience) -> Self {
        let event = Event { told: Told::new(name, payload, None), may_be_lost: false };
        Self { event: Arc::new(event), audience }
    }
}

/// What comes of a piece of work, as things are.
pub(super) fn decide(world: &mut World, work: &Work, now: Now) -> Decision {
    let decided = match work {
        Work::Key => key(world),
        Work::Pair(asking) => pairing::ask(world, asking, now),
        Work::Approve { request, by } => pairing::approve(world, request, by, now),
        Work::Reject { request } => pairing::reject(world, request, now),
        Work::Remove { device } => pairing::remove(world, device),
        Work::Revoke { device, role } => pairing::revoke(world, device, role, now),
        Work::Say { session, run, text } => say(world, session, run, text, now),
        Work::Reply { session, run, text } => Ok(reply(session, run, text, now)),
        Work::Receive { bot, update, session, chat, text } => {
            delivery::receive(world, bot, (*update, *chat), session, text, now)
        }
        Work::Pass { bot, update } => Ok(delivery::pass(world, bot, *update)),
        Work::Sending { bot, update } => Ok(delivery::sending(world, bot, *update)),
        Work::Settle { bot, update, fate } => Ok(delivery::settle(world, bot, *update, *fate, now)),
        Work::Run { job, slot_ms } => begin(world, job, *slot_ms, now),
        Work::Finish { job, run, duration_ms, error } => {
            Ok(finish(job, run, *duration_ms, error.as_ref(), now))
        }
    };
    decided.unwrap_or_else(|failure| Decision::Refused(failure, None))
}

impl Decision {
    pub(super) fn to_do(deed: Deed) -> Self {
        Self::Do(Box::new(deed))
    }
}

/// What is said where there is no randomness.
pub(super) fn no_randomness() -> Failure {
    Failure::unavailable("this machine has no random numbers to give", None, "no-randomness")
}

fn key(world: &mut World) -> Result<Decision, Failure> {
    if world.memory.seed.is_some() {
        return Ok(Decision::Done(Value::Null));
    }
    let seed = world.draws.draw().ok_or_else(no_randomness)?;
    let seed = Hidden(data_encoding::BASE64URL_NOPAD.encode(&seed));
    Ok(Decision::to_do(Deed { records: vec![Record::Key { seed }], ..Deed::default() }))
}

fn say(world: &mut World, session: &str, run: &str, text: &str, now: Now) -> Result<Decision, Failure> {
    let chat = world.memory.sessions().get(session);
    let is_it = |message: &&Message| message.run == run;
    let mut said = chat.into_iter().flat_map(|chat| &chat.messages).filter(is_it);
    let mut known = said.clone();
    if let Some(first) = said.find(|message| message.speaker == Speaker::User) {
        if first.text != text {
            return Err(Failure::params("chat.send", "at /idempotencyKey: was used for another message"));
        }
        let status = if said.any(|message| message.speaker == Speaker::Agent) { "ok" } else { "in_flight" };
        return Ok(Decision::Done(json!({ "runId": run, "status": status })));
    }
    // What was answered is not said again, even if only the answer is still remembered.
    if known.next().is_some() {
        return Ok(Decision::Done(json!({ "runId": run, "status": "ok" })));
    }
    let mut records = Vec::new();
    if chat.is_none() {
        let id = world.draws.uuid().ok_or_else(no_randomness)?;
        records.push(Record::Session { key: session.to_owned(), id, at_ms: now.wall_ms });
    }
    let (key, at_ms) = (session.to_owned(), now.wall_ms);
    records.push(Record::Said { session: key, run: run.to_owned(), text: text.to_owned(), at_ms });
    Ok(Decision::to_do(Deed {
        records,
        answer: json!({ "runId": run, "status": "started" }),
        news: told(session, Speaker::User, run, text, now),
        ..Deed::default()
    }))
}

/// What the agent is to answer, as work.
pub(super) fn to_answer(world: &World) -> Option<Work> {
    let (session, run, text) = world.memory.unanswered()?;
    Some(Work::Reply { session, run, text: agent::answer(&text) })
}

fn reply(session: &str, run: &str, text: &str, now: Now) -> Decision {
    let mut news = told(session, Speaker::Agent, run, text, now);
    let last = json!({
        "runId": run, "sessionKey": session, "agentId": AGENT, "seq": 1, "state": "final",
        "message": message(Speaker::Agent, run, text, now.wall_ms),
    });
    news.push(News::of("chat", &last, Audience::Scope(scope::READ)));
    let (session, run, text) = (session.to_owned(), run.to_owned(), text.to_owned());
    let records = vec![Record::Replied { session, run, text, at_ms: now.wall_ms }];
    Decision::to_do(Deed { records, news, ..Deed::default() })
}

/// What whoever follows a session is told of a message in it.
pub(super) fn told(session: &str, speaker: Speaker, run: &str, text: &str, now: Now) -> Vec<News> {
    let message = message(speaker, run, text, now.wall_ms);
    let said = json!({ "sessionKey": session, "message": message, "ts": now.wall_ms });
    let changed = json!({ "sessionKey": session, "reason": "message", "ts": now.wall_ms });
    vec![
        News::of("session.message", &said, Audience::Watchers(session.to_owned())),
        News::of("sessions.changed", &changed, Audience::Lists),
    ]
}

/// A message as clients see it.
pub(super) fn message(speaker: Speaker, run: &str, text: &str, at_ms: u64) -> Value {
    let (role, id) = match speaker {
        Speaker::User => ("user", format!("{run}:user")),
        Speaker::Agent => ("assistant", format!("{run}:assistant")),
    };
    json!({ "role": role, "content": [{ "type": "text", "text": text }], "timestamp": at_ms, "id": id })
}

fn begin(world: &mut World, job: &str, slot_ms: Option<u64>, now: Now) -> Result<Decision, Failure> {
    let is_past = |last: u64| slot_ms.is_some_and(|slot_ms| slot_ms <= last);
    if world.memory.last_slot(job).is_some_and(is_past) {
        return Ok(Decision::Done(json!({ "ok": true, "ran": false, "reason": "not-due" })));
    }
    let run = world.draws.uuid().ok_or_else(no_randomness)?;
    let record = Record::Begun { job: job.to_owned(), run: run.clone(), slot_ms, at_ms: now.wall_ms };
    let event = json!({ "jobId": job, "action": "started", "runId": run, "runAtMs": now.wall_ms });
    Ok(Decision::to_do(Deed {
        records: vec![record],
        answer: json!({ "ok": true, "enqueued": true, "runId": run }),
        news: vec![News::of("cron", &event, Audience::Scope(scope::READ))],
        ..Deed::default()
    }))
}

fn finish(job: &str, run: &str, duration_ms: u64, error: Option<&String>, now: Now) -> Decision {
    let status = if error.is_some() { "error" } else { "ok" };
    let mut event = json!({
        "jobId": job, "action": "finished", "runId": run, "status": status, "durationMs": duration_ms,
    });
    if let Some(error) = error {
        event["error"] = json!(error);
    }
    let (job, run) = (job.to_owned(), run.to_owned());
    let record = Record::Ended { job, run, duration_ms, error: error.cloned(), at_ms: now.wall_ms };
    Decision::to_do(Deed {
        records: vec![record],
        news: vec![News::of("cron", &event, Audience::Scope(scope::READ))],
        ..Deed::default()
    })
}

/// What is answered where nothing can be written down.
pub(super) fn unkept(why: &str) -> Failure {
    let message = format!("the gateway cannot remember that: {why}");
    Failure::unavailable(&message, Some(1_000), "not-kept")
}

/// What is answered when too much is worked on already.
pub(super) fn busy() -> Failure {
    let message = "The server is busy. Please try again in a moment.";
    Failure::unavailable(message, Some(500), "busy")
}
