//! A WebSocket over any stream, driven from the task that owns it: what has arrived is taken in batches, what goes out
//! leaves in one piece.
//!
//! tungstenite's own socket is not asynchronous. It is polled here with the waker of its only task, which saves the two
//! proxies that a split socket would need, and lets the limit on messages change once a client is known.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

/// A batch ends after so many messages.
const BATCH: usize = 64;
/// And after so many bytes, with the message that makes it more.
const BATCH_BYTES: usize = 64 * 1024;

/// The read buffer of a connection, in bytes: the default of tungstenite, 128 KiB, is cleared whole before each read.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// Answers are sent at the end of a batch, or when so many bytes are ready.
const WRITE_BUFFER_BYTES: usize = 128 * 1024;

/// One WebSocket.
#[derive(Debug)]
pub(super) struct Link<S> {
    socket: WebSocket<Polled<S>>,
    /// What ended it, if messages came before.
    fault: Option<Error>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// The server's end of a socket whose handshake is done; `early` has come with it.
    pub(super) fn new(stream: S, early: Vec<u8>, longest: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_message_size(Some(longest))
            .max_frame_size(Some(longest));
        let polled = Polled { stream, waker: Waker::noop().clone() };
        Self {
            socket: WebSocket::from_partially_read(polled, early, Role::Server, Some(config)),
            fault: None,
        }
    }

    /// Longer messages than this end it from now on.
    pub(super) fn limit(&mut self, longest: usize) {
        if self.socket.get_config().max_message_size != Some(longest) {
            self.socket.set_config(|config| {
                config.max_message_size = Some(longest);
                config.max_frame_size = Some(longest);
            });
        }
    }

    /// Takes what has arrived, at least one message. Nothing is lost if this is cancelled.
    pub(super) async fn batch(&mut self, into: &mut Vec<Message>) -> Result<(), Error> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        poll_fn(|context| {
            self.attend(context);
            let mut bytes = 0;
            while into.len() < BATCH && bytes < BATCH_BYTES {
                match self.socket.read() {
                    Ok(message) => {
                        bytes += message.len();
                        into.push(message);
                    }
                    Err(error) if is_pending(&error) => break,
                    Err(error) if into.is_empty() => return Poll::Ready(Err(error)),
                    Err(error) => {
                        self.fault = Some(error);
                        break;
                    }
                }
            }
            if into.is_empty() { Poll::Pending } else { Poll::Ready(Ok(())) }
        })
        .await
    }

    /// Puts a message with those that leave at the next flush, however many wait.
    pub(super) fn write(&mut self, message: Message) -> Result<(), Error> {
        match self.socket.write(message) {
            // It waits with the others.
            Err(error) if is_pending(&error) => Ok(()),
            written => written,
        }
    }

    /// Sends everything that waits.
    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|context| {
            self.attend(context);
            match self.socket.flush() {
                Err(error) if is_pending(&error) => Poll::Pending,
                flushed => Poll::Ready(flushed),
            }
        })
        .await
    }

    /// Says goodbye, and waits until the client has heard it: a connection that is dropped with bytes unread is reset, and
    /// a reset can overtake the goodbye. After a `fault` what follows is not read as messages any more, because the client
    /// has lost count of them.
    pub(super) async fn farewell(&mut self, frame: CloseFrame, fault: bool) {
        match self.socket.close(Some(frame)) {
            Err(error) if !is_pending(&error) => return,
            Ok(()) | Err(_) => {}
        }
        if self.flush().await.is_err() {
            return;
        }
        if fault {
            // The end of this direction tells the client to end the other.
            let stream = &mut self.socket.get_mut().stream;
            let _ = stream.shutdown().await;
            let mut rest = [0; 4096];
            while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
        } else {
            let mut heard = Vec::new();
            while self.batch(&mut heard).await.is_ok() {
                heard.clear();
            }
        }
    }

    fn attend(&mut self, context: &Context<'_>) {
        let waker = &mut self.socket.get_mut().waker;
        if !waker.will_wake(context.waker()) {
            waker.clone_from(context.waker());
        }
    }
}

fn is_pending(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// A stream as tungstenite wants it: what is not ready yet would block, and wakes the task that owns the socket.
#[derive(Debug)]
struct Polled<S> {
    stream: S,
    waker: Waker,
}

impl<S> Polled<S> {
    fn poll<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T>
    where
        S: Unpin,
    {
        let mut context = Context::from_waker(&self.waker);
        match poll(Pin::new(&mut self.stream), &mut context) {
            Poll::Ready(done) => done,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: AsyncRead + Unpin> Read for Polled<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        self.poll(|stream, context| stream.poll_read(context, &mut buffer))?;
        Ok(buffer.filled().len())
    }
}

impl<S: AsyncWrite + Unpin> Write for Polled<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.poll(|stream, context| stream.poll_write(context, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.poll(AsyncWrite::poll_flush)
    }
}
