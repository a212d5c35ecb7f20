//! A WebSocket over any stream, driven from the task that owns it: what has arrived is taken in batches, what goes out
//! leaves in one piece.
//!
//! Nearly all that clients send are whole messages in one masked frame. Such a frame is unmasked where it lies and lent out, and
//! an answer is sent from the buffer that it was written into: no message costs an allocation or waits for another task. Everything
//! else (pings, goodbyes, fragments, what is too long for the buffer or too long at all, whatever is wrong) goes frame by frame to
//! tungstenite, which works on memory alone ([`Pipe`]). So one judge knows RFC 6455, and it sees the bytes as they came.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::inbox::{Inbox, LARGEST};
use super::spare;
use crate::framing::{Head, Kind, unmask};

/// How much tungstenite reads at once, in bytes: it clears as much before each read.
const READ_BYTES: usize = 2 * 1024;
/// tungstenite keeps no buffer for longer frames than this, in bytes.
const KEPT: usize = 64 * 1024;

/// One WebSocket.
#[derive(Debug)]
pub(super) struct Link<S> {
    stream: S,
    socket: WebSocket<Pipe>,
    /// The longest message, in bytes.
    longest: usize,
    /// Whether a message that tungstenite puts together from several frames has begun.
    begun: bool,
    /// Whether tungstenite was given a frame that is longer than what is kept.
    bulky: bool,
    /// Whether messages may wait that nobody has looked for.
    unheard: bool,
    /// The message that tungstenite has read last.
    message: Option<Message>,
    /// What ended it, if messages came before.
    fault: Option<Error>,
    /// How much of what goes out has gone.
    sent: usize,
}

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary one.
    Binary(&'a [u8]),
    /// Something that is answered already, if it wants an answer.
    Sign,
    /// A part of a message.
    Part,
}

impl Heard<'_> {
    /// How long it is, in bytes.
    pub(super) const fn len(&self) -> usize {
        match self {
            Heard::Text(text) => text.len(),
            Heard::Binary(bytes) => bytes.len(),
            Heard::Sign | Heard::Part => 0,
        }
    }
}

/// What comes next of what has arrived.
enum Next {
    /// A whole message, unmasked, at this place of the inbox.
    Whole(Kind, usize, usize),
    /// Whatever tungstenite makes of so many bytes more.
    Else,
    /// Nothing, before more has arrived.
    Nothing,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// The server's end of a socket whose handshake is done; `early` has come with it.
    pub(super) fn new(stream: S, early: Vec<u8>, longest: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            // What it writes it puts into memory, so nothing is gained by waiting.
            .write_buffer_size(0)
            .max_message_size(Some(longest))
            .max_frame_size(Some(longest));
        let unheard = !early.is_empty();
        let pipe = Pipe { inbox: Inbox::new(early), granted: 0, is_over: false, out: Vec::new() };
        Self {
            stream,
            socket: WebSocket::from_raw_socket(pipe, Role::Server, Some(config)),
            longest,
            begun: false,
            bulky: false,
            unheard,
            message: None,
            fault: None,
            sent: 0,
        }
    }

    /// Longer messages than this end it from now on. Answers whether that is new.
    pub(super) fn limit(&mut self, longest: usize) -> bool {
        let is_new = self.longest != longest;
        if is_new {
            self.longest = longest;
            self.socket.set_config(|config| {
                config.max_message_size = Some(longest);
                config.max_frame_size = Some(longest);
            });
        }
        is_new
    }

    /// Waits until something may be heard. Nothing is lost if this is not asked again.
    ///
    /// # Errors
    ///
    /// What has ended the connection, once everything before it was heard.
    pub(super) fn poll_arrival(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Some(fault) = self.fault.take() {
            return Poll::Ready(Err(fault));
        }
        if std::mem::take(&mut self.unheard) {
            return Poll::Ready(Ok(()));
        }
        let pipe = self.socket.get_mut();
        let mut buffer = ReadBuf::new(pipe.inbox.room());
        let arrived = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
        let count = buffer.filled().len();
        if arrived.is_pending() {
            pipe.inbox.give_back();
        }
        ready!(arrived)?;
        pipe.inbox.came(count);
        pipe.is_over |= count == 0;
        Poll::Ready(Ok(()))
    }

    /// Not everything was heard that has arrived.
    pub(super) const fn interrupt(&mut self) {
        self.unheard = true;
    }

