//! Everything that a process can ask of the machine, as data.
//!
//! The enum is closed on purpose: a new call breaks every executor at compile time, so none can forget it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::{Fd, FileId, Notice, Pid, Port};

/// How a file is opened, as in open(2). Every descriptor is opened close-on-exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Open {
    /// Allow writing. Reading is always allowed.
    pub write: bool,
    /// `O_CREAT`: create the file if the name is free.
    pub create: bool,
    /// `O_EXCL`: with `create`, fail with [`Errno::Exists`](crate::Errno::Exists) if the name is taken.
    pub exclusive: bool,
    /// `O_TRUNC`: empty the file.
    pub truncate: bool,
    /// `O_DIRECTORY`: fail unless it is a directory.
    pub directory: bool,
    /// `O_NOFOLLOW`: fail with [`Errno::SymlinkLoop`](crate::Errno::SymlinkLoop) if the last part is a symbolic link.
    pub no_follow: bool,
    /// The permission bits of a file that is created, before the umask.
    pub mode: u32,
}

impl Open {
    /// An existing file, for reading.
    pub const fn read() -> Self {
        Self {
            write: false,
            create: false,
            exclusive: false,
            truncate: false,
            directory: false,
            no_follow: false,
            mode: 0o600,
        }
    }

    /// An existing directory, not through a symbolic link.
    pub const fn directory() -> Self {
        Self { directory: true, no_follow: true, ..Self::read() }
    }

    /// A file of mode 0600 for reading and writing, created if absent, not through a symbolic link.
    pub const fn read_write_create() -> Self {
        Self { write: true, create: true, no_follow: true, ..Self::read() }
    }

    /// A file of mode 0600 that must not exist yet.
    pub const fn create_exclusive() -> Self {
        Self { exclusive: true, ..Self::read_write_create() }
    }

    /// A file of mode 0600, emptied if it exists.
    pub const fn create_truncate() -> Self {
        Self { truncate: true, ..Self::read_write_create() }
    }
}

/// What happens to a symbolic link at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Links {
    /// The file that it names is meant.
    Follow,
    /// The link itself is meant.
    NoFollow,
}

/// The operations of flock(2). None of them waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlockMode {
    /// `LOCK_EX | LOCK_NB`.
    Exclusive,
    /// `LOCK_SH | LOCK_NB`.
    Shared,
    /// `LOCK_UN`.
    Unlock,
}

/// The signals that the project sends or catches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// `SIGTERM`: please stop.
    Terminate,
    /// `SIGINT`: please stop, from a terminal.
    Interrupt,
    /// `SIGKILL`: the kernel ends the process.
    Kill,
    /// `SIGSTOP`: the kernel stops scheduling the process.
    Stop,
    /// `SIGCONT`: the kernel schedules it again.
    Continue,
}

/// The clocks of clock_gettime(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Clock {
    /// `CLOCK_REALTIME`: nanoseconds after 1970 that anybody may set forwards or back. For display only.
    Wall,
    /// `CLOCK_MONOTONIC`: nanoseconds that never go back and pause in suspend.
    Monotonic,
    /// `CLOCK_BOOTTIME`: nanoseconds after boot, suspend included.
    Boot,
}

/// A word of memory that the tasks of one process share, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell(pub u8);

