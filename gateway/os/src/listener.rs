//! What goes through the door beside calls: byte streams for bulk data, and whether a task repeats.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};

/// A listening socket that carries bulk data, outside the world of [`Call`](crate::Call)s.
pub trait Listener: Send + 'static {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// What accept(2) says.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

/// What carries the bytes of a connection of a process.
pub type StreamOf<O> = <<O as crate::Os>::Listener as Listener>::Stream;

/// How one stage of a program ends: what a program of stages does is this, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage<S> {
    /// Another one begins, which knows nothing but this. Descriptors that it is to have are in it as numbers.
    Continue(S),
    /// The program is over, with this exit status.
    Exit(u8),
}

/// Whether a task that repeats goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// It does the same again.
    Again,
    /// It is over.
    Over,
}
