//! One attempt to be let in, and how it ended: each ending is a value, so that nobody has to read it out of a message.

use std::future::Future;
use std::io::ErrorKind;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error;

use super::frame::{self, Incoming, Refused, clip};
use super::link::{Close, End, Hello, Session, Wire};
use super::{Address, Deadlines, http};
use crate::auth::Word;
use crate::text::one_line;

/// The id of the first request.
const FIRST: &str = "1";

/// As whom a client comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// To look, also at a gateway of the version before.
    Probe,
    /// To have something done.
    Cli,
}

/// How an attempt has ended that did not lead in.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// Nobody listens there: the kernel refuses.
    Nobody,
    /// It cannot be reached, and why.
    Unreachable(String),
    /// Somebody listens, and nothing came in time.
    Silent {
        /// What was waited for.
        waiting_for: &'static str,
        /// How long.
        waited: Duration,
    },
    /// Something answers that is no gateway.
    Stranger {
        /// What it says, short and harmless.
        answered: String,
    },
    /// A gateway that is not ready yet.
    Starting(Box<Refused>),
    /// A gateway that stops, or is about to begin anew.
    Draining(Box<Refused>),
    /// The secret is wrong, or one is needed, or a device has to be paired.
    Unauthorized(Box<Refused>),
    /// It speaks another version of the protocol.
    Mismatch(Box<Refused>),
    /// It refuses for another reason.
    Refused(Box<Refused>),
    /// It ended the connection without an answer.
    Closed(Close),
}

/// Connects, says who is there and asks to be let in. For the word is asked once somebody has asked who is there: it is
/// sent if there is one, whoever listens.
///
/// # Errors
///
/// How else it ended.
pub async fn reach<'a>(
    address: &Address,
    caller: Caller,
    scopes: &[&str],
    word: impl Future<Output = Option<&'a Word>>,
    deadlines: &Deadlines,
) -> Result<Session, Ended> {
    let mut wire = upgrade(address, dial(address, deadlines).await?, deadlines).await?;
    challenge(&mut wire, deadlines).await?;
    let connect = frame::connect(caller, scopes, word.await);
    let request = frame::request(FIRST, "connect", Some(&connect));
    let until = Instant::now() + deadlines.admission;
    let late = || Ended::Silent { waiting_for: "the answer to connect", waited: deadlines.admission };
    let ended = |end| match end {
        End::Late => late(),
        End::Closed(close) => closed(close),
    };
    wire.send(request, until).await.map_err(ended)?;
    match wire.answer(FIRST, until).await.map_err(ended)? {
        Ok(payload) => Ok(Session::new(wire, Hello::read(&payload), deadlines.call)),
        Err(refused) => {
            let close = wire.ending(Instant::now() + deadlines.ending).await;
            Err(refusal(Box::new(Refused { close, ..refused })))
        }
    }
}

async fn dial(address: &Address, deadlines: &Deadlines) -> Result<TcpStream, Ended> {
    match timeout(deadlines.connect, TcpStream::connect(address.place())).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Err(Ended::Nobody),
        Ok(Err(error)) => Err(Ended::Unreachable(clip(&error.to_string()))),
        Err(_) => Err(Ended::Silent { waiting_for: "a connection", waited: deadlines.connect }),
    }
}

async fn upgrade(address: &Address, stream: TcpStream, deadlines: &Deadlines) -> Result<Wire, Ended> {
    let upgrading = client_async_with_config(address.uri(), stream, Some(Wire::limits()));
    let error = match timeout(deadlines.greeting, upgrading).await {
        Ok(Ok((stream, _))) => return Ok(Wire(stream)),
        Ok(Err(error)) => error,
        Err(_) => {
            return Err(Ended::Silent { waiting_for: "an answer", waited: deadlines.greeting });
        }
    };
    if let Error::Http(answer) = &error {
        let body = String::from_utf8_lossy(answer.body().as_deref().unwrap_or_default()).into_owned();
        return Err(Ended::Stranger { answered: http::shown(answer.status().as_u16(), &body) });
    }
    let why = one_line(&clip(&error.to_string()));
    Err(if matches!(error, Error::Io(_)) {
        Ended::Closed(Close { reason: why, ..Close::cut() })
    } else {
        Ended::Stranger { answered: format!("no WebSocket: {why}") }
    })
}

/// Waits until it asks who is there: whoever asks something else, or nothing, is no gateway.
async fn challenge(wire: &mut Wire, deadlines: &Deadlines) -> Result<(), Ended> {
    let until = Instant::now() + deadlines.greeting;
    loop {
        match wire.next(until).await {
            Ok(Incoming::Challenge) => return Ok(()),
            Ok(Incoming::Answer { .. } | Incoming::Other) => {}
            Err(End::Late) => {
                let answered = "a WebSocket on which nobody asks who is there".to_owned();
                return Err(Ended::Stranger { answered });
            }
            Err(End::Closed(close)) => return Err(closed(close)),
        }
    }
}

/// A refusal by its kind.
fn refusal(refused: Box<Refused>) -> Ended {
    let code = refused.close.as_ref().map(|close| close.code);
    let detail = refused.detail();
    if detail == "PROTOCOL_MISMATCH" || code == Some(1002) {
        return Ended::Mismatch(refused);
    }
    if refused.code == "NOT_PAIRED" || detail.starts_with("AUTH_") || detail.starts_with("DEVICE_") {
        return Ended::Unauthorized(refused);
    }
    // It may also be that it cannot remember a device now, which it says.
    let is_later =
        code == Some(1013) && matches!(refused.details["reason"].as_str(), None | Some("starting"));
    if is_later || refused.message.starts_with("gateway starting") {
        return Ended::Starting(refused);
    }
    if code == Some(1012) || refused.details["reason"] == "gateway-draining" {
        return Ended::Draining(refused);
    }
    Ended::Refused(refused)
}

/// An ending without an answer, by its code.
fn closed(close: Close) -> Ended {
    let refused = |message: &str, close| {
        Box::new(Refused {
            code: "UNAVAILABLE".to_owned(),
            message: message.to_owned(),
            details: serde_json::Value::Null,
            retryable: true,
            retry_after_ms: None,
            close: Some(close),
        })
    };
    match close.code {
        1012 => Ended::Draining(refused("service restart", close)),
        1013 => Ended::Starting(refused("gateway starting", close)),
        _ => Ended::Closed(close),
    }
}
