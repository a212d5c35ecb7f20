//! A connection on which a client has been let in: calls go out, answers come back, and how it ends is kept.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::frame::{self, Incoming, Refused, clip};

/// The longest message that is read, in bytes. The protocol allows more, but a log of a megabyte is the longest answer there
/// is, and what is parsed takes many times its length.
const LONGEST: usize = 8 * 1024 * 1024;

/// How a connection has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code; 1005 where none was given, 1006 where the connection was cut.
    pub code: u16,
    /// The reason.
    pub reason: String,
}

impl Close {
    /// No closing frame has come.
    pub(super) const fn cut() -> Self {
        Self { code: 1006, reason: String::new() }
    }

    fn of(frame: Option<CloseFrame>) -> Self {
        frame.map_or(Self { code: 1005, reason: String::new() }, |frame| Self {
            code: frame.code.into(),
            reason: clip(frame.reason.as_str()),
        })
    }
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq)]
pub enum CallError {
    /// The gateway refuses.
    Refused(Refused),
    /// No answer came in time.
    Silent(Duration),
    /// The connection ended first.
    Closed(Close),
}

/// What a gateway has said when it let a client in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hello {
    /// The version of the protocol.
    pub protocol: Option<u64>,
    /// The version of the gateway.
    pub version: Option<String>,
    /// What this client may do.
    pub scopes: Vec<String>,
    /// What can be called.
    pub methods: Vec<String>,
    /// How the gateway sees itself: the first entry of its own kind among those who are present.
    pub own: Value,
    /// Its run.
    pub instance: Option<String>,
}

impl Hello {
    pub(super) fn read(payload: &Value) -> Self {
        let texts = |list: &Value| -> Vec<String> {
            let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().take(1000).filter_map(|text| Some(clip(text.as_str()?))).collect()
        };
        let own = own_entry(&payload["snapshot"]["presence"]);
        let boot = &payload["server"]["bootId"];
        Self {
            protocol: payload["protocol"].as_u64(),
            version: payload["server"]["version"].as_str().map(clip),
            scopes: texts(&payload["auth"]["scopes"]),
            methods: texts(&payload["features"]["methods"]),
            instance: own["instanceId"].as_str().or(boot.as_str()).map(clip),
            own,
        }
    }
}

/// The entry of a gateway for itself.
pub(crate) fn own_entry(presence: &Value) -> Value {
    let entries = presence.as_array().map(Vec::as_slice).unwrap_or_default();
    let own = entries.iter().find(|entry| entry["mode"] == "gateway" && entry["reason"] == "self");
    own.cloned().unwrap_or_default()
}

/// A client that has been let in.
#[derive(Debug)]
pub struct Session {
    pub(super) wire: Wire,
    pub(super) hello: Hello,
    pub(super) call: Duration,
    next: u64,
}

impl Session {
    pub(super) const fn new(wire: Wire, hello: Hello, call: Duration) -> Self {
        // The first request was to be let in.
        Self { wire, hello, call, next: 2 }
    }

    /// What the gateway said.
    pub const fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Calls a method and waits for its result.
    ///
    /// # Errors
    ///
    /// Why there is none. Unless the gateway refused, the outcome is unknown: it may have done what it was asked for.
    pub async fn call(&mut self, method: &str, params: Option<&Value>) -> Result<Value, CallError> {
        let id = self.next.to_string();
        self.next += 1;
        let until = Instant::now() + self.call;
        self.wire
            .send(frame::request(&id, method, params), until)
            .await
            .map_err(|end| end.of_call(self.call))?;
        let outcome = self.wire.answer(&id, until).await.map_err(|end| end.of_call(self.call))?;
        outcome.map_err(CallError::Refused)
    }

    /// Says goodbye, and waits for nothing.
    pub async fn leave(mut self) {
        // Whoever is gone already needs no goodbye.
        let _ = timeout_at(Instant::now() + Duration::from_millis(200), self.wire.0.close(None)).await;
    }
}

/// The frames of a connection.
#[derive(Debug)]
pub(super) struct Wire(pub(super) WebSocketStream<TcpStream>);

/// Why nothing more comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Late,
    Closed(Close),
}

impl End {
    fn of_call(self, waited: Duration) -> CallError {
        match self {
            Self::Late => CallError::Silent(waited),
            Self::Closed(close) => CallError::Closed(close),
        }
    }
}

impl Wire {
    pub(super) fn limits() -> WebSocketConfig {
        WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .max_message_size(Some(LONGEST))
            .max_frame_size(Some(LONGEST))
    }

    pub(super) async fn send(&mut self, text: String, until: Instant) -> Result<(), End> {
        match timeout_at(until, self.0.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            // Why it has ended may be told already.
            Ok(Err(_)) => Err(self.next(until).await.err().unwrap_or_else(|| End::Closed(Close::cut()))),
            Err(_) => Err(End::Late),
        }
    }

    /// The next message that is text.
    pub(super) async fn next(&mut self, until: Instant) -> Result<Incoming, End> {
        loop {
            // What has come already is always ready: a flood would be read for ever.
            if Instant::now() >= until {
                return Err(End::Late);
            }
            let message = timeout_at(until, self.0.next()).await.map_err(|_| End::Late)?;
            match message {
                Some(Ok(Message::Text(text))) => return Ok(frame::read(&text)),
                // A gateway may say it so too.
                Some(Ok(Message::Binary(bytes))) => return Ok(frame::read(&String::from_utf8_lossy(&bytes))),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(frame))) => return Err(End::Closed(Close::of(frame))),
                Some(Err(Error::ConnectionClosed)) => {
                    return Err(End::Closed(Close { code: 1005, reason: String::new() }));
                }
                Some(Err(error)) => {
                    return Err(End::Closed(Close { code: 1006, reason: clip(&error.to_string()) }));
                }
                None => return Err(End::Closed(Close::cut())),
            }
        }
    }

    /// The answer to a request. What else comes meanwhile is passed over.
    pub(super) async fn answer(
        &mut self,
        wanted: &str,
        until: Instant,
    ) -> Result<Result<Value, Refused>, End> {
        loop {
            if let Incoming::Answer { id, outcome } = self.next(until).await?
                && id == wanted
            {
                return Ok(outcome);
            }
        }
    }

    /// How it ends, if that is told soon.
    pub(super) async fn ending(&mut self, until: Instant) -> Option<Close> {
        loop {
            match self.next(until).await {
                Ok(_) => {}
                Err(End::Closed(close)) => return Some(close),
                Err(End::Late) => return None,
            }
        }
    }
}