/// One indivisible step of the machine, asked for by one process. Paths without `at` are absolute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// openat(2). Answers [`Reply::Fd`](crate::Reply::Fd).
    Open {
        /// The directory that a relative path starts from.
        at: Option<Fd>,
        /// The path.
        path: PathBuf,
        /// How.
        open: Open,
    },
    /// close(2). Answers `Done`; the descriptor is gone whatever the answer.
    Close {
        /// Which.
        fd: Fd,
    },
    /// pread(2). Answers `Bytes`, fewer than asked for at the end of the file.
    Read {
        /// From which file.
        fd: Fd,
        /// From which byte.
        offset: u64,
        /// At most how many bytes.
        length: u32,
    },
    /// pwrite(2). Answers `Count`, which may be less than was given.
    Write {
        /// To which file.
        fd: Fd,
        /// From which byte.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// ftruncate(2). Answers `Done`.
    Truncate {
        /// Which file.
        fd: Fd,
        /// The new length in bytes.
        length: u64,
    },
    /// fsync(2) of a file or directory. Answers `Done`.
    Sync {
        /// Which.
        fd: Fd,
    },
    /// fstatat(2). Answers `File`.
    Stat {
        /// The directory that a relative path starts from.
        at: Option<Fd>,
        /// The path.
        path: PathBuf,
        /// What a symbolic link at its end means.
        links: Links,
    },
    /// fstat(2). Answers `File`.
    StatFd {
        /// Which.
        fd: Fd,
    },
    /// fstatfs(2). Answers `FileSystem`.
    FileSystem {
        /// A file or directory on it.
        fd: Fd,
    },
    /// mkdirat(2). Answers `Done`.
    MakeDirectory {
        /// The directory that a relative path starts from.
        at: Option<Fd>,
        /// The path.
        path: PathBuf,
        /// Its permission bits, before the umask.
        mode: u32,
    },
    /// renameat(2) inside one directory or between two. Answers `Done`.
    Rename {
        /// The directory that `from` starts from.
        from_at: Option<Fd>,
        /// The old name.
        from: PathBuf,
        /// The directory that `to` starts from.
        to_at: Option<Fd>,
        /// The new name, replaced if it exists.
        to: PathBuf,
    },
    /// unlinkat(2) of a name that is no directory. Answers `Done`.
    Unlink {
        /// The directory that a relative path starts from.
        at: Option<Fd>,
        /// The name.
        path: PathBuf,
    },
    /// flock(2), never waiting. Answers `Done` or [`Errno::WouldBlock`](crate::Errno::WouldBlock).
    Flock {
        /// The open file description whose lock this is.
        fd: Fd,
        /// What to do.
        mode: FlockMode,
    },
    /// getpid(2). Answers `Pid`.
    OwnPid,
    /// geteuid(2). Answers `Uid`.
    OwnUid,
    /// kill(2); without a signal it only checks (`kill(pid, 0)`). Answers `Done`.
    Kill {
        /// The target, by number alone: exactly the weakness of kill(2).
        pid: Pid,
        /// The signal, or none to ask whether such a process exists.
        signal: Option<Signal>,
    },
    /// From now on `SIGTERM` and `SIGINT` are kept for [`Call::NextSignal`] (sigaction(2)). Answers `Done`.
    CatchSignals,
    /// Waits for a caught signal. Answers `Signal`.
    NextSignal,
    /// The pids that `/proc` lists, ascending. Answers `Pids`.
    Processes,
    /// `/proc/PID/stat`. Answers `Process`, or [`Errno::NotFound`](crate::Errno::NotFound).
    ProcessStatus {
        /// Which process.
        pid: Pid,
    },
    /// `/proc/PID/cmdline`, arguments joined by blanks. Answers `Text`, empty for a zombie.
    ProcessCommand {
        /// Which process.
        pid: Pid,
    },
    /// Whether one of a process's descriptors holds a flock on a file (`/proc/PID/fdinfo`). Answers `Truth`.
    ///
    /// This and the next three ask a narrow question of a wide table: what a process was told is part of its history, so
    /// every word more than it needs is one more way for two histories to differ.
    HoldsLock {
        /// Which process.
        pid: Pid,
        /// Which file.
        file: FileId,
    },
    /// Whether one of a process's descriptors is a socket (`/proc/PID/fd`). Answers `Truth`.
    HoldsSocket {
        /// Which process.
        pid: Pid,
        /// The inode of the socket.
        socket: u64,
    },
    /// Who took a flock on a file (`/proc/locks`), which need not be who holds it now. Answers `Pids`, ascending.
    LockTakers {
        /// Which file.
        file: FileId,
    },
    /// The sockets of this network namespace with a local port (`/proc/net/tcp` and `tcp6`). Answers `Tcp`.
    TcpSockets {
        /// Which port.
        port: Port,
    },
    /// socket(2), setsockopt(2) and bind(2) of a TCP socket. Answers `Fd`.
    ///
    /// `SO_REUSEADDR` is set, `SO_REUSEPORT` never; an IPv6 socket is IPv6 only. The three are one step because the
    /// first two are invisible to everybody else.
    BindTcp {
        /// The address and port.
        address: SocketAddr,
    },
    /// socket(2), bind(2) and listen(2) of a stream socket in the abstract Unix namespace. Answers `Fd`.
    ///
    /// They are one step because the name is taken by bind(2); until listen(2) connections to it are refused, which is
    /// also what an observer sees of a name whose holder has just died.
    ListenUnix {
        /// The name, without the leading NUL.
        name: String,
        /// How many connections may wait.
        backlog: u16,
    },
    /// listen(2). Answers `Done`.
    Listen {
        /// A bound socket.
        fd: Fd,
        /// How many connections may wait.
        backlog: u16,
    },
    /// Waits for a connection on any of several sockets and takes it. Answers `Accepted`.
    Accept {
        /// The listening sockets.
        fds: Vec<Fd>,
    },
    /// connect(2) to an abstract Unix name. Never waits: a full backlog is [`Errno::WouldBlock`](crate::Errno::WouldBlock).
    /// Answers `Fd`.
    ConnectUnix {
        /// The name, without the leading NUL.
        name: String,
    },
    /// `SO_PEERCRED`: on a client, who called listen(2) at the other end. Answers `Peer`.
    PeerCredentials {
        /// A connected Unix socket.
        fd: Fd,
    },
    /// send(2) with `MSG_NOSIGNAL`, never waiting. Answers `Count`.
    Send {
        /// A connected socket.
        fd: Fd,
        /// What.
        bytes: Vec<u8>,
    },
    /// recv(2). Waits until there is something or the deadline has passed. Answers `Bytes`, empty at the end of the
    /// stream, or [`Errno::TimedOut`](crate::Errno::TimedOut).
    Receive {
        /// A connected socket.
        fd: Fd,
        /// At most how many bytes.
        length: u32,
        /// How long to wait, in milliseconds.
        deadline_ms: u32,
    },
    /// clock_gettime(2). Answers `Nanoseconds`.
    ReadClock {
        /// Which clock.
        clock: Clock,
    },
    /// Waits. Answers `Done`. Other processes may do anything meanwhile.
    Sleep {
        /// How long at least, in milliseconds.
        milliseconds: u32,
    },
    /// 16 random bytes. Answers `Random`.
    Random,
    /// `/proc/sys/kernel/random/boot_id`. Answers `Text`.
    BootId,
    /// Reads a word of memory that the tasks of this process share; 0 before it was written. Answers `Word`.
    ///
    /// Memory that tasks share is a step like any other, because others can get between; memory that they share in any
    /// other way would be invisible to an executor.
    Load {
        /// Which word.
        cell: Cell,
    },
    /// Writes a word of memory that the tasks of this process share. Answers `Done`.
    Store {
        /// Which word.
        cell: Cell,
        /// The new value.
        value: u64,
    },
    /// Tells whoever watches this process what it has become. Answers `Done`.
    Notify(Notice),
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Kill => "SIGKILL",
            Self::Stop => "SIGSTOP",
            Self::Continue => "SIGCONT",
        })
    }
}

