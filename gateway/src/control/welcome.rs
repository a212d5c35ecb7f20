//! What a client is told when it comes in, and what others are told of it.

use serde_json::{Value, json};

use super::methods::{self, EVENTS};
use super::open::Open;
use super::{Control, LONGEST_NAME, Now};
use crate::protocol::{self, Connect, Failure, Scopes, scope};

/// What a client is told that comes in, with what it was given. `id` is the name of its connection.
pub(super) fn hello(
    control: &Control,
    id: &str,
    connect: &Connect,
    open: &Open,
    issued: Option<&Value>,
    now: Now,
) -> Value {
    let limits = control.limits();
    let mut world = control.world();
    let mut auth = json!({ "role": connect.role, "scopes": open.scopes.as_slice() });
    if let (Some(auth), Some(Value::Object(issued))) = (auth.as_object_mut(), issued) {
        auth.extend(issued.clone());
    }
    let health = world.health(control, now).0.clone();
    let viewer = (!open.scopes.allow(scope::READ)).then_some(open.number);
    json!({
        "type": "hello-ok",
        "protocol": protocol::VERSION,
        "server": {
            "version": env!("CARGO_PKG_VERSION"),
            "bootId": world.instance(),
            "connId": id,
        },
        "features": { "methods": methods::names(), "events": EVENTS },
        "snapshot": {
            "presence": world.presence(control, viewer),
            "health": health,
            "stateVersion": world.version,
            "uptimeMs": now.monotonic_ms.saturating_sub(world.began.monotonic_ms),
        },
        "auth": auth,
        "policy": {
            "maxPayload": limits.message_bytes,
            "maxBufferedBytes": limits.waiting_bytes,
            "tickIntervalMs": limits.tick_ms,
        },
    })
}

/// How others see a client.
pub(super) fn entry(connect: &Connect, scopes: &Scopes, now: Now) -> Value {
    let client = &connect.client;
    let mut entry = json!({
        "version": brief(&client.version),
        "platform": brief(&client.platform),
        "mode": client.mode,
        "reason": "connect",
        "roles": [connect.role],
        "ts": now.wall_ms,
        "onlineSince": now.wall_ms,
        "text": brief(client.display_name.as_deref().unwrap_or(&client.id)),
    });
    for (name, value) in [
        ("deviceFamily", client.device_family.as_ref()),
        ("instanceId", client.instance_id.as_ref()),
        ("deviceId", connect.device.as_ref().map(|device| &device.id)),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            entry[name] = json!(brief(value));
        }
    }
    if !scopes.as_slice().is_empty() {
        entry["scopes"] = json!(scopes.as_slice());
    }
    entry
}

/// The beginning of what a client calls itself.
pub(super) fn brief(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST_NAME)].to_owned()
}

/// That a client speaks no version that is spoken here.
pub(super) fn mismatch(connect: &Connect) -> Failure {
    Failure {
        details: Some(json!({
            "code": "PROTOCOL_MISMATCH",
            "clientMinProtocol": connect.min_protocol,
            "clientMaxProtocol": connect.max_protocol,
            "expectedProtocol": protocol::VERSION,
            "minimumProbeProtocol": protocol::OLDEST_OF_PROBES,
        })),
        ..Failure::invalid("protocol mismatch")
    }
}
