//! Stream sockets under abstract names: a name that is taken while its socket is open, and a word with whoever took it.
//!
//! The kernel itself accepts a connection into the backlog, so that a client can connect to a stopped listener, learn its
//! credentials, and wait in vain for an answer. See unix(7).
//!
//! # Invariants
//!
//! - A name has one socket at a time, and is free when that is closed.
//! - Credentials are those of the time of listen(2) and connect(2): a number that outlives its process.

use std::sync::Arc;

use portcullis_os::{Errno, Fd, PeerCredentials, Reply, Uid};

use super::descriptions::{DescriptionId, Object};
use super::shared::Shared;
use super::tcp::NO_SOCKET;
use super::{Kernel, ProcessId, Readiness};

/// The room for a name in `sockaddr_un`, without the leading NUL.
const NAME_BYTES: usize = 107;

/// How many bytes may wait to be received: `net.core.wmem_default`. The kernel counts its own book-keeping too, so a real
/// socket is full somewhat earlier.
const UNREAD_BYTES: usize = 212_992;

/// `ENOTCONN`.
const NOT_CONNECTED: Errno = Errno::Other(107);

/// A socket that listens under a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct UnixListener {
    pub(super) name: Arc<str>,
    pub(super) socket: u64,
    pub(super) uid: Uid,
    pub(super) backlog: u16,
    pub(super) credentials: PeerCredentials,
    /// The connections that nobody has accepted yet, oldest first.
    pub(super) pending: Vec<u64>,
}

