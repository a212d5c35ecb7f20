//! One sequence on the simulated machine alone: what its generator looks at, and one half of every comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use portcullis_os::{Call, Errno, Reply, Uid};
use sim::Kernel;
use sim::kernel::{Completion, HostId, Life, Mount, Place, ProcessId, Readiness, Spawn};

use crate::machine::Machine;
use crate::outcome::Outcome;
use crate::sequence::{Label, Op, Sequence, Step, Who};
use crate::symbols::{Site, Symbols};

/// `TMPFS_MAGIC`: the file system that every sequence is run on.
const TMPFS: u64 = 0x0102_1994;

/// The command name of whoever has executed `/proc/self/exe`.
const PROGRAM: &str = "exe";

/// What the real machine tells about itself that the simulated one must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenery {
    /// Where the sequence is run.
    pub site: Site,
    /// The command line of every process that has executed nothing.
    pub command: String,
    /// The command line of those that have.
    pub executed: String,
    /// Whose the directory of the sequence is.
    pub owner: u32,
}

/// The simulated machine with a sequence on it.
#[derive(Clone, Debug)]
pub struct Simulation<M> {
    /// The machine.
    pub machine: M,
    /// What symbols mean on it.
    pub symbols: Symbols,
    place: Place,
    executed: String,
    processes: BTreeMap<Who, ProcessId>,
    threaded: BTreeSet<Who>,
}

/// What has become of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nothing: it has no meaning, or nobody can take it.
    Skipped,
    /// A call was made, or would have to wait.
    Called {
        /// The call, in the numbers of this machine.
        call: Call,
        /// Whether it had to wait.
        readiness: Readiness,
        /// How it ended.
        outcome: Outcome,
    },
    /// Something else has happened.
    Happened,
}

impl<M: Machine> Simulation<M> {
    /// Sets the scene on a machine that has just booted.
    ///
    /// # Panics
    ///
    /// If the machine cannot even start a process.
    pub fn new(mut machine: M, sequence: &Sequence, scenery: &Scenery) -> Self {
        let directory = &scenery.site.directory;
        let owner = Uid(scenery.owner);
        let kernel = machine.kernel_mut();
        furnish(kernel, directory, sequence.mode, owner);
        let host = HostId::default();
        let place =
            Place { host, pids: kernel.add_pid_namespace(host), network: kernel.add_network_namespace(host) };
        let mut simulation = Self {
            machine,
            place,
            executed: scenery.executed.clone(),
            symbols: Symbols::new(&scenery.site),
            processes: BTreeMap::new(),
            threaded: BTreeSet::new(),
        };
        simulation.start(Who::Init, owner, PROGRAM, &scenery.command);
        for (number, uid) in (0..).zip(&sequence.users) {
            simulation.start(Who::First(number), Uid(*uid), &name(number), &scenery.command);
        }
        for (_, id) in simulation.processes.clone() {
            if let Some(limit) = sequence.limit {
                simulation.machine.kernel_mut().limit_descriptors(id, limit);
            }
        }
        simulation
    }

    fn start(&mut self, who: Who, uid: Uid, name: &str, command: &str) {
        let spawn = Spawn {
            name: name.to_owned(),
            command: command.to_owned(),
            uid,
            parent: self.processes.get(&Who::Init).copied(),
            pid: None,
            place: self.place,
        };
        match self.machine.kernel_mut().spawn(&spawn) {
            Ok(id) => self.born(who, id),
            Err(errno) => panic!("{who} does not start: {errno}"),
        }
    }

    fn born(&mut self, who: Who, id: ProcessId) {
        self.processes.insert(who, id);
        self.symbols.born(who, self.machine.kernel().pid(id));
    }

    /// Every process that was ever started, with its number.
    pub fn processes(&self) -> impl Iterator<Item = (Who, ProcessId)> {
        self.processes.iter().map(|(who, id)| (*who, *id))
    }

    /// Whether a process is dead, stopped or neither; `None` if there never was such a process.
    pub fn life(&self, who: Who) -> Option<Life> {
        self.processes.get(&who).map(|id| self.machine.kernel().life(*id))
    }

    /// Whether a process is dead and nobody has waited for it.
    pub fn is_zombie(&self, who: Who) -> bool {
        let Some(id) = self.processes.get(&who) else { return false };
        let kernel = self.machine.kernel();
        matches!(kernel.life(*id), Life::Dead(_))
            && kernel.process_in(self.place.pids, kernel.pid(*id)) == Some(*id)
    }

