//! Connections between Unix sockets: bytes, and descriptors that travel with them.
//!
//! A descriptor comes with one byte. Whoever reads that byte without asking for descriptors loses it, and a read goes up to
//! such a byte and not beyond (`unix_stream_read_generic`).
//!
//! # Invariants
//!
//! - Credentials are those of the time of listen(2) and connect(2): a number that outlives its process.
//! - What is on its way is held by nobody and goes with the end that it was sent to.

use portcullis_os::{Errno, PeerCredentials, Reply};

use super::descriptions::DescriptionId;
use super::tcp::Side;
use super::unix::Peer;
use super::{Kernel, ProcessId, Readiness};
use crate::shared::Shared;

/// How many bytes may wait to be received: `net.core.wmem_default`. The kernel counts its own book-keeping too, so a real
/// socket is full somewhat earlier.
const UNREAD_BYTES: usize = 212_992;
/// How many descriptors may wait: each has a buffer of its own, which counts as 768 bytes.
const UNREAD_DESCRIPTORS: usize = 278;

/// Two ends, of which at least one is open.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Connection {
    client: End,
    /// Open from the start: it waits in the backlog until it is accepted.
    server: End,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct End {
    open: bool,
    /// What the other end has sent.
    unread: Vec<u8>,
    /// The descriptors among it, ascending by the place of their byte in `unread`.
    passed: Vec<(usize, DescriptionId)>,
    /// The other end was closed with bytes unread, or never accepted. Told once, then the stream is just at its end.
    reset: bool,
    /// Who is at the other end.
    peer: Peer,
}

/// What one read takes from an end.
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    /// The descriptor that came with the last byte. Whoever takes it takes its reference.
    pub(super) passed: Option<DescriptionId>,
}

impl End {
    const fn facing(peer: Peer) -> Self {
        Self { open: true, unread: Vec::new(), passed: Vec::new(), reset: false, peer }
    }

    pub(super) fn passed(&self) -> impl Iterator<Item = DescriptionId> {
        self.passed.iter().map(|(_, id)| *id)
    }

    /// A read of no bytes takes a descriptor all the same, if it comes with the next one.
    fn take(&mut self, length: usize) -> Taken {
        let first = self.passed.first().copied();
        let length = length.min(first.map_or(self.unread.len(), |(at, _)| at + 1));
        let passed = first.filter(|(at, _)| *at == 0 || at + 1 == length).map(|(_, id)| id);
        if passed.is_some() {
            self.passed.remove(0);
        }
        for (at, _) in &mut self.passed {
            *at -= length;
        }
        Taken { bytes: self.unread.drain(..length).collect(), passed }
    }
}

impl Connection {
    pub(super) fn carries_descriptors(&self) -> bool {
        !self.client.passed.is_empty() || !self.server.passed.is_empty()
    }

    pub(super) const fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    const fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

impl Kernel {
    /// A connection that nobody has accepted yet, and its number.
    pub(super) fn connect_stream(&mut self, who: ProcessId, client: Peer, server: Peer) -> u64 {
        let socket = self.new_socket(who);
        let connection = Connection { client: End::facing(server), server: End::facing(client) };
        self.connections.insert(socket, Shared::new(connection));
        socket
    }

    /// `SO_PEERCRED` of one end, as `who` may read it.
    pub(super) fn stream_peer(&self, who: ProcessId, peer: Peer) -> PeerCredentials {
        PeerCredentials { pid: self.pid_seen_by(who, peer.process), uid: peer.uid }
    }

    pub(super) fn peer_at(&self, connection: u64, side: Side) -> Peer {
        self.connection(connection).end(side).peer
    }

    /// send(2), with a descriptor or without (`unix_stream_sendmsg`). It works before the connection is accepted.
    pub(super) fn send_stream(
        &mut self,
        (connection, side): (u64, Side),
        bytes: &[u8],
        passed: Option<DescriptionId>,
    ) -> Result<Reply, Errno> {
        let receiver = self.connection(connection).end(side.other());
        if !receiver.open {
            return Err(Errno::BrokenPipe);
        }
        let taken = bytes.len().min(UNREAD_BYTES.saturating_sub(receiver.unread.len()));
        let is_full = taken == 0 && !bytes.is_empty();
        if is_full || passed.is_some() && receiver.passed.len() >= UNREAD_DESCRIPTORS {
            return Err(Errno::WouldBlock);
        }
        let receiver = self.connection_mut(connection).end_mut(side.other());
        receiver.passed.extend(passed.map(|id| (receiver.unread.len(), id)));
        receiver.unread.extend_from_slice(&bytes[..taken]);
        if let Some(id) = passed {
            self.share(id);
        }
        Ok(Reply::Count(taken as u32))
    }

    pub(super) fn receive_stream_readiness(&self, connection: u64, side: Side) -> Readiness {
        let connection = self.connection(connection);
        let end = connection.end(side);
        if end.unread.is_empty() && !end.reset && connection.end(side.other()).open {
            Readiness::WaitsUntilDeadline
        } else {
            Readiness::Ready
        }
    }

    /// recv(2). What was sent comes first, then the reset, then the end of the stream.
    pub(super) fn receive_stream(
        &mut self,
        connection: u64,
        side: Side,
        length: u32,
    ) -> Result<Taken, Errno> {
        let end = self.connection(connection).end(side);
        if !end.unread.is_empty() {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            return Ok(self.connection_mut(connection).end_mut(side).take(length));
        }
        if end.reset {
            self.connection_mut(connection).end_mut(side).reset = false;
            return Err(Errno::ConnectionReset);
        }
        Ok(Taken { bytes: Vec::new(), passed: None })
    }

    /// The last close of one end (`unix_release_sock`).
    pub(super) fn hang_up(&mut self, connection: u64, side: Side) {
        let unread = !self.connection(connection).end(side).unread.is_empty();
        self.close_end(connection, side, unread);
    }

    /// The last close of a listener: nobody will ever accept those who wait.
    pub(super) fn refuse_pending(&mut self, pending: &[u64]) {
        for connection in pending {
            self.close_end(*connection, Side::Server, true);
        }
    }

    fn close_end(&mut self, number: u64, side: Side, reset: bool) {
        let connection = self.connection_mut(number);
        let end = connection.end_mut(side);
        end.open = false;
        end.unread.clear();
        let dropped = std::mem::take(&mut end.passed);
        let other = connection.end_mut(side.other());
        other.reset |= reset;
        if !other.open {
            self.connections.remove(&number);
        }
        for (_, id) in dropped {
            self.dismiss(id);
        }
    }

    /// Takes away what was sent to an end and nobody will ever read.
    pub(super) fn take_passed(&mut self, number: u64, side: Side) -> Vec<DescriptionId> {
        if self.connection(number).end(side).passed.is_empty() {
            return Vec::new();
        }
        let end = self.connection_mut(number).end_mut(side);
        std::mem::take(&mut end.passed).into_iter().map(|(_, id)| id).collect()
    }

    pub(super) fn connection(&self, number: u64) -> &Connection {
        match self.connections.get(&number) {
            Some(connection) => connection,
            None => unreachable!("connection {number} is referred to and does not exist"),
        }
    }

    fn connection_mut(&mut self, number: u64) -> &mut Connection {
        match self.connections.get_mut(&number) {
            Some(connection) => connection.edit(),
            None => unreachable!("connection {number} is referred to and does not exist"),
        }
    }
}
