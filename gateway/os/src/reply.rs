//! What the machine answers, as data.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{ByteRange, Call, Fd, FileId, LockMode, Pid, Signal, Tick, Uid};

/// What kind of file an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A socket, pipe or device.
    Special,
}

/// The part of stat(2) that protocols look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileStatus {
    /// Which file.
    pub id: FileId,
    /// Of what kind.
    pub kind: FileKind,
    /// The permission bits, `07777` at most.
    pub mode: u32,
    /// Who owns it.
    pub uid: Uid,
    /// How many names it has. 0: unlinked, alive only through descriptors.
    pub links: u32,
    /// Its length in bytes.
    pub size: u64,
    /// When its bytes or entries were last changed, in nanoseconds after 1970, by the clock of its file system.
    pub modified_ns: u64,
}

/// A file system by its magic number, as in statfs(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileSystem {
    /// `f_type`.
    pub magic: u64,
}

impl FileSystem {
    /// The name, if its locks are known not to reach every machine or container that can open its files.
    ///
    /// Magic numbers from statfs(2) and `linux/magic.h`.
    pub fn remote_name(self) -> Option<&'static str> {
        match self.magic {
            0x6969 => Some("nfs"),
            0x517b => Some("smb"),
            0xfe53_4d42 => Some("smb2"),
            0xff53_4d42 => Some("cifs"),
            0x0102_1997 => Some("9p"),
            0x6573_5546 => Some("fuse"),
            0x00c3_6400 => Some("ceph"),
            0x786f_4256 => Some("vboxsf"),
            _ => None,
        }
    }
}

/// Whether the kernel schedules a process (field 3 of `/proc/PID/stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ProcessState {
    /// `R`, `S` or `I`: it runs, or would if it had something to do.
    Running,
    /// `D`: it sleeps in the kernel, and not even `SIGKILL` wakes it.
    Uninterruptible,
    /// `T` or `t`: stopped by a signal or a debugger.
    Stopped,
    /// `Z` or `X`: dead, its pid still taken.
    Zombie,
}

/// The part of `/proc/PID/stat` that protocols look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// The command name, at most 15 bytes, chosen by the process itself.
    pub name: String,
    /// Whether it is scheduled.
    pub state: ProcessState,
    /// Its parent; `None` for the first process of a namespace.
    pub parent: Option<Pid>,
    /// When it started.
    pub start: Tick,
}

/// The state of a TCP socket, as far as it matters for binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TcpState {
    /// It accepts connections.
    Listen,
    /// It is connected, or on its way there or back.
    Connected,
    /// It is closed and waits for late packets.
    TimeWait,
}

/// One line of `/proc/net/tcp` or `tcp6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TcpRow {
    /// The local address.
    pub local: SocketAddr,
    /// Its state.
    pub state: TcpState,
    /// Whose it is.
    pub uid: Uid,
    /// The inode of the socket, 0 where there is none.
    pub socket: u64,
}

/// `struct ucred`: who is at the other end of a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerCredentials {
    /// Its process; `None` if that is not visible from this pid namespace.
    pub pid: Option<Pid>,
    /// Its user.
    pub uid: Uid,
}

/// A byte range lock that is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RangeHolder {
    /// [`LockMode::Exclusive`] or [`LockMode::Shared`].
    pub mode: LockMode,
    /// The bytes that it covers.
    pub range: ByteRange,
    /// The process that it belongs to; `None` if it belongs to an open file description, or to a process that is not
    /// visible from here.
    pub pid: Option<Pid>,
}

/// How a process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Ending {
    /// By exit(2), with this status.
    Exited(u8),
    /// By a signal.
    Killed(Signal),
    /// By a signal that has no name here, by its number.
    KilledBy(u8),
}

/// The namespaces that a process is in, as `/proc/self/ns` numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Namespaces {
    /// Where its pid means something.
    pub pid: u64,
    /// Where its ports and abstract Unix names mean something.
    pub network: u64,
}

