//! Calls as people read them, in traces and messages.

use std::fmt;
use std::path::Path;

use crate::{Call, LockMode};

impl fmt::Display for Call {
    #[expect(clippy::too_many_lines, reason = "one arm a call")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, open, .. } => {
                let verb = match (open.directory, open.exclusive, open.create) {
                    (true, _, _) => "open dir",
                    (_, true, _) => "create excl",
                    (_, _, true) => "open or create",
                    _ => "open",
                };
                write!(f, "{verb} {}", last(path))
            }
            Self::Close { fd } => write!(f, "close {fd}"),
            Self::Read { fd, .. } => write!(f, "read {fd}"),
            Self::Write { fd, .. } => write!(f, "write {fd}"),
            Self::Truncate { fd, length } => write!(f, "truncate {fd} to {length}"),
            Self::Sync { fd } => write!(f, "fsync {fd}"),
            Self::Stat { path, .. } => write!(f, "stat {}", last(path)),
            Self::StatFd { fd } => write!(f, "fstat {fd}"),
            Self::FileSystem { fd } => write!(f, "fstatfs {fd}"),
            Self::MakeDirectory { path, .. } => write!(f, "mkdir {}", last(path)),
            Self::Rename { from, to, .. } => write!(f, "rename {} {}", last(from), last(to)),
            Self::Unlink { path, .. } => write!(f, "unlink {}", last(path)),
            Self::Flock { fd, mode: LockMode::Exclusive } => write!(f, "flock {fd}"),
            Self::Flock { fd, mode: LockMode::Shared } => write!(f, "flock {fd} shared"),
            Self::Flock { fd, mode: LockMode::Unlock } => write!(f, "unlock {fd}"),
            Self::Link { from, to, .. } => write!(f, "link {} {}", last(from), last(to)),
            Self::Symlink { target, path, .. } => write!(f, "symlink {} {}", last(path), target.display()),
            Self::ReadLink { path, .. } => write!(f, "readlink {}", last(path)),
            Self::RemoveDirectory { path, .. } => write!(f, "rmdir {}", last(path)),
            Self::ReadDirectory { fd } => write!(f, "list {fd}"),
            Self::SetMode { fd, mode } => write!(f, "chmod {fd} to {mode:04o}"),
            Self::SetModified { fd, .. } => write!(f, "touch {fd}"),
            Self::SetUmask { mask } => write!(f, "umask {mask:04o}"),
            Self::LockRange { fd, mode: LockMode::Exclusive, .. } => write!(f, "lock bytes of {fd}"),
            Self::LockRange { fd, mode: LockMode::Shared, .. } => write!(f, "lock bytes of {fd} shared"),
            Self::LockRange { fd, mode: LockMode::Unlock, .. } => write!(f, "unlock bytes of {fd}"),
            Self::RangeHolder { fd, .. } => write!(f, "who locks bytes of {fd}?"),
            Self::Duplicate { fd } => write!(f, "dup {fd}"),
            Self::SetInherit { fd, inherit: true } => write!(f, "let children inherit {fd}"),
            Self::SetInherit { fd, inherit: false } => write!(f, "close {fd} on exec"),
            Self::SendFd { socket, fd } => write!(f, "send {fd} over {socket}"),
            Self::ReceiveFd { socket, .. } => write!(f, "receive a descriptor on {socket}"),
            Self::OwnNamespaces => f.write_str("own namespaces"),
            Self::Spawn { command } => write!(f, "spawn {}", command.first().map_or("", String::as_str)),
            Self::Reap { pid } => write!(f, "reap {pid}"),
            Self::OpenPidfd { pid } => write!(f, "pidfd of {pid}"),
            Self::SignalPidfd { fd, signal: None } => write!(f, "does pidfd {fd} live?"),
            Self::SignalPidfd { fd, signal: Some(signal) } => write!(f, "{signal} by pidfd {fd}"),
            Self::WaitPidfd { fd, .. } => write!(f, "wait for pidfd {fd}"),
            Self::ConnectTcp { address, .. } => write!(f, "connect {address}"),
            Self::LocalAddress { fd } => write!(f, "own address of {fd}"),
            Self::OwnPid => f.write_str("getpid"),
            Self::OwnUid => f.write_str("geteuid"),
            Self::Kill { pid, signal: None } => write!(f, "is {pid} alive?"),
            Self::Kill { pid, signal: Some(signal) } => write!(f, "{signal} to {pid}"),
            Self::CatchSignals => f.write_str("catch signals"),
            Self::NextSignal => f.write_str("wait for a signal"),
            Self::Watch { .. } => f.write_str("wait and watch"),
            Self::Processes => f.write_str("list processes"),
            Self::ProcessStatus { pid } => write!(f, "stat of pid {pid}"),
            Self::ProcessCommand { pid } => write!(f, "cmdline of pid {pid}"),
            Self::HoldsLock { pid, .. } => write!(f, "does pid {pid} hold the lock?"),
            Self::HoldsSocket { pid, .. } => write!(f, "does pid {pid} hold the socket?"),
            Self::LockTakers { .. } => f.write_str("who took the lock?"),
            Self::TcpSockets { port } => write!(f, "who has port {port}?"),
            Self::TcpListeners { first, last } => write!(f, "who listens on {first} to {last}?"),
            Self::BindTcp { address, .. } => write!(f, "bind {address}"),
            Self::ListenUnix { name, .. } => write!(f, "bind {name}"),
            Self::Listen { fd, .. } => write!(f, "listen {fd}"),
            Self::Accept { .. } => f.write_str("accept"),
            Self::ConnectUnix { name } => write!(f, "connect {name}"),
            Self::PeerCredentials { fd } => write!(f, "peer of {fd}"),
            Self::Send { fd, .. } => write!(f, "send {fd}"),
            Self::Receive { fd, .. } => write!(f, "receive {fd}"),
            Self::ReadClock { clock } => write!(f, "read {clock:?} clock"),
            Self::Sleep { milliseconds } => write!(f, "sleep {milliseconds} ms"),
            Self::Random => f.write_str("random"),
            Self::BootId => f.write_str("boot id"),
            Self::Load { cell } => write!(f, "load cell {}", cell.0),
            Self::Store { cell, value } => write!(f, "store {value} in cell {}", cell.0),
            Self::Notify(notice) => notice.fmt(f),
        }
    }
}

/// The last part of a path: lanes are narrow, and a scenario has few files.
fn last(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy()
}
