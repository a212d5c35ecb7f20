//! What a checker may see: the truth about the machine, without being a process in it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use portcullis_os::{FileId, FileStatus, Pid, Port, Tick};

use super::bindings::Binding;
use super::descriptions::{DescriptionId, Object};
use super::process::Stage;
use super::{Kernel, Life, Place, ProcessId};

impl Kernel {
    /// Whether a process lives.
    ///
    /// # Panics
    ///
    /// If no such process was ever created here; so do all observers of one process.
    pub fn life(&self, process: ProcessId) -> Life {
        match self.process(process).stage {
            Stage::Running => Life::Running,
            Stage::Stopped => Life::Stopped,
            Stage::Uninterruptible => Life::Uninterruptible,
            Stage::Dying(ending) => Life::Dying(ending),
            Stage::Zombie(ending) | Stage::Reaped(ending) => Life::Dead(ending),
        }
    }

    /// The pid that a process has or had in its own namespace. 1 for the environment, which has none.
    pub fn pid(&self, process: ProcessId) -> Pid {
        self.process(process).birth.number.own
    }

    /// On which host and in which namespaces a process runs or ran.
    pub fn place(&self, process: ProcessId) -> Place {
        self.process(process).birth.place
    }

    /// Who will reap a process: its parent, or the first process of its container if it has outlived that one. `None` if
    /// somebody outside does, at once.
    pub fn parent(&self, process: ProcessId) -> Option<ProcessId> {
        self.process(process).parent
    }

    /// When a process started.
    pub fn start(&self, process: ProcessId) -> Tick {
        self.process(process).birth.start
    }

    /// How long ago a process started, in milliseconds by the clock of its host that goes on while it sleeps, to the tick.
    pub fn age_ms(&self, process: ProcessId) -> u64 {
        let birth = &self.process(process).birth;
        let now = self.clocks(birth.place.host).tick();
        now.0.saturating_sub(birth.start.0) * super::clocks::TICK_MS
    }

    /// Who has this pid now on the first host, alive or zombie. [`Kernel::process_in`] asks in any namespace.
    pub fn process_of(&self, pid: Pid) -> Option<ProcessId> {
        self.process_in(Place::default().pids, pid)
    }

    /// Every process that was ever created, in order, without the environment.
    pub fn processes(&self) -> impl Iterator<Item = ProcessId> + use<> {
        (1..self.processes.len() as u16).map(ProcessId)
    }

    /// The processes that hold an exclusive flock on a file, ascending; those that are dying among them.
    pub fn lock_holders(&self, file: FileId) -> Vec<ProcessId> {
        self.holders_of(file, true)
    }

    /// The processes that hold a flock on a file, exclusive or shared, ascending; those that are dying among them.
    pub fn lock_sharers(&self, file: FileId) -> Vec<ProcessId> {
        self.holders_of(file, false)
    }

    /// Whether a process holds a lock on a file, whatever its kind.
    pub fn shares_lock(&self, process: ProcessId, file: FileId) -> bool {
        let inode = self.inodes.get(&file.inode).filter(|inode| inode.id(file.inode) == file);
        inode.is_some_and(|inode| {
            inode.locks.iter().any(|(id, _)| self.opened(process).any(|opened| opened == *id))
        })
    }

    /// Whether a process holds a listening TCP socket on a port.
    pub fn listens(&self, process: ProcessId, port: Port) -> bool {
        self.opened(process).any(|id| match &self.description(id).object {
            Object::Tcp(tcp) => tcp.listening().is_some_and(|it| it.address.port() == port.get()),
            Object::UnixListener(_)
            | Object::File { .. }
            | Object::UnixStream { .. }
            | Object::Pidfd { .. } => false,
        })
    }

    fn holders_of(&self, file: FileId, only_exclusive: bool) -> Vec<ProcessId> {
        let Some(inode) = self.inodes.get(&file.inode).filter(|inode| inode.id(file.inode) == file) else {
            return Vec::new();
        };
        let wanted = inode.locks.iter().filter(|(_, held)| held.exclusive || !only_exclusive);
        let mut holders: Vec<ProcessId> = wanted.flat_map(|(id, _)| self.holders(*id)).collect();
        holders.sort_unstable();
        holders.dedup();
        holders
    }

    /// The processes that hold a listening TCP socket on a port, with its address; ascending.
    pub fn listeners(&self, port: Port) -> Vec<(SocketAddr, ProcessId)> {
        let mut listeners = Vec::new();
        for (id, tcp) in self.tcp_sockets() {
            if let Some(Binding { address, .. }) =
                tcp.listening().filter(|it| it.address.port() == port.get())
            {
                listeners.extend(self.holders(id).map(|holder| (*address, holder)));
            }
        }
        listeners.sort_unstable();
        listeners
    }

    /// The local addresses of the TCP sockets that a process has bound or connected.
    pub fn bound(&self, process: ProcessId) -> impl Iterator<Item = SocketAddr> {
        self.opened(process).filter_map(|id| match &self.description(id).object {
            Object::Tcp(tcp) => Some(self.binding_of(tcp).address),
            Object::UnixListener(_)
            | Object::File { .. }
            | Object::UnixStream { .. }
            | Object::Pidfd { .. } => None,
        })
    }

    /// The abstract Unix names that a process listens on.
    pub fn unix_names(&self, process: ProcessId) -> impl Iterator<Item = &str> {
        self.opened(process).filter_map(|id| match &self.description(id).object {
            Object::UnixListener(listener) => listener.name.abstract_name(),
            Object::File { .. } | Object::Tcp(_) | Object::UnixStream { .. } | Object::Pidfd { .. } => None,
        })
    }

    /// Which file a path means now, symbolic links followed.
    pub fn lookup(&self, path: &Path) -> Option<FileId> {
        let number = self.found(path)?;
        Some(self.inode(number).id(number))
    }

    /// What stat(2) says about a path, symbolic links followed.
    pub fn file_status(&self, path: &Path) -> Option<FileStatus> {
        let number = self.found(path)?;
        Some(self.status(number))
    }

    /// What is in a regular file.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        self.bytes(self.found(path)?).ok().map(<[u8]>::to_vec)
    }

    /// The names in a directory, ascending; `None` if it is none.
    pub fn list(&self, path: &Path) -> Option<Vec<OsString>> {
        self.inode(self.found(path)?).names_inside()
    }

    /// What the descriptors of a process are open on.
    pub(super) fn opened(&self, process: ProcessId) -> impl Iterator<Item = DescriptionId> {
        self.process(process).descriptors.values().map(|descriptor| descriptor.description)
    }

    /// The processes with a descriptor of a description. A dead process has none.
    fn holders(&self, id: DescriptionId) -> impl Iterator<Item = ProcessId> {
        self.processes.iter().zip(0..).filter_map(move |(process, number)| {
            process.descriptors.values().any(|held| held.description == id).then_some(ProcessId(number))
        })
    }
}