/// The answer to a [`Call`](crate::Call). Each call names the variant that answers it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reply {
    /// It is done.
    Done,
    /// A new descriptor.
    Fd(Fd),
    /// So many bytes were taken.
    Count(u32),
    /// Bytes.
    Bytes(Vec<u8>),
    /// What stat(2) says.
    File(FileStatus),
    /// What statfs(2) says.
    FileSystem(FileSystem),
    /// A process.
    Pid(Pid),
    /// A user.
    Uid(Uid),
    /// A signal has come.
    Signal(Signal),
    /// Processes.
    Pids(Vec<Pid>),
    /// What `/proc/PID/stat` says.
    Process(ProcessStatus),
    /// Text.
    Text(String),
    /// Yes or no.
    Truth(bool),
    /// `/proc/net/tcp`.
    Tcp(Vec<TcpRow>),
    /// A connection was accepted.
    Accepted {
        /// On which listening socket.
        on: Fd,
        /// The connection.
        stream: Fd,
    },
    /// Who is at the other end.
    Peer(PeerCredentials),
    /// A reading of a clock.
    Nanoseconds(u64),
    /// Random bytes.
    Random([u8; 16]),
    /// What a cell holds, or a mask was.
    Word(u64),
    /// What a symbolic link says.
    Path(PathBuf),
    /// The names in a directory.
    Names(Vec<OsString>),
    /// The lock that is in the way, if there is one.
    Range(Option<RangeHolder>),
    /// How a child has ended.
    Ended(Ending),
    /// An address of a socket.
    Address(SocketAddr),
    /// Which namespaces.
    Namespaces(Namespaces),
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("ok"),
            Self::Fd(fd) => write!(f, "{fd}"),
            Self::Count(count) => write!(f, "{count} bytes"),
            Self::Bytes(bytes) if bytes.is_empty() => f.write_str("(empty)"),
            Self::Bytes(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::File(status) => write!(f, "inode {}", status.id.inode),
            Self::FileSystem(system) => write!(f, "{:#x}", system.magic),
            Self::Pid(pid) => write!(f, "pid {pid}"),
            Self::Uid(uid) => write!(f, "uid {uid}"),
            Self::Signal(signal) => signal.fmt(f),
            Self::Pids(pids) => {
                let pids: Vec<String> = pids.iter().take(8).map(ToString::to_string).collect();
                write!(f, "[{}]", pids.join(" "))
            }
            Self::Process(status) => write!(f, "{} {:?}", status.name, status.state),
            Self::Text(text) => f.write_str(text),
            Self::Truth(true) => f.write_str("yes"),
            Self::Truth(false) => f.write_str("no"),
            Self::Tcp(rows) => write!(f, "{} sockets", rows.len()),
            Self::Accepted { stream, .. } => write!(f, "{stream}"),
            Self::Peer(PeerCredentials { pid: Some(pid), .. }) => write!(f, "pid {pid}"),
            Self::Peer(PeerCredentials { pid: None, uid }) => write!(f, "uid {uid}, pid not visible"),
            Self::Nanoseconds(nanoseconds) => write!(f, "{nanoseconds} ns"),
            Self::Random(_) => f.write_str("16 bytes"),
            Self::Word(value) => value.fmt(f),
            Self::Path(path) => path.display().fmt(f),
            Self::Names(names) => write!(f, "{} names", names.len()),
            Self::Range(None) => f.write_str("nobody"),
            Self::Range(Some(RangeHolder { pid: Some(pid), .. })) => write!(f, "pid {pid}"),
            Self::Range(Some(RangeHolder { pid: None, .. })) => f.write_str("somebody"),
            Self::Ended(Ending::Exited(status)) => write!(f, "exited with {status}"),
            Self::Ended(Ending::Killed(signal)) => write!(f, "ended by {signal}"),
            Self::Ended(Ending::KilledBy(number)) => write!(f, "ended by signal {number}"),
            Self::Address(address) => address.fmt(f),
            Self::Namespaces(namespaces) => {
                write!(f, "pid {} network {}", namespaces.pid, namespaces.network)
            }
        }
    }
}

/// An executor has answered a call with a reply that belongs to another one.
pub(crate) fn unexpected(call: &Call, reply: &Reply) -> ! {
    unreachable!("`{call}` was answered with `{reply}`: the executor is at fault")
}
