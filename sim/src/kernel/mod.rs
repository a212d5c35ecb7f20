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
//! - An open file description lives while a descriptor or a message on its way refers to it, an inode while a name or a
//!   description does.
//! - A dead process has no descriptors, and a pid belongs to one process of its namespace at a time, dead ones until they
//!   are reaped.

mod attributes;
mod bindings;
mod children;
mod clocks;
mod connecting;
mod connections;
mod death;
mod descriptions;
mod difference;
mod disk;
mod duplicates;
mod effects;
mod environment;
mod files;
mod hosts;
mod images;
mod inodes;
mod links;
mod locks;
mod memory;
mod mounts;
mod names;
mod namespaces;
mod networks;
mod observe;
mod operators;
mod passing;
mod paths;
mod pidfds;
mod proc;
mod process;
mod ranges;
mod signals;
mod sockets;
mod streams;
mod table;
mod tcp;
mod unix;

use std::sync::Arc;

use portcullis_os::{Call, Errno, FileId, Reply};

pub use difference::Difference;
pub use disk::Persistence;
pub use effects::Effect;
pub use environment::Mount;
pub use images::TooManyOutcomes;
pub use locks::LockSupport;
pub use mounts::{Access, Condition};
pub use namespaces::{HostId, NetworkNamespace, PidNamespace, Place};
pub use networks::{Addresses, Ipv6};
pub use portcullis_os::Ending;
pub use process::{Life, ProcessId, Spawn};

use crate::shared::Shared;
use bindings::Sharing;
use connections::TcpConnection;
use descriptions::DescriptionId;
use disk::Disk;
use effects::Journal;
use hosts::Host;
use inodes::{Inode, Recycled};
use mounts::View;
use namespaces::Spaces;
use process::Process;
use ranges::RangeLocks;
use streams::Connection;
use table::Table;

