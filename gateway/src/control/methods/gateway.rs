//! What a gateway says of itself: how it is, who is there, what it was configured to be, what has happened to it.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::agent::AGENT;
use super::super::world::World;
use super::super::{Control, Now, channels, ring, work};
use super::{Call, Done};
use crate::log::tail::{MOST_BYTES, MOST_LINES, Wanted};
use crate::protocol::{Field, Shape};

pub(super) const STABILITY: &[Field] = &[
    Field::optional("limit", Shape::Whole { least: 1, most: ring::CAPACITY as u64 }),
    Field::optional("type", Shape::TEXT),
    Field::optional("sinceSeq", Shape::COUNT),
];
pub(super) const TAIL: &[Field] = &[
    Field::optional("cursor", Shape::COUNT),
    Field::optional("limit", Shape::Whole { least: 1, most: MOST_LINES as u64 }),
    Field::optional("maxBytes", Shape::Whole { least: 1, most: MOST_BYTES as u64 }),
];
/// How many happenings are told unless somebody asks for another number.
const PAGE: usize = 50;
/// How long a channel is tried unless somebody says otherwise, in milliseconds.
const PROBE_MS: u64 = 10_000;
/// The longest that it is.
const LONGEST_PROBE_MS: u64 = 30_000;

/// The channels of this gateway, each tried before if that is asked for.
pub(super) fn channels(call: &Call<'_>) -> Done {
    if call.params["probe"] == true {
        return Done::Probe(call.number("timeoutMs").unwrap_or(PROBE_MS).clamp(1, LONGEST_PROBE_MS));
    }
    call.control.channels(call.now).into()
}

/// The end of the log of what happens, from memory: nobody waits for a disk here.
pub(super) fn tail(call: &Call<'_>) -> Done {
    let size = |name, default| call.number(name).and_then(|size| size.try_into().ok()).unwrap_or(default);
    let default = Wanted::default();
    let wanted = Wanted {
        cursor: call.number("cursor"),
        limit: size("limit", default.limit),
        max_bytes: size("maxBytes", default.max_bytes),
    };
    // A struct of strings and integers always serialises.
    serde_json::to_value(call.control.events().tail(&wanted)).unwrap_or_default().into()
}

/// What has happened to this gateway and its clients.
pub(super) fn stability(call: &Call<'_>) -> Done {
    let limit = call.number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE);
    let kind = call.params["type"].as_str();
    let since = call.number("sinceSeq").unwrap_or(0);
    call.control.world().ring.tell(limit, kind, since, call.now.wall_ms).into()
}

/// The key that this gateway is known by.
pub(super) fn identity(call: &Call<'_>) -> Done {
    let world = call.control.world();
    let seed = world.memory.seed.as_ref().and_then(|seed| BASE64URL_NOPAD.decode(seed.0.as_bytes()).ok());
    let Some(seed) = seed.and_then(|seed| <[u8; 32]>::try_from(seed).ok()) else {
        return Done::Refused(work::unkept("it has no key yet"));
    };
    let key = SigningKey::from_bytes(&seed).verifying_key();
    json!({
        "deviceId": HEXLOWER.encode(&Sha256::digest(key.as_bytes())),
        "publicKey": BASE64URL_NOPAD.encode(key.as_bytes()),
    })
    .into()
}

/// What a restart would interrupt. What is asked for meanwhile by whoever asks this is not counted.
pub(super) fn preflight(call: &Call<'_>) -> Done {
    let world = call.control.world();
    let requests: usize = world.present.values().map(|present| present.mailbox.requests()).sum();
    let runs = world.memory.runs().iter().filter(|run| run.end.is_none()).count();
    let deliveries = channels::owed(&call.control.about().channels, &world);
    let counts = [
        ("request", requests, "requests are worked on"),
        ("reply", world.memory.open(), "messages wait for the agent"),
        ("delivery", deliveries, "replies of channels are under way"),
        ("cron", runs, "jobs run"),
    ];
    let blockers: Vec<Value> = counts
        .iter()
        .filter(|(_, count, _)| *count > 0)
        .map(|(kind, count, what)| json!({ "kind": kind, "count": count, "message": format!("{count} {what}") }))
        .collect();
    let active: usize = counts.iter().map(|(_, count, _)| count).sum();
    let summary = if active == 0 { "nothing would be interrupted" } else { "some work would be interrupted" };
    json!({
        "safe": active == 0,
        "counts": {
            "clients": world.present.len(), "requests": requests, "pendingReplies": world.memory.open(),
            "deliveries": deliveries, "cronRuns": runs, "totalActive": active,
        },
        "blockers": blockers,
        "summary": format!("{summary}; {} clients would have to come again", world.present.len()),
    })
    .into()
}

/// What a gateway says of itself when it is asked how it is.
pub(in crate::control) fn health(world: &World, control: &Control, now: Now) -> Value {
    let sessions = sessions(world);
    let [order, labels, channels] = channels::health(&control.about().channels, world);
    json!({
        "ok": true,
        "ts": now.wall_ms,
        "durationMs": 0,
        "channels": channels,
        "channelOrder": order,
        "channelLabels": labels,
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
    // Everybody may ask for the health, so it names none of them.
    json!({ "path": path, "count": world.memory.sessions().len(), "recent": [] })
}

pub(super) fn status(call: &Call<'_>) -> Done {
    let world = call.control.world();
    let mut sessions = sessions(&world);
    sessions["paths"] = json!([sessions["path"]]);
    sessions["defaults"] = json!({ "model": null, "contextTokens": null });
    sessions["byAgent"] = json!([]);
    json!({
        "runtimeVersion": env!("CARGO_PKG_VERSION"),
        "pid": world.identity.as_ref().map(|identity| identity.pid),
        "instanceId": world.instance(),
        "uptimeMs": call.now.monotonic_ms.saturating_sub(world.began.monotonic_ms),
        "heartbeat": { "defaultAgentId": AGENT, "agents": [] },
        "channelSummary": [],
        "queuedSystemEvents": [],
        "sessions": sessions,
        "tasks": { "total": 0, "active": 0, "terminal": 0, "failures": 0, "byStatus": {}, "byRuntime": {} },
    })
    .into()
}

/// The configuration that this gateway was started with, without its secrets.
pub(super) fn config(call: &Call<'_>) -> Done {
    let about = call.control.about();
    json!({
        "path": about.config,
        "exists": about.document.is_some(),
        "valid": true,
        "config": about.document.clone().unwrap_or_else(|| json!({})),
        "issues": [],
        "warnings": [],
    })
    .into()
}
