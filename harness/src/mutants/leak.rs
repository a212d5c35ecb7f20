//! The reference lock as it would be if one kind of its descriptors lacked `FD_CLOEXEC` and an owner started a child.
//!
//! `refgate` starts no child, so nothing can inherit what it holds; every descriptor is opened with `O_CLOEXEC` all the same,
//! for the day on which one is started. What a missing flag would do then is tried here: just before it says that it is
//! ready, the owner starts a child that knows nothing of what it holds, and outlives it.

use std::path::{Path, PathBuf};

use gateway::Claim;
use gateway::lock::{LOCK_FILE, WRITERS_FILE, companion_name, token_port};
use portcullis_os::{Call, Errno, Fd, Notice, Os, Reply, UnixName};
use sim::Rule;

/// The child's command line. It knows nothing of what it holds.
const CHILD: [&str; 2] = ["/bin/sleep", "1000000"];
/// The program that the child executes.
pub(crate) const CHILD_PROGRAM: &str = CHILD[0];

/// What the child does: it stays until it is told to end.
pub(crate) async fn child<O: Os>(os: O) -> u8 {
    let caught = os.catch_signals().await;
    u8::from(caught.is_err() || os.next_signal().await.is_err())
}

/// What a child inherits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leak {
    /// None: the child alone must break nothing.
    Nothing,
    /// That of the state directory, with its lock.
    Directory,
    /// That of the lock file.
    LockFile,
    /// That of the writers' lock.
    Writers,
    /// That of the lock beside the configuration.
    Companion,
    /// That of the workspace.
    Workspace,
    /// The token of the first port.
    PortToken,
    /// The listener on 127.0.0.1.
    Listener,
}

impl Leak {
    /// Every one, in the order in which they are opened.
    pub const ALL: [Self; 8] = [
        Self::Nothing,
        Self::Directory,
        Self::LockFile,
        Self::Writers,
        Self::Companion,
        Self::Workspace,
        Self::PortToken,
        Self::Listener,
    ];

    /// Its name in the name of a design.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Directory => "directory",
            Self::LockFile => "lock-file",
            Self::Writers => "writers-lock",
            Self::Companion => "companion",
            Self::Workspace => "workspace",
            Self::PortToken => "port-token",
            Self::Listener => "listener",
        }
    }

    /// What a child gets, after "whose child inherits".
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Directory => "the state directory and its lock",
            Self::LockFile => "the lock file",
            Self::Writers => "the writers' lock",
            Self::Companion => "the lock beside the configuration",
            Self::Workspace => "the workspace and its lock",
            Self::PortToken => "the token of a port",
            Self::Listener => "a listener",
        }
    }
}

/// Finds the descriptor, and gives it to a child when everything is owned.
#[derive(Clone, Debug)]
pub(crate) struct Leaking {
    leak: Leak,
    state: PathBuf,
    companion: PathBuf,
    workspace: Option<PathBuf>,
    /// The one that was opened and is not closed.
    fd: Option<Fd>,
}

impl Leaking {
    pub(crate) fn new(leak: Leak, claim: &Claim) -> Self {
        let name = claim.config.file_name().unwrap_or_default();
        Self {
            leak,
            state: claim.state.clone(),
            companion: companion_name(name).into(),
            workspace: claim.workspaces.first().cloned(),
            fd: None,
        }
    }

    fn is_it(&self, call: &Call) -> bool {
        let opens = |expected: &Path| matches!(call, Call::Open { path, .. } if path == expected);
        match self.leak {
            Leak::Nothing => false,
            Leak::Directory => opens(&self.state),
            Leak::LockFile => opens(Path::new(LOCK_FILE)),
            Leak::Writers => opens(Path::new(WRITERS_FILE)),
            Leak::Companion => opens(&self.companion),
            Leak::Workspace => self.workspace.as_deref().is_some_and(opens),
            Leak::PortToken => {
                let token =
                    |name: &UnixName| matches!(name, UnixName::Abstract(name) if token_port(name).is_some());
                matches!(call, Call::ListenUnix { name, .. } if token(name))
            }
            Leak::Listener => matches!(call, Call::BindTcp { address, .. } if address.is_ipv4()),
        }
    }
}

impl Rule for Leaking {
    fn first(&mut self, call: &Call) -> Vec<Call> {
        if !matches!(call, Call::Notify(Notice::Ready)) {
            return Vec::new();
        }
        let inherited = self.fd.take().map(|fd| Call::SetInherit { fd, inherit: true });
        let command = CHILD.map(str::to_owned).to_vec();
        inherited.into_iter().chain([Call::Spawn { command }]).collect()
    }

    fn instead(&mut self, _: &Call) -> Option<Result<Reply, Errno>> {
        None
    }

    fn saw(&mut self, call: &Call, reply: &Result<Reply, Errno>) {
        if let Call::Close { fd } = call {
            self.fd.take_if(|open| open == fd);
        }
        if let Ok(Reply::Fd(fd)) = reply
            // The writers' lock is held by the second description of its file; of everything else it is the first.
            && (self.fd.is_none() || self.leak == Leak::Writers)
            && self.is_it(call)
        {
            self.fd = Some(*fd);
        }
    }
}
