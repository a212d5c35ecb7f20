//! A client as people have them: it comes, asks again and again, and comes again when its connection is gone.
//!
//! Each thing that it says has a key of its own, and is said again under that key until it is answered: so it must have been said
//! once, however often the connection was lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use portcullis_os::{Os as _, Port, StreamOf};
use serde_json::{Value, json};
use sim::network::Node;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::gateways::WORD;

/// How long a client waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it waits before it comes again.
const AGAIN: Duration = Duration::from_millis(700);

/// After so many things that it has said it asks what is kept of them.
const LOOKS: u64 = 7;

/// What has come of what a client asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// How often it was let in.
    pub(crate) let_in: u64,
    /// Requests that were sent.
    pub(crate) sent: u64,
    /// Those that were answered.
    pub(crate) answered: u64,
    /// Those that were refused.
    pub(crate) refused: u64,
    /// Those whose connection ended first.
    pub(crate) cut: u64,
    /// Those to which nothing came though the connection stood.
    pub(crate) silent: u64,
    /// When something was answered last, in milliseconds since the beginning.
    pub(crate) last_ms: Option<u64>,
}

/// What a client knows, for others to look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) asked: Asked,
    /// What it has said, of which an answer came.
    pub(crate) said: Vec<String>,
    /// What was told of its session when it asked last, and how much it had said by then.
    pub(crate) history: Option<(usize, Vec<String>)>,
}

impl Notes {
    pub(crate) fn look(&self) -> MutexGuard<'_, Written> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a client goes, and how often it asks.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: Port,
    pub(crate) pause: Duration,
    pub(crate) began: tokio::time::Instant,
}

/// Why a request came to nothing.
enum Nothing {
    Refused,
    Cut,
    Silent,
}

type Wire<S> = WebSocketStream<S>;

/// Asks for ever.
pub(crate) async fn ask(node: Node, errand: Errand, notes: Notes) -> u8 {
    let mut number: u64 = 0;
    loop {
        visit(&node, &errand, &notes, &mut number).await;
        sleep(AGAIN).await;
    }
}

/// Asks one thing, and leaves what was answered for others to look at.
pub(crate) async fn look(
    node: Node,
    port: Port,
    method: &'static str,
    answer: Arc<Mutex<Option<Value>>>,
) -> u8 {
    let Some(mut wire) = enter(&node, "localhost", port).await else { return 1 };
    let Ok(payload) = call(&mut wire, "look", method, &json!({})).await else { return 1 };
    *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
    0
}

/// Connects and is let in.
async fn enter(node: &Node, host: &str, port: Port) -> Option<Wire<StreamOf<Node>>> {
    let stream = timeout(PATIENCE, node.dial(host, port)).await.ok()?.ok()?;
    // A gateway is addressed by a number: under a name it answers nobody, since a page in a browser can have any name.
    let address = format!("ws://127.0.0.1:{port}/");
    let (mut wire, _) = timeout(PATIENCE, client_async(address, stream)).await.ok()?.ok()?;
    // The challenge; without a device there is nothing to sign.
    timeout(PATIENCE, wire.next()).await.ok()??.ok()?;
    let connect = json!({
        "minProtocol": 4, "maxProtocol": 4, "caps": [], "role": "operator",
        "scopes": ["operator.admin", "operator.read", "operator.write"],
        "client": { "id": "cli", "version": "1", "platform": "linux", "mode": "cli" },
        "auth": { "token": WORD },
    });
    call(&mut wire, "connect", "connect", &connect).await.ok()?;
    Some(wire)
}

/// One connection.
async fn visit(node: &Node, errand: &Errand, notes: &Notes, number: &mut u64) {
    let Some(mut wire) = enter(node, &errand.host, errand.port).await else { return };
    notes.look().asked.let_in += 1;
    let session = format!("agent:{}", errand.name);
    loop {
        let text = format!("{}-{number}", errand.name);
        let params = json!({ "sessionKey": session, "message": text, "idempotencyKey": text });
        notes.look().asked.sent += 1;
        let outcome = call(&mut wire, &format!("s{number}"), "chat.send", &params).await;
        let is_over = note(notes, errand, &outcome);
        if outcome.is_ok() {
            notes.look().said.push(text);
            *number += 1;
        }
        if is_over {
            return;
        }
        if !number.is_multiple_of(LOOKS) {
            sleep(errand.pause).await;
            continue;
        }
        let params = json!({ "sessionKey": session, "limit": 150 });
        notes.look().asked.sent += 1;
        let outcome = call(&mut wire, &format!("h{number}"), "chat.history", &params).await;
        let is_over = note(notes, errand, &outcome);
        if let Ok(payload) = outcome {
            let mut notes = notes.look();
            notes.history = Some((notes.said.len(), own_words(&payload)));
        }
        if is_over {
            return;
        }
        sleep(errand.pause).await;
    }
}

/// Writes down what came of a request. Answers whether the connection is over.
fn note(notes: &Notes, errand: &Errand, outcome: &Result<Value, Nothing>) -> bool {
    let asked = &mut notes.look().asked;
    match outcome {
        Ok(_) => {
            asked.answered += 1;
            asked.last_ms = u64::try_from(errand.began.elapsed().as_millis()).ok();
            return false;
        }
        Err(Nothing::Refused) => {
            asked.refused += 1;
            return false;
        }
        Err(Nothing::Cut) => asked.cut += 1,
        Err(Nothing::Silent) => asked.silent += 1,
    }
    true
}

/// What this client has said, as the gateway remembers it.
fn own_words(payload: &Value) -> Vec<String> {
    let messages = payload["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let own = messages.iter().filter(|message| message["role"] == "user");
    own.map(|message| words(&message["content"])).collect()
}

/// The text of a message, which is a string or a list of parts.
fn words(content: &Value) -> String {
    let parts = content.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = || parts.iter().filter_map(|part| part["text"].as_str()).collect();
    content.as_str().map_or_else(text, str::to_owned)
}

/// One request, and its answer.
async fn call<S>(wire: &mut Wire<S>, id: &str, method: &str, params: &Value) -> Result<Value, Nothing>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let request = json!({ "type": "req", "id": id, "method": method, "params": params });
    let answered = async {
        wire.send(Message::text(request.to_string())).await.map_err(|_| Nothing::Cut)?;
        loop {
            let Some(Ok(message)) = wire.next().await else { return Err(Nothing::Cut) };
            let Ok(text) = message.to_text() else { continue };
            let Ok(mut frame) = serde_json::from_str::<Value>(text) else { continue };
            if frame["type"] == "res" && frame["id"] == id {
                let is_ok = frame["ok"] == true;
                return if is_ok { Ok(frame["payload"].take()) } else { Err(Nothing::Refused) };
            }
        }
    };
    timeout(PATIENCE, answered).await.unwrap_or(Err(Nothing::Silent))
}
