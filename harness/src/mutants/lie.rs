//! Answers the calls of one part of the lock as if it had done its work, and carries out all others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gateway::Claim;
use gateway::lock::{LOCK_FILE, WRITERS_FILE, companion_name, token_name, token_port};
use portcullis_os::{
    Call, Errno, Fd, FileStatus, LockMode, Notice, ProcessState, ProcessStatus, Reply, Tick, UnixName,
};
use sim::Rule;

use super::Token;
use super::second_look::SecondLook;

/// Where descriptors of sockets that do not exist begin. Far above those that the kernel gives.
const FIRST_PHANTOM: i32 = 1_000_000;

/// What one process is told that lacks a part.
#[derive(Clone, Debug)]
pub(crate) struct Lie {
    token: Token,
    claim: Claim,
    /// The companion of the configuration, and the configuration.
    config_locks: [PathBuf; 2],
    /// What the open descriptors of this process are called.
    open: BTreeMap<Fd, PathBuf>,
    /// What was last seen of the files that it has opened, by name.
    seen: BTreeMap<PathBuf, FileStatus>,
    /// Whether a second description of the writers' lock has been tried.
    is_tested: bool,
    /// The next descriptor of a socket that does not exist.
    next_phantom: i32,
    /// What was seen of the owner that is to be ended by force.
    looks: SecondLook,
    /// Whether the start is over. What an owner looks after is no second look of the start.
    is_owner: bool,
}

impl Lie {
    pub(crate) fn new(token: Token, claim: &Claim) -> Self {
        let name = claim.config.file_name().unwrap_or_default();
        Self {
            token,
            claim: claim.clone(),
            config_locks: [companion_name(name).into(), name.into()],
            open: BTreeMap::new(),
            seen: BTreeMap::new(),
            is_tested: false,
            next_phantom: FIRST_PHANTOM,
            looks: SecondLook::new(),
            is_owner: false,
        }
    }

    /// What a lock is said to be, if it is a part of what is left out.
    fn flock(&mut self, fd: Fd, mode: LockMode) -> Option<Result<Reply, Errno>> {
        let path = self.open.get(&fd)?;
        let is = |name: &str| path.as_os_str() == name;
        let is_exclusive = mode == LockMode::Exclusive;
        let is_left_out = match self.token {
            Token::Directory => *path == self.claim.state,
            Token::LockFile => is(LOCK_FILE),
            Token::Config => self.config_locks.contains(path),
            Token::Companion => *path == self.config_locks[0],
            Token::Workspace => is_exclusive && self.claim.workspaces.contains(path),
            Token::Around => !is_exclusive && self.is_around_workspace(path),
            Token::Writers if is(WRITERS_FILE) && is_exclusive => true,
            Token::Writers | Token::LockTest if is(WRITERS_FILE) && !self.is_tested => {
                self.is_tested = !is_exclusive;
                // The test is passed, as it would be if the lock were held and meant something.
                return (!is_exclusive).then_some(Err(Errno::WouldBlock));
            }
            Token::Writers
            | Token::LockTest
            | Token::Ports
            | Token::PinnedPorts
            | Token::PortOrder
            | Token::ListenerV4
            | Token::ListenerV6
            | Token::LockFileRecheck
            | Token::CompanionRecheck
            | Token::StateRecheck
            | Token::WorkspaceRecheck
            | Token::ForcePidfd
            | Token::ForceRecheck
            | Token::ForceStopped => false,
        };
        is_left_out.then_some(Ok(Reply::Done))
    }

    fn is_around_workspace(&self, path: &Path) -> bool {
        self.claim.workspaces.iter().any(|workspace| workspace.starts_with(path))
    }

    /// What a name is said to lead to: the file that was opened by it.
    fn stat(&self, path: &Path) -> Option<Result<Reply, Errno>> {
        let is_left_out = match self.token {
            Token::LockFileRecheck => path.as_os_str() == LOCK_FILE,
            Token::CompanionRecheck => path == self.config_locks[0],
            Token::StateRecheck => path == self.claim.state,
            Token::WorkspaceRecheck => self.claim.workspaces.iter().any(|workspace| workspace == path),
            Token::Directory
            | Token::LockFile
            | Token::Writers
            | Token::LockTest
            | Token::Config
            | Token::Companion
            | Token::Workspace
            | Token::Around
            | Token::Ports
            | Token::PinnedPorts
            | Token::PortOrder
            | Token::ListenerV4
            | Token::ListenerV6
            | Token::ForcePidfd
            | Token::ForceRecheck
            | Token::ForceStopped => false,
        };
        is_left_out.then(|| self.seen.get(path).map(|status| Ok(Reply::File(*status))))?
    }

    fn is_left_out_port(&self, name: &UnixName) -> bool {
        let UnixName::Abstract(name) = name else { return false };
        let Some(port) = token_port(name) else { return false };
        self.token == Token::Ports || self.token == Token::PinnedPorts && !self.claim.ports.holds(port)
    }

    fn phantom(&mut self) -> Option<Result<Reply, Errno>> {
        let fd = Fd(self.next_phantom);
        self.next_phantom += 1;
        Some(Ok(Reply::Fd(fd)))
    }

    /// The name of the port that lies as far from the end of the block as this one from its beginning.
    fn mirrored(&self, name: UnixName) -> UnixName {
        let block = self.claim.ports;
        let is_turned = self.token == Token::PortOrder && block.base().get() / 2 % 2 == 1;
        match &name {
            UnixName::Abstract(text) if is_turned => match token_port(text) {
                Some(port) if block.holds(port) => {
                    UnixName::Abstract(token_name(block.base().get() + (block.last() - port)))
                }
                Some(_) | None => name,
            },
            UnixName::Abstract(_) | UnixName::Path(_) => name,
        }
    }
}

impl Rule for Lie {
    fn rewrite(&mut self, mut call: Call) -> Call {
        if let Call::ListenUnix { name, .. } | Call::ConnectUnix { name } = &mut call {
            *name = self.mirrored(name.clone());
        }
        if let Call::SignalPidfd { fd, signal } = call
            && self.token == Token::ForcePidfd
            && let Some(pid) = self.looks.pid(fd)
        {
            return Call::Kill { pid, signal };
        }
        call
    }

    fn instead(&mut self, call: &Call) -> Option<Result<Reply, Errno>> {
        if let Call::Flock { fd, mode } = call {
            return self.flock(*fd, *mode);
        }
        if self.token == Token::ForceRecheck
            && let Some(reply) = self.looks.instead(call)
        {
            // The descriptor that it was then is another one by now.
            return if matches!(reply, Ok(Reply::Fd(_))) { self.phantom() } else { Some(reply) };
        }
        if let Call::ProcessStatus { .. } = call
            && self.token == Token::ForceStopped
        {
            let (name, state) = ("refgate".to_owned(), ProcessState::Stopped);
            return Some(Ok(Reply::Process(ProcessStatus { name, state, parent: None, start: Tick(0) })));
        }
        if let Call::Stat { path, .. } = call
            && !self.is_owner
        {
            return self.stat(path);
        }
        if let Call::ListenUnix { name, .. } = call
            && self.is_left_out_port(name)
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
        self.looks.saw(call, reply);
        self.is_owner |= matches!(call, Call::Notify(Notice::Owner(_)));
        if let (Call::Open { path, .. }, Ok(Reply::Fd(fd))) = (call, reply) {
            self.open.insert(*fd, path.clone());
        }
        if let (Call::StatFd { fd }, Ok(Reply::File(status))) = (call, reply)
            && let Some(path) = self.open.get(fd)
        {
            self.seen.insert(path.clone(), *status);
        }
    }
}
