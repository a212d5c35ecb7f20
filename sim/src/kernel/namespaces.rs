//! Where a pid, a port or a name means something: hosts, and the containers on them.
//!
//! A host has one pid namespace of its own, and any number of containers beside it. A process in a container has a pid
//! there and another one on its host. Everybody is addressed and shown by the number that the asker's namespace has for
//! them; who has none there is not there (pid_namespaces(7)). User namespaces are not modelled: a uid is the same
//! everywhere, and root is root.
//!
//! # Invariants
//!
//! - A number belongs to one process or thread of its namespace at a time.
//! - The first process of a container has pid 1 there; without it nobody is in the container.

use portcullis_os::{Errno, Namespaces, Pid, Reply};

use super::clocks::Clocks;
use super::process::{Number, Thread};
use super::{Kernel, ProcessId};
use crate::shared::Shared;

/// A machine with a kernel of its own: clocks, a boot, locks of its own on file systems that share none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u8);

/// Where a pid means something. Numbers are unique over all hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PidNamespace(pub u8);

/// Where a port and an abstract Unix name mean something. Numbers are unique over all hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkNamespace(pub u8);

/// Where a process runs. The default is the first host and no container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Its kernel.
    pub host: HostId,
    /// Its pid namespace.
    pub pids: PidNamespace,
    /// Its network namespace.
    pub network: NetworkNamespace,
}

/// The pid that stands for everybody outside: on a host it is nobody's.
pub(super) const OUTSIDE: Pid = pid(1);
/// Where a host begins to number. Lower pids are those of its system.
const FIRST_PID: u32 = 100;
/// Where numbering begins again when it has come to its end (`RESERVED_PIDS`).
const AGAIN: u32 = 300;
/// `kernel.pid_max`: no pid is as large.
const PID_MAX: u32 = 32_768;

/// What `/proc/self/ns` calls the namespaces that a host boots with. The same on every host, since they are constants
/// (`include/uapi/linux/nsfs.h`), so equal numbers do not mean that two processes share anything.
const BOOT_PIDS: u64 = 0xefff_fffc;
const BOOT_NETWORK: u64 = 0xefff_fff9;
/// The numbers of all others.
const OTHER_PIDS: u64 = 0xf000_0000;
const OTHER_NETWORKS: u64 = 0xf000_1000;

/// All namespaces of all hosts, by number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spaces {
    pub(super) pids: Vec<Numbering>,
    pub(super) networks: Vec<HostId>,
}

/// The pids of one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Numbering {
    host: HostId,
    kind: Kind,
    /// The next pid, if it is free.
    next: u32,
    pid_max: u32,
    /// Whether `/proc` shows a process to its own user and root alone.
    hides: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// That of a host, whose first process is outside of the model.
    Host,
    /// That of a container: its first process, once there was one.
    Container { first: Option<ProcessId> },
}

impl Spaces {
    /// Those of the first host.
    pub(super) fn new() -> Shared<Self> {
        let mut spaces = Self { pids: Vec::new(), networks: Vec::new() };
        spaces.boot(HostId::default());
        Shared::new(spaces)
    }

    /// Lets a host number its processes from the beginning, as it does after each boot; one that is not known yet gets
    /// the namespaces that it boots with. Answers where a process of it runs that is in no container.
    pub(super) fn boot(&mut self, host: HostId) -> Place {
        let network = (0..).zip(&self.networks).find(|(_, other)| **other == host);
        let network = network.map(|(number, _)| NetworkNamespace(number));
        match network {
            Some(network) => {
                for numbering in self.pids.iter_mut().filter(|numbering| numbering.host == host) {
                    *numbering = match numbering.kind {
                        Kind::Host => Numbering::of_host(host),
                        Kind::Container { .. } => Numbering::of_container(host),
                    };
                }
                Place { host, pids: self.outer(host), network }
            }
            None => {
                Place { host, pids: self.add_pids(Numbering::of_host(host)), network: self.add_network(host) }
            }
        }
    }

