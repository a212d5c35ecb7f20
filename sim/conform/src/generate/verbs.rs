//! What can be done, how often in which theme, and a harmless call of each kind.

use std::path::PathBuf;

use portcullis_os::{
    BindOptions, ByteRange, Call, Cell, Clock, FileId, Links, LockMode, Open, Pid, Port, RangeOwner, UnixName,
};

use crate::symbols::NO_FD;

/// What a process can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verb {
    Open,
    Close,
    Read,
    Write,
    Truncate,
    Sync,
    Stat,
    StatFd,
    FileSystem,
    MakeDirectory,
    Rename,
    Link,
    Symlink,
    ReadLink,
    RemoveDirectory,
    ReadDirectory,
    SetMode,
    SetModified,
    SetUmask,
    Unlink,
    Flock,
    LockRange,
    RangeHolder,
    Duplicate,
    SetInherit,
    SendFd,
    ReceiveFd,
    OwnPid,
    OwnUid,
    OwnNamespaces,
    Spawn,
    Reap,
    OpenPidfd,
    SignalPidfd,
    WaitPidfd,
    Kill,
    CatchSignals,
    NextSignal,
    Watch,
    Processes,
    ProcessStatus,
    ProcessCommand,
    HoldsLock,
    HoldsSocket,
    LockTakers,
    TcpSockets,
    TcpListeners,
    BindTcp,
    ConnectTcp,
    LocalAddress,
    ListenUnix,
    Listen,
    Accept,
    ConnectUnix,
    PeerCredentials,
    Send,
    Receive,
    ReadClock,
    Sleep,
    Random,
    BootId,
    Load,
    Store,
    Fork,
    Exec,
    Exit,
    Thread,
    Signal,
    Collect,
}

