//! A process is an entry of its own, whatever its pid: pids come back, processes do not.
//!
//! Its life has three ends that are easily mixed up, see [`super::death`]. A dying process runs no more and still has
//! descriptors. A dead one has released everything; it is a zombie, with its pid taken and its name to be seen, until its
//! parent has reaped it. Then its pid is free.
//!
//! # Invariants
//!
//! - A [`ProcessId`] is never reused; a pid is free as soon as its process is reaped.
//! - Only the living and the dying have descriptors.

use std::sync::Arc;

use portcullis_os::{Cell, Ending, Errno, Fd, Pid, Tick, Uid};

use super::Kernel;
use super::descriptions::{Description, Descriptor};
use super::namespaces::{OUTSIDE, Place};
use super::signals::Signals;
use super::table::Table;
use crate::shared::Shared;

/// The mask that a process starts with: the usual one.
pub(super) const UMASK: u32 = 0o022;

/// `RLIMIT_NOFILE` of a process that nobody has limited: the usual soft limit.
pub(super) const DESCRIPTOR_LIMIT: u32 = 1024;

/// Longer names are cut, as in `TASK_COMM_LEN` (16 with the final NUL).
const NAME_BYTES: usize = 15;

/// Which process of this kernel, in order of creation. Never reused, unlike a pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u16);

impl ProcessId {
    /// Everybody outside: operators, supervisors, the hand that sets the scene. It is root, and outside of the pid
    /// namespaces: nobody sees it, and the pid 1 that stands for it is nobody's.
    pub const ENVIRONMENT: Self = Self(0);

    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Whether a process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Life {
    /// It is scheduled.
    Running,
    /// It lives, and is not scheduled before `SIGCONT`.
    Stopped,
    /// It lives, sleeps in the kernel, and not even `SIGKILL` ends it before it wakes.
    Uninterruptible,
    /// It runs no more and has not released everything that it held.
    Dying(Ending),
    /// It is no more, be it a zombie or reaped.
    Dead(Ending),
}

/// A process to be started.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spawn {
    /// Its command name. Cut after 15 bytes.
    pub name: String,
    /// Its command line, arguments joined by blanks.
    pub command: String,
    /// Its user.
    pub uid: Uid,
    /// Who will reap it. `None`: it is reaped as soon as it is dead.
    pub parent: Option<ProcessId>,
    /// Exactly this pid in its own namespace, as an adversary would choose it. `None`: the next one that is free.
    pub pid: Option<Pid>,
    /// On which host and in which namespaces it runs.
    pub place: Place,
}

/// One process, alive or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) birth: Arc<Birth>,
    /// Who will reap it; `None` if nobody need wait for that.
    pub(super) parent: Option<ProcessId>,
    pub(super) image: Arc<Image>,
    /// The command that it has been born to execute, as long as it has not done so.
    pub(super) pending: Option<Arc<[String]>>,
    pub(super) stage: Stage,
    pub(super) signals: Signals,
    pub(super) descriptors: Table<Fd, Descriptor>,
    /// The descriptions that this process has created, by number, wherever their descriptors are.
    pub(super) descriptions: Table<u32, Shared<Description>>,
    pub(super) asked: Asked,
    /// The words of memory that its tasks share.
    pub(super) cells: Table<Cell, u64>,
    /// Its threads beside the first.
    pub(super) threads: Vec<Thread>,
    /// The bits that are taken from the mode of what it creates.
    pub(super) umask: u32,
    /// `RLIMIT_NOFILE`: the first descriptor that it may not have.
    pub(super) descriptor_limit: u32,
}

/// What never changes about a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Birth {
    pub(super) uid: Uid,
    pub(super) number: Number,
    pub(super) start: Tick,
    pub(super) place: Place,
}

/// What execve(2) replaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Image {
    /// At most 15 bytes.
    pub(super) name: String,
    pub(super) command: String,
}

/// How a process or thread is called in the namespaces that see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Number {
    /// In its own pid namespace.
    pub(super) own: Pid,
    /// In the first pid namespace of its host, if that is another one.
    pub(super) outer: Option<Pid>,
}

/// A second thread of a process: one more number for it, which no directory lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Thread {
    pub(super) number: Number,
    pub(super) start: Tick,
}

/// Where in its life a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Running,
    Stopped,
    Uninterruptible,
    Dying(Ending),
    Zombie(Ending),
    Reaped(Ending),
}

/// How many ids of each kind a process has been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    pub(super) inodes: u32,
    pub(super) sockets: u32,
    pub(super) randoms: u32,
    /// Up to which number its descriptions have been shared with others.
    pub(super) shared: u32,
}

