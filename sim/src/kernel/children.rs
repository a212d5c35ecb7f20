//! Children: born with everything their parent has, and another program from a later step on.
//!
//! fork(2) and execve(2) are two steps, and others get between. Until the second one a child holds every descriptor of its
//! parent, close-on-exec or not: a lock that the parent lets go of meanwhile is still held, a port still taken, and
//! `/proc` shows the parent's name under the child's pid. Nor does the parent wait for the second step. The kernel lets it
//! go on as soon as the child has left its memory (`exec_mmap` in `begin_new_exec`), before it closes what is
//! close-on-exec and gives the child its name: on 6.18, a program that starts a child with posix_spawn(3) and then closes
//! its lock file finds it still locked nearly every time.
//!
//! Every program exists and can be executed here. Subreapers, sessions and `SIGCHLD` are not modelled.

use std::path::Path;
use std::sync::Arc;

use portcullis_os::{Errno, Fd, Reply};

use super::namespaces::Place;
use super::process::{Asked, Image, Process, Stage};
use super::signals::Signals;
use super::table::Table;
use super::{Effect, Kernel, ProcessId};

impl Kernel {
    /// fork(2): the child has the descriptors of its parent, on the same descriptions, and everything else of it but its
    /// pid and start, pending signals, second threads, and the locks that belong to a process.
    ///
    /// # Errors
    ///
    /// [`Errno::WouldBlock`] if there are too many processes.
    ///
    /// # Panics
    ///
    /// If the parent is not running.
    pub fn fork(&mut self, parent: ProcessId) -> Result<ProcessId, Errno> {
        self.fork_into(parent, self.process(parent).birth.place)
    }

    /// Forks a process whose child is in other namespaces, as one does that has called setns(2), or unshare(2) if the child
    /// is the first there.
    ///
    /// # Errors
    ///
    /// As [`Kernel::fork`] and [`Kernel::spawn`].
    ///
    /// # Panics
    ///
    /// As [`Kernel::fork`] and [`Kernel::spawn`].
    pub fn fork_into(&mut self, parent: ProcessId, place: Place) -> Result<ProcessId, Errno> {
        let original = self.process(parent).clone();
        assert_eq!(original.stage, Stage::Running, "process {} forks and does not run", parent.0);
        let birth = self.birth(original.birth.uid, place, None)?;
        for descriptor in original.descriptors.values() {
            self.share(descriptor.description);
        }
        let child = self.enter(Process {
            birth: Arc::new(birth),
            parent: Some(parent),
            signals: original.signals.of_child(),
            descriptions: Table::new(),
            asked: Asked::NOTHING,
            threads: Vec::new(),
            ..original
        });
        self.effects.tell(Effect::Spawned { by: parent, child });
        Ok(child)
    }

    /// execve(2): closes what is close-on-exec, the last one first, and gives the process a program. It keeps its pid, its start and
    /// its other descriptors, loses its memory and its second threads, and catches no signals; those that it was told of
    /// and has not asked for are lost with the memory.
    ///
    /// # Panics
    ///
    /// If the process is not running.
    pub fn exec(&mut self, process: ProcessId, name: &str, command: &str) {
        let running = self.process_mut(process);
        assert_eq!(running.stage, Stage::Running, "process {} executes and does not run", process.0);
        running.pending = None;
        running.image = Image::new(name, command);
        running.signals = Signals::NONE;
        running.cells = Table::new();
        running.threads = Vec::new();
        // As at the end of a process: `do_close_on_exec` puts the releases off, and they are taken up in the other order.
        let closed = running.descriptors.iter().rev().filter(|(_, descriptor)| !descriptor.inherit);
        let closed: Vec<Fd> = closed.map(|(fd, _)| *fd).collect();
        for fd in closed {
            self.forget(process, fd);
        }
    }

    /// The program and its arguments that a child was spawned for ([`Call::Spawn`](portcullis_os::Call::Spawn)) and has not
    /// executed yet. It asks for nothing until it has.
    pub fn exec_pending(&self, child: ProcessId) -> Option<&[String]> {
        self.process(child).pending.as_deref()
    }

    /// Executes what [`Kernel::exec_pending`] tells, under the name of its file.
    ///
    /// # Panics
    ///
    /// If there is nothing to be executed, or the child is not running.
    pub fn exec_spawned(&mut self, child: ProcessId) {
        let pending = self.process_mut(child).pending.take();
        let Some(command) = pending else { panic!("process {} was spawned for nothing", child.0) };
        let program = command.first().map(Path::new).and_then(Path::file_name);
        let name = program.unwrap_or_default().to_string_lossy();
        self.exec(child, &name, &command.join(" "));
    }

    /// posix_spawn(3), up to the moment at which the parent may go on. Handlers do not reach the child.
    pub(super) fn spawn_child(&mut self, who: ProcessId, command: &[String]) -> Result<Reply, Errno> {
        check_command(command)?;
        let child = self.fork(who)?;
        let process = self.process_mut(child);
        process.pending = Some(Arc::from(command));
        // Its memory is its parent's until it executes, and it does not write there.
        process.cells = Table::new();
        process.signals = Signals::NONE;
        let namespace = process.birth.place.pids;
        match self.pid_in(namespace, child) {
            Some(pid) => Ok(Reply::Pid(pid)),
            None => unreachable!("a child is not in the namespace of its parent"),
        }
    }
}

/// What no executor takes for a program: none, a path whose meaning depends on where it is asked from, or what no C string
/// can hold.
fn check_command(command: &[String]) -> Result<(), Errno> {
    let program = command.first().ok_or(Errno::InvalidArgument)?;
    let holds = |argument: &String| !argument.contains('\0');
    if Path::new(program).is_absolute() && command.iter().all(holds) {
        Ok(())
    } else {
        Err(Errno::InvalidArgument)
    }
}
