//! Every message is answered with itself: who answers is what is tested, not what is said.
//!
//! One task owns one socket and never splits it. It answers what has arrived in one go and flushes once, and it stops
//! reading while the other side does not, so a slow client costs one message of memory.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Limits;
use super::room::Stage;

/// How many messages are answered before the answers are flushed, at most.
const BATCH: usize = 64;

/// Measured best for small messages; the default of 128 KiB costs twice the time and seven times the memory.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// As much as tungstenite gathers before it writes.
const WRITE_BUFFER_BYTES: usize = 128 * 1024;

/// The connection as a WebSocket, once the answer to the handshake is sent; `None` if that failed.
pub(super) async fn take_over<S>(upgrade: OnUpgrade, limits: &Limits) -> Option<WebSocketStream<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // The raw stream is taken back, so that no message passes through a boxed one.
    let parts = upgrade.await.ok()?.downcast::<TokioIo<S>>().ok()?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES.saturating_add(limits.message_bytes.saturating_mul(2)))
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes));
    let (stream, early) = (parts.io.into_inner(), parts.read_buf.to_vec());
    Some(WebSocketStream::from_partially_read(stream, early, Role::Server, Some(config)).await)
}

/// Answers until the client leaves, does something wrong, or that round of the server is over.
pub(super) async fn echo<S>(
    mut socket: WebSocketStream<S>,
    mut stage: watch::Receiver<Stage>,
    round: u64,
    limits: &Arc<Limits>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let end = loop {
        tokio::select! {
            biased;
            _ = stage.wait_for(|stage| stage.ends(round)) => break End::Restart,
            turn = turn(&mut socket) => match turn {
                Ok(()) => {}
                Err(end) => break end,
            },
        }
    };
    // The client is not trusted to end anything: whatever is still to do has a limit.
    let patience = Duration::from_millis(limits.goodbye_ms);
    let _ = tokio::time::timeout(patience, farewell(&mut socket, end)).await;
}

/// Why a socket ends.
enum End {
    /// Both sides have said goodbye, or the connection broke.
    Gone,
    /// The client broke a rule.
    Fault(CloseCode, &'static str),
    /// The server closes.
    Restart,
}

/// Answers what has arrived, at least one message.
async fn turn<S>(socket: &mut WebSocketStream<S>) -> Result<(), End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut next = Some(socket.next().await);
    for left in (0..BATCH).rev() {
        match next {
            Some(Some(Ok(message @ (Message::Text(_) | Message::Binary(_))))) => {
                socket.feed(message).await.map_err(ended)?;
            }
            // tungstenite answers these by itself, with the next flush.
            Some(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)))) => {}
            Some(Some(Err(error))) => return Err(ended(error)),
            Some(None) => return Err(End::Gone),
            None => break,
        }
        next = if left > 0 { socket.next().now_or_never() } else { None };
    }
    socket.flush().await.map_err(ended)
}

/// What an error of the protocol says about its cause (RFC 6455, section 7.4.1).
fn ended(error: Error) -> End {
    match error {
        Error::Capacity(_) => End::Fault(CloseCode::Size, "message too long"),
        Error::Protocol(_) => End::Fault(CloseCode::Protocol, "protocol error"),
        Error::Utf8(_) => End::Fault(CloseCode::Invalid, "text is not UTF-8"),
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

/// Says goodbye and waits until the client has heard it: a connection that is dropped with bytes unread is reset, and
/// a reset can overtake the goodbye.
async fn farewell<S>(socket: &mut WebSocketStream<S>, end: End)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match end {
        End::Gone => {}
        End::Restart => {
            let frame = CloseFrame { code: CloseCode::Restart, reason: "service restart".into() };
            if socket.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = socket.next().await {}
            }
        }
        End::Fault(code, reason) => {
            if socket.close(Some(CloseFrame { code, reason: reason.into() })).await.is_ok() {
                // What follows is not read as frames any more, since the client has lost count of them. The end of
                // this direction tells the client to end the other.
                let _ = socket.get_mut().shutdown().await;
                let mut rest = [0; 4096];
                while socket.get_mut().read(&mut rest).await.is_ok_and(|count| count > 0) {}
            }
        }
    }
}
