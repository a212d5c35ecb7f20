//! Everything that a process can ask of the machine, as data.
//!
//! The enum is closed on purpose: a new call breaks every executor at compile time, so none can forget it.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    BindOptions, ByteRange, Cell, Clock, Fd, FileId, Links, LockMode, Notice, Open, Pid, Port, RangeOwner,
    Signal, UnixName, Watched,
};

/// One indivisible step of the machine, asked for by one process. Paths without `at` are absolute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
        /// The new name.
        to: PathBuf,
        /// Whether a file that has the new name is replaced; if not (`RENAME_NOREPLACE`), it is
        /// [`Errno::Exists`](crate::Errno::Exists).
        replace: bool,
    },
    /// linkat(2): one more name of a file, not through a symbolic link at its end. Answers `Done`.
    Link {
        /// The directory that `from` starts from.
        from_at: Option<Fd>,
        /// A name that the file has.
        from: PathBuf,
        /// The directory that `to` starts from.
        to_at: Option<Fd>,
        /// The name that it gets, which must be free.
        to: PathBuf,
    },
    /// symlinkat(2). Answers `Done`.
    Symlink {
        /// What the link says.
        target: PathBuf,
        /// The directory that a relative path starts from.
        at: Option<Fd>,
        /// The name of the link.
        path: PathBuf,
    },
    /// readlinkat(2). Answers `Path`.
    ReadLink {
        /// The directory that a relative path starts from.
        at: Option<Fd>,
        /// The link.
        path: PathBuf,
    },
    /// unlinkat(2) of an empty directory. Answers `Done`.
    RemoveDirectory {
        /// The directory that a relative path starts from.
        at: Option<Fd>,
        /// The name.
        path: PathBuf,
    },
    /// getdents64(2): every name in a directory but `.` and `..`. Answers `Names`, ascending.
    ReadDirectory {
        /// The directory.
        fd: Fd,
    },
    /// fchmod(2). Answers `Done`.
    SetMode {
        /// Which file.
        fd: Fd,
        /// The permission bits.
        mode: u32,
    },
    /// futimens(2) of the time of the last change. Answers `Done`.
    SetModified {
        /// Which file.
        fd: Fd,
        /// Nanoseconds after 1970.
        modified_ns: u64,
    },
    /// umask(2). Answers `Word` with the old mask.
    SetUmask {
        /// The bits that are taken from the mode of what this process creates.
        mask: u32,
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
        mode: LockMode,
    },
    /// fcntl(2) `F_SETLK` or `F_OFD_SETLK`, never waiting. Answers `Done` or
    /// [`Errno::WouldBlock`](crate::Errno::WouldBlock).
    LockRange {
        /// The file; open for writing if the lock is to be exclusive.
        fd: Fd,
        /// Whom the lock belongs to.
        owner: RangeOwner,
        /// What to do.
        mode: LockMode,
        /// Which bytes.
        range: ByteRange,
    },
    /// fcntl(2) `F_GETLK` or `F_OFD_GETLK`: the first lock that would be in the way. Answers `Range`.
    RangeHolder {
        /// The file.
        fd: Fd,
        /// Whom the lock would belong to.
        owner: RangeOwner,
        /// What would be done.
        mode: LockMode,
        /// Which bytes.
        range: ByteRange,
    },
    /// fcntl(2) `F_DUPFD_CLOEXEC`: one more descriptor of the same open file description. Answers `Fd`.
    Duplicate {
        /// Which.
        fd: Fd,
    },
    /// fcntl(2) `F_SETFD`: whether a program that this process executes gets the descriptor. Answers `Done`.
    SetInherit {
        /// Which.
        fd: Fd,
        /// `true` takes `FD_CLOEXEC` away, `false` sets it.
        inherit: bool,
    },
    /// sendmsg(2) of one byte and one descriptor (`SCM_RIGHTS`), never waiting. Answers `Done`.
    SendFd {
        /// A connected Unix socket.
        socket: Fd,
        /// What is sent. The sender keeps its own.
        fd: Fd,
    },
    /// recvmsg(2) of one byte and the descriptor that came with it, waiting until the deadline. Answers `Fd`;
    /// [`Errno::NotFound`](crate::Errno::NotFound) if the byte came without one or the stream is at its end.
    ReceiveFd {
        /// A connected Unix socket.
        socket: Fd,
        /// How long to wait, in milliseconds; [`FOREVER_MS`](crate::FOREVER_MS): without a deadline.
        deadline_ms: u32,
    },
    /// getpid(2). Answers `Pid`.
    OwnPid,
    /// geteuid(2). Answers `Uid`.
    OwnUid,
    /// `/proc/self/ns`: which namespaces this process is in. Answers `Namespaces`.
    OwnNamespaces,
    /// fork(2) and execve(2): a child that runs another program and has every descriptor that
    /// [`Call::SetInherit`] has marked. Answers `Pid`, once it is certain that the program will run: a moment later the
    /// child closes the descriptors that are not marked.
    Spawn {
        /// The program, by absolute path, and its arguments.
        command: Vec<String>,
    },
    /// waitpid(2) with `WNOHANG`. Answers `Ended`, and the pid of the child is free again;
    /// [`Errno::WouldBlock`](crate::Errno::WouldBlock) while it lives.
    Reap {
        /// A child of this process.
        pid: Pid,
    },
    /// pidfd_open(2). Answers `Fd`.
    OpenPidfd {
        /// Which process, by number: what is opened stays that process.
        pid: Pid,
    },
    /// pidfd_send_signal(2); without a signal it only checks. Answers `Done`.
    SignalPidfd {
        /// A pidfd.
        fd: Fd,
        /// The signal, or none to ask whether it has not been reaped.
        signal: Option<Signal>,
    },
    /// poll(2) of a pidfd: waits until its process is dead, be it reaped or not, or until the deadline. Answers `Done`.
    WaitPidfd {
        /// A pidfd.
        fd: Fd,
        /// How long to wait, in milliseconds; [`FOREVER_MS`](crate::FOREVER_MS): without a deadline.
        deadline_ms: u32,
    },
    /// kill(2); without a signal it only checks (`kill(pid, 0)`). Answers `Done`.
    Kill {
        /// The target, by number alone: exactly the weakness of kill(2).
        pid: Pid,
        /// The signal, or none to ask whether such a process exists.
        signal: Option<Signal>,
    },
    /// From now on `SIGTERM`, `SIGINT`, `SIGUSR1` and `SIGUSR2` are kept for [`Call::NextSignal`] (sigaction(2)). Answers `Done`.
    CatchSignals,
    /// Waits for a caught signal. Answers `Signal`.
    NextSignal,
    /// Waits for a caught signal, or until a path does not lead any more to what is expected there. Answers `Signal`, or
    /// [`Errno::StaleHandle`](crate::Errno::StaleHandle) if one was seen to lead elsewhere.
    ///
    /// A path that cannot be followed, for want of permission for instance, has not been seen to lead elsewhere. Whoever
    /// wants to know which path it was looks for itself.
    Watch {
        /// Where to look, and for what.
        places: Vec<Watched>,
        /// How long may pass between two looks, in milliseconds.
        period_ms: u32,
    },
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
    /// This and the next four ask a narrow question of a wide table: what a process was told is part of its history, so
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
    /// The listening sockets of this network namespace with a local port from one to another (`/proc/net/tcp` and `tcp6`).
    /// Answers `Tcp`.
    TcpListeners {
        /// The lowest port.
        first: Port,
        /// The highest port.
        last: Port,
    },
    /// socket(2), setsockopt(2) and bind(2) of a TCP socket. Answers `Fd`.
    ///
    /// The three are one step because the first two are invisible to everybody else.
    BindTcp {
        /// The address and port; with port 0 the kernel chooses one.
        address: SocketAddr,
        /// How.
        options: BindOptions,
    },
    /// socket(2) and connect(2) of a TCP socket, waiting until the deadline. Answers `Fd`.
    ConnectTcp {
        /// Where to.
        address: SocketAddr,
        /// Bound to this address first, with `SO_REUSEADDR`; `None`: the kernel chooses a port.
        from: Option<SocketAddr>,
        /// How long to wait, in milliseconds.
        deadline_ms: u32,
    },
    /// getsockname(2) of a TCP socket. Answers `Address`.
    LocalAddress {
        /// Which.
        fd: Fd,
    },
    /// socket(2), bind(2) and listen(2) of a Unix stream socket. Answers `Fd`.
    ///
    /// They are one step because the name is taken by bind(2); until listen(2) connections to it are refused, which is
    /// also what an observer sees of a name whose holder has just died.
    ListenUnix {
        /// Where.
        name: UnixName,
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
    /// connect(2) to a Unix stream socket. Never waits: a full backlog is
    /// [`Errno::WouldBlock`](crate::Errno::WouldBlock). Answers `Fd`.
    ConnectUnix {
        /// Where.
        name: UnixName,
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

impl Call {
    /// How long it waits at most, in milliseconds; `None`: for ever, or not at all.
    pub const fn deadline_ms(&self) -> Option<u32> {
        if let Self::Receive { deadline_ms, .. }
        | Self::ReceiveFd { deadline_ms, .. }
        | Self::WaitPidfd { deadline_ms, .. }
        | Self::ConnectTcp { deadline_ms, .. } = self
        {
            Some(*deadline_ms)
        } else {
            None
        }
    }
}