/// Two ends, of which at least one is open.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Connection {
    client: End,
    /// Open from the start: it waits in the backlog until it is accepted.
    server: End,
}

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Client,
    Server,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct End {
    open: bool,
    /// What the other end has sent.
    unread: Vec<u8>,
    /// The other end was closed with bytes unread, or never accepted. Told once, then the stream is just at its end.
    reset: bool,
    /// Who is at the other end.
    peer: PeerCredentials,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

impl End {
    const fn facing(peer: PeerCredentials) -> Self {
        Self { open: true, unread: Vec::new(), reset: false, peer }
    }
}

impl Connection {
    const fn end(&self, side: Side) -> &End {
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
    /// socket(2), bind(2) and listen(2).
    pub(super) fn listen_unix(&mut self, who: ProcessId, name: &str, backlog: u16) -> Result<Reply, Errno> {
        self.free_fd(who)?;
        if name.len() > NAME_BYTES {
            return Err(Errno::NameTooLong);
        }
        if self.unix_listener(name).is_some() {
            return Err(Errno::AddressInUse);
        }
        let listener = UnixListener {
            name: Arc::from(name),
            socket: self.new_socket(who),
            uid: self.process(who).birth.uid,
            backlog,
            credentials: self.credentials(who),
            pending: Vec::new(),
        };
        Ok(Reply::Fd(self.install(who, Object::UnixListener(listener))?))
    }

    /// socket(2) and connect(2), never waiting. The backlog holds one more than was asked for (`unix_recvq_full`).
    pub(super) fn connect_unix(&mut self, who: ProcessId, name: &str) -> Result<Reply, Errno> {
        self.free_fd(who)?;
        if name.len() > NAME_BYTES {
            return Err(Errno::NameTooLong);
        }
        let (id, listener) = self.unix_listener(name).ok_or(Errno::ConnectionRefused)?;
        if listener.pending.len() > usize::from(listener.backlog) {
            return Err(Errno::WouldBlock);
        }
        let client = End::facing(listener.credentials);
        let server = End::facing(self.credentials(who));
        let uid = self.process(who).birth.uid;
        let socket = self.new_socket(who);
        self.connections.insert(socket, Shared::new(Connection { client, server }));
        if let Object::UnixListener(listener) = &mut self.description_mut(id).object {
            listener.pending.push(socket);
        }
        let stream = Object::UnixStream { socket, uid, connection: socket, side: Side::Client };
        Ok(Reply::Fd(self.install(who, stream)?))
    }

    /// What a mistaken descriptor makes of the call is known at once; a socket without a connection is waited for.
    pub(super) fn accept_readiness(&self, who: ProcessId, fds: &[Fd]) -> Readiness {
        match self.first_pending(who, fds) {
            Ok(None) => Readiness::Waits,
            Ok(Some(_)) | Err(_) => Readiness::Ready,
        }
    }

    /// accept4(2) on the first of several sockets that has a connection.
    pub(super) fn accept(&mut self, who: ProcessId, fds: &[Fd]) -> Result<Reply, Errno> {
        self.free_fd(who)?;
        let Some((on, id)) = self.first_pending(who, fds)? else {
            unreachable!("accept is carried out though nobody has connected")
        };
        let Object::UnixListener(listener) = &mut self.description_mut(id).object else {
            unreachable!("only a Unix socket has connections that wait")
        };
        let connection = listener.pending.remove(0);
        let socket = self.new_socket(who);
        let uid = self.process(who).birth.uid;
        let stream = self.install(who, Object::UnixStream { socket, uid, connection, side: Side::Server })?;
        Ok(Reply::Accepted { on, stream })
    }

    fn first_pending(&self, who: ProcessId, fds: &[Fd]) -> Result<Option<(Fd, DescriptionId)>, Errno> {
        let mut first = None;
        for fd in fds {
            let id = self.description_of(who, *fd)?;
            let waiting = match &self.description(id).object {
                Object::UnixListener(listener) => !listener.pending.is_empty(),
                Object::Tcp(tcp) if tcp.listening => false,
                Object::Tcp(_) | Object::UnixStream { .. } => return Err(Errno::InvalidArgument),
                Object::File { .. } => return Err(NO_SOCKET),
            };
            if waiting && first.is_none() {
                first = Some((*fd, id));
            }
        }
        Ok(first)
    }

    /// `SO_PEERCRED`, see unix(7). A listener names itself. Of a TCP socket the kernel says "no process, uid -1", which is
    /// nobody's identity and so no answer.
    pub(super) fn peer_credentials(&self, who: ProcessId, fd: Fd) -> Result<Reply, Errno> {
        match self.object(who, fd)? {
            Object::UnixStream { connection, side, .. } => {
                Ok(Reply::Peer(self.connection(*connection).end(*side).peer))
            }
            Object::UnixListener(listener) => Ok(Reply::Peer(listener.credentials)),
            Object::Tcp(_) => Err(NOT_CONNECTED),
            Object::File { .. } => Err(NO_SOCKET),
        }
    }

    /// send(2) with `MSG_NOSIGNAL | MSG_DONTWAIT`. It works before the connection is accepted.
    pub(super) fn send(&mut self, who: ProcessId, fd: Fd, bytes: &[u8]) -> Result<Reply, Errno> {
        let (connection, side) = match self.object(who, fd)? {
            Object::UnixStream { connection, side, .. } => (*connection, *side),
            Object::UnixListener(_) => return Err(NOT_CONNECTED),
            Object::Tcp(_) => return Err(Errno::BrokenPipe),
            Object::File { .. } => return Err(NO_SOCKET),
        };
        let receiver = self.connection(connection).end(side.other());
        if !receiver.open {
            return Err(Errno::BrokenPipe);
        }
        let taken = bytes.len().min(UNREAD_BYTES.saturating_sub(receiver.unread.len()));
        if taken == 0 && !bytes.is_empty() {
            return Err(Errno::WouldBlock);
        }
        self.connection_mut(connection).end_mut(side.other()).unread.extend_from_slice(&bytes[..taken]);
        Ok(Reply::Count(taken as u32))
    }

    pub(super) fn receive_readiness(&self, who: ProcessId, fd: Fd) -> Readiness {
        let Ok(Object::UnixStream { connection, side, .. }) = self.object(who, fd) else {
            return Readiness::Ready;
        };
        let connection = self.connection(*connection);
        let end = connection.end(*side);
        if end.unread.is_empty() && !end.reset && connection.end(side.other()).open {
            Readiness::WaitsUntilDeadline
        } else {
            Readiness::Ready
        }
    }

    /// recv(2). What was sent comes first, then the reset, then the end of the stream.
    pub(super) fn receive(&mut self, who: ProcessId, fd: Fd, length: u32) -> Result<Reply, Errno> {
        let (connection, side) = match self.object(who, fd)? {
            Object::UnixStream { connection, side, .. } => (*connection, *side),
            Object::UnixListener(_) => return Err(Errno::InvalidArgument),
            Object::Tcp(_) => return Err(NOT_CONNECTED),
            Object::File { .. } => return Err(NO_SOCKET),
        };
        let end = self.connection(connection).end(side);
        if !end.unread.is_empty() {
            let taken = end.unread.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            let bytes = self.connection_mut(connection).end_mut(side).unread.drain(..taken).collect();
            return Ok(Reply::Bytes(bytes));
        }
        if end.reset {
            self.connection_mut(connection).end_mut(side).reset = false;
            return Err(Errno::ConnectionReset);
        }
        Ok(Reply::Bytes(Vec::new()))
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
        let other = connection.end_mut(side.other());
        other.reset |= reset;
        if !other.open {
            self.connections.remove(&number);
        }
    }

    pub(super) fn credentials(&self, who: ProcessId) -> PeerCredentials {
        PeerCredentials { pid: Some(self.pid(who)), uid: self.process(who).birth.uid }
    }

    fn unix_listener(&self, name: &str) -> Option<(DescriptionId, &UnixListener)> {
        self.descriptions().find_map(|(id, description)| match &description.object {
            Object::UnixListener(listener) if *listener.name == *name => Some((id, listener)),
            Object::UnixListener(_) | Object::File { .. } | Object::Tcp(_) | Object::UnixStream { .. } => {
                None
            }
        })
    }

    fn connection(&self, number: u64) -> &Connection {
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
