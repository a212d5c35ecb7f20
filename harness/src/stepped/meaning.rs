//! Numbers that a kernel chooses have a meaning and no value: a bijection stands between those of the two machines.
//!
//! A program is told the numbers of the simulated machine and names them in its calls, so what it decides, writes and asks
//! next is the same on both, byte for byte. Before a call is carried out its numbers become those of the real machine;
//! what that says is compared through the same bijection, and a number that would need two partners is a difference.
//!
//! | number | how it is compared |
//! | --- | --- |
//! | descriptors | one to one in each process, from open to close |
//! | inodes with their device, sockets, namespaces | one to one |
//! | start ticks | those of the process that has the pid, as read from outside when it was started |
//! | pids, uids, ports, paths, modes, bytes, sizes and names of files | equal |
//! | pid 1 | the driver, which the simulated machine neither lists nor names as a parent |
//! | random bytes, clocks, times of change, the name of the boot, the magic number of the file system | not at all |
//! | the links and the size of a directory | not at all: file systems count them in their own ways |
//! | command lines | whether there is one |
//!
//! Two kinds of calls are not made as they stand, because the schedule is the time: a sleep is over when it is granted, and
//! a wait whose deadline passes first is made with a deadline of 0, so that something which is there after all shows.

use std::collections::BTreeMap;

use portcullis_os::{Call, Fd, FileId, FileKind, FileStatus, Leads, Pid, ProcessStatus, Reply, TcpRow, Tick};

use super::os::Answer;

/// A descriptor that nobody has, for one that the simulated process has not open.
const NO_FD: Fd = Fd(-1);
/// A file that there is not, for one that no reply has named.
const NO_FILE: FileId = FileId { device: u64::MAX, inode: 0 };
/// The first process of the namespace.
const DRIVER: u32 = 1;

/// Pairs of numbers, in which each has one partner.
#[derive(Clone, Debug)]
struct Pairs<T> {
    real: BTreeMap<T, T>,
    simulated: BTreeMap<T, T>,
}

impl<T: Copy + Ord> Pairs<T> {
    const fn new() -> Self {
        Self { real: BTreeMap::new(), simulated: BTreeMap::new() }
    }

    /// Makes two numbers partners; whether neither has another one.
    fn agree(&mut self, simulated: T, real: T) -> bool {
        *self.real.entry(simulated).or_insert(real) == real
            && *self.simulated.entry(real).or_insert(simulated) == simulated
    }

    fn real(&self, simulated: T) -> Option<T> {
        self.real.get(&simulated).copied()
    }

    fn forget(&mut self, simulated: T) {
        if let Some(real) = self.real.remove(&simulated) {
            self.simulated.remove(&real);
        }
    }
}

/// What the numbers of two machines mean to each other during one schedule.
#[derive(Clone, Debug)]
pub(super) struct Meaning {
    fds: Vec<Pairs<Fd>>,
    files: Pairs<FileId>,
    sockets: Pairs<u64>,
    pid_namespaces: Pairs<u64>,
    network_namespaces: Pairs<u64>,
    /// When the process that has a pid now was started, on the real machine.
    ticks: BTreeMap<Pid, Tick>,
}

impl Meaning {
    /// Nothing is known of so many processes.
    pub(super) fn new(slots: usize) -> Self {
        Self {
            fds: vec![Pairs::new(); slots],
            files: Pairs::new(),
            sockets: Pairs::new(),
            pid_namespaces: Pairs::new(),
            network_namespaces: Pairs::new(),
            ticks: BTreeMap::new(),
        }
    }

    /// A process was started.
    pub(super) fn started(&mut self, pid: Pid, tick: Tick) {
        self.ticks.insert(pid, tick);
    }

