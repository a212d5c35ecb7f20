//! A process that listens and never takes a connection: the kernel lets clients in, and nobody ever answers them.

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;

use portcullis_os::{Call, Errno, Fd, Listener, Os, Port, Reply, StreamOf};

/// An operating system on which that is so.
#[derive(Clone, Debug)]
pub(crate) struct Mute<O>(O);

impl<O> Mute<O> {
    pub(crate) const fn new(os: O) -> Self {
        Self(os)
    }
}

impl<O: Os> Os for Mute<O> {
    type Listener = Closed<O::Listener>;

    async fn call(&self, call: Call) -> Result<Reply, Errno> {
        self.0.call(call).await
    }

    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        self.0.task(body);
    }

    fn discard(&self, fd: Fd) {
        self.0.discard(fd);
    }

    fn listener(&self, fd: Fd) -> Result<Self::Listener, Errno> {
        self.0.listener(fd).map(|listener| Closed { _listener: listener })
    }

    async fn dial(&self, host: &str, port: Port) -> io::Result<StreamOf<Self>> {
        self.0.dial(host, port).await
    }
}

/// A door that nobody opens.
#[derive(Debug)]
pub(crate) struct Closed<L> {
    /// It is bound as long as this lives.
    _listener: L,
}

impl<L: Listener> Listener for Closed<L> {
    type Stream = L::Stream;

    async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
        pending().await
    }
}