    fn pids(&self, namespace: PidNamespace) -> &Numbering {
        match self.pids.get(usize::from(namespace.0)) {
            Some(numbering) => numbering,
            None => panic!("there is no pid namespace {}", namespace.0),
        }
    }

    fn pids_mut(&mut self, namespace: PidNamespace) -> &mut Numbering {
        match self.pids.get_mut(usize::from(namespace.0)) {
            Some(numbering) => numbering,
            None => panic!("there is no pid namespace {}", namespace.0),
        }
    }

    /// The pid namespace of a host itself.
    fn outer(&self, host: HostId) -> PidNamespace {
        let is_its = |numbering: &Numbering| numbering.host == host && numbering.kind == Kind::Host;
        match (0..).zip(&self.pids).find(|(_, numbering)| is_its(numbering)) {
            Some((number, _)) => PidNamespace(number),
            None => panic!("there is no host {}", host.0),
        }
    }

    fn add_pids(&mut self, numbering: Numbering) -> PidNamespace {
        let Ok(number) = u8::try_from(self.pids.len()) else { panic!("too many pid namespaces") };
        self.pids.push(numbering);
        PidNamespace(number)
    }

    fn add_network(&mut self, host: HostId) -> NetworkNamespace {
        let Ok(number) = u8::try_from(self.networks.len()) else { panic!("too many network namespaces") };
        self.networks.push(host);
        NetworkNamespace(number)
    }
}

impl Numbering {
    const fn of_host(host: HostId) -> Self {
        Self { host, kind: Kind::Host, next: FIRST_PID, pid_max: PID_MAX, hides: false }
    }

    const fn of_container(host: HostId) -> Self {
        Self { host, kind: Kind::Container { first: None }, next: 1, pid_max: PID_MAX, hides: false }
    }

    /// Every pid in the order in which Linux tries them (`idr_alloc_cyclic` in `alloc_pid`).
    fn candidates(&self) -> impl Iterator<Item = Pid> + use<> {
        let first = match self.kind {
            Kind::Host => FIRST_PID,
            Kind::Container { .. } => 1,
        };
        let lowest = if self.next > AGAIN { AGAIN } else { first };
        (self.next..self.pid_max).chain(lowest..self.next.min(self.pid_max)).filter_map(Pid::new)
    }
}

impl Kernel {
    /// A pid namespace for a container on a host. The first process that is started in it has pid 1; when that dies,
    /// everybody in it dies.
    ///
    /// # Panics
    ///
    /// If there is no such host, or there are 256 namespaces.
    pub fn add_pid_namespace(&mut self, host: HostId) -> PidNamespace {
        self.spaces.outer(host);
        self.spaces.edit().add_pids(Numbering::of_container(host))
    }

    /// A network namespace on a host: ports and abstract Unix names of its own.
    ///
    /// # Panics
    ///
    /// If there is no such host, or there are 256 namespaces.
    pub fn add_network_namespace(&mut self, host: HostId) -> NetworkNamespace {
        self.spaces.outer(host);
        self.spaces.edit().add_network(host)
    }

    /// Mounts `/proc` of a pid namespace with `hidepid=invisible`: a process shows to its own user and root alone. Signals
    /// find it as before.
    ///
    /// # Panics
    ///
    /// If there is no such namespace.
    pub fn hide_processes(&mut self, namespace: PidNamespace) {
        self.spaces.edit().pids_mut(namespace).hides = true;
    }

    /// The pid that the next process of a namespace gets, if it is free then (`/proc/sys/kernel/ns_last_pid`).
    ///
    /// # Panics
    ///
    /// If there is no such namespace.
    pub fn set_next_pid(&mut self, namespace: PidNamespace, pid: Pid) {
        self.spaces.edit().pids_mut(namespace).next = pid.get();
    }

    /// `/proc/sys/kernel/pid_max`: every pid of a namespace is smaller, and after the largest one numbering begins again
    /// at 300.
    ///
    /// # Panics
    ///
    /// If there is no such namespace, or `pid_max` is not above 300: numbering would have nowhere to begin again.
    pub fn set_pid_max(&mut self, namespace: PidNamespace, pid_max: u32) {
        assert!(pid_max > AGAIN, "a pid_max of {pid_max} leaves no numbers");
        self.spaces.edit().pids_mut(namespace).pid_max = pid_max;
    }

