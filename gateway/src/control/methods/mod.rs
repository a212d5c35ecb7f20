//! What can be called. The list that clients are shown is this table, so nothing is promised that is not done.

mod chat;
mod cron;
mod devices;
mod gateway;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::open::Open;
use super::overview::Called;
use super::work::Work;
use super::{Control, Now};
use crate::protocol::{Failure, Field, Payload, Request, Shape, object, scope};
pub(super) use gateway::health;

/// The events that clients are sent.
pub(super) const EVENTS: [&str; 11] = [
    "chat",
    "connect.challenge",
    "cron",
    "device.pair.requested",
    "device.pair.resolved",
    "health",
    "presence",
    "session.message",
    "sessions.changed",
    "shutdown",
    "tick",
];

struct Method {
    name: &'static str,
    /// The scope that a client must have; `None`: everybody who is let in may call it.
    scope: Option<&'static str>,
    /// What the params must look like; `None`: they are not looked at.
    params: Option<&'static [Field]>,
    run: fn(&Call<'_>) -> Done,
}

/// What a method works with.
struct Call<'a> {
    control: &'a Control,
    client: &'a Open,
    params: &'a Value,
    now: Now,
}

impl Call<'_> {
    /// A text of the params; empty if there is none.
    fn text(&self, name: &str) -> &str {
        self.params[name].as_str().unwrap_or_default()
    }

    /// A number of the params.
    fn number(&self, name: &str) -> Option<u64> {
        // `1.0` is a whole number, as it is in JavaScript.
        self.params[name].as_u64().or_else(|| self.params[name].to_string().strip_suffix(".0")?.parse().ok())
    }
}

/// What a method comes to.
enum Done {
    /// The answer.
    Answer(Value),
    /// The answer, as it was written for everybody.
    Shared(Arc<str>),
    /// Something that has to be written down before it is answered.
    Work(Work),
    /// The channels, once each was tried for at most so many milliseconds.
    Probe(u64),
    /// Nothing, for this reason.
    Refused(Failure),
}

impl From<Value> for Done {
    fn from(value: Value) -> Self {
        Self::Answer(value)
    }
}

impl From<Result<Value, Failure>> for Done {
    fn from(outcome: Result<Value, Failure>) -> Self {
        outcome.map_or_else(Self::Refused, Self::Answer)
    }
}

const fn method(
    name: &'static str,
    scope: Option<&'static str>,
    params: Option<&'static [Field]>,
    run: fn(&Call<'_>) -> Done,
) -> Method {
    Method { name, scope, params, run }
}

const NOTHING: &[Field] = &[];
const READ: Option<&str> = Some(scope::READ);
const PAIRING: Option<&str> = Some(scope::PAIRING);
const CHANNELS: &[Field] = &[
    Field::optional("probe", Shape::Bool),
    Field::optional("timeoutMs", Shape::COUNT),
    Field::optional("channel", Shape::TEXT),
];

/// In alphabetical order.
static METHODS: [Method; 26] = [
    method("channels.status", READ, Some(CHANNELS), gateway::channels),
    method("chat.history", READ, Some(chat::HISTORY), chat::history),
    method("chat.send", Some(scope::WRITE), Some(chat::SEND), chat::send),
    method("config.get", READ, Some(NOTHING), gateway::config),
    method("cron.list", READ, Some(cron::LIST), cron::list),
    method("cron.run", Some(scope::ADMIN), Some(cron::RUN), cron::run),
    method("cron.runs", READ, Some(cron::RUNS), cron::runs),
    method("cron.status", READ, Some(NOTHING), cron::status),
    method("device.pair.approve", PAIRING, Some(devices::REQUEST), devices::approve),
    method("device.pair.list", PAIRING, Some(NOTHING), devices::list),
    method("device.pair.reject", PAIRING, Some(devices::REQUEST), devices::reject),
    method("device.pair.remove", PAIRING, Some(devices::DEVICE), devices::remove),
    method("device.token.revoke", PAIRING, Some(devices::TOKEN), devices::revoke),
    method("diagnostics.stability", READ, Some(gateway::STABILITY), gateway::stability),
    method("gateway.identity.get", READ, Some(NOTHING), gateway::identity),
    method("gateway.restart.preflight", READ, Some(NOTHING), gateway::preflight),
    method("health", None, None, |call| {
        Done::Shared(call.control.world().health(call.control, call.now).1.clone())
    }),
    method("last-heartbeat", READ, Some(NOTHING), |_| Value::Null.into()),
    method("logs.tail", READ, Some(gateway::TAIL), gateway::tail),
    method("sessions.list", READ, Some(chat::LIST), chat::list),
    method("sessions.messages.subscribe", READ, Some(chat::WATCH), chat::watch),
    method("sessions.messages.unsubscribe", READ, Some(chat::UNWATCH), chat::unwatch),
    method("sessions.subscribe", READ, Some(NOTHING), |call| chat::follow(call, true)),
    method("sessions.unsubscribe", READ, Some(NOTHING), |call| chat::follow(call, false)),
    method("status", READ, None, gateway::status),
    method("system-presence", READ, Some(NOTHING), |call| {
        call.control.world().presence(call.control, None).into()
    }),
];

/// The names of all methods.
pub(super) fn names() -> Vec<&'static str> {
    METHODS.iter().map(|method| method.name).collect()
}

