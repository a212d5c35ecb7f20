//! Every refusal has a stable code, an exit status, the evidence it rests on and the next safe command.
//!
//! "Unknown" is a reason of its own and is never reported as "absent".

mod json;

use std::fmt;

use portcullis_os::{Errno, Notice, Pid, ProcessState, Tick, Uid};

pub(crate) use json::HolderLine;

/// Why a gateway did not start. The codes are stable; scripts and scenarios match on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A gateway that serves owns the state directory.
    HeldReady,
    /// A gateway that is starting owns the state directory.
    HeldStarting,
    /// A gateway that is stopping owns the state directory.
    HeldDraining,
    /// The owner's process runs, but gave no answer in time.
    HeldHung,
    /// The owner's process is stopped, by `SIGSTOP` or a debugger.
    HeldStopped,
    /// Something holds the lock and cannot be seen from here.
    HeldUnknown,
    /// A process that inherited the lock from a gateway that is gone.
    HeldOrphan,
    /// The owner is gone, and a process that may still write to the state is not.
    HeldWriters,
    /// Another gateway uses the same configuration file.
    ConfigShared,
    /// Another gateway works in the same directory.
    WorkspaceShared,
    /// Another gateway works in a directory inside this one, or around it.
    WorkspaceNested,
    /// Another gateway has reserved one of the ports.
    PortRange,
    /// A gateway of another state directory has the same base port.
    PortGateway,
    /// A program that is no gateway holds the port.
    PortForeign,
    /// The token of a port is held by a process of another user, whose word is not believed.
    PortOtherUser,
    /// An outgoing connection was given the port by the kernel.
    PortEphemeral,
    /// The kernel does not let this user bind the port.
    PortReserved,
    /// The port is taken, and by whom cannot be seen from here.
    PortUnknown,
    /// The machine does not have an address that it should listen on.
    AddressUnavailable,
    /// The file system cannot lock a directory.
    UnsupportedFileSystem,
    /// The file system grants a lock that somebody else holds.
    LocksNotEnforced,
    /// The file system is shared with other machines that its locks may not reach.
    RemoteFileSystem,
    /// Others may write to the state directory, or somebody else owns it.
    InsecureDirectory,
    /// Permission denied.
    Permission,
    /// The file system is read-only.
    ReadOnly,
    /// The disk or the quota is full.
    DiskFull,
    /// No more descriptors.
    DescriptorLimit,
    /// A path is not what it should be: a file for a directory, a dangling link, no regular file.
    InvalidPath,
    /// The path was moved or replaced again and again during the start.
    PathUnstable,
    /// A later version of the gateway has used the state directory.
    NewerEpoch,
    /// The owner has lost what it owned, and stops.
    Fenced,
    /// Any other error of the machine.
    Error,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 32] = [
        Self::HeldReady,
        Self::HeldStarting,
        Self::HeldDraining,
        Self::HeldHung,
        Self::HeldStopped,
        Self::HeldUnknown,
        Self::HeldOrphan,
        Self::HeldWriters,
        Self::ConfigShared,
        Self::WorkspaceShared,
        Self::WorkspaceNested,
        Self::PortRange,
        Self::PortGateway,
        Self::PortForeign,
        Self::PortOtherUser,
        Self::PortEphemeral,
        Self::PortReserved,
        Self::PortUnknown,
        Self::AddressUnavailable,
        Self::UnsupportedFileSystem,
        Self::LocksNotEnforced,
        Self::RemoteFileSystem,
        Self::InsecureDirectory,
        Self::Permission,
        Self::ReadOnly,
        Self::DiskFull,
        Self::DescriptorLimit,
        Self::InvalidPath,
        Self::PathUnstable,
        Self::NewerEpoch,
        Self::Fenced,
        Self::Error,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::HeldReady => "held-ready",
            Self::HeldStarting => "held-starting",
            Self::HeldDraining => "held-draining",
            Self::HeldHung => "held-hung",
            Self::HeldStopped => "held-stopped",
            Self::HeldUnknown => "held-unknown",
            Self::HeldOrphan => "held-orphan",
            Self::HeldWriters => "held-writers",
            Self::ConfigShared => "config-shared",
            Self::WorkspaceShared => "workspace-shared",
            Self::WorkspaceNested => "workspace-nested",
            Self::PortRange => "port-range",
            Self::PortGateway => "port-gateway",
            Self::PortForeign => "port-foreign",
            Self::PortOtherUser => "port-other-user",
            Self::PortEphemeral => "port-ephemeral",
            Self::PortReserved => "port-reserved",
            Self::PortUnknown => "port-unknown",
            Self::AddressUnavailable => "address-unavailable",
            Self::UnsupportedFileSystem => "unsupported-fs",
            Self::LocksNotEnforced => "locks-not-enforced",
            Self::RemoteFileSystem => "remote-fs",
            Self::InsecureDirectory => "insecure-directory",
            Self::Permission => "permission",
            Self::ReadOnly => "read-only",
            Self::DiskFull => "disk-full",
            Self::DescriptorLimit => "descriptor-limit",
            Self::InvalidPath => "invalid-path",
            Self::PathUnstable => "path-unstable",
            Self::NewerEpoch => "newer-epoch",
            Self::Fenced => "fenced",
            Self::Error => "error",
        }
    }

    /// The exit status: 78 will fail again until somebody changes something, 75 may succeed by itself later,
    /// 77 permission, 74 input/output, 70 anything else (the numbers of sysexits.h). A [`Refusal`] in which nobody is
    /// seen may have 75 instead, see [`Refusal::is_unexplained`].
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::HeldReady
            | Self::HeldStopped
            | Self::ConfigShared
            | Self::PortRange
            | Self::PortForeign
            | Self::PortReserved
            | Self::UnsupportedFileSystem
            | Self::RemoteFileSystem
            | Self::HeldOrphan
            | Self::WorkspaceShared
            | Self::WorkspaceNested
            | Self::PortGateway
            | Self::PortOtherUser
            | Self::AddressUnavailable
            | Self::LocksNotEnforced
            | Self::InvalidPath
            | Self::NewerEpoch => 78,
            Self::HeldStarting
            | Self::HeldDraining
            | Self::HeldHung
            | Self::HeldUnknown
            | Self::HeldWriters
            | Self::PortEphemeral
            | Self::PortUnknown
            | Self::PathUnstable => 75,
            Self::InsecureDirectory | Self::Permission => 77,
            Self::ReadOnly | Self::DiskFull | Self::DescriptorLimit => 74,
            Self::Fenced | Self::Error => 70,
        }
    }

    /// Whether it may be told of something that is held by nobody who is seen.
    pub const fn may_be_unexplained(self) -> bool {
        matches!(
            self,
            Self::HeldUnknown
                | Self::ConfigShared
                | Self::WorkspaceShared
                | Self::WorkspaceNested
                | Self::PortUnknown
        )
    }

    /// The reason behind an error that is not about a lock.
    pub const fn of(errno: Errno) -> Self {
        match errno {
            Errno::AccessDenied | Errno::NotPermitted => Self::Permission,
            Errno::ReadOnly => Self::ReadOnly,
            Errno::NoSpace | Errno::QuotaExceeded => Self::DiskFull,
            Errno::TooManyFiles | Errno::TooManyFilesOnHost => Self::DescriptorLimit,
            Errno::IsDirectory
            | Errno::NoDeviceOrAddress
            | Errno::NotDirectory
            | Errno::SymlinkLoop
            | Errno::NameTooLong
            | Errno::NotFound => Self::InvalidPath,
            Errno::AddressInUse
            | Errno::AddressNotAvailable
            | Errno::AddressFamilyNotSupported
            | Errno::WouldBlock
            | Errno::BadDescriptor
            | Errno::Busy
            | Errno::NoChild
            | Errno::FileTooBig
            | Errno::IsConnected
            | Errno::TooManyLinks
            | Errno::NotImplemented
            | Errno::NotConnected
            | Errno::NotSocket
            | Errno::Overflow
            | Errno::NotSeekable
            | Errno::ConnectionRefused
            | Errno::ConnectionReset
            | Errno::Exists
            | Errno::Interrupted
            | Errno::InvalidArgument
            | Errno::InputOutput
            | Errno::NoLocks
            | Errno::NotEmpty
            | Errno::NotSupported
            | Errno::BrokenPipe
            | Errno::NoProcess
            | Errno::StaleHandle
            | Errno::TimedOut
            | Errno::CrossDevice
            | Errno::Other(_) => Self::Error,
        }
    }
}

