//! What can be called. The list that clients are shown is this table, so nothing is promised that is not done.

use serde_json::{Value, json};

use super::session::Open;
use super::{Control, Now, World};
use crate::protocol::{Failure, Field, Request, Shape, object, scope};

/// The events that clients are sent.
pub(super) const EVENTS: [&str; 4] = ["connect.challenge", "presence", "shutdown", "tick"];

/// The name that the only agent goes by.
const AGENT: &str = "main";

struct Method {
    name: &'static str,
    /// The scope that a client must have; `None`: everybody who is let in may call it.
    scope: Option<&'static str>,
    /// What the params must look like; `None`: they are not looked at.
    params: Option<&'static [Field]>,
    run: fn(&Call<'_>) -> Value,
}

/// What a method works with.
struct Call<'a> {
    control: &'a Control,
    now: Now,
}

const NOTHING: &[Field] = &[];
const CHANNELS: &[Field] = &[
    Field::optional("probe", Shape::Bool),
    Field::optional("timeoutMs", Shape::COUNT),
    Field::optional("channel", Shape::TEXT),
];
/// In alphabetical order.
const METHODS: [Method; 5] = [
    Method {
        name: "channels.status",
        scope: Some(scope::READ),
        params: Some(CHANNELS),
        run: |call| channels(call.now),
    },
    Method { name: "config.get", scope: Some(scope::READ), params: Some(NOTHING), run: config },
    Method { name: "health", scope: None, params: None, run: |call| health(&call.control.world(), call.now) },
    Method { name: "status", scope: Some(scope::READ), params: None, run: status },
    Method {
        name: "system-presence",
        scope: Some(scope::READ),
        params: Some(NOTHING),
        run: |call| call.control.world().presence(call.control),
    },
];

/// The names of all methods.
pub(super) fn names() -> Vec<&'static str> {
    METHODS.iter().map(|method| method.name).collect()
}

/// The name of a method, if there is one of that name.
pub(super) fn known(name: &str) -> Option<&'static str> {
    METHODS.iter().map(|method| method.name).find(|known| *known == name)
}

/// The channels of this gateway.
pub(super) fn channels(now: Now) -> Value {
    json!({
        "ts": now.wall_ms,
        "channelOrder": [],
        "channelLabels": {},
        "channels": {},
        "channelAccounts": {},
        "channelDefaultAccountId": {},
    })
}

/// Carries out a request.
pub(super) fn call(
    control: &Control,
    client: &Open,
    request: &Request<'_>,
    now: Now,
) -> Result<Value, Failure> {
    let found = METHODS.iter().find(|method| method.name == request.method);
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
    if let Some(fields) = method.params {
        let text = request.params.map_or("{}", |params| params.get());
        // What stands in a request is JSON already.
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        if let Some(faults) = object(&value, fields) {
            return Err(Failure::params(method.name, &faults));
        }
    }
    Ok((method.run)(&Call { control, now }))
}

/// What a gateway says of itself when it is asked how it is.
pub(super) fn health(world: &World, now: Now) -> Value {
    let sessions = sessions(world);
    json!({
        "ok": true,
        "ts": now.wall_ms,
        "durationMs": 0,
        "channels": {},
        "channelOrder": [],
        "channelLabels": {},
        "heartbeatSeconds": 0,
        "defaultAgentId": AGENT,
        "agents": [{
            "agentId": AGENT,
            "isDefault": true,
            "heartbeat": {
                "enabled": false, "every": "0m", "everyMs": null, "prompt": "", "target": "none", "ackMaxChars": 0,
            },
            "sessions": sessions,
        }],
        "sessions": sessions,
    })
}

fn sessions(world: &World) -> Value {
    let path = world.identity.as_ref().map_or("", |identity| &identity.state);
    json!({ "path": path, "count": 0, "recent": [] })
}

fn status(call: &Call<'_>) -> Value {
    let world = call.control.world();
    json!({
        "runtimeVersion": env!("CARGO_PKG_VERSION"),
        "pid": world.identity.as_ref().map(|identity| identity.pid),
        "instanceId": world.instance(),
        "uptimeMs": call.now.monotonic_ms.saturating_sub(world.began.monotonic_ms),
        "heartbeat": { "defaultAgentId": AGENT, "agents": [] },
        "channelSummary": [],
        "queuedSystemEvents": [],
        "sessions": sessions(&world),
        "tasks": { "total": 0, "active": 0, "terminal": 0, "failures": 0, "byStatus": {}, "byRuntime": {} },
    })
}

/// The configuration that this gateway was started with, without its secrets.
fn config(call: &Call<'_>) -> Value {
    let about = call.control.about();
    json!({
        "path": about.config,
        "exists": about.document.is_some(),
        "valid": true,
        "config": about.document.clone().unwrap_or_else(|| json!({})),
        "issues": [],
        "warnings": [],
    })
}