impl Asked {
    pub(super) const NOTHING: Self = Self { inodes: 0, sockets: 0, randoms: 0, shared: 0 };
}

impl Image {
    pub(super) fn new(name: &str, command: &str) -> Arc<Self> {
        Arc::new(Self { name: cut(name).to_owned(), command: command.to_owned() })
    }
}

impl Process {
    pub(super) fn environment() -> Self {
        let number = Number { own: OUTSIDE, outer: None };
        let birth = Birth { uid: Uid(0), number, start: Tick(0), place: Place::default() };
        Self::born(birth, None, Image::new("environment", "environment"))
    }

    pub(super) fn born(birth: Birth, parent: Option<ProcessId>, image: Arc<Image>) -> Self {
        Self {
            birth: Arc::new(birth),
            parent,
            image,
            pending: None,
            stage: Stage::Running,
            signals: Signals::NONE,
            descriptors: Table::new(),
            descriptions: Table::new(),
            asked: Asked::NOTHING,
            cells: Table::new(),
            threads: Vec::new(),
            umask: UMASK,
            descriptor_limit: DESCRIPTOR_LIMIT,
        }
    }

    /// Whether its code may ever run again.
    pub(super) const fn is_alive(&self) -> bool {
        match self.stage {
            Stage::Running | Stage::Stopped | Stage::Uninterruptible => true,
            Stage::Dying(_) | Stage::Zombie(_) | Stage::Reaped(_) => false,
        }
    }

    /// Whether it is dead, be it reaped or not (`exit_state` of `task_struct`).
    pub(super) const fn is_dead(&self) -> bool {
        match self.stage {
            Stage::Running | Stage::Stopped | Stage::Uninterruptible | Stage::Dying(_) => false,
            Stage::Zombie(_) | Stage::Reaped(_) => true,
        }
    }

    /// Whether its pid is taken.
    pub(super) const fn is_listed(&self) -> bool {
        match self.stage {
            Stage::Running | Stage::Stopped | Stage::Uninterruptible | Stage::Dying(_) | Stage::Zombie(_) => {
                true
            }
            Stage::Reaped(_) => false,
        }
    }
}

impl Kernel {
    /// Starts a process, as clone3(2) does for somebody outside.
    ///
    /// # Errors
    ///
    /// [`Errno::Exists`] if the pid that was asked for is taken, as clone3(2) says with `set_tid`;
    /// [`Errno::InvalidArgument`] if the first process of a pid namespace is to have another pid than 1; `ENOMEM` if that
    /// process is dead; [`Errno::WouldBlock`] if there are too many processes.
    ///
    /// # Panics
    ///
    /// If a namespace of its place does not exist, or is another host's.
    pub fn spawn(&mut self, spawn: &Spawn) -> Result<ProcessId, Errno> {
        let birth = self.birth(spawn.uid, spawn.place, spawn.pid)?;
        let image = Image::new(&spawn.name, &spawn.command);
        Ok(self.enter(Process::born(birth, spawn.parent, image)))
    }

    /// The birth of the process that is entered next.
    pub(super) fn birth(&mut self, uid: Uid, place: Place, pid: Option<Pid>) -> Result<Birth, Errno> {
        let next = ProcessId(u16::try_from(self.processes.len()).map_err(|_| Errno::WouldBlock)?);
        let number = self.number_process(next, place, pid)?;
        Ok(Birth { uid, number, start: self.clocks(place.host).tick(), place })
    }

    pub(super) fn enter(&mut self, process: Process) -> ProcessId {
        let Ok(number) = u16::try_from(self.processes.len()) else { unreachable!("it has a birth") };
        self.processes.push(Shared::new(process));
        ProcessId(number)
    }

    /// Lets a process have no descriptor from this number on (prlimit(2) with `RLIMIT_NOFILE`). Those that it has stay open.
    ///
    /// Linux limits the open files of the whole machine too ([`Errno::TooManyFilesOnHost`]); that is not modelled.
    ///
    /// # Panics
    ///
    /// If no such process was ever created here.
    pub fn limit_descriptors(&mut self, process: ProcessId, limit: u32) {
        self.process_mut(process).descriptor_limit = limit;
    }

    /// # Panics
    ///
    /// If no such process was ever created here.
    pub(super) fn process(&self, who: ProcessId) -> &Process {
        &self.processes[who.index()]
    }

    pub(super) fn process_mut(&mut self, who: ProcessId) -> &mut Process {
        self.processes[who.index()].edit()
    }
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(cut("refgate"), "refgate");
        assert_eq!(cut("a-name-of-sixteen"), "a-name-of-sixte");
        assert_eq!(cut("fourteen-bytesé"), "fourteen-bytes");
    }
}