/// The process that is in the way, as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: Pid,
    /// Its command name.
    pub name: String,
    /// Its command line; empty if it could not be read.
    pub command: String,
    /// Whether it is scheduled.
    pub state: ProcessState,
    /// When it started, in ticks after boot.
    pub start: Tick,
    /// How long ago that was, in seconds, for display.
    pub age_seconds: u64,
    /// Its user, where the kernel told.
    pub uid: Option<Uid>,
}

impl Holder {
    /// Its pid and name.
    pub(crate) fn in_short(&self) -> String {
        format!("pid {} ({})", self.pid, self.name)
    }

    /// The command that shows more of it.
    pub(crate) fn inspect(&self) -> String {
        format!("ps -o pid,lstart,stat,args -p {}", self.pid)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, age_seconds, .. } = self;
        write!(f, "{}, started {age_seconds} s ago (tick {start} after boot)", self.in_short())
    }
}

/// Why this gateway did not start, and what to do about it. `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Refusal {
    /// The reason.
    pub reason: Reason,
    /// What happened, as a fragment of a sentence.
    pub what: String,
    /// Who is in the way, where the kernel told.
    pub holder: Option<Box<Holder>>,
    /// What was observed, one fact an entry.
    pub evidence: Vec<String>,
    /// A safe command that shows more or helps.
    pub next: String,
    /// What people do in this situation and should not.
    pub do_not: Option<&'static str>,
    /// Whether what was seen may pass by itself, though it need not with this reason: then the exit status is 75.
    pub may_pass: bool,
}

