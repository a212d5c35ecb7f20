//! A WebSocket from its handshake to the last goodbye: what has arrived is answered, what has happened is told, and neither
//! waits for a client that does not read.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::link::{Heard, Link};
use super::spare;
use super::vigil::{Outcome, Vigil};
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
    fn mailbox(&self) -> Option<&Mailbox>;

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
            Heard::Sign | Heard::Part => {}
        }
    }

    fn due_ms(&self) -> u64 {
        Self::due_ms(self)
    }

    fn due(&mut self, now: Now, out: &mut Outbox) {
        Self::due(self, now, out);
    }

    fn mailbox(&self) -> Option<&Mailbox> {
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
    /// Something has arrived, or was sent, or the connection broke.
    Moved(Result<(), Error>),
    /// There may be an event.
    Posted,
    /// It has nothing to do with the client.
    Outside(Outcome),
    /// It was woken, and nothing of this is so: the round of the server may have ended.
    Nothing,
}

/// Talks until one of the two, or the round of the server, has ended.
pub(super) async fn talk<S, H: Host>(
    mut link: Link<S>,
    mut talk: Box<dyn Talk + Send + Sync>,
    mut out: Outbox,
    host: &H,
    mut vigil: Vigil,
    limits: &Limits,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut unsent, mut begins) = (false, false);
    let mut now = host.now().await;
    let end = loop {
        talk.posted(!unsent, now, &mut out);
        // There may be more that waits for room.
        let again = unsent || out.is_much();
        match put(&mut link, &mut out, &vigil).await {
            Ok(something) => unsent |= something,
            Err(end) => break end,
        }
        // Whoever has come in is told more at once than most are told afterwards.
        begins |= link.limit(talk.longest());
        if unsent {
            // Mostly all of it is taken at once.
            match poll_fn(|context| Poll::Ready(link.poll_flush(context))).await {
                Poll::Ready(Ok(())) => {
                    unsent = false;
                    if std::mem::take(&mut begins) {
                        link.rest();
                    }
                    if again {
                        continue;
                    }
                }
                Poll::Ready(Err(error)) => break ended(error),
                Poll::Pending => {}
            }
        }
        let met = match vigil.look(talk.due_ms(), now) {
            Some(outcome) => Met::Outside(outcome),
            None => wait(&mut link, &*talk, &mut vigil, unsent).await,
        };
        now = host.now().await;
        if let Some(frames) = out.frames() {
            *frames = spare::take_outgoing();
        }
        match met {
            // The next turn finds that nothing is left.
            Met::Moved(Ok(())) if unsent => {}
            Met::Moved(Ok(())) => {
                // tungstenite has answered pings meanwhile.
                unsent = true;
                if hear(&mut link, &mut *talk, now, &mut out) {
                    tokio::task::yield_now().await;
                }
            }
            Met::Moved(Err(error)) => break ended(error),
            Met::Posted | Met::Nothing => {}
            Met::Outside(Outcome::Over) => talk.end(&mut out),
            Met::Outside(Outcome::Due) => {
                talk.due(now, &mut out);
                // It is not often that something is due: what a connection has used by then it may not use again for long.
                link.rest();
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

/// Waits until there is something to do. Nothing more is read while a client does not read what it was sent.
async fn wait<S>(link: &mut Link<S>, talk: &(dyn Talk + Send + Sync), vigil: &mut Vigil, unsent: bool) -> Met
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut woken = false;
    poll_fn(|context| {
        let moved = if unsent { link.poll_flush(context) } else { link.poll_arrival(context) };
        if let Poll::Ready(moved) = moved {
            return Poll::Ready(Met::Moved(moved));
        }
        if talk.mailbox().is_some_and(|mailbox| mailbox.poll_posted(context).is_ready()) {
            return Poll::Ready(Met::Posted);
        }
        match vigil.poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Met::Outside(outcome)),
            Poll::Pending if std::mem::replace(&mut woken, true) => Poll::Ready(Met::Nothing),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Answers what has arrived, but no more than one batch. Answers whether there may be more.
fn hear<S>(link: &mut Link<S>, talk: &mut dyn Talk, now: Now, out: &mut Outbox) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut messages, mut bytes) = (0, 0);
    while messages < BATCH && bytes < BATCH_BYTES && !out.is_much() {
        let Some(heard) = link.hear() else {
            if messages == 0 {
                // Nothing can be said within a long frame, so that it arrives has to do.
                talk.message(Heard::Part, now, out);
            }
            return false;
        };
        messages += 1;
        bytes += heard.len();
        talk.message(heard, now, out);
    }
    link.interrupt();
    true
}

/// Does what is wanted. Answers whether anything waits to be sent.
async fn put<S>(link: &mut Link<S>, out: &mut Outbox, vigil: &Vigil) -> Result<bool, End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if let Some(frames) = out.frames() {
        let frames = std::mem::take(frames);
        let something = !frames.is_empty();
        link.post(frames);
        return Ok(something);
    }
    let mut something = false;
    for wanted in out.iter() {
        match wanted {
            Out::Frames(frames) => link.post(frames.to_vec()),
            Out::Ping => link.ping().map_err(ended)?,
            Out::Pause(milliseconds) => {
                tokio::select! {
                    biased;
                    () = vigil.over() => {}
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