    /// What a process is called in a pid namespace, alive or not; `None` if it is not visible there.
    ///
    /// # Panics
    ///
    /// If no such process was ever created here.
    pub fn pid_in(&self, namespace: PidNamespace, process: ProcessId) -> Option<Pid> {
        if process == ProcessId::ENVIRONMENT {
            return None;
        }
        let birth = &self.process(process).birth;
        self.number_in(namespace, birth.place, birth.number)
    }

    /// Who has this pid in a namespace now, alive or zombie.
    pub fn process_in(&self, namespace: PidNamespace, pid: Pid) -> Option<ProcessId> {
        self.processes().find(|process| {
            self.process(*process).is_listed() && self.pid_in(namespace, *process) == Some(pid)
        })
    }

    /// Starts a second thread in a process: one more number that kill(2) and `/proc` find the process by.
    ///
    /// # Errors
    ///
    /// [`Errno::WouldBlock`] if every number is taken.
    ///
    /// # Panics
    ///
    /// If the process is dead or dying.
    pub fn start_thread(&mut self, process: ProcessId) -> Result<Pid, Errno> {
        assert!(self.process(process).is_alive(), "process {} is dead", process.0);
        let place = self.process(process).birth.place;
        let number = self.next_number(place, None)?;
        let start = self.clocks(place.host).tick();
        self.process_mut(process).threads.push(Thread { number, start });
        Ok(number.own)
    }

    /// Whom a number addresses, be it that of a process or of one of its threads.
    pub(super) fn addressed(&self, namespace: PidNamespace, pid: Pid) -> Option<ProcessId> {
        self.process_in(namespace, pid).or_else(|| self.thread_in(namespace, pid).map(|(process, _)| process))
    }

    /// Whose second thread has this number.
    pub(super) fn thread_in(&self, namespace: PidNamespace, pid: Pid) -> Option<(ProcessId, Thread)> {
        self.processes().find_map(|id| {
            let process = self.process(id);
            let number = |thread: &&Thread| self.number_in(namespace, process.birth.place, thread.number);
            let thread = process.threads.iter().find(|thread| number(thread) == Some(pid))?;
            Some((id, *thread))
        })
    }

    /// The first process of a container; `None` for a host, or before there was one.
    pub(super) fn first_process(&self, namespace: PidNamespace) -> Option<ProcessId> {
        match self.spaces.pids(namespace).kind {
            Kind::Container { first } => first,
            Kind::Host => None,
        }
    }

    /// Whether `/proc` of the asker has an entry for a process.
    pub(super) fn is_shown(&self, asker: ProcessId, process: ProcessId) -> bool {
        let own = &self.process(asker).birth;
        own.uid.0 == 0
            || own.uid == self.process(process).birth.uid
            || !self.spaces.pids(own.place.pids).hides
    }

    /// The clocks of the host that a network namespace is on.
    pub(super) fn network_clocks(&self, network: NetworkNamespace) -> Clocks {
        self.clocks(self.host_of_network(network))
    }

    /// The host that a network namespace is on.
    pub(super) fn host_of_network(&self, network: NetworkNamespace) -> HostId {
        match self.spaces.networks.get(usize::from(network.0)) {
            Some(host) => *host,
            None => panic!("there is no network namespace {}", network.0),
        }
    }

    /// The number by which the kernel of its host remembers a process.
    pub(super) fn number_on_host(&self, process: ProcessId) -> Pid {
        let number = self.process(process).birth.number;
        number.outer.unwrap_or(number.own)
    }

