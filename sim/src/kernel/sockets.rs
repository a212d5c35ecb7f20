//! What is done to a socket of any kind: listen, accept, send, receive, and ask who is there.

use portcullis_os::{Errno, Fd, Reply};

use super::descriptions::{DescriptionId, Object};
use super::tcp::Side;
use super::{Kernel, ProcessId, Readiness};

/// `net.core.somaxconn`: no backlog is longer.
pub(super) const LONGEST_BACKLOG: u16 = 4096;

impl Kernel {
    /// listen(2).
    pub(super) fn listen(&mut self, who: ProcessId, fd: Fd, backlog: u16) -> Result<Reply, Errno> {
        let id = self.description_of(who, fd)?;
        let (backlog, peer) = (backlog.min(LONGEST_BACKLOG), self.as_peer(who));
        match &self.description(id).object {
            Object::Tcp(_) => self.listen_tcp(id, backlog),
            Object::UnixListener(_) => {
                if let Object::UnixListener(listener) = &mut self.description_mut(id).object {
                    listener.backlog = backlog;
                    listener.peer = peer;
                }
                Ok(Reply::Done)
            }
            Object::UnixStream { .. } => Err(Errno::InvalidArgument),
            Object::File { .. } | Object::Pidfd { .. } => Err(Errno::NotSocket),
        }
    }

    /// What a mistaken descriptor makes of the call is known at once, and so is that there is no room for another one; a
    /// socket without a connection is waited for.
    pub(super) fn accept_readiness(&self, who: ProcessId, fds: &[Fd]) -> Readiness {
        match self.first_pending(who, fds) {
            Ok(None) if self.free_fd(who).is_err() => Readiness::Ready,
            Ok(None) => Readiness::Waits,
            Ok(Some(_)) | Err(_) => Readiness::Ready,
        }
    }

    /// accept4(2) on the first of several sockets that has a connection.
    pub(super) fn accept(&mut self, who: ProcessId, fds: &[Fd]) -> Result<Reply, Errno> {
        let first = self.first_pending(who, fds)?;
        self.free_fd(who)?;
        let Some((on, id)) = first else { unreachable!("accept is carried out though nobody has connected") };
        let stream = match &mut self.description_mut(id).object {
            Object::UnixListener(listener) => {
                let connection = listener.pending.remove(0);
                let socket = self.new_socket(who);
                let uid = self.process(who).birth.uid;
                self.install(who, Object::UnixStream { socket, uid, connection, side: Side::Server })?
            }
            Object::Tcp(tcp) => {
                let connection = tcp.next_pending();
                self.accept_tcp(who, connection)?
            }
            Object::File { .. } | Object::Pidfd { .. } | Object::UnixStream { .. } => {
                unreachable!("only a listener has connections that wait")
            }
        };
        Ok(Reply::Accepted { on, stream })
    }

    fn first_pending(&self, who: ProcessId, fds: &[Fd]) -> Result<Option<(Fd, DescriptionId)>, Errno> {
        if fds.is_empty() {
            return Err(Errno::InvalidArgument);
        }
        let (mut first, descriptors) = (None, &self.process(who).descriptors);
        for fd in fds {
            let id = descriptors.get(fd).ok_or(Errno::BadDescriptor)?.description;
            let waiting = match &self.description(id).object {
                Object::UnixListener(listener) => !listener.pending.is_empty(),
                Object::Tcp(tcp) => tcp.has_pending().ok_or(Errno::InvalidArgument)?,
                Object::UnixStream { .. } => return Err(Errno::InvalidArgument),
                Object::File { .. } | Object::Pidfd { .. } => return Err(Errno::NotSocket),
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
        let peer = match self.object(who, fd)? {
            Object::UnixStream { connection, side, .. } => self.peer_at(*connection, *side),
            Object::UnixListener(listener) => listener.peer,
            Object::Tcp(_) => return Err(Errno::NotConnected),
            Object::File { .. } | Object::Pidfd { .. } => return Err(Errno::NotSocket),
        };
        Ok(Reply::Peer(self.stream_peer(who, peer)))
    }

    /// send(2) with `MSG_NOSIGNAL | MSG_DONTWAIT`.
    pub(super) fn send(&mut self, who: ProcessId, fd: Fd, bytes: &[u8]) -> Result<Reply, Errno> {
        match self.object(who, fd)? {
            Object::UnixStream { connection, side, .. } => {
                self.send_stream((*connection, *side), bytes, None)
            }
            Object::UnixListener(_) => Err(Errno::NotConnected),
            Object::Tcp(tcp) => match tcp.connected() {
                Some((connection, side)) => self.send_tcp(connection, side, bytes),
                None => Err(Errno::BrokenPipe),
            },
            Object::File { .. } | Object::Pidfd { .. } => Err(Errno::NotSocket),
        }
    }

    pub(super) fn receive_readiness(&self, who: ProcessId, fd: Fd) -> Readiness {
        match self.object(who, fd) {
            Ok(Object::UnixStream { connection, side, .. }) => {
                self.receive_stream_readiness(*connection, *side)
            }
            Ok(Object::Tcp(tcp)) => match tcp.connected() {
                Some((connection, side)) => self.receive_tcp_readiness(connection, side),
                None => Readiness::Ready,
            },
            Ok(Object::UnixListener(_) | Object::File { .. } | Object::Pidfd { .. }) | Err(_) => {
                Readiness::Ready
            }
        }
    }

    /// recv(2). A descriptor that comes with a byte is lost.
    pub(super) fn receive(&mut self, who: ProcessId, fd: Fd, length: u32) -> Result<Reply, Errno> {
        match self.object(who, fd)? {
            Object::UnixStream { connection, side, .. } => {
                let taken = self.receive_stream(*connection, *side, length)?;
                if let Some(id) = taken.passed {
                    self.discard_passed(id);
                }
                Ok(Reply::Bytes(taken.bytes))
            }
            Object::UnixListener(_) => Err(Errno::InvalidArgument),
            Object::Tcp(tcp) => match tcp.connected() {
                Some((connection, side)) => self.receive_tcp(connection, side, length),
                None => Err(Errno::NotConnected),
            },
            Object::File { .. } | Object::Pidfd { .. } => Err(Errno::NotSocket),
        }
    }
}