impl Verb {
    /// The call that it becomes; `None` if it becomes none.
    pub(super) fn calls(self) -> Option<&'static str> {
        self.probe().map(|call| crate::parts::name(&call))
    }

    /// A call of that kind that changes nothing, whatever the machine answers.
    #[expect(clippy::too_many_lines, reason = "one arm a call")]
    fn probe(self) -> Option<Call> {
        let nowhere = || PathBuf::from("/absent/absent");
        let at = None;
        let fd = NO_FD;
        let mode = LockMode::Unlock;
        let (owner, range) = (RangeOwner::Process, ByteRange::WHOLE);
        let file = FileId { device: 0, inode: 0 };
        let pid = Pid::new(crate::symbols::NO_PID)?;
        // Nobody has this address, which is for documentation.
        let address = std::net::SocketAddr::from(([198, 51, 100, 7], 1));
        Some(match self {
            Self::Open => Call::Open { at, path: nowhere(), open: Open::read() },
            Self::Close => Call::Close { fd },
            Self::Read => Call::Read { fd, offset: 0, length: 1 },
            Self::Write => Call::Write { fd, offset: 0, bytes: vec![0] },
            Self::Truncate => Call::Truncate { fd, length: 0 },
            Self::Sync => Call::Sync { fd },
            Self::Stat => Call::Stat { at, path: nowhere(), links: Links::Follow },
            Self::StatFd => Call::StatFd { fd },
            Self::FileSystem => Call::FileSystem { fd },
            Self::MakeDirectory => Call::MakeDirectory { at, path: nowhere(), mode: 0 },
            Self::Rename => {
                Call::Rename { from_at: at, from: nowhere(), to_at: at, to: nowhere(), replace: true }
            }
            Self::Link => Call::Link { from_at: at, from: nowhere(), to_at: at, to: nowhere() },
            Self::Symlink => Call::Symlink { target: nowhere(), at, path: nowhere() },
            Self::ReadLink => Call::ReadLink { at, path: nowhere() },
            Self::RemoveDirectory => Call::RemoveDirectory { at, path: nowhere() },
            Self::ReadDirectory => Call::ReadDirectory { fd },
            Self::SetMode => Call::SetMode { fd, mode: 0 },
            Self::SetModified => Call::SetModified { fd, modified_ns: 0 },
            Self::SetUmask => Call::SetUmask { mask: 0o022 },
            Self::Unlink => Call::Unlink { at, path: nowhere() },
            Self::Flock => Call::Flock { fd, mode },
            Self::LockRange => Call::LockRange { fd, owner, mode, range },
            Self::RangeHolder => Call::RangeHolder { fd, owner, mode: LockMode::Shared, range },
            Self::Duplicate => Call::Duplicate { fd },
            Self::SetInherit => Call::SetInherit { fd, inherit: false },
            Self::SendFd => Call::SendFd { socket: fd, fd },
            Self::ReceiveFd => Call::ReceiveFd { socket: fd, deadline_ms: 0 },
            Self::OwnPid => Call::OwnPid,
            Self::OwnUid => Call::OwnUid,
            Self::OwnNamespaces => Call::OwnNamespaces,
            Self::Spawn => Call::Spawn { command: Vec::new() },
            Self::Reap => Call::Reap { pid },
            Self::OpenPidfd => Call::OpenPidfd { pid },
            Self::SignalPidfd => Call::SignalPidfd { fd, signal: None },
            Self::WaitPidfd => Call::WaitPidfd { fd, deadline_ms: 0 },
            Self::Kill => Call::Kill { pid, signal: None },
            Self::CatchSignals => Call::CatchSignals,
            Self::NextSignal => Call::NextSignal,
            Self::Watch => Call::Watch { places: Vec::new(), period_ms: 1 },
            Self::Processes => Call::Processes,
            Self::ProcessStatus => Call::ProcessStatus { pid },
            Self::ProcessCommand => Call::ProcessCommand { pid },
            Self::HoldsLock => Call::HoldsLock { pid, file },
            Self::HoldsSocket => Call::HoldsSocket { pid, socket: 0 },
            Self::LockTakers => Call::LockTakers { file },
            Self::TcpSockets => Call::TcpSockets { port: Port::new(1)? },
            Self::TcpListeners => Call::TcpListeners { first: Port::new(1)?, last: Port::new(1)? },
            Self::BindTcp => Call::BindTcp { address, options: BindOptions::SERVER },
            Self::ConnectTcp => Call::ConnectTcp { address, from: Some(address), deadline_ms: 0 },
            Self::LocalAddress => Call::LocalAddress { fd },
            Self::ListenUnix => Call::ListenUnix { name: UnixName::Path(nowhere()), backlog: 0 },
            Self::Listen => Call::Listen { fd, backlog: 0 },
            Self::Accept => Call::Accept { fds: vec![fd] },
            Self::ConnectUnix => Call::ConnectUnix { name: UnixName::Path(nowhere()) },
            Self::PeerCredentials => Call::PeerCredentials { fd },
            Self::Send => Call::Send { fd, bytes: vec![0] },
            Self::Receive => Call::Receive { fd, length: 1, deadline_ms: 0 },
            Self::ReadClock => Call::ReadClock { clock: Clock::Boot },
            Self::Sleep => Call::Sleep { milliseconds: 0 },
            Self::Random => Call::Random,
            Self::BootId => Call::BootId,
            Self::Load => Call::Load { cell: Cell(0) },
            Self::Store => Call::Store { cell: Cell(0), value: 0 },
            Self::Fork | Self::Exec | Self::Exit | Self::Thread | Self::Signal | Self::Collect => {
                return None;
            }
        })
    }
}

/// A harmless call of each kind, to ask whether a machine knows it.
pub fn probes() -> impl Iterator<Item = Call> {
    Theme::Everything.weights().iter().filter_map(|(_, verb)| verb.probe())
}

/// What a sequence is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Theme {
    /// Locks of all kinds on few files.
    Locks,
    /// Files that come, go and change their names.
    Names,
    /// TCP ports.
    Ports,
    /// Unix sockets, and what is sent over them.
    Unix,
    /// Births, deaths and numbers.
    Processes,
    /// All of it.
    Everything,
}