impl Refusal {
    /// The stable code of the reason.
    pub const fn code(&self) -> &'static str {
        self.reason.code()
    }

    /// The exit status of the reason; 75 if what was seen may pass, or nobody is seen who holds what is needed.
    pub const fn exit_status(&self) -> u8 {
        if self.may_pass || self.is_unexplained() { 75 } else { self.reason.exit_status() }
    }

    /// Whether something is held and nobody is seen who holds it. That may be a process that is dying, so nothing shows that
    /// it lasts.
    pub const fn is_unexplained(&self) -> bool {
        self.reason.may_be_unexplained() && self.holder.is_none()
    }

    /// One sentence of help.
    pub const fn help(&self) -> &'static str {
        match self.reason {
            Reason::HeldReady => "Use the gateway that runs, or stop it first.",
            Reason::HeldStarting => "Wait until it is ready, then use it.",
            Reason::HeldDraining => "Wait until it has stopped, then start again.",
            Reason::HeldHung => "Look at the process; try again if it recovers.",
            Reason::HeldStopped => "Let the process continue, or end it; the lock is free when it is gone.",
            Reason::HeldUnknown => {
                "Try again: it may be about to end. If it stays, look for it in the other containers and hosts that mount this directory."
            }
            Reason::ConfigShared => "Give each gateway a configuration file of its own.",
            Reason::PortRange => "Choose base ports at least 111 apart.",
            Reason::PortForeign | Reason::PortUnknown => {
                "Stop the program that holds the port, or choose another port."
            }
            Reason::PortEphemeral => "Try again when that connection is closed, or reserve the port.",
            Reason::PortReserved => "Choose a port of 1024 or above.",
            Reason::HeldOrphan => {
                "End that process: it has a lock that belonged to a gateway, and the lock goes with it."
            }
            Reason::HeldWriters => "Wait until that process has ended, or end it; it may be writing still.",
            Reason::WorkspaceShared => "Give each gateway a workspace of its own.",
            Reason::WorkspaceNested => "Give each gateway a workspace that is not inside that of another.",
            Reason::PortGateway => "Give each gateway a base port of its own, at least 111 apart.",
            Reason::PortOtherUser => {
                "Choose another port, or ask that user: ports are shared by all users of a machine."
            }
            Reason::AddressUnavailable => "Listen on an address that this machine has.",
            Reason::LocksNotEnforced => "Move the state directory to a file system whose locks exclude.",
            Reason::UnsupportedFileSystem => "Move the state directory to a local file system.",
            Reason::RemoteFileSystem => "Move the state directory to a disk of this machine.",
            Reason::InsecureDirectory => "Make the directory yours alone.",
            Reason::Permission => "Check who owns the path and with which permissions.",
            Reason::ReadOnly => "Mount the file system read-write, or choose another state directory.",
            Reason::DiskFull => "Free some space, then start again.",
            Reason::DescriptorLimit => "Raise the limit of open files, and of processes.",
            Reason::InvalidPath => "Name a path that is what it should be.",
            Reason::PathUnstable => "Find out who keeps replacing the path.",
            Reason::NewerEpoch => "Start the version that has used it, or choose another state directory.",
            Reason::Fenced => "Put back what is missing if it is to be kept, then start again.",
            Reason::Error => "The error of the system is in the evidence.",
        }
    }

    /// The short form that watchers are told.
    pub fn notice(&self) -> Notice {
        Notice::Refused {
            code: self.code().to_owned(),
            holder: self.holder.as_ref().map(|holder| holder.pid),
        }
    }

    /// A refusal because a call failed for a reason of the machine's own.
    pub fn from_errno(doing: &str, path: &str, errno: Errno) -> Self {
        Self {
            reason: Reason::of(errno),
            what: format!("cannot {doing} {path}: {}", errno.meaning()),
            holder: None,
            evidence: vec![format!("{doing} {path}: {errno}")],
            next: format!("ls -ld {}", quoted(path)),
            do_not: None,
            may_pass: false,
        }
    }
}

