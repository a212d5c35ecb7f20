//! Unix stream sockets by name: a name that is taken while its socket is open, or a file that stays when it is gone.
//!
//! The kernel itself accepts a connection into the backlog, so that a client can connect to a stopped listener, learn its
//! credentials, and wait in vain for an answer. See unix(7).
//!
//! # Invariants
//!
//! - An abstract name has one socket at a time in a network namespace, and is free when that is closed.
//! - A path is taken while the file exists. A socket is found by the inode: it answers under every name that the file is
//!   given, and under none when the last one is gone.

use std::path::Path;
use std::sync::Arc;

use portcullis_os::{Errno, Links, Pid, Reply, Uid, UnixName};

use super::descriptions::{DescriptionId, Object};
use super::inodes::Content;
use super::paths::WRITE;
use super::sockets::LONGEST_BACKLOG;
use super::tcp::Side;
use super::{HostId, Kernel, NetworkNamespace, ProcessId};

/// The room for an abstract name in `sockaddr_un`, without the leading NUL.
const NAME_BYTES: usize = 107;
/// The room for a path, which needs no NUL at its end.
const PATH_BYTES: usize = 108;

/// A socket that listens under a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct UnixListener {
    pub(super) name: Name,
    pub(super) socket: u64,
    pub(super) uid: Uid,
    pub(super) backlog: u16,
    /// Who called listen(2).
    pub(super) peer: Peer,
    /// The connections that nobody has accepted yet, oldest first.
    pub(super) pending: Vec<u64>,
}

/// What a listener is found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Abstract {
        network: NetworkNamespace,
        name: Arc<str>,
    },
    /// The inode, and the host whose kernel the socket is in: another one that shares the file finds nobody.
    Path {
        host: HostId,
        inode: u64,
    },
}

/// Who is at the other end: at the time of listen(2) or connect(2), whoever has the socket later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    pub(super) process: ProcessId,
    pub(super) uid: Uid,
}

impl Name {
    pub(super) fn abstract_name(&self) -> Option<&str> {
        match self {
            Self::Abstract { name, .. } => Some(name),
            Self::Path { .. } => None,
        }
    }
}

impl Kernel {
    /// socket(2), bind(2) and listen(2).
    pub(super) fn listen_unix(
        &mut self,
        who: ProcessId,
        name: &UnixName,
        backlog: u16,
    ) -> Result<Reply, Errno> {
        check_length(name)?;
        self.free_fd(who)?;
        let name = match name {
            UnixName::Abstract(name) => self.bind_abstract(who, name)?,
            UnixName::Path(path) => self.bind_path(who, path)?,
        };
        let listener = UnixListener {
            name,
            socket: self.new_socket(who),
            uid: self.process(who).birth.uid,
            backlog: backlog.min(LONGEST_BACKLOG),
            peer: self.as_peer(who),
            pending: Vec::new(),
        };
        Ok(Reply::Fd(self.install(who, Object::UnixListener(listener))?))
    }

    fn bind_abstract(&self, who: ProcessId, name: &str) -> Result<Name, Errno> {
        let network = self.process(who).birth.place.network;
        let name = Name::Abstract { network, name: Arc::from(name) };
        if self.unix_listener(&name).is_some() { Err(Errno::AddressInUse) } else { Ok(name) }
    }

    /// Makes the file of a socket (`unix_bind_bsd`). Whatever is there already, a dangling link and a directory included,
    /// is in the way, and says so before permissions are asked for (`filename_create`).
    fn bind_path(&mut self, who: ProcessId, path: &Path) -> Result<Name, Errno> {
        let place = self.find(who, None, path, Links::NoFollow)?;
        let name = place.name.as_ref().filter(|_| place.found.is_none()).ok_or(Errno::AddressInUse)?;
        if place.slash {
            return Err(Errno::NotFound);
        }
        self.check_add(self.process(who).birth.uid, place.directory)?;
        let inode =
            self.create(who, (place.directory, name), Content::Socket, 0o777 & !self.process(who).umask);
        Ok(Name::Path { host: self.process(who).birth.place.host, inode })
    }

    /// socket(2) and connect(2), never waiting. The backlog holds one more than was asked for (`unix_recvq_full`).
    pub(super) fn connect_unix(&mut self, who: ProcessId, name: &UnixName) -> Result<Reply, Errno> {
        check_length(name)?;
        self.free_fd(who)?;
        let name = match name {
            UnixName::Abstract(name) => {
                let network = self.process(who).birth.place.network;
                Name::Abstract { network, name: Arc::from(name.as_str()) }
            }
            UnixName::Path(path) => self.find_socket(who, path)?,
        };
        let (id, listener) = self.unix_listener(&name).ok_or(Errno::ConnectionRefused)?;
        if listener.pending.len() > usize::from(listener.backlog) {
            return Err(Errno::WouldBlock);
        }
        let (server, client) = (listener.peer, self.as_peer(who));
        let socket = self.connect_stream(who, client, server);
        if let Object::UnixListener(listener) = &mut self.description_mut(id).object {
            listener.pending.push(socket);
        }
        let stream = Object::UnixStream { socket, uid: client.uid, connection: socket, side: Side::Client };
        Ok(Reply::Fd(self.install(who, stream)?))
    }

    /// The file that a path means (`unix_find_bsd`). Permission to write comes before the question of what it is, and
    /// nobody listens on what is no socket.
    fn find_socket(&self, who: ProcessId, path: &Path) -> Result<Name, Errno> {
        let birth = &self.process(who).birth;
        let inode = self.find(who, None, path, Links::Follow)?.existing(self)?;
        self.check(birth.uid, inode, WRITE)?;
        Ok(Name::Path { host: birth.place.host, inode })
    }

    pub(super) fn as_peer(&self, who: ProcessId) -> Peer {
        Peer { process: who, uid: self.process(who).birth.uid }
    }

    /// The pid of a process as another one sees it; `None` if it does not.
    pub(super) fn pid_seen_by(&self, who: ProcessId, process: ProcessId) -> Option<Pid> {
        self.pid_in(self.process(who).birth.place.pids, process)
    }

    fn unix_listener(&self, name: &Name) -> Option<(DescriptionId, &UnixListener)> {
        self.descriptions().find_map(|(id, description)| match &description.object {
            Object::UnixListener(listener) if listener.name == *name => Some((id, listener)),
            Object::UnixListener(_)
            | Object::File { .. }
            | Object::Tcp(_)
            | Object::UnixStream { .. }
            | Object::Pidfd { .. } => None,
        })
    }
}

/// What does not fit into an address is refused before the kernel sees it. An empty path would be an abstract name.
fn check_length(name: &UnixName) -> Result<(), Errno> {
    let (bytes, room) = match name {
        UnixName::Abstract(name) => (name.len(), NAME_BYTES),
        UnixName::Path(path) if path.as_os_str().is_empty() => return Err(Errno::NotFound),
        UnixName::Path(path) => (path.as_os_str().len(), PATH_BYTES),
    };
    if bytes > room { Err(Errno::NameTooLong) } else { Ok(()) }
}