impl fmt::Display for Call {
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
            Self::Flock { fd, mode: FlockMode::Exclusive } => write!(f, "flock {fd}"),
            Self::Flock { fd, mode: FlockMode::Shared } => write!(f, "flock {fd} shared"),
            Self::Flock { fd, mode: FlockMode::Unlock } => write!(f, "unlock {fd}"),
            Self::OwnPid => f.write_str("getpid"),
            Self::OwnUid => f.write_str("geteuid"),
            Self::Kill { pid, signal: None } => write!(f, "is {pid} alive?"),
            Self::Kill { pid, signal: Some(signal) } => write!(f, "{signal} to {pid}"),
            Self::CatchSignals => f.write_str("catch signals"),
            Self::NextSignal => f.write_str("wait for a signal"),
            Self::Processes => f.write_str("list processes"),
            Self::ProcessStatus { pid } => write!(f, "stat of pid {pid}"),
            Self::ProcessCommand { pid } => write!(f, "cmdline of pid {pid}"),
            Self::HoldsLock { pid, .. } => write!(f, "does pid {pid} hold the lock?"),
            Self::HoldsSocket { pid, .. } => write!(f, "does pid {pid} hold the socket?"),
            Self::LockTakers { .. } => f.write_str("who took the lock?"),
            Self::TcpSockets { port } => write!(f, "who has port {port}?"),
            Self::BindTcp { address } => write!(f, "bind {address}"),
            Self::ListenUnix { name, .. } => write!(f, "bind @{name}"),
            Self::Listen { fd, .. } => write!(f, "listen {fd}"),
            Self::Accept { .. } => f.write_str("accept"),
            Self::ConnectUnix { name } => write!(f, "connect @{name}"),
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
fn last(path: &std::path::Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy()
}