/// A word for a shell: as it is where that is safe, else in single quotes.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%=,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use portcullis_os::{Errno, Pid, ProcessState, Tick};

    use super::{Holder, Reason, Refusal, quoted};

    #[test]
    fn no_path_ends_the_quotes_that_it_stands_in() {
        assert_eq!(quoted("/home/u/.refgate"), "/home/u/.refgate");
        assert_eq!(quoted("/a b"), "'/a b'");
        assert_eq!(quoted("q'; echo pwn"), r"'q'\''; echo pwn'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn what_may_pass_by_itself_ends_with_75_whatever_the_reason() {
        let holder = Holder {
            pid: Pid::new(7).unwrap(),
            name: "cron".to_owned(),
            command: String::new(),
            state: ProcessState::Running,
            start: Tick(1),
            age_seconds: 1,
            uid: None,
        };
        let refusal = |reason, is_seen: bool, may_pass| Refusal {
            reason,
            holder: is_seen.then(|| Box::new(holder.clone())),
            may_pass,
            ..Refusal::from_errno("lock", "/s", Errno::WouldBlock)
        };
        for (reason, seen, unseen) in [
            (Reason::HeldReady, 78, 78),
            (Reason::HeldStopped, 78, 78),
            (Reason::HeldUnknown, 75, 75),
            (Reason::HeldWriters, 75, 75),
            (Reason::ConfigShared, 78, 75),
            (Reason::WorkspaceShared, 78, 75),
            (Reason::WorkspaceNested, 78, 75),
            (Reason::PortUnknown, 75, 75),
            (Reason::PortRange, 78, 78),
            (Reason::PortForeign, 78, 78),
            (Reason::PortOtherUser, 78, 78),
            (Reason::Permission, 77, 77),
        ] {
            let status = |is_seen| refusal(reason, is_seen, false).exit_status();
            assert_eq!((status(true), status(false)), (seen, unseen), "{reason:?}");
            assert_eq!(refusal(reason, true, true).exit_status(), 75, "{reason:?}");
        }
    }

    #[test]
    fn codes_are_unique_and_statuses_are_documented_ones() {
        let mut codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert!(Reason::ALL.iter().all(|reason| [70, 74, 75, 77, 78].contains(&reason.exit_status())));
    }
}
