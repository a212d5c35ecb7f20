//! What a checker may see: the truth about the machine, without being a process in it.

use std::net::SocketAddr;
use std::path::Path;

use portcullis_os::{FileId, Pid, Port, Tick};

use super::descriptions::{DescriptionId, Object};
use super::process::Stage;
use super::{Kernel, Life, ProcessId};

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
            Stage::Zombie(ending) | Stage::Reaped(ending) => Life::Dead(ending),
        }
    }

    /// The pid that a process has or had. 1 for the environment, which has none.
    pub fn pid(&self, process: ProcessId) -> Pid {
        self.process(process).birth.pid
    }

    /// When a process started.
    pub fn start(&self, process: ProcessId) -> Tick {
        self.process(process).birth.start
    }

    /// Who has this pid now, alive or zombie.
    pub fn process_of(&self, pid: Pid) -> Option<ProcessId> {
        self.processes().find(|process| {
            let process = self.process(*process);
            process.birth.pid == pid && process.is_listed()
        })
    }

    /// Every process that was ever created, in order, without the environment.
    pub fn processes(&self) -> impl Iterator<Item = ProcessId> + use<> {
        (1..self.processes.len() as u16).map(ProcessId)
    }

    /// The living processes that hold an exclusive flock on a file, ascending.
    pub fn lock_holders(&self, file: FileId) -> Vec<ProcessId> {
        let Some(inode) = self.inodes.get(&file.inode).filter(|inode| inode.id(file.inode) == file) else {
            return Vec::new();
        };
        let exclusive = inode.locks.iter().filter(|(_, held)| held.exclusive);
        let mut holders: Vec<ProcessId> = exclusive.flat_map(|(id, _)| self.holders(*id)).collect();
        holders.sort_unstable();
        holders.dedup();
        holders
    }

    /// The processes that hold a listening TCP socket on a port, with its address; ascending.
    pub fn listeners(&self, port: Port) -> Vec<(SocketAddr, ProcessId)> {
        let mut listeners = Vec::new();
        for (id, description) in self.descriptions() {
            match &description.object {
                Object::Tcp(tcp) if tcp.listening && tcp.address.port() == port.get() => {
                    listeners.extend(self.holders(id).map(|holder| (tcp.address, holder)));
                }
                Object::Tcp(_)
                | Object::File { .. }
                | Object::UnixListener(_)
                | Object::UnixStream { .. } => {}
            }
        }
        listeners.sort_unstable();
        listeners
    }

    /// The abstract Unix names that a process listens on.
    pub fn unix_names(&self, process: ProcessId) -> impl Iterator<Item = &str> {
        self.process(process).descriptors.values().filter_map(|id| match &self.description(*id).object {
            Object::UnixListener(listener) => Some(&*listener.name),
            Object::File { .. } | Object::Tcp(_) | Object::UnixStream { .. } => None,
        })
    }

    /// Who made a file: its number says who asked for it.
    pub fn creator(&self, file: FileId) -> ProcessId {
        super::inodes::asker(file.inode)
    }

    /// Which file a path means now, symbolic links followed.
    pub fn lookup(&self, path: &Path) -> Option<FileId> {
        let number = self.found(path)?;
        Some(self.inode(number).id(number))
    }

    /// What is in a regular file.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        self.bytes(self.found(path)?).ok().map(<[u8]>::to_vec)
    }

    /// The processes with a descriptor of a description. A dead process has none.
    fn holders(&self, id: DescriptionId) -> impl Iterator<Item = ProcessId> {
        self.processes.iter().zip(0..).filter_map(move |(process, number)| {
            process.descriptors.values().any(|held| *held == id).then_some(ProcessId(number))
        })
    }
}
