//! A machine as one plain value: processes, files, locks, sockets and clocks that change by a [`Call`] and nothing else.
//!
//! There is no I/O, no clock and no scheduler in it. A caller decides whose call is carried out next, and may keep a clone
//! of the kernel from before. Objects that Linux keeps apart are kept apart here, because most lock bugs live between
//! them: a name is not an inode, a descriptor is not an open file description, a pid is not a process.
//!
//! Each file has the calls about one object, with the rules of Linux (6.18, checked on the real kernel) beside them.
//!
//! # Invariants
//!
//! - Every id that a process can see is a function of who asked and how often, never of a counter that processes share:
//!   steps that commute lead to equal kernels.
//! - An open file description lives while a descriptor refers to it, an inode while a name or a description does.
//! - A dead process has no descriptors, and a pid belongs to one process at a time, dead ones until they are reaped.

mod clocks;
mod descriptions;
mod effects;
mod environment;
mod files;
mod inodes;
mod locks;
mod memory;
mod names;
mod observe;
mod paths;
mod proc;
mod process;
mod shared;
mod signals;
mod table;
mod tcp;
mod unix;

use std::sync::Arc;

use portcullis_os::{Call, Errno, Reply};

pub use effects::Effect;
pub use environment::{LockSupport, Mount};
pub use process::{Ending, Life, ProcessId, Spawn};

use clocks::Clocks;
use effects::Journal;
use inodes::Inode;
use process::Process;
use shared::Shared;
use table::Table;
use unix::Connection;

/// The whole machine. Cheap to clone and to hash: clones share what they have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// By [`ProcessId`]; the environment is the first.
    processes: Vec<Shared<Process>>,
    /// By inode number. Numbers are unique over all devices.
    inodes: Table<u64, Shared<Inode>>,
    /// By the socket inode of the side that connected.
    connections: Table<u64, Shared<Connection>>,
    /// By device, see [`environment`].
    mounts: Arc<Vec<Mount>>,
    clocks: Clocks,
    next_pid: u32,
    effects: Journal,
}

/// Whether a call could be carried out now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Readiness {
    /// It could, though perhaps with an error.
    Ready,
    /// It waits for somebody else, for ever if need be.
    Waits,
    /// It waits for somebody else or for its deadline, whichever comes first.
    WaitsUntilDeadline,
}

/// How a call comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Completion {
    /// It is carried out.
    Normal,
    /// Its deadline passes first.
    TimedOut,
}

impl Default for Kernel {
    fn default() -> Self {
        Self::new()
    }
}

impl Kernel {
    /// A machine that has just booted: a root directory of root's with mode 0755 on a file system that locks
    /// everything, and no process.
    pub fn new() -> Self {
        let mut inodes = Table::new();
        inodes.insert(inodes::ROOT, Shared::new(Inode::root()));
        Self {
            processes: vec![Shared::new(Process::environment())],
            inodes,
            connections: Table::new(),
            mounts: Arc::new(vec![Mount::local()]),
            clocks: Clocks::new(),
            next_pid: process::FIRST_PID,
            effects: Journal::new(),
        }
    }

    /// Whether `call` could be carried out now for a process that is scheduled. A stopped process is not.
    pub fn readiness(&self, who: ProcessId, call: &Call) -> Readiness {
        match call {
            Call::Accept { fds } => self.accept_readiness(who, fds),
            Call::Receive { fd, .. } => self.receive_readiness(who, *fd),
            Call::NextSignal => self.signal_readiness(who),
            Call::Open { .. }
            | Call::Close { .. }
            | Call::Read { .. }
            | Call::Write { .. }
            | Call::Truncate { .. }
            | Call::Sync { .. }
            | Call::Stat { .. }
            | Call::StatFd { .. }
            | Call::FileSystem { .. }
            | Call::MakeDirectory { .. }
            | Call::Rename { .. }
            | Call::Unlink { .. }
            | Call::Flock { .. }
            | Call::OwnPid
            | Call::OwnUid
            | Call::Kill { .. }
            | Call::CatchSignals
            | Call::Processes
            | Call::ProcessStatus { .. }
            | Call::ProcessCommand { .. }
            | Call::HoldsLock { .. }
            | Call::HoldsSocket { .. }
            | Call::LockTakers { .. }
            | Call::TcpSockets { .. }
            | Call::BindTcp { .. }
            | Call::ListenUnix { .. }
            | Call::Listen { .. }
            | Call::ConnectUnix { .. }
            | Call::PeerCredentials { .. }
            | Call::Send { .. }
            | Call::ReadClock { .. }
            | Call::Sleep { .. }
            | Call::Random
            | Call::BootId
            | Call::Load { .. }
            | Call::Store { .. }
            | Call::Notify(_) => Readiness::Ready,
        }
    }

