//! A connection of memory: each read hands out one burst of frames, then nothing is there until it is asked again, as when
//! bursts come one by one from a network. What is written is counted and forgotten.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What every frame of a client is masked with.
const MASK: [u8; 4] = [0x1f, 0x2e, 0x3d, 0x4c];

/// Both ends of a connection: the server has the stream, whoever measures another handle.
#[derive(Clone, Debug, Default)]
pub struct Wire(Arc<Mutex<Line>>);

#[derive(Debug, Default)]
struct Line {
    burst: Vec<u8>,
    /// How much of it was handed out.
    at: usize,
    /// How many bursts are still to come, the present one included.
    left: u64,
    /// Whether a burst has just ended.
    pause: bool,
    waker: Option<Waker>,
    /// Whether the client reads nothing for now.
    is_stalled: bool,
    /// Whoever waits until it reads again.
    writer: Option<Waker>,
    /// Whether the client is gone.
    is_over: bool,
    /// What was written, while somebody listens.
    heard: Option<Vec<u8>>,
    written: u64,
    writes: u64,
}

impl Wire {
    /// The client sends the same bytes so many times, each time once the server has asked in vain.
    ///
    /// # Panics
    ///
    /// If the server has not read what was sent before.
    pub fn send(&self, burst: &[u8], times: u64) {
        let mut line = self.line();
        assert!(line.left == 0, "what was sent before is not read yet");
        line.burst.clear();
        line.burst.extend_from_slice(burst);
        (line.at, line.left, line.pause) = (0, times, false);
        if let Some(waker) = line.waker.take() {
            waker.wake();
        }
    }

    /// The client is gone.
    pub fn hang_up(&self) {
        let mut line = self.line();
        line.is_over = true;
        if let Some(waker) = line.waker.take() {
            waker.wake();
        }
    }

    /// From now on the client reads nothing, and there is no room for what the server writes.
    pub fn stall(&self) {
        self.line().is_stalled = true;
    }

    /// The client reads again.
    pub fn resume(&self) {
        let mut line = self.line();
        line.is_stalled = false;
        if let Some(writer) = line.writer.take() {
            writer.wake();
        }
    }

    /// From now on what the server writes is kept.
    pub fn listen(&self) {
        self.line().heard = Some(Vec::new());
    }

    /// What the server has written since somebody listens, who does so no more.
    pub fn heard(&self) -> Vec<u8> {
        self.line().heard.take().unwrap_or_default()
    }

    /// Whether the server has read everything.
    pub fn is_read(&self) -> bool {
        self.line().left == 0
    }

    /// How many bytes the server has written, and in how many pieces.
    pub fn written(&self) -> (u64, u64) {
        let line = self.line();
        (line.written, line.writes)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut line = self.line();
        if line.left == 0 && line.is_over {
            return Poll::Ready(Ok(()));
        }
        if line.left == 0 {
            line.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        if std::mem::take(&mut line.pause) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = &line.burst[line.at..];
        let length = piece.len().min(buffer.remaining());
        buffer.put_slice(&piece[..length]);
        line.at += length;
        if line.at == line.burst.len() {
            line.at = 0;
            line.left -= 1;
            line.pause = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut line = self.line();
        if line.is_stalled {
            line.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        line.written += bytes.len() as u64;
        line.writes += 1;
        if let Some(heard) = &mut line.heard {
            heard.extend_from_slice(bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A text message as a client sends it (RFC 6455, section 5.2).
///
/// # Panics
///
/// If a length does not fit into a frame, which none that fits into memory does.
pub fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).expect("less than 126")),
        longer @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(longer).expect("less than 65,536").to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(text.bytes().zip(MASK.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