    /// A call in the numbers of the real machine; `None` if it is answered without being made.
    ///
    /// # Errors
    ///
    /// Why such a call cannot be driven.
    pub(super) fn real(&self, slot: usize, call: &Call, times_out: bool) -> Result<Option<Call>, String> {
        let mut call = call.clone();
        if let Call::Sleep { .. } = call {
            return Ok(None);
        }
        if let Call::Spawn { .. } = call {
            return Err("the children of a process are not driven".to_owned());
        }
        if let Call::ConnectTcp { .. } = call {
            return Err("a TCP connection outlives the processes that had it".to_owned());
        }
        for fd in descriptors(&mut call) {
            *fd = self.fds[slot].real(*fd).unwrap_or(NO_FD);
        }
        if let Call::HoldsLock { file, .. } | Call::LockTakers { file } = &mut call {
            *file = self.files.real(*file).unwrap_or(NO_FILE);
        }
        if let Call::Watch { places, .. } = &mut call {
            for place in places {
                if let Leads::To(file) = &mut place.leads {
                    *file = self.files.real(*file).unwrap_or(NO_FILE);
                }
            }
        }
        if let Call::HoldsSocket { socket, .. } = &mut call {
            *socket = self.sockets.real(*socket).unwrap_or_default();
        }
        if let Call::Receive { deadline_ms, .. }
        | Call::WaitPidfd { deadline_ms, .. }
        | Call::ReceiveFd { deadline_ms, .. } = &mut call
            && times_out
        {
            *deadline_ms = 0;
        }
        Ok(Some(call))
    }

    /// Whether the real machine has said the same as the simulated one. From here on the numbers in it are partners.
    pub(super) fn is_same(&mut self, slot: usize, call: &Call, simulated: &Answer, real: &Answer) -> bool {
        if let Call::Close { fd } = call {
            self.fds[slot].forget(*fd);
        }
        match (simulated, real) {
            (Ok(simulated), Ok(real)) => self.is_same_reply(slot, call, simulated, real),
            (Err(simulated), Err(real)) => simulated == real,
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        }
    }

    fn is_same_reply(&mut self, slot: usize, call: &Call, simulated: &Reply, real: &Reply) -> bool {
        match (simulated, real) {
            (Reply::Fd(simulated), Reply::Fd(real)) => self.fds[slot].agree(*simulated, *real),
            (
                Reply::Accepted { on: simulated_on, stream: simulated },
                Reply::Accepted { on: real_on, stream: real },
            ) => {
                self.fds[slot].real(*simulated_on) == Some(*real_on)
                    && self.fds[slot].agree(*simulated, *real)
            }
            (Reply::File(simulated), Reply::File(real)) => self.is_same_file(simulated, real),
            (Reply::Process(simulated), Reply::Process(real)) => self.is_same_process(call, simulated, real),
            (Reply::Pids(simulated), Reply::Pids(real)) => {
                simulated.iter().eq(real.iter().filter(|pid| pid.get() != DRIVER))
            }
            (Reply::Tcp(simulated), Reply::Tcp(real)) => self.are_same_sockets(simulated, real),
            (Reply::Namespaces(simulated), Reply::Namespaces(real)) => {
                self.pid_namespaces.agree(simulated.pid, real.pid)
                    && self.network_namespaces.agree(simulated.network, real.network)
            }
            (Reply::Text(_), Reply::Text(_)) if *call == Call::BootId => true,
            (Reply::Text(simulated), Reply::Text(real)) if matches!(call, Call::ProcessCommand { .. }) => {
                simulated.is_empty() == real.is_empty()
            }
            (Reply::FileSystem(_), Reply::FileSystem(_))
            | (Reply::Random(_), Reply::Random(_))
            | (Reply::Nanoseconds(_), Reply::Nanoseconds(_)) => true,
            (simulated, real) => simulated == real,
        }
    }

