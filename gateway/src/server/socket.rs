//! A WebSocket from its handshake to the last goodbye: what has arrived is answered, what has happened is told, and neither
//! waits for a client that does not read.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::inbox::Kind;
use super::link::{Heard, Link};
use super::room::Stage;
use super::{Host, Limits};
use crate::control::{Mailbox, Now, Out, Outbox, Session};

/// A batch ends after so many messages: their answers leave, and others have their turn.
const BATCH: usize = 64;
/// And after so many bytes, with the message that makes it more.
const BATCH_BYTES: usize = 256 * 1024;

/// Whoever answers on a socket.
pub(super) trait Talk {
    /// The longest message that is read now, in bytes.
    fn longest(&self) -> usize;

    /// A message has come.
    fn message(&mut self, message: Heard<'_>, now: Now, out: &mut Outbox);

    /// When something is due next, on the monotonic clock, in milliseconds.
    fn due_ms(&self) -> u64;

    /// Does what is due.
    fn due(&mut self, now: Now, out: &mut Outbox);

    /// Where events come in.
    fn mailbox(&self) -> Option<Arc<Mailbox>>;

    /// Sends what has been posted. A client that has not read what it was sent is told nothing more.
    fn posted(&mut self, reads: bool, now: Now, out: &mut Outbox);

    /// The server ends it.
    fn end(&mut self, out: &mut Outbox);
}

impl Talk for Session {
    fn longest(&self) -> usize {
        Self::longest(self)
    }

    fn message(&mut self, message: Heard<'_>, now: Now, out: &mut Outbox) {
        self.alive();
        match message {
            Heard::Text(text) => self.frame(text, now, out),
            // Some clients send their JSON as bytes. What is no text is no JSON either.
            Heard::Binary(bytes) => self.frame(std::str::from_utf8(bytes).unwrap_or_default(), now, out),
            Heard::Sign => {}
        }
    }

    fn due_ms(&self) -> u64 {
        Self::due_ms(self)
    }

    fn due(&mut self, now: Now, out: &mut Outbox) {
        Self::due(self, now, out);
    }

    fn mailbox(&self) -> Option<Arc<Mailbox>> {
        Self::mailbox(self)
    }

    fn posted(&mut self, reads: bool, now: Now, out: &mut Outbox) {
        Self::posted(self, reads, now, out);
    }

    fn end(&mut self, out: &mut Outbox) {
        Self::end(self, out);
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

/// What a connection waited for.
enum Met {
    /// The server ends it.
    Over,
    /// Something has arrived, or was sent, or the connection broke.
    Moved(Result<(), Error>),
    /// There may be an event.
    Posted,
    /// Something is due.
    Due,
}

/// Talks until one of the two, or the round of the server, has ended.
pub(super) async fn talk<S, H: Host>(
    mut link: Link<S>,
    mut talk: Box<dyn Talk + Send>,
    mut out: Outbox,
    host: &H,
    (mut stage, round): (watch::Receiver<Stage>, u64),
    limits: &Limits,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut watched = stage.clone();
    let mut over = pin!(ends(&mut watched, round));
    let (mut alarm, mut set_ms) = (pin!(tokio::time::sleep(Duration::ZERO)), None);
    let (mut leaving, mut unsent, mut begins) = (false, false, false);
    let mut now = host.now().await;
    let end = loop {
        talk.posted(!unsent, now, &mut out);
        match put(&mut link, &mut out, &mut stage, round).await {
            Ok(something) => unsent |= something,
            Err(end) => break end,
        }
        // Whoever has come in is told more at once than most are told afterwards.
        begins |= link.limit(talk.longest());
        let (mailbox, due_ms) = (talk.mailbox(), talk.due_ms());
        if set_ms != Some(due_ms) {
            alarm.set(tokio::time::sleep(Duration::from_millis(due_ms.saturating_sub(now.monotonic_ms))));
            set_ms = Some(due_ms);
        }
        let met = tokio::select! {
            biased;
            () = over.as_mut(), if !leaving => Met::Over,
            // Nothing more is read while a client does not read what it was sent.
            moved = async { if unsent { link.flush().await } else { link.arrival().await } } => Met::Moved(moved),
            () = posted(mailbox.as_deref()) => Met::Posted,
            () = alarm.as_mut() => Met::Due,
        };
        now = host.now().await;
        match met {
            Met::Over => {
                leaving = true;
                talk.end(&mut out);
            }
            Met::Moved(Ok(())) if unsent => {
                unsent = false;
                if std::mem::take(&mut begins) {
                    link.rest();
                    out.rest();
                }
            }
            Met::Moved(Ok(())) => {
                // tungstenite has answered pings meanwhile.
                unsent = true;
                if hear(&mut link, &mut *talk, now, &mut out) {
                    tokio::task::yield_now().await;
                }
            }
            Met::Moved(Err(error)) => break ended(error),
            Met::Posted => {}
            Met::Due => {
                set_ms = None;
                talk.due(now, &mut out);
                // It is not often that something is due: what a connection has used by then it may not use again for long.
                link.rest();
                out.rest();
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

/// Answers what has arrived, but no more than one batch. Answers whether there may be more.
fn hear<S>(link: &mut Link<S>, talk: &mut dyn Talk, now: Now, out: &mut Outbox) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut messages, mut bytes) = (0, 0);
    while messages < BATCH && bytes < BATCH_BYTES && !out.is_much() {
        let Some(heard) = link.hear() else { return false };
        messages += 1;
        bytes += heard.len();
        talk.message(heard, now, out);
    }
    link.interrupt();
    true
}

async fn ends(stage: &mut watch::Receiver<Stage>, round: u64) {
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
    out: &mut Outbox,
    stage: &mut watch::Receiver<Stage>,
    round: u64,
) -> Result<bool, End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut something = false;
    for wanted in out.iter() {
        match wanted {
            Out::Text(text) => link.write(Kind::Text, text),
            Out::Binary(bytes) => link.write(Kind::Binary, bytes),
            Out::Ping => link.ping().map_err(ended)?,
            Out::Pause(milliseconds) => {
                tokio::select! {
                    biased;
                    () = ends(stage, round) => {}
                    () = tokio::time::sleep(Duration::from_millis(milliseconds)) => {}
                }
                continue;
            }
            Out::Close(code, reason) => {
                return Err(End::Close { code, reason: reason.to_owned(), fault: false });
            }
            Out::Drop => return Err(End::Gone),
        }
        something = true;
    }
    out.clear();
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
