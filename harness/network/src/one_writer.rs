//! A process that writes to one connection at a time: whoever does not read holds up everybody else.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use portcullis_os::{Call, Errno, Fd, Listener, Os, Port, Reply, StreamOf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// An operating system on which that is so.
#[derive(Clone, Debug)]
pub(crate) struct OneWriter<O> {
    os: O,
    turn: Turn,
}

/// Which connection is written to, by its number, and who waits for it.
#[derive(Clone, Debug, Default)]
struct Turn(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    by: Option<u64>,
    waiting: Vec<Waker>,
    connections: u64,
}

impl Turn {
    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_up(&self, number: u64) {
        let mut held = self.held();
        if held.by == Some(number) {
            held.by = None;
            held.waiting.drain(..).for_each(Waker::wake);
        }
    }
}

impl<O> OneWriter<O> {
    pub(crate) fn new(os: O) -> Self {
        Self { os, turn: Turn::default() }
    }
}

impl<O: Os> Os for OneWriter<O> {
    type Listener = Door<O::Listener>;

    async fn call(&self, call: Call) -> Result<Reply, Errno> {
        self.os.call(call).await
    }

    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        self.os.task(body);
    }

    fn discard(&self, fd: Fd) {
        self.os.discard(fd);
    }

    fn listener(&self, fd: Fd) -> Result<Self::Listener, Errno> {
        Ok(Door { listener: self.os.listener(fd)?, turn: self.turn.clone() })
    }

    async fn dial(&self, host: &str, port: Port) -> io::Result<StreamOf<Self>> {
        Ok(Stream::new(self.os.dial(host, port).await?, &self.turn))
    }
}

/// Accepts connections of which one is written to at a time.
#[derive(Debug)]
pub(crate) struct Door<L> {
    listener: L,
    turn: Turn,
}

impl<L: Listener> Listener for Door<L> {
    type Stream = Stream<L::Stream>;

    async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, from) = self.listener.accept().await?;
        Ok((Stream::new(stream, &self.turn), from))
    }
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Stream<S> {
    stream: S,
    number: u64,
    turn: Turn,
}

impl<S> Stream<S> {
    fn new(stream: S, turn: &Turn) -> Self {
        let number = {
            let mut held = turn.held();
            held.connections += 1;
            held.connections
        };
        Self { stream, number, turn: turn.clone() }
    }
}

impl<S> Drop for Stream<S> {
    fn drop(&mut self) {
        self.turn.give_up(self.number);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let number = self.number;
        {
            let mut held = self.turn.held();
            if held.by.is_some_and(|by| by != number) {
                held.waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
            held.by = Some(number);
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if written.is_ready() {
            self.turn.give_up(number);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