    fn is_same_file(&mut self, simulated: &FileStatus, real: &FileStatus) -> bool {
        let (links, size) = match simulated.kind {
            FileKind::Directory => (real.links, real.size),
            FileKind::Regular | FileKind::Symlink | FileKind::Special => (simulated.links, simulated.size),
        };
        let translated = FileStatus { id: real.id, links, size, modified_ns: real.modified_ns, ..*simulated };
        self.files.agree(simulated.id, real.id) && translated == *real
    }

    fn is_same_process(&self, call: &Call, simulated: &ProcessStatus, real: &ProcessStatus) -> bool {
        let Call::ProcessStatus { pid } = call else { return false };
        let parent = real.parent.filter(|parent| parent.get() != DRIVER);
        self.ticks.get(pid) == Some(&real.start)
            && *simulated == ProcessStatus { parent, start: simulated.start, ..real.clone() }
    }

    fn are_same_sockets(&mut self, simulated: &[TcpRow], real: &[TcpRow]) -> bool {
        simulated.len() == real.len()
            && simulated.iter().zip(real).all(|(simulated, real)| {
                self.sockets.agree(simulated.socket, real.socket)
                    && TcpRow { socket: real.socket, ..*simulated } == *real
            })
    }
}

/// Every descriptor that a call names.
fn descriptors(call: &mut Call) -> Vec<&mut Fd> {
    match call {
        Call::Open { at, .. }
        | Call::Stat { at, .. }
        | Call::MakeDirectory { at, .. }
        | Call::Symlink { at, .. }
        | Call::ReadLink { at, .. }
        | Call::RemoveDirectory { at, .. }
        | Call::Unlink { at, .. } => at.iter_mut().collect(),
        Call::Rename { from_at, to_at, .. } | Call::Link { from_at, to_at, .. } => {
            from_at.iter_mut().chain(to_at).collect()
        }
        Call::Close { fd }
        | Call::Read { fd, .. }
        | Call::Write { fd, .. }
        | Call::Truncate { fd, .. }
        | Call::Sync { fd }
        | Call::StatFd { fd }
        | Call::FileSystem { fd }
        | Call::ReadDirectory { fd }
        | Call::SetMode { fd, .. }
        | Call::SetModified { fd, .. }
        | Call::Flock { fd, .. }
        | Call::LockRange { fd, .. }
        | Call::RangeHolder { fd, .. }
        | Call::Duplicate { fd }
        | Call::SetInherit { fd, .. }
        | Call::SignalPidfd { fd, .. }
        | Call::WaitPidfd { fd, .. }
        | Call::ReceiveFd { socket: fd, .. }
        | Call::LocalAddress { fd }
        | Call::Listen { fd, .. }
        | Call::PeerCredentials { fd }
        | Call::Send { fd, .. }
        | Call::Receive { fd, .. } => vec![fd],
        Call::SendFd { socket, fd } => vec![socket, fd],
        Call::Accept { fds } => fds.iter_mut().collect(),
        Call::Watch { places, .. } => places.iter_mut().filter_map(|place| place.at.as_mut()).collect(),
        Call::SetUmask { .. }
        | Call::OwnPid
        | Call::OwnUid
        | Call::OwnNamespaces
        | Call::Spawn { .. }
        | Call::Reap { .. }
        | Call::OpenPidfd { .. }
        | Call::Kill { .. }
        | Call::CatchSignals
        | Call::NextSignal
        | Call::Processes
        | Call::ProcessStatus { .. }
        | Call::ProcessCommand { .. }
        | Call::HoldsLock { .. }
        | Call::HoldsSocket { .. }
        | Call::LockTakers { .. }
        | Call::TcpSockets { .. }
        | Call::TcpListeners { .. }
        | Call::BindTcp { .. }
        | Call::ConnectTcp { .. }
        | Call::ListenUnix { .. }
        | Call::ConnectUnix { .. }
        | Call::ReadClock { .. }
        | Call::Sleep { .. }
        | Call::Random
        | Call::BootId
        | Call::Load { .. }
        | Call::Store { .. }
        | Call::Notify(_) => Vec::new(),
    }
}