    /// Carries out one call of one process.
    ///
    /// A process that this call kills still gets its answer here; nobody is left to read it.
    ///
    /// # Errors
    ///
    /// What Linux answers. [`Errno::TimedOut`] if that is how the call ends.
    ///
    /// # Panics
    ///
    /// If the process is stopped or dead, if the call waits and `how` is [`Completion::Normal`], or if it has no deadline
    /// or need not wait and `how` is [`Completion::TimedOut`]: the caller schedules, so it has made a mistake.
    pub fn perform(&mut self, who: ProcessId, call: &Call, how: Completion) -> Result<Reply, Errno> {
        assert_eq!(self.life(who), Life::Running, "`{call}` of a process that is not scheduled");
        let readiness = self.readiness(who, call);
        match how {
            Completion::Normal => {
                assert_eq!(readiness, Readiness::Ready, "`{call}` is carried out though it waits");
                self.dispatch(who, call)
            }
            Completion::TimedOut => {
                assert_eq!(readiness, Readiness::WaitsUntilDeadline, "`{call}` times out");
                Err(Errno::TimedOut)
            }
        }
    }

    fn dispatch(&mut self, who: ProcessId, call: &Call) -> Result<Reply, Errno> {
        match call {
            Call::Open { at, path, open } => self.open(who, *at, path, *open),
            Call::Close { fd } => self.close(who, *fd),
            Call::Read { fd, offset, length } => self.read(who, *fd, *offset, *length),
            Call::Write { fd, offset, bytes } => self.write(who, *fd, *offset, bytes),
            Call::Truncate { fd, length } => self.truncate(who, *fd, *length),
            Call::Sync { fd } => self.sync(who, *fd),
            Call::Stat { at, path, links } => self.stat(who, *at, path, *links),
            Call::StatFd { fd } => self.stat_fd(who, *fd),
            Call::FileSystem { fd } => self.file_system(who, *fd),
            Call::MakeDirectory { at, path, mode } => self.make_directory_at(who, *at, path, *mode),
            Call::Rename { from_at, from, to_at, to } => self.rename(who, (*from_at, from), (*to_at, to)),
            Call::Unlink { at, path } => self.unlink(who, *at, path),
            Call::Flock { fd, mode } => self.flock(who, *fd, *mode),
            Call::OwnPid => Ok(Reply::Pid(self.pid(who))),
            Call::OwnUid => Ok(Reply::Uid(self.process(who).birth.uid)),
            Call::Kill { pid, signal } => self.kill(who, *pid, *signal),
            Call::CatchSignals => self.catch_signals(who),
            Call::NextSignal => self.next_signal(who),
            Call::Processes => self.list_processes(),
            Call::ProcessStatus { pid } => self.process_status(*pid),
            Call::ProcessCommand { pid } => self.process_command(*pid),
            Call::HoldsLock { pid, file } => self.holds_lock(who, *pid, *file),
            Call::HoldsSocket { pid, socket } => self.holds_socket(who, *pid, *socket),
            Call::LockTakers { file } => self.lock_takers(*file),
            Call::TcpSockets { port } => self.tcp_table(*port),
            Call::BindTcp { address } => self.bind_tcp(who, *address),
            Call::ListenUnix { name, backlog } => self.listen_unix(who, name, *backlog),
            Call::Listen { fd, backlog } => self.listen(who, *fd, *backlog),
            Call::Accept { fds } => self.accept(who, fds),
            Call::ConnectUnix { name } => self.connect_unix(who, name),
            Call::PeerCredentials { fd } => self.peer_credentials(who, *fd),
            Call::Send { fd, bytes } => self.send(who, *fd, bytes),
            Call::Receive { fd, length, .. } => self.receive(who, *fd, *length),
            Call::ReadClock { clock } => self.read_clock(*clock),
            Call::Sleep { .. } => Ok(Reply::Done),
            Call::Random => self.random(who),
            Call::BootId => clocks::boot_id(),
            Call::Load { cell } => self.load(who, *cell),
            Call::Store { cell, value } => self.store(who, *cell, *value),
            Call::Notify(notice) => {
                self.effects.tell(Effect::Notified { process: who, notice: notice.clone() });
                Ok(Reply::Done)
            }
        }
    }
}