    /// The next message of what has arrived; `None`: there is none, and the next arrival says why if there will be none.
    pub(super) fn hear(&mut self) -> Option<Heard<'_>> {
        match self.look() {
            Next::Nothing => None,
            Next::Whole(Kind::Binary, from, length) => {
                Some(Heard::Binary(self.socket.get_ref().inbox.taken(from, length)))
            }
            Next::Whole(Kind::Text, from, length) => {
                match std::str::from_utf8(self.socket.get_ref().inbox.taken(from, length)) {
                    Ok(text) => Some(Heard::Text(text)),
                    Err(error) => {
                        self.fault = Some(error.into());
                        None
                    }
                }
            }
            Next::Else => match self.socket.read() {
                Ok(message) => Some(match self.message.insert(message) {
                    Message::Text(text) => Heard::Text(text),
                    Message::Binary(bytes) => Heard::Binary(bytes),
                    Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
                        Heard::Sign
                    }
                }),
                // It has taken a frame that is no message yet, or as much of it as is there.
                Err(error) if is_pending(&error) => {
                    (self.socket.get_ref().granted == 0).then_some(Heard::Part)
                }
                Err(error) => {
                    self.fault = Some(error);
                    None
                }
            },
        }
    }

    /// Looks at what is first of what waits.
    fn look(&mut self) -> Next {
        // A long message is not kept once it was heard.
        self.message = None;
        if self.fault.is_some() {
            return Next::Nothing;
        }
        let (is_open, longest, begun) = (self.socket.can_read(), self.longest, self.begun);
        let pipe = self.socket.get_mut();
        if pipe.granted > 0 || !is_open {
            return Next::Else;
        }
        let waiting = pipe.inbox.waiting_mut();
        let Some(head) = Head::read(waiting) else {
            if pipe.is_over {
                pipe.granted = pipe.inbox.waiting().len();
                return Next::Else;
            }
            if pipe.inbox.waiting().is_empty() {
                pipe.inbox.give_back();
            }
            return Next::Nothing;
        };
        let all = usize::try_from(head.all()).unwrap_or(usize::MAX);
        if let (Some(kind), Some(mask), false) = (head.whole(), head.mask, begun)
            && all - head.length <= longest
            && all <= LARGEST
        {
            if let Some(payload) = waiting.get_mut(head.length..all) {
                unmask(payload, mask);
                let from = pipe.inbox.take(all);
                return Next::Whole(kind, from + head.length, all - head.length);
            }
            if !pipe.is_over {
                return Next::Nothing;
            }
        }
        // A control frame may stand between the others (section 5.4).
        if head.first & 0x08 == 0 {
            self.begun = head.first & 0x80 == 0;
        }
        self.bulky |= all > KEPT;
        pipe.granted = all;
        Next::Else
    }

    /// Puts frames with those that leave at the next flush, however many wait. A client that has said goodbye is told nothing.
    pub(super) fn post(&mut self, mut frames: Vec<u8>) {
        if self.socket.can_write() && !frames.is_empty() {
            let out = &mut self.socket.get_mut().out;
            if out.is_empty() {
                *out = frames;
                return;
            }
            out.extend_from_slice(&frames);
        }
        frames.clear();
        spare::give_outgoing(frames);
    }

    /// Asks for a sign of life.
    pub(super) fn ping(&mut self) -> Result<(), Error> {
        self.socket.write(Message::Ping(Bytes::new()))
    }

    /// Sends everything that waits.
    ///
    /// # Errors
    ///
    /// That the connection broke, or that both sides have said goodbye, and it is sent.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Nobody waits here: this is memory.
        let settled = self.socket.flush();
        ready!(self.poll_send(context))?;
        Poll::Ready(settled)
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (stream, out) = (&mut self.stream, &mut self.socket.get_mut().out);
        while self.sent < out.len() {
            let count = ready!(Pin::new(&mut *stream).poll_write(context, &out[self.sent..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
        }
        self.sent = 0;
        out.clear();
        spare::give_outgoing(std::mem::take(out));
        Pin::new(stream).poll_flush(context)
    }

    /// Nothing long comes or goes for a while: no memory is kept for it.
    pub(super) fn rest(&mut self) {
        let is_between = !self.begun && self.socket.get_ref().granted == 0;
        if self.bulky && is_between && self.socket.can_read() && self.socket.can_write() {
            // tungstenite would keep the buffer of its longest message as long as the connection lives.
            let (config, _) = (*self.socket.get_config(), self.socket.flush());
            let pipe = std::mem::take(self.socket.get_mut());
            self.socket = WebSocket::from_raw_socket(pipe, Role::Server, Some(config));
            self.bulky = false;
        }
    }

    /// Says goodbye, and waits until the client has heard it: a connection that is dropped with bytes unread is reset, and
    /// a reset can overtake the goodbye. After a `fault` what follows is not read as messages any more, because the client
    /// has lost count of them.
    pub(super) async fn farewell(&mut self, frame: CloseFrame, fault: bool) {
        let fault = fault || self.fault.take().is_some();
        // Whatever it answers, there may be something to send.
        let _ = self.socket.close(Some(frame));
        if poll_fn(|context| self.poll_flush(context)).await.is_err() {
            return;
        }
        if fault {
            // The end of this direction tells the client to end the other.
            let _ = self.stream.shutdown().await;
            let mut rest = [0; 4096];
            while self.stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
        } else {
            while poll_fn(|context| self.poll_arrival(context)).await.is_ok() {
                while self.hear().is_some() {}
            }
        }
    }
}

fn is_pending(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// The stream that tungstenite sees: it reads what it is granted, and what it writes waits with everything else.
#[derive(Debug, Default)]
struct Pipe {
    inbox: Inbox,
    /// How many bytes it may still read: never more than the frame that it is at.
    granted: usize,
    /// Whether nothing more arrives.
    is_over: bool,
    /// Frames that go out next.
    out: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let waiting = self.inbox.waiting();
        let count = waiting.len().min(self.granted).min(buffer.len());
        if count == 0 && !(self.is_over && waiting.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer[..count].copy_from_slice(&waiting[..count]);
        self.inbox.take(count);
        self.granted -= count;
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
