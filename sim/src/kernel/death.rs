//! Death takes time: a process stops running, releases what it holds, is a zombie, and is gone when it is reaped.
//!
//! The order is that of `do_exit` in `kernel/exit.c`: memory goes first (`exit_mm`), descriptors next (`exit_files`), and
//! only then the process is dead for those who look (`exit_notify`). In between it is shown as running, its command line
//! and `/proc/PID/fd` are empty already, kill(2) finds it, its pidfd is not readable, and its locks go one by one: a lock
//! can be free before its owner is dead, and never the other way round.
//!
//! Normally all of that is one step. After [`Kernel::release_slowly`] each descriptor goes in a step of its own, in any
//! order: Linux itself closes the last one first (`task_work_run`), and promises nothing. Only what was locked with
//! `F_SETLK` is free at once, because `filp_close` drops it for every descriptor before the first of them is released.
//!
//! # Invariants
//!
//! - Nobody is dead before everything it held is released, nor the first process of a pid namespace before every other
//!   process in it is gone.
//! - A zombie has somebody who can reap it.

use portcullis_os::{Ending, Errno, Fd, Pid, Reply};

use super::descriptions::DescriptionId;
use super::namespaces::PidNamespace;
use super::process::{Asked, DESCRIPTOR_LIMIT, Image, Stage, UMASK};
use super::signals::Signals;
use super::table::Table;
use super::{Effect, Kernel, ProcessId};

impl Kernel {
    /// exit(2).
    ///
    /// # Panics
    ///
    /// If the process is dead or dying already.
    pub fn exit(&mut self, who: ProcessId, status: u8) {
        assert!(self.process(who).is_alive(), "process {} exits twice", who.0);
        self.die(who, Ending::Exited(status));
    }

    /// From now on a process that dies keeps its descriptors until [`Kernel::release`] takes them, one by one.
    pub fn release_slowly(&mut self) {
        self.releases_slowly = true;
    }

    /// The descriptors that a dying process may release next, ascending; of any other process none.
    pub fn releasable(&self, process: ProcessId) -> Vec<Fd> {
        let process = self.process(process);
        match process.stage {
            Stage::Dying(_) => process.descriptors.keys().copied().collect(),
            Stage::Running
            | Stage::Stopped
            | Stage::Uninterruptible
            | Stage::Zombie(_)
            | Stage::Reaped(_) => Vec::new(),
        }
    }

    /// Lets a dying process release one descriptor. With the last one it is dead.
    ///
    /// # Panics
    ///
    /// If the process is not dying, or has no such descriptor.
    pub fn release(&mut self, process: ProcessId, fd: Fd) {
        assert!(self.releasable(process).contains(&fd), "process {} releases {fd}", process.0);
        self.forget(process, fd);
        self.finish(process);
    }

    /// Frees the pid of a zombie, as its parent does with wait(2). Of any other process it does nothing.
    pub fn reap(&mut self, process: ProcessId) {
        let Stage::Zombie(ending) = self.process(process).stage else { return };
        self.bury(process, ending);
        self.finish_first(self.process(process).birth.place.pids);
    }

    /// waitpid(2) with `WNOHANG` for one child. Threads are nobody's children.
    pub(super) fn reap_child(&mut self, who: ProcessId, pid: Pid) -> Result<Reply, Errno> {
        let namespace = self.process(who).birth.place.pids;
        let child = self.process_in(namespace, pid).filter(|child| self.process(*child).parent == Some(who));
        let child = child.ok_or(Errno::NoChild)?;
        match self.process(child).stage {
            Stage::Running | Stage::Stopped | Stage::Uninterruptible | Stage::Dying(_) => {
                Err(Errno::WouldBlock)
            }
            Stage::Zombie(ending) => {
                self.reap(child);
                Ok(Reply::Ended(ending))
            }
            Stage::Reaped(_) => unreachable!("a pid was found that is free"),
        }
    }

    /// The process runs no more.
    pub(super) fn die(&mut self, who: ProcessId, how: Ending) {
        let process = self.process_mut(who);
        process.stage = Stage::Dying(how);
        process.signals = Signals::NONE;
        process.cells = Table::new();
        process.threads = Vec::new();
        process.pending = None;
        // It will ask for nothing more, so how much it has asked for, and how, must not keep states apart.
        process.asked = Asked::NOTHING;
        process.umask = UMASK;
        process.descriptor_limit = DESCRIPTOR_LIMIT;
        // `task_work_run` takes up last what `close_files` has put off first.
        let held = self.process(who).descriptors.iter().rev();
        let held: Vec<(Fd, DescriptionId)> = held.map(|(fd, of)| (*fd, of.description)).collect();
        for (fd, id) in held {
            if self.releases_slowly {
                self.drop_process_locks(who, id);
            } else {
                self.forget(who, fd);
            }
        }
        self.finish(who);
    }

    /// Makes a dying process that has released everything a dead one (`exit_notify`).
    fn finish(&mut self, who: ProcessId) {
        let process = self.process(who);
        let Stage::Dying(how) = process.stage else { return };
        if !process.descriptors.is_empty() {
            return;
        }
        let namespace = process.birth.place.pids;
        let is_first = self.first_process(namespace) == Some(who);
        if is_first && (self.empty_namespace(who, namespace) || self.process(who).is_dead()) {
            return;
        }
        let process = self.process_mut(who);
        process.stage = Stage::Zombie(how);
        if process.parent.is_none() {
            self.bury(who, how);
        }
        self.effects.tell(Effect::Died { process: who, how });
        self.abandon_children(who, namespace);
        if !is_first {
            self.finish_first(namespace);
        }
    }

    /// Kills what is left in a namespace whose first process dies (`zap_pid_ns_processes`). Answers whether somebody is
    /// still there; the last one to go has taken the first process along.
    fn empty_namespace(&mut self, first: ProcessId, namespace: PidNamespace) -> bool {
        self.abandon_children(first, namespace);
        let others: Vec<ProcessId> = self
            .processes()
            .filter(|other| *other != first && self.process(*other).birth.place.pids == namespace)
            .collect();
        for other in &others {
            self.kill_for_good(*other);
        }
        others.into_iter().any(|other| self.process(other).is_listed())
    }

    /// Lets the first process of a namespace die if it was only waiting for others.
    fn finish_first(&mut self, namespace: PidNamespace) {
        if let Some(first) = self.first_process(namespace) {
            self.finish(first);
        }
    }

    /// Hands the children of a process that is no more to the first process of its namespace, or to somebody outside, who
    /// reaps at once (`find_new_reaper`). Neither subreapers nor other threads are modelled.
    fn abandon_children(&mut self, parent: ProcessId, namespace: PidNamespace) {
        let reaper = self.first_process(namespace).filter(|first| self.process(*first).is_alive());
        let children: Vec<ProcessId> =
            self.processes().filter(|child| self.process(*child).parent == Some(parent)).collect();
        for child in children {
            self.process_mut(child).parent = reaper;
            if reaper.is_none() {
                self.reap(child);
            }
        }
    }

    /// What is left of a process that was reaped: that it existed.
    fn bury(&mut self, who: ProcessId, how: Ending) {
        let process = self.process_mut(who);
        process.stage = Stage::Reaped(how);
        process.parent = None;
        process.image = Image::new("", "");
    }
}