    /// What `/proc/locks` makes of the number of whoever took a lock (`locks_translate_pid`). The host repeats it
    /// whatever has become of its process; a container looks up who has it now, and leaves out whom it cannot see.
    pub(super) fn taker_seen_by(&self, asker: ProcessId, taker: Pid) -> Option<Pid> {
        let place = self.process(asker).birth.place;
        let outer = self.spaces.outer(place.host);
        if place.pids == outer {
            return Some(taker);
        }
        self.addressed(outer, taker).and_then(|process| self.pid_in(place.pids, process))
    }

    /// `/proc/self/ns`.
    pub(super) fn own_namespaces(&self, who: ProcessId) -> Result<Reply, Errno> {
        let place = self.process(who).birth.place;
        let boot_network = (0..).zip(&self.spaces.networks).find(|(_, host)| **host == place.host);
        Ok(Reply::Namespaces(Namespaces {
            pid: match self.spaces.pids(place.pids).kind {
                Kind::Host => BOOT_PIDS,
                Kind::Container { .. } => OTHER_PIDS + u64::from(place.pids.0),
            },
            network: match boot_network {
                Some((number, _)) if number == place.network.0 => BOOT_NETWORK,
                Some(_) | None => OTHER_NETWORKS + u64::from(place.network.0),
            },
        }))
    }

    /// Numbers a process that is about to be created, and enters it as the first of its container if it is.
    pub(super) fn number_process(
        &mut self,
        process: ProcessId,
        place: Place,
        wanted: Option<Pid>,
    ) -> Result<Number, Errno> {
        let network = self.spaces.networks.get(usize::from(place.network.0));
        assert_eq!(self.spaces.pids(place.pids).host, place.host, "a pid namespace is another host's");
        assert_eq!(network, Some(&place.host), "a network namespace does not exist or is another host's");
        match self.spaces.pids(place.pids).kind {
            Kind::Host if wanted == Some(OUTSIDE) => return Err(Errno::Exists),
            Kind::Host => {}
            Kind::Container { first: Some(first) } if !self.process(first).is_alive() => {
                return Err(NO_MEMORY);
            }
            Kind::Container { first: Some(_) } => {}
            Kind::Container { first: None } if wanted.is_some_and(|pid| pid != OUTSIDE) => {
                return Err(Errno::InvalidArgument);
            }
            Kind::Container { first: None } => {
                let number = self.next_number(place, Some(OUTSIDE))?;
                let numbering = self.spaces.edit().pids_mut(place.pids);
                numbering.kind = Kind::Container { first: Some(process) };
                numbering.next = numbering.next.max(2);
                return Ok(number);
            }
        }
        self.next_number(place, wanted)
    }

    /// The number in the own namespace comes first, then that on the host (`alloc_pid`).
    fn next_number(&mut self, place: Place, wanted: Option<Pid>) -> Result<Number, Errno> {
        let own = match wanted {
            Some(pid) if self.addressed(place.pids, pid).is_some() => return Err(Errno::Exists),
            Some(pid) => pid,
            None => self.next_pid(place.pids)?,
        };
        let outer = self.spaces.outer(place.host);
        let outer = if outer == place.pids { None } else { Some(self.next_pid(outer)?) };
        Ok(Number { own, outer })
    }

    fn next_pid(&mut self, namespace: PidNamespace) -> Result<Pid, Errno> {
        let mut candidates = self.spaces.pids(namespace).candidates();
        let free = candidates.find(|pid| self.addressed(namespace, *pid).is_none());
        let pid = free.ok_or(Errno::WouldBlock)?;
        self.spaces.edit().pids_mut(namespace).next = pid.get() + 1;
        Ok(pid)
    }

    fn number_in(&self, namespace: PidNamespace, place: Place, number: Number) -> Option<Pid> {
        if namespace == place.pids {
            Some(number.own)
        } else if namespace == self.spaces.outer(place.host) {
            number.outer
        } else {
            None
        }
    }
}

/// `ENOMEM`, which nothing branches on: what fork(2) says where the first process of the namespace is dead.
const NO_MEMORY: Errno = Errno::Other(12);

const fn pid(number: u32) -> Pid {
    match Pid::new(number) {
        Some(pid) => pid,
        None => panic!("no process has the pid 0"),
    }
}