impl Theme {
    /// Locks and names most often: that is what lock designs are made of.
    pub(super) const ALL: [Self; 9] = [
        Self::Locks,
        Self::Locks,
        Self::Names,
        Self::Names,
        Self::Ports,
        Self::Ports,
        Self::Unix,
        Self::Processes,
        Self::Everything,
    ];

    /// How often each verb is drawn.
    pub(super) const fn weights(self) -> &'static [(u32, Verb)] {
        match self {
            Self::Locks => LOCKS,
            Self::Names => NAMES,
            Self::Ports => PORTS,
            Self::Unix => UNIX,
            Self::Processes => PROCESSES,
            Self::Everything => EVERYTHING,
        }
    }
}

const LOCKS: &[(u32, Verb)] = &[
    (30, Verb::Open),
    (10, Verb::Close),
    (30, Verb::Flock),
    (30, Verb::LockRange),
    (14, Verb::RangeHolder),
    (6, Verb::Duplicate),
    (4, Verb::SetInherit),
    (4, Verb::StatFd),
    (3, Verb::Stat),
    (6, Verb::HoldsLock),
    (5, Verb::LockTakers),
    (3, Verb::Rename),
    (3, Verb::Unlink),
    (2, Verb::Write),
    (1, Verb::Truncate),
    (4, Verb::Fork),
    (2, Verb::Exec),
    (1, Verb::Spawn),
    (2, Verb::Exit),
    (2, Verb::Signal),
    (2, Verb::Kill),
    (1, Verb::Reap),
    (1, Verb::Collect),
    (2, Verb::ListenUnix),
    (2, Verb::ConnectUnix),
    (2, Verb::Accept),
    (2, Verb::SendFd),
    (2, Verb::ReceiveFd),
];

const NAMES: &[(u32, Verb)] = &[
    (40, Verb::Open),
    (10, Verb::Close),
    (8, Verb::Read),
    (10, Verb::Write),
    (4, Verb::Truncate),
    (2, Verb::Sync),
    (10, Verb::Stat),
    (6, Verb::StatFd),
    (1, Verb::FileSystem),
    (12, Verb::MakeDirectory),
    (16, Verb::Rename),
    (8, Verb::Link),
    (8, Verb::Symlink),
    (4, Verb::ReadLink),
    (6, Verb::RemoveDirectory),
    (6, Verb::ReadDirectory),
    (5, Verb::SetMode),
    (3, Verb::SetModified),
    (2, Verb::SetUmask),
    (12, Verb::Unlink),
    (4, Verb::Flock),
    (2, Verb::ListenUnix),
    (1, Verb::ConnectUnix),
];

const PORTS: &[(u32, Verb)] = &[
    (40, Verb::BindTcp),
    (24, Verb::Listen),
    (20, Verb::ConnectTcp),
    (14, Verb::Accept),
    (12, Verb::Close),
    (5, Verb::LocalAddress),
    (6, Verb::TcpSockets),
    (4, Verb::TcpListeners),
    (5, Verb::Send),
    (6, Verb::Receive),
    (2, Verb::StatFd),
    (2, Verb::HoldsSocket),
    (1, Verb::PeerCredentials),
    (1, Verb::Duplicate),
    (1, Verb::SetInherit),
    (2, Verb::Fork),
    (1, Verb::Exec),
    (1, Verb::Exit),
    (1, Verb::Signal),
];

const UNIX: &[(u32, Verb)] = &[
    (24, Verb::ListenUnix),
    (24, Verb::ConnectUnix),
    (16, Verb::Accept),
    (10, Verb::Close),
    (8, Verb::PeerCredentials),
    (10, Verb::Send),
    (10, Verb::Receive),
    (10, Verb::SendFd),
    (12, Verb::ReceiveFd),
    (5, Verb::Open),
    (4, Verb::Flock),
    (2, Verb::LockRange),
    (2, Verb::HoldsLock),
    (2, Verb::LockTakers),
    (3, Verb::StatFd),
    (3, Verb::HoldsSocket),
    (3, Verb::Listen),
    (2, Verb::Unlink),
    (2, Verb::Rename),
    (2, Verb::Stat),
    (1, Verb::SetMode),
    (2, Verb::Fork),
    (1, Verb::Exec),
    (2, Verb::Exit),
    (1, Verb::Signal),
    (1, Verb::SetUmask),
];

