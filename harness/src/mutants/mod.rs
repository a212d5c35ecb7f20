//! The reference lock with one part that does nothing: each must make some scenario fail, or the part is superfluous.
//!
//! The shipped code runs unchanged; what lies is the operating system under it. `harness/tests/locks/tokens.rs` says which
//! scenario breaks without which part, and which parts nothing breaks without.

mod leak;
mod lie;
mod second_look;

pub use leak::Leak;
pub(crate) use leak::{CHILD_PROGRAM, Leaking, child};
pub(crate) use lie::Lie;

/// One part of the reference lock: a token, a test, a look that is taken again, an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// The lock on the state directory's inode.
    Directory,
    /// The lock on the lock file.
    LockFile,
    /// The exclusive lock on the writers' lock file.
    Writers,
    /// The test whether locks exclude at all.
    LockTest,
    /// Both locks on the configuration.
    Config,
    /// The lock beside the configuration.
    Companion,
    /// The lock on the workspace.
    Workspace,
    /// The locks on the directories around the workspace.
    Around,
    /// The tokens of all ports.
    Ports,
    /// The tokens of the ports outside the block.
    PinnedPorts,
    /// That all gateways take the tokens of ports in one order.
    PortOrder,
    /// The listener on 127.0.0.1.
    ListenerV4,
    /// The listener on ::1.
    ListenerV6,
    /// The second look at the name of the lock file.
    LockFileRecheck,
    /// The second look at the name of the lock beside the configuration.
    CompanionRecheck,
    /// The second look at the path of the state directory.
    StateRecheck,
    /// The second look at the path of the workspace.
    WorkspaceRecheck,
    /// The pidfd by which an owner is ended.
    ForcePidfd,
    /// The second look at an owner that is to be ended, once its pidfd is open.
    ForceRecheck,
    /// That an owner is ended unasked only if it is stopped.
    ForceStopped,
}

impl Token {
    /// Every part, in the order in which they are taken, and then what is looked at again.
    pub const ALL: [Self; 20] = [
        Self::Directory,
        Self::LockFile,
        Self::Writers,
        Self::LockTest,
        Self::Config,
        Self::Companion,
        Self::Workspace,
        Self::Around,
        Self::Ports,
        Self::PinnedPorts,
        Self::PortOrder,
        Self::ListenerV4,
        Self::ListenerV6,
        Self::LockFileRecheck,
        Self::CompanionRecheck,
        Self::StateRecheck,
        Self::WorkspaceRecheck,
        Self::ForcePidfd,
        Self::ForceRecheck,
        Self::ForceStopped,
    ];

    /// Its name in the name of a design.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory-lock",
            Self::LockFile => "file-lock",
            Self::Writers => "writers-lock",
            Self::LockTest => "lock-test",
            Self::Config => "config-lock",
            Self::Companion => "companion-lock",
            Self::Workspace => "workspace-lock",
            Self::Around => "locks-around-workspace",
            Self::Ports => "port-tokens",
            Self::PinnedPorts => "pinned-port-tokens",
            Self::PortOrder => "port-order",
            Self::ListenerV4 => "listener-v4",
            Self::ListenerV6 => "listener-v6",
            Self::LockFileRecheck => "lock-file-recheck",
            Self::CompanionRecheck => "companion-recheck",
            Self::StateRecheck => "state-recheck",
            Self::WorkspaceRecheck => "workspace-recheck",
            Self::ForcePidfd => "force-pidfd",
            Self::ForceRecheck => "force-recheck",
            Self::ForceStopped => "force-stopped",
        }
    }

    /// What it does not do, after "which".
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Directory => "never takes the lock on the state directory",
            Self::LockFile => "never takes the lock on the lock file",
            Self::Writers => "never asks whether somebody still writes to the state",
            Self::LockTest => "never asks whether locks exclude anybody",
            Self::Config => "never takes the locks on the configuration",
            Self::Companion => "never takes the lock beside the configuration",
            Self::Workspace => "never takes the lock on its workspace",
            Self::Around => "never takes the locks on the directories around its workspace",
            Self::Ports => "never takes the tokens of its ports",
            Self::PinnedPorts => "never takes the tokens of ports outside its block",
            Self::PortOrder => {
                "takes the tokens of its ports from the last to the first, if its base says so"
            }
            Self::ListenerV4 => "never takes the listener on 127.0.0.1",
            Self::ListenerV6 => "never takes the listener on ::1",
            Self::LockFileRecheck => "never looks whether its lock file still has its name",
            Self::CompanionRecheck => {
                "never looks whether the lock beside its configuration still has its name"
            }
            Self::StateRecheck => "never looks whether its state directory is still where it was",
            Self::WorkspaceRecheck => "never looks whether its workspace is still where it was",
            Self::ForcePidfd => "signals an owner by its pid, whose that may be by then",
            Self::ForceRecheck => "never looks at an owner again once its pidfd is open",
            Self::ForceStopped => "takes every owner for one that is stopped",
        }
    }
}