    /// Whether a process is a dead child of the first one.
    pub fn is_collectable(&self, who: Who) -> bool {
        let (Some(id), Some(init)) = (self.processes.get(&who), self.processes.get(&Who::Init)) else {
            return false;
        };
        // Asked of a copy, because it would be reaped.
        let mut copy = self.machine.kernel().clone();
        let reap = Call::Reap { pid: copy.pid(*id) };
        self.is_zombie(who) && copy.perform(*init, &reap, Completion::Normal).is_ok()
    }

    /// Whether a process has threads besides its first.
    pub fn has_threads(&self, who: Who) -> bool {
        self.threaded.contains(&who)
    }

    /// Takes one step.
    pub fn take(&mut self, step: &Step) -> Taken {
        let Some(id) = self.processes.get(&step.who).copied() else { return Taken::Skipped };
        let is_scheduled = self.machine.kernel().life(id) == Life::Running;
        match &step.op {
            Op::Call(template) if is_scheduled => self.call(step.label, id, template),
            Op::Exit(status) if is_scheduled => {
                self.machine.exit(id, *status);
                Taken::Happened
            }
            Op::Signal(signal) if step.who != Who::Init => {
                self.machine.signal(id, *signal);
                Taken::Happened
            }
            Op::Collect if self.is_collectable(step.who) => {
                self.machine.kernel_mut().reap(id);
                Taken::Happened
            }
            Op::Fork if is_scheduled && !self.has_threads(step.who) => match self.machine.fork(id) {
                Ok(child) => {
                    self.born(Who::Child(step.label), child);
                    Taken::Happened
                }
                Err(_) => Taken::Skipped,
            },
            Op::Exec if is_scheduled => {
                self.machine.exec(id, PROGRAM, &self.executed);
                self.threaded.remove(&step.who);
                Taken::Happened
            }
            Op::Thread if is_scheduled => match self.machine.kernel_mut().start_thread(id) {
                Ok(tid) => {
                    self.threaded.insert(step.who);
                    self.symbols.answered(step.label, Reply::Pid(tid));
                    Taken::Happened
                }
                Err(_) => Taken::Skipped,
            },
            Op::Call(_) | Op::Exit(_) | Op::Signal(_) | Op::Collect | Op::Fork | Op::Exec | Op::Thread => {
                Taken::Skipped
            }
        }
    }

    fn call(&mut self, label: Label, id: ProcessId, template: &Call) -> Taken {
        let Some(call) = self.symbols.resolve(template) else { return Taken::Skipped };
        let readiness = self.machine.readiness(id, &call);
        let outcome = match readiness {
            Readiness::Ready => Outcome::Reply(self.machine.perform(id, &call, Completion::Normal)),
            Readiness::WaitsUntilDeadline => {
                Outcome::Reply(self.machine.perform(id, &call, Completion::TimedOut))
            }
            Readiness::Waits => Outcome::Waits,
        };
        if let Outcome::Reply(Ok(reply)) = &outcome {
            self.symbols.answered(label, reply.clone());
            if let Call::Spawn { .. } = &call {
                self.execute_spawned(label);
            }
        }
        Taken::Called { call, readiness, outcome }
    }

    /// The child that was spawned last executes its program. The real one says so when it has, and is waited for.
    fn execute_spawned(&mut self, label: Label) {
        let kernel = self.machine.kernel_mut();
        if let Some(child) = kernel.processes().last().filter(|child| kernel.exec_pending(*child).is_some()) {
            kernel.exec_spawned(child);
            self.born(Who::Child(label), child);
        }
    }

    /// Whether the machine knows a call at all. The question changes nothing.
    pub fn knows(&self, who: Who, call: &Call) -> bool
    where
        M: Clone,
    {
        let Some(id) = self.processes.get(&who) else { return false };
        let mut copy = self.machine.clone();
        match copy.readiness(*id, call) {
            Readiness::Ready => {
                copy.perform(*id, call, Completion::Normal) != Err::<Reply, _>(Errno::NotImplemented)
            }
            Readiness::Waits | Readiness::WaitsUntilDeadline => true,
        }
    }
}

/// The command name of a first process.
pub fn name(number: u8) -> String {
    format!("agent-{number}")
}

fn furnish(kernel: &mut Kernel, directory: &Path, mode: u32, owner: Uid) {
    if let Some(root) = directory.parent() {
        kernel.make_directory(root, 0o755, owner);
        kernel.mount(root, Mount { magic: TMPFS, ..Mount::local() });
    }
    kernel.make_directory(directory, mode, owner);
}