const PROCESSES: &[(u32, Verb)] = &[
    (14, Verb::Fork),
    (4, Verb::Exec),
    (4, Verb::Spawn),
    (7, Verb::Exit),
    (3, Verb::Thread),
    (6, Verb::Signal),
    (5, Verb::Collect),
    (14, Verb::Kill),
    (10, Verb::Reap),
    (8, Verb::OpenPidfd),
    (8, Verb::SignalPidfd),
    (6, Verb::WaitPidfd),
    (5, Verb::CatchSignals),
    (4, Verb::NextSignal),
    (4, Verb::Watch),
    (5, Verb::Processes),
    (10, Verb::ProcessStatus),
    (5, Verb::ProcessCommand),
    (2, Verb::OwnPid),
    (1, Verb::OwnUid),
    (1, Verb::OwnNamespaces),
    (6, Verb::Open),
    (2, Verb::Close),
    (5, Verb::Flock),
    (3, Verb::LockRange),
    (3, Verb::HoldsLock),
    (2, Verb::LockTakers),
    (1, Verb::StatFd),
    (2, Verb::SetInherit),
    (1, Verb::Duplicate),
    (1, Verb::Load),
    (1, Verb::Store),
];

const EVERYTHING: &[(u32, Verb)] = &[
    (20, Verb::Open),
    (5, Verb::Close),
    (3, Verb::Read),
    (3, Verb::Write),
    (2, Verb::Truncate),
    (2, Verb::Sync),
    (3, Verb::Stat),
    (4, Verb::StatFd),
    (2, Verb::FileSystem),
    (3, Verb::MakeDirectory),
    (4, Verb::Rename),
    (3, Verb::Link),
    (3, Verb::Symlink),
    (2, Verb::ReadLink),
    (2, Verb::RemoveDirectory),
    (2, Verb::ReadDirectory),
    (2, Verb::SetMode),
    (2, Verb::SetModified),
    (2, Verb::SetUmask),
    (3, Verb::Unlink),
    (4, Verb::Flock),
    (4, Verb::LockRange),
    (2, Verb::RangeHolder),
    (3, Verb::Duplicate),
    (2, Verb::SetInherit),
    (2, Verb::SendFd),
    (2, Verb::ReceiveFd),
    (2, Verb::OwnPid),
    (2, Verb::OwnUid),
    (2, Verb::OwnNamespaces),
    (1, Verb::Spawn),
    (2, Verb::Reap),
    (2, Verb::OpenPidfd),
    (2, Verb::SignalPidfd),
    (2, Verb::WaitPidfd),
    (2, Verb::Kill),
    (2, Verb::CatchSignals),
    (2, Verb::NextSignal),
    (2, Verb::Watch),
    (2, Verb::Processes),
    (2, Verb::ProcessStatus),
    (2, Verb::ProcessCommand),
    (2, Verb::HoldsLock),
    (2, Verb::HoldsSocket),
    (2, Verb::LockTakers),
    (2, Verb::TcpSockets),
    (2, Verb::TcpListeners),
    (4, Verb::BindTcp),
    (3, Verb::ConnectTcp),
    (2, Verb::LocalAddress),
    (3, Verb::ListenUnix),
    (3, Verb::Listen),
    (3, Verb::Accept),
    (3, Verb::ConnectUnix),
    (2, Verb::PeerCredentials),
    (2, Verb::Send),
    (2, Verb::Receive),
    (2, Verb::ReadClock),
    (1, Verb::Sleep),
    (2, Verb::Random),
    (2, Verb::BootId),
    (2, Verb::Load),
    (2, Verb::Store),
    (2, Verb::Fork),
    (1, Verb::Exec),
    (1, Verb::Spawn),
    (1, Verb::Exit),
    (1, Verb::Thread),
    (1, Verb::Signal),
    (1, Verb::Collect),
];
