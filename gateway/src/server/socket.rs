//! A WebSocket from its handshake to the last goodbye: what has arrived is answered, what has happened is told, and neither
//! waits for a client that does not read.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::link::Link;
use super::room::Stage;
use super::{Host, Limits};
use crate::control::{Mailbox, Now, Out, Session};

/// Whoever answers on a socket.
pub(super) trait Talk {
    /// The longest message that is read now, in bytes.
    fn longest(&self) -> usize;

    /// A message has come.
    fn message(&mut self, message: Message, now: Now, out: &mut Vec<Out>);

    /// When something is due next, on the monotonic clock, in milliseconds.
    fn due_ms(&self) -> u64;

    /// Does what is due.
    fn due(&mut self, now: Now, out: &mut Vec<Out>);

    /// Where events come in.
    fn mailbox(&self) -> Option<Arc<Mailbox>>;

    /// Sends what has been posted. A client that has not read what it was sent is told nothing more.
    fn posted(&mut self, reads: bool, now: Now, out: &mut Vec<Out>);

    /// The server ends it.
    fn end(&mut self, out: &mut Vec<Out>);
}

impl Talk for Session {
    fn longest(&self) -> usize {
        Self::longest(self)
    }

    fn message(&mut self, message: Message, now: Now, out: &mut Vec<Out>) {
        self.alive();
        match message {
            Message::Text(text) => self.frame(&text, now, out),
            // Some clients send their JSON as bytes. What is no text is no JSON either.
            Message::Binary(bytes) => self.frame(std::str::from_utf8(&bytes).unwrap_or_default(), now, out),
            // tungstenite answers these by itself, with the next flush.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }

    fn due_ms(&self) -> u64 {
        Self::due_ms(self)
    }

    fn due(&mut self, now: Now, out: &mut Vec<Out>) {
        Self::due(self, now, out);
    }

    fn mailbox(&self) -> Option<Arc<Mailbox>> {
        Self::mailbox(self)
    }

    fn posted(&mut self, reads: bool, now: Now, out: &mut Vec<Out>) {
        Self::posted(self, reads, now, out);
    }

    fn end(&mut self, out: &mut Vec<Out>) {
        Self::end(self, out);
    }
}

/// Answers every message with itself: what suites that check the framing talk to.
#[derive(Debug)]
pub(super) struct Echo {
    pub(super) longest: usize,
}

impl Talk for Echo {
    fn longest(&self) -> usize {
        self.longest
    }

    fn message(&mut self, message: Message, _: Now, out: &mut Vec<Out>) {
        match message {
            Message::Text(text) => out.push(Out::Text(text)),
            Message::Binary(bytes) => out.push(Out::Binary(bytes)),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }

    fn due_ms(&self) -> u64 {
        u64::MAX
    }

    fn due(&mut self, _: Now, _: &mut Vec<Out>) {}

    fn mailbox(&self) -> Option<Arc<Mailbox>> {
        None
    }

    fn posted(&mut self, _: bool, _: Now, _: &mut Vec<Out>) {}

    fn end(&mut self, out: &mut Vec<Out>) {
        out.push(Out::Close(CloseCode::Restart.into(), "service restart".to_owned()));
    }
}

/// The socket of a client whose handshake was answered; `None` if it is gone already.
pub(super) async fn take_over<S>(upgrade: OnUpgrade, longest: usize) -> Option<Link<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let parts = upgrade.await.ok()?.downcast::<TokioIo<S>>().ok()?;
    Some(Link::new(parts.io.into_inner(), parts.read_buf.to_vec(), longest))
}

/// Why a socket ends.
enum End {
    /// Both sides have said goodbye, or the connection broke.
    Gone,
    /// The server closes, because the client broke a rule of the framing or for any other reason.
    Close { code: u16, reason: String, fault: bool },
}

/// Talks until one of the two, or the round of the server, has ended.
pub(super) async fn talk<S, H: Host>(
    mut link: Link<S>,
    mut talk: Box<dyn Talk + Send>,
    mut out: Vec<Out>,
    host: &H,
    (mut stage, round): (watch::Receiver<Stage>, u64),
    limits: &Limits,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut messages = Vec::new();
    let mut leaving = false;
    let mut unsent = false;
    let end = loop {
        talk.posted(!unsent, host.now().await, &mut out);
        match put(&mut link, &mut out, &mut stage, round).await {
            Ok(something) => unsent |= something,
            Err(end) => break end,
        }
        link.limit(talk.longest());
        let mailbox = talk.mailbox();
        let due = talk.due_ms().saturating_sub(host.now().await.monotonic_ms);
        tokio::select! {
            biased;
            () = over(&mut stage, round), if !leaving => {
                leaving = true;
                talk.end(&mut out);
            }
            // Nothing more is read while a client does not read what it was sent.
            went_on = async { if unsent { link.flush().await } else { link.batch(&mut messages).await } } => match went_on {
                Ok(()) if unsent => unsent = false,
                Ok(()) => {
                    let now = host.now().await;
                    for message in messages.drain(..) {
                        talk.message(message, now, &mut out);
                    }
                    // tungstenite has answered pings meanwhile.
                    unsent = true;
                }
                Err(error) => break ended(error),
            },
            () = posted(mailbox.as_deref()) => {}
            () = tokio::time::sleep(Duration::from_millis(due)) => {
                let now = host.now().await;
                talk.due(now, &mut out);
            }
        }
    };
    if let End::Close { code, reason, fault } = end {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        // The client is not trusted to end anything: whatever is still to do has a limit.
        let patience = Duration::from_millis(limits.goodbye_ms);
        let _ = tokio::time::timeout(patience, link.farewell(frame, fault)).await;
    }
}

async fn over(stage: &mut watch::Receiver<Stage>, round: u64) {
    let _ = stage.wait_for(|stage| stage.ends(round)).await;
}

async fn posted(mailbox: Option<&Mailbox>) {
    match mailbox {
        Some(mailbox) => mailbox.posted().await,
        None => std::future::pending().await,
    }
}

/// Does what is wanted. Answers whether anything waits to be sent.
async fn put<S>(
    link: &mut Link<S>,
    out: &mut Vec<Out>,
    stage: &mut watch::Receiver<Stage>,
    round: u64,
) -> Result<bool, End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut something = false;
    for wanted in out.drain(..) {
        let message = match wanted {
            Out::Text(text) => Message::Text(text),
            Out::Binary(bytes) => Message::Binary(bytes),
            Out::Ping => Message::Ping(Bytes::new()),
            Out::Pause(milliseconds) => {
                tokio::select! {
                    biased;
                    () = over(stage, round) => {}
                    () = tokio::time::sleep(Duration::from_millis(milliseconds)) => {}
                }
                continue;
            }
            Out::Close(code, reason) => return Err(End::Close { code, reason, fault: false }),
            Out::Drop => return Err(End::Gone),
        };
        link.write(message).map_err(ended)?;
        something = true;
    }
    Ok(something)
}

/// What an error of the protocol says about its cause (RFC 6455, section 7.4.1).
fn ended(error: Error) -> End {
    let fault = |code: CloseCode, reason: &str| End::Close {
        code: code.into(),
        reason: reason.to_owned(),
        fault: true,
    };
    match error {
        Error::Capacity(_) => fault(CloseCode::Size, "message too long"),
        Error::Protocol(_) => fault(CloseCode::Protocol, "protocol error"),
        Error::Utf8(_) => fault(CloseCode::Invalid, "text is not UTF-8"),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::WriteBufferFull(_)
        | Error::AttackAttempt
        | Error::Tls(_)
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => End::Gone,
    }
}
