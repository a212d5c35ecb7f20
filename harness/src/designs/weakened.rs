//! The reference lock with one token that only seems to be taken: each must make some scenario fail.
//!
//! The shipped code runs unchanged; what lies is the operating system under it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use gateway::Claim;
use gateway::lock::{LOCK_FILE, companion_name};
use portcullis_os::{Call, Errno, Fd, LockMode, Reply};
use sim::Rule;

/// One token of the reference lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// The lock on the state directory's inode.
    Directory,
    /// The lock on the lock file.
    LockFile,
    /// The lock beside the configuration.
    Config,
    /// The tokens of the port block.
    Ports,
    /// The listener on 127.0.0.1.
    ListenerV4,
    /// The listener on ::1.
    ListenerV6,
}

impl Token {
    /// Every token, in the order in which they are taken.
    pub const ALL: [Self; 6] =
        [Self::Directory, Self::LockFile, Self::Config, Self::Ports, Self::ListenerV4, Self::ListenerV6];

    /// Its name in the name of a design.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory-lock",
            Self::LockFile => "file-lock",
            Self::Config => "config-lock",
            Self::Ports => "port-tokens",
            Self::ListenerV4 => "listener-v4",
            Self::ListenerV6 => "listener-v6",
        }
    }

    /// What it is, as the object of a sentence.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Directory => "the lock on the state directory",
            Self::LockFile => "the lock on the lock file",
            Self::Config => "the locks on the configuration",
            Self::Ports => "the tokens of its ports",
            Self::ListenerV4 => "the listener on 127.0.0.1",
            Self::ListenerV6 => "the listener on ::1",
        }
    }
}

/// Answers the calls that take one token as if they had succeeded, and carries out all others.
#[derive(Clone, Debug)]
pub(super) struct Without {
    token: Token,
    state: PathBuf,
    /// The companion of the configuration, and the configuration.
    config_locks: [PathBuf; 2],
    /// What the open descriptors of this process are called.
    open: BTreeMap<Fd, PathBuf>,
    /// The next descriptor of a socket that does not exist. Far above those that the kernel gives.
    next_phantom: i32,
}

/// Where descriptors of sockets that do not exist begin.
const FIRST_PHANTOM: i32 = 1_000_000;

impl Without {
    pub(super) fn new(token: Token, claim: &Claim) -> Self {
        let name = claim.config.file_name().unwrap_or_default();
        Self {
            token,
            state: claim.state.clone(),
            config_locks: [companion_name(name).into(), name.into()],
            open: BTreeMap::new(),
            next_phantom: FIRST_PHANTOM,
        }
    }

    /// Whether a lock on this descriptor is the token that is left out.
    fn is_left_out(&self, fd: Fd) -> bool {
        let Some(path) = self.open.get(&fd) else { return false };
        match self.token {
            Token::Directory => *path == self.state,
            Token::LockFile => path.as_os_str() == LOCK_FILE,
            Token::Config => self.config_locks.contains(path),
            Token::Ports | Token::ListenerV4 | Token::ListenerV6 => false,
        }
    }

    fn phantom(&mut self) -> Option<Result<Reply, Errno>> {
        let fd = Fd(self.next_phantom);
        self.next_phantom += 1;
        Some(Ok(Reply::Fd(fd)))
    }
}

impl Rule for Without {
    fn instead(&mut self, call: &Call) -> Option<Result<Reply, Errno>> {
        if let Call::Flock { fd, mode: LockMode::Exclusive } = call
            && self.is_left_out(*fd)
        {
            return Some(Ok(Reply::Done));
        }
        if let Call::ListenUnix { name, .. } = call
            && self.token == Token::Ports
            && name.to_string().contains(".port.")
        {
            return self.phantom();
        }
        if let Call::BindTcp { address, .. } = call
            && self.token == if address.is_ipv4() { Token::ListenerV4 } else { Token::ListenerV6 }
        {
            return self.phantom();
        }
        if let Call::Listen { fd, .. } | Call::Close { fd } = call
            && fd.0 >= FIRST_PHANTOM
        {
            return Some(Ok(Reply::Done));
        }
        if let Call::Accept { fds } = call
            && fds.iter().all(|fd| fd.0 >= FIRST_PHANTOM)
        {
            return Some(Err(Errno::BadDescriptor));
        }
        None
    }

    fn saw(&mut self, call: &Call, reply: &Result<Reply, Errno>) {
        if let (Call::Open { path, .. }, Ok(Reply::Fd(fd))) = (call, reply) {
            self.open.insert(*fd, path.clone());
        }
    }
}
