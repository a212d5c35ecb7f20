//! A simulated network under the real server: turmoil's listener in the clothes of ours.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use portcullis_os::Listener;

/// A listening socket of a host in a turmoil simulation.
pub struct TurmoilListener(pub turmoil::net::TcpListener);

impl fmt::Debug for TurmoilListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurmoilListener")
    }
}

impl Listener for TurmoilListener {
    type Stream = turmoil::net::TcpStream;

    async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
        self.0.accept().await
    }
}
