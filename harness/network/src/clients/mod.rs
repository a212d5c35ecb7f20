//! Clients as people have them: they come, do again and again what they are there for, and come again when their connection is gone.

mod deaf;
mod node;
mod probe;
mod talker;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use portcullis_os::{Os, Port, StreamOf};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::gateways::WORD;
use crate::plan::Kind;

/// How long a client waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it waits before it comes again.
const AGAIN: Duration = Duration::from_millis(700);

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
    /// The longest that it waited for anything, in milliseconds.
    pub(crate) longest_ms: u64,
}

/// What a client knows, for others to look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) asked: Asked,
    /// What else has come of it, and how often.
    pub(crate) seen: BTreeMap<String, u64>,
    /// How many things it has said that were answered.
    number: u64,
    /// What a node was given to come again with.
    device_token: Option<String>,
    /// What it has said last and was told is kept.
    said: VecDeque<String>,
    /// What of that is not kept once, and how often it is, by the words.
    pub(crate) amiss: BTreeMap<String, usize>,
}

impl Notes {
    pub(crate) fn look(&self) -> MutexGuard<'_, Written> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a client goes, what for, and how often it asks.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) host: String,
    pub(crate) port: Port,
    pub(crate) pause: Duration,
    pub(crate) began: Instant,
}

/// Why a request came to nothing.
enum Nothing {
    Refused,
    Cut,
    Silent,
}

type Wire<S> = WebSocketStream<S>;

/// Does for ever what a client is there for.
pub(crate) async fn ask<O: Os>(os: O, errand: Errand, notes: Notes) -> u8 {
    loop {
        match errand.kind {
            Kind::Talker => talker::visit(&os, &errand, &notes).await,
            Kind::Deaf => deaf::visit(&os, &errand, &notes).await,
            Kind::Probe => probe::visit(&os, &errand, &notes).await,
            Kind::Node => node::visit(&os, &errand, &notes).await,
        }
        sleep(AGAIN).await;
    }
}

/// Asks one thing, and leaves what was answered for others to look at.
pub(crate) async fn look<O: Os>(
    os: O,
    port: Port,
    method: &'static str,
    answer: Arc<Mutex<Option<Value>>>,
) -> u8 {
    let Some(mut wire) = enter(&os, "localhost", port).await else { return 1 };
    let Ok(payload) = call(&mut wire, "look", method, &json!({})).await else { return 1 };
    *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
    0
}

/// Connects and is let in.
async fn enter<O: Os>(os: &O, host: &str, port: Port) -> Option<Wire<StreamOf<O>>> {
    let (mut wire, _) = knock(os, host, port).await?;
    let connect = json!({
        "minProtocol": 4, "maxProtocol": 4, "caps": [], "role": "operator",
        "scopes": ["operator.admin", "operator.read", "operator.write"],
        "client": { "id": "cli", "version": "1", "platform": "linux", "mode": "cli" },
        "auth": { "token": WORD },
    });
    call(&mut wire, "connect", "connect", &connect).await.ok()?;
    Some(wire)
}

/// Connects, and hears the challenge.
async fn knock<O: Os>(os: &O, host: &str, port: Port) -> Option<(Wire<StreamOf<O>>, Value)> {
    let stream = timeout(PATIENCE, os.dial(host, port)).await.ok()?.ok()?;
    // A gateway is addressed by a number: under a name it answers nobody, since a page in a browser can have any name.
    let address = format!("ws://127.0.0.1:{port}/");
    let (mut wire, _) = timeout(PATIENCE, client_async(address, stream)).await.ok()?.ok()?;
    let challenge = timeout(PATIENCE, wire.next()).await.ok()??.ok()?;
    let challenge: Value = serde_json::from_str(challenge.to_text().ok()?).ok()?;
    Some((wire, challenge))
}

/// Writes down what came of a request. Answers whether the connection is over.
fn note(notes: &Notes, errand: &Errand, since: Instant, outcome: &Result<Value, Nothing>) -> bool {
    let asked = &mut notes.look().asked;
    asked.longest_ms = asked.longest_ms.max(milliseconds(since));
    match outcome {
        Ok(_) => {
            asked.answered += 1;
            asked.last_ms = Some(milliseconds(errand.began));
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

/// How long ago that was.
fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// One more of those.
fn count(notes: &Notes, what: &str) {
    *notes.look().seen.entry(what.to_owned()).or_default() += 1;
}

/// One request, what came of it, and whether the connection is over. It is written down.
async fn request<S>(
    wire: &mut Wire<S>,
    notes: &Notes,
    errand: &Errand,
    (id, method, params): (&str, &str, &Value),
) -> (Option<Value>, bool)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    notes.look().asked.sent += 1;
    let since = Instant::now();
    let outcome = call(wire, id, method, params).await;
    let is_over = note(notes, errand, since, &outcome);
    (outcome.ok(), is_over)
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