/// How often each method was called, and last whatever is none.
#[derive(Debug)]
pub(super) struct Calls([Count; METHODS.len() + 1]);

/// Those that were answered, or taken down to be answered later, and those that were refused.
#[derive(Debug, Default)]
struct Count {
    taken: AtomicU64,
    refused: AtomicU64,
}

impl Default for Calls {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()))
    }
}

impl Calls {
    /// By the names of the methods; what was never called is left out.
    pub(super) fn told(&self) -> BTreeMap<&'static str, Called> {
        let names = METHODS.iter().map(|method| method.name).chain(["unknown"]);
        let counted = self.0.iter().map(|count| Called {
            taken: count.taken.load(Ordering::Relaxed),
            refused: count.refused.load(Ordering::Relaxed),
        });
        names.zip(counted).filter(|(_, called)| called.taken + called.refused > 0).collect()
    }
}

/// Carries out a request. `None`: its answer comes later.
pub(super) fn call(
    control: &Control,
    client: &Open,
    request: &Request<'_>,
    now: Now,
) -> Option<Result<Payload, Failure>> {
    let number = METHODS.iter().position(|method| method.name == request.method);
    let found = number.map(|number| &METHODS[number]);
    let outcome = match done(control, client, found, request, now) {
        Ok(Done::Answer(value)) => Some(Ok(Payload::Own(value))),
        Ok(Done::Shared(text)) => Some(Ok(Payload::Shared(text))),
        Ok(Done::Refused(failure)) | Err(failure) => Some(Err(failure)),
        Ok(Done::Probe(longest_ms)) => control.probe(longest_ms, &request.id, &client.mailbox, now).map(own),
        Ok(Done::Work(work)) => control.submit(work, &request.id, &client.mailbox, now).map(own),
    };
    let count = &control.0.calls.0[number.unwrap_or(METHODS.len())];
    let count = if matches!(outcome, Some(Err(_))) { &count.refused } else { &count.taken };
    count.fetch_add(1, Ordering::Relaxed);
    outcome
}

fn own(outcome: Result<Value, Failure>) -> Result<Payload, Failure> {
    outcome.map(Payload::Own)
}

fn done(
    control: &Control,
    client: &Open,
    found: Option<&Method>,
    request: &Request<'_>,
    now: Now,
) -> Result<Done, Failure> {
    let needed = found.map_or(Some(scope::ADMIN), |method| method.scope);
    if let Some(needed) = needed.filter(|needed| !client.scopes.allow(needed)) {
        return Err(Failure::missing_scope(needed));
    }
    let Some(method) = found else {
        let brief: String = request.method.chars().take(128).collect();
        return Err(Failure::invalid(if brief == "connect" {
            "already connected: connect is the first request of a connection and no other".to_owned()
        } else {
            format!("unknown method: {brief}")
        }));
    };
    let mut params = Value::Null;
    if let Some(fields) = method.params {
        let text = request.params.map_or("{}", |params| params.get());
        // What stands in a request is JSON already.
        params = serde_json::from_str(text).unwrap_or_default();
        if let Some(faults) = object(&params, fields) {
            return Err(Failure::params(method.name, &faults));
        }
    }
    Ok((method.run)(&Call { control, client, params: &params, now }))
}
