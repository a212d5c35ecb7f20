//! A process is an entry of its own, whatever its pid: pids come back, processes do not.
//!
//! Its life has three ends that are easily mixed up. A dead process has released everything at once. It is a zombie, with
//! its pid taken and its name to be seen, while a living parent has not reaped it. Then its pid is free.
//!
//! # Invariants
//!
//! - A [`ProcessId`] is never reused; a pid is free as soon as its process is reaped.
//! - Death closes every descriptor, ascending, in the same step.

use std::sync::Arc;

use portcullis_os::{Cell, Errno, Fd, Pid, Tick, Uid};

use super::descriptions::{Description, DescriptionId};
use super::shared::Shared;
use super::signals::Signals;
use super::table::Table;
use super::{Effect, Kernel};

pub(super) const FIRST_PID: u32 = 100;

/// Longer names are cut, as in `TASK_COMM_LEN` (16 with the final NUL).
const NAME_BYTES: usize = 15;

/// Which process of this kernel, in order of creation. Never reused, unlike a pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u16);

impl ProcessId {
    /// Everybody outside: operators, supervisors, the hand that sets the scene. It is root, and outside of the pid
    /// namespace: nobody sees it, and the pid 1 that stands for it is nobody's.
    pub const ENVIRONMENT: Self = Self(0);

    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How a process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// By exit(2), with this status.
    Exited(u8),
    /// By a signal.
    Killed(portcullis_os::Signal),
}

/// Whether a process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Life {
    /// It is scheduled.
    Running,
    /// It lives, and is not scheduled before `SIGCONT`.
    Stopped,
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
    /// Exactly this pid, as an adversary would choose it. `None`: the next one that is free.
    pub pid: Option<Pid>,
}

/// One process, alive or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) birth: Arc<Birth>,
    pub(super) stage: Stage,
    pub(super) signals: Signals,
    pub(super) descriptors: Table<Fd, DescriptionId>,
    /// The descriptions that this process has created, by number, wherever their descriptors are.
    pub(super) descriptions: Table<u32, Shared<Description>>,
    pub(super) asked: Asked,
    /// The words of memory that its tasks share.
    pub(super) cells: Table<Cell, u64>,
}

/// What never changes about a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Birth {
    pub(super) name: String,
    pub(super) command: String,
    pub(super) uid: Uid,
    pub(super) parent: Option<ProcessId>,
    pub(super) pid: Pid,
    pub(super) start: Tick,
}

/// Where in its life a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Running,
    Stopped,
    Zombie(Ending),
    Reaped(Ending),
}

/// How many ids of each kind a process has been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    pub(super) inodes: u32,
    pub(super) sockets: u32,
    pub(super) randoms: u32,
}

impl Asked {
    const NOTHING: Self = Self { inodes: 0, sockets: 0, randoms: 0 };
}

impl Process {
    pub(super) fn environment() -> Self {
        Self::born(Birth {
            name: "environment".to_owned(),
            command: "environment".to_owned(),
            uid: Uid(0),
            parent: None,
            pid: OUTSIDE,
            start: Tick(0),
        })
    }

    fn born(birth: Birth) -> Self {
        Self {
            birth: Arc::new(birth),
            stage: Stage::Running,
            signals: Signals::NONE,
            descriptors: Table::new(),
            descriptions: Table::new(),
            asked: Asked::NOTHING,
            cells: Table::new(),
        }
    }

    pub(super) const fn is_alive(&self) -> bool {
        match self.stage {
            Stage::Running | Stage::Stopped => true,
            Stage::Zombie(_) | Stage::Reaped(_) => false,
        }
    }

    /// Whether its pid is taken.
    pub(super) const fn is_listed(&self) -> bool {
        match self.stage {
            Stage::Running | Stage::Stopped | Stage::Zombie(_) => true,
            Stage::Reaped(_) => false,
        }
    }
}

/// The pid that stands for the environment, which has none in this pid namespace.
const OUTSIDE: Pid = match Pid::new(1) {
    Some(pid) => pid,
    None => unreachable!(),
};

impl Kernel {
    /// Starts a process, as clone3(2) does for somebody outside.
    ///
    /// # Errors
    ///
    /// [`Errno::Exists`] if the pid that was asked for is taken, as clone3(2) says with `set_tid`; [`Errno::WouldBlock`] if
    /// there are too many processes.
    pub fn spawn(&mut self, spawn: &Spawn) -> Result<ProcessId, Errno> {
        let id = ProcessId(u16::try_from(self.processes.len()).map_err(|_| Errno::WouldBlock)?);
        let pid = match spawn.pid {
            Some(pid) if pid == OUTSIDE || self.process_of(pid).is_some() => return Err(Errno::Exists),
            Some(pid) => pid,
            None => self.next_free_pid()?,
        };
        self.processes.push(Shared::new(Process::born(Birth {
            name: cut(&spawn.name).to_owned(),
            command: spawn.command.clone(),
            uid: spawn.uid,
            parent: spawn.parent,
            pid,
            start: self.clocks.tick(),
        })));
        Ok(id)
    }

    /// Frees the pid of a zombie, as its parent does with wait(2). Of any other process it does nothing.
    pub fn reap(&mut self, process: ProcessId) {
        if let Stage::Zombie(ending) = self.process(process).stage {
            self.process_mut(process).stage = Stage::Reaped(ending);
        }
    }

    /// exit(2): releases everything that the process holds.
    ///
    /// # Panics
    ///
    /// If the process is dead already.
    pub fn exit(&mut self, who: ProcessId, status: u8) {
        assert!(self.process(who).is_alive(), "process {} exits twice", who.0);
        self.die(who, Ending::Exited(status));
    }

    pub(super) fn die(&mut self, who: ProcessId, how: Ending) {
        let fds: Vec<Fd> = self.process(who).descriptors.keys().copied().collect();
        for fd in fds {
            self.forget(who, fd);
        }
        let waited_for = self.living_parent(who).is_some();
        let process = self.process_mut(who);
        process.stage = if waited_for { Stage::Zombie(how) } else { Stage::Reaped(how) };
        process.signals = Signals::NONE;
        process.cells = Table::new();
        // It will ask for nothing more, so how much it has asked for must not keep states apart.
        process.asked = Asked::NOTHING;
        self.abandon_children(who);
        self.effects.tell(Effect::Died { process: who, how });
    }

    /// Who will reap a process; `None` if nobody need wait for that.
    pub(super) fn living_parent(&self, who: ProcessId) -> Option<ProcessId> {
        self.process(who).birth.parent.filter(|parent| self.process(*parent).is_alive())
    }

    /// Zombies of a dead parent are reaped at once, by the first process of the namespace.
    fn abandon_children(&mut self, parent: ProcessId) {
        let children: Vec<ProcessId> =
            self.processes().filter(|child| self.process(*child).birth.parent == Some(parent)).collect();
        for child in children {
            self.reap(child);
        }
    }

    /// Pids ascend until the processes of one kernel run out; they come back only when asked for.
    fn next_free_pid(&mut self) -> Result<Pid, Errno> {
        loop {
            let pid = Pid::new(self.next_pid).ok_or(Errno::WouldBlock)?;
            self.next_pid = self.next_pid.checked_add(1).ok_or(Errno::WouldBlock)?;
            if self.process_of(pid).is_none() {
                return Ok(pid);
            }
        }
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