/// The whole machine. Cheap to clone and to hash: clones share what they have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// By [`ProcessId`]; the environment is the first.
    processes: Vec<Shared<Process>>,
    /// By inode number. Numbers are unique over all devices.
    inodes: Table<u64, Shared<Inode>>,
    /// Between Unix sockets, by the socket inode of the side that connected.
    connections: Table<u64, Shared<Connection>>,
    /// The byte range locks on what is no file. Those on a file are with its inode.
    other_ranges: Table<DescriptionId, RangeLocks>,
    /// Between TCP sockets, likewise; those that are closed and linger included.
    tcp_connections: Table<u64, Shared<TcpConnection>>,
    /// By network namespace and port, where `SO_REUSEPORT` is used.
    sharing: Table<(NetworkNamespace, u16), Sharing>,
    /// Of the network namespaces whose addresses are not the usual ones.
    networks: Arc<Table<NetworkNamespace, Addresses>>,
    /// By device, see [`environment`].
    mounts: Arc<Vec<Mount>>,
    /// By device. A file system that loses nothing has none.
    disks: Table<usize, Shared<Disk>>,
    /// Where they are seen, by [`mounts::ViewId`].
    views: Shared<Vec<View>>,
    /// The inode numbers that were used twice.
    recycled: Table<FileId, Recycled>,
    /// By [`HostId`].
    hosts: Shared<Vec<Host>>,
    spaces: Shared<Spaces>,
    /// Whether a dying process releases its descriptors one by one.
    releases_slowly: bool,
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
            other_ranges: Table::new(),
            tcp_connections: Table::new(),
            sharing: Table::new(),
            networks: Arc::new(Table::new()),
            mounts: Arc::new(vec![Mount::local()]),
            disks: Table::new(),
            views: mounts::only_root(),
            recycled: Table::new(),
            hosts: Shared::new(vec![Host::first()]),
            spaces: Spaces::new(),
            releases_slowly: false,
            effects: Journal::new(),
        }
    }

    /// Whether `call` could be carried out now for a process that is scheduled. A stopped process is not.
    pub fn readiness(&self, who: ProcessId, call: &Call) -> Readiness {
        match call {
            Call::Accept { fds } => self.accept_readiness(who, fds),
            Call::Receive { fd, .. } => self.receive_readiness(who, *fd),
            Call::NextSignal => self.signal_readiness(who),
            Call::Watch { places, .. } => self.watch_readiness(who, places),
            Call::ReceiveFd { socket, deadline_ms } => self.receive_fd_readiness(who, *socket, *deadline_ms),
            Call::WaitPidfd { fd, deadline_ms } => self.pidfd_readiness(who, *fd, *deadline_ms),
            Call::ConnectTcp { address, from, .. } => self.connect_readiness(who, *address, *from),
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
            | Call::Link { .. }
            | Call::Symlink { .. }
            | Call::ReadLink { .. }
            | Call::RemoveDirectory { .. }
            | Call::ReadDirectory { .. }
            | Call::SetMode { .. }
            | Call::SetModified { .. }
            | Call::SetUmask { .. }
            | Call::LockRange { .. }
            | Call::RangeHolder { .. }
            | Call::Duplicate { .. }
            | Call::SetInherit { .. }
            | Call::SendFd { .. }
            | Call::OwnNamespaces
            | Call::Spawn { .. }
            | Call::Reap { .. }
            | Call::OpenPidfd { .. }
            | Call::SignalPidfd { .. }
            | Call::LocalAddress { .. }
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
            | Call::TcpListeners { .. }
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
    /// If the process is stopped or dead or has yet to execute its program, if the call waits and `how` is [`Completion::Normal`], or if it has no deadline
    /// or need not wait and `how` is [`Completion::TimedOut`]: the caller schedules, so it has made a mistake.
    pub fn perform(&mut self, who: ProcessId, call: &Call, how: Completion) -> Result<Reply, Errno> {
        assert_eq!(self.life(who), Life::Running, "`{call}` of a process that is not scheduled");
        assert_eq!(self.exec_pending(who), None, "`{call}` of a process that has not executed its program");
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

    #[expect(clippy::too_many_lines, reason = "one arm a call")]
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
            Call::Rename { from_at, from, to_at, to, replace } => {
                self.rename_at(who, (*from_at, from), (*to_at, to), *replace)
            }
            Call::Link { from_at, from, to_at, to } => self.link_at(who, (*from_at, from), (*to_at, to)),
            Call::Symlink { target, at, path } => self.symlink(who, target, *at, path),
            Call::ReadLink { at, path } => self.read_link(who, *at, path),
            Call::RemoveDirectory { at, path } => self.remove_directory(who, *at, path),
            Call::ReadDirectory { fd } => self.read_directory(who, *fd),
            Call::SetMode { fd, mode } => self.set_mode(who, *fd, *mode),
            Call::SetModified { fd, modified_ns } => self.set_modified(who, *fd, *modified_ns),
            Call::SetUmask { mask } => self.set_umask(who, *mask),
            Call::Unlink { at, path } => self.unlink(who, *at, path),
            Call::Flock { fd, mode } => self.flock(who, *fd, *mode),
            Call::LockRange { fd, owner, mode, range } => self.lock_range(who, *fd, *owner, *mode, *range),
            Call::RangeHolder { fd, owner, mode, range } => {
                self.range_holder(who, *fd, *owner, *mode, *range)
            }
            Call::Duplicate { fd } => self.duplicate(who, *fd),
            Call::SetInherit { fd, inherit } => self.set_inherit(who, *fd, *inherit),
            Call::SendFd { socket, fd } => self.send_fd(who, *socket, *fd),
            Call::ReceiveFd { socket, .. } => self.receive_fd(who, *socket),
            Call::OwnNamespaces => self.own_namespaces(who),
            Call::Spawn { command } => self.spawn_child(who, command),
            Call::Reap { pid } => self.reap_child(who, *pid),
            Call::OpenPidfd { pid } => self.open_pidfd(who, *pid),
            Call::SignalPidfd { fd, signal } => self.signal_pidfd(who, *fd, *signal),
            Call::WaitPidfd { fd, .. } => self.wait_pidfd(who, *fd),
            Call::OwnPid => Ok(Reply::Pid(self.pid(who))),
            Call::OwnUid => Ok(Reply::Uid(self.process(who).birth.uid)),
            Call::Kill { pid, signal } => self.kill(who, *pid, *signal),
            Call::CatchSignals => self.catch_signals(who),
            Call::NextSignal => self.next_signal(who),
            Call::Watch { places, .. } => self.watch(who, places),
            Call::Processes => self.list_processes(who),
            Call::ProcessStatus { pid } => self.process_status(who, *pid),
            Call::ProcessCommand { pid } => self.process_command(who, *pid),
            Call::HoldsLock { pid, file } => self.holds_lock(who, *pid, *file),
            Call::HoldsSocket { pid, socket } => self.holds_socket(who, *pid, *socket),
            Call::LockTakers { file } => self.lock_takers(who, *file),
            Call::TcpSockets { port } => self.tcp_table(who, *port),
            Call::TcpListeners { first, last } => self.tcp_listeners_between(who, *first, *last),
            Call::BindTcp { address, options } => self.bind_tcp(who, *address, *options),
            Call::ConnectTcp { address, from, .. } => self.connect_tcp(who, *address, *from),
            Call::LocalAddress { fd } => self.local_address(who, *fd),
            Call::ListenUnix { name, backlog } => self.listen_unix(who, name, *backlog),
            Call::Listen { fd, backlog } => self.listen(who, *fd, *backlog),
            Call::Accept { fds } => self.accept(who, fds),
            Call::ConnectUnix { name } => self.connect_unix(who, name),
            Call::PeerCredentials { fd } => self.peer_credentials(who, *fd),
            Call::Send { fd, bytes } => self.send(who, *fd, bytes),
            Call::Receive { fd, length, .. } => self.receive(who, *fd, *length),
            Call::ReadClock { clock } => self.read_clock(who, *clock),
            Call::Sleep { .. } => Ok(Reply::Done),
            Call::Random => self.random(who),
            Call::BootId => self.boot_id(who),
            Call::Load { cell } => self.load(who, *cell),
            Call::Store { cell, value } => self.store(who, *cell, *value),
            Call::Notify(notice) => {
                self.effects.tell(Effect::Notified { process: who, notice: notice.clone() });
                Ok(Reply::Done)
            }
        }
    }
}
