//! Who a gateway is, for programs: two addresses that tell one instance lead to one gateway.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::control::Overview;
use crate::server::http::Answer;

/// What everybody may know.
fn public(overview: &Overview) -> Value {
    json!({
        "schema": 1,
        "service": "refgate",
        "version": env!("CARGO_PKG_VERSION"),
        "instance": overview.instance(),
        "epoch": overview.epoch,
        "phase": overview.phase.as_str(),
    })
}

pub(super) fn of_anybody(overview: &Overview) -> Answer {
    Answer::json(StatusCode::OK, public(overview).to_string())
}

/// The same, and what it owns.
pub(super) fn in_full(overview: &Overview) -> Answer {
    let mut body = public(overview);
    body["uptimeMs"] = json!(overview.uptime_ms);
    body["host"] = json!(overview.host);
    if let Some(identity) = &overview.identity {
        body["pid"] = json!(identity.pid);
        body["state"] = json!(identity.state);
        body["stateDevice"] = json!(identity.state_device);
        body["stateInode"] = json!(identity.state_inode);
        body["config"] = json!(identity.config);
        body["base"] = json!(identity.base);
        body["span"] = json!(identity.span);
        body["pinned"] = json!(identity.pinned);
    }
    Answer::json(StatusCode::OK, body.to_string())
}
