//! Machines with a kernel of their own, which have nothing in common but the storage that they all see.
//!
//! Every process, pid namespace and network namespace is on one host; a file is on all of them. What the kernels do for
//! each other about locks is a matter of the file system, see [`LockSupport`](super::LockSupport).
//!
//! # Invariants
//!
//! - A boot id is a function of the host and of how often it has booted. Only a clone shares one, until either reboots.
//! - After a reboot nothing is left of a host but its files and its wall clock.

use portcullis_os::{Errno, Reply, Signal};

use super::clocks::Clocks;
use super::{Ending, HostId, Kernel, NetworkNamespace, PidNamespace, Place, ProcessId};

/// A machine that is running.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Host {
    pub(super) clocks: Clocks,
    /// How often it has booted.
    pub(super) boots: u32,
    pub(super) boot: Boot,
    pub(super) pids: PidNamespace,
    pub(super) network: NetworkNamespace,
}

/// Which boot: of which host, and which of its boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Boot {
    host: HostId,
    count: u32,
}

impl Host {
    /// The one that is there from the start.
    pub(super) const fn first() -> Self {
        Self::new(
            Place { host: HostId(0), pids: PidNamespace(0), network: NetworkNamespace(0) },
            Clocks::first(),
        )
    }

    const fn new(place: Place, clocks: Clocks) -> Self {
        let Place { host, pids, network } = place;
        Self { clocks, boots: 1, boot: Boot { host, count: 1 }, pids, network }
    }
}

impl Kernel {
    /// One more machine, which has been up for so many milliseconds without a suspend. Its wall clock shows what that of
    /// the first host does.
    ///
    /// # Panics
    ///
    /// If there are 256 hosts.
    pub fn add_host(&mut self, up_ms: u64) -> HostId {
        let clocks = self.clocks(HostId(0)).booted_ago(up_ms);
        let place = self.boot(self.next_host());
        self.hosts.edit().push(Host::new(place, clocks));
        place.host
    }

    /// What comes of a snapshot of a virtual machine that is started once more: another host with the clocks and the boot
    /// id of this one. It runs nothing: whoever wants processes on it starts them.
    ///
    /// # Panics
    ///
    /// If there is no such host, or 256 of them.
    pub fn clone_host(&mut self, host: HostId) -> HostId {
        let Host { clocks, boot, .. } = self.host(host).clone();
        let place = self.boot(self.next_host());
        self.hosts.edit().push(Host { boot, ..Host::new(place, clocks) });
        place.host
    }

    /// Where the first processes of a host run: in its own pid and network namespaces, and in no container.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn place_on(&self, host: HostId) -> Place {
        let Host { pids, network, .. } = *self.host(host);
        Place { host, pids, network }
    }

    /// An orderly reboot that takes no time: every process of the host is killed and reaped at once, and with it go
    /// its locks, sockets and names. Files stay as they are, synced or not. Pids start over, the monotonic and the boot
    /// clock restart from 0, the wall clock goes on.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn reboot(&mut self, host: HostId) {
        let processes: Vec<ProcessId> =
            self.processes().filter(|process| self.host_of(*process) == host).collect();
        for process in &processes {
            if self.process(*process).is_alive() {
                self.die(*process, Ending::Killed(Signal::Kill));
            }
            for fd in self.releasable(*process) {
                self.release(*process, fd);
            }
        }
        // Also the zombies of a parent outside, which stays.
        for process in processes {
            self.reap(process);
        }
        self.end_lingers_on(host);
        let rebooted = self.host_mut(host);
        rebooted.boots += 1;
        rebooted.boot = Boot { host, count: rebooted.boots };
        rebooted.clocks = rebooted.clocks.booted_ago(0);
        self.boot(host);
    }

    /// `/proc/sys/kernel/random/boot_id`, in the form of a random UUID.
    pub(super) fn boot_id(&self, who: ProcessId) -> Result<Reply, Errno> {
        let Boot { host, count } = self.host(self.host_of(who)).boot;
        Ok(Reply::Text(format!("5eed5eed-0000-4000-8000-{:04x}{count:08x}", host.0)))
    }

    /// On which host a process is or was.
    pub(super) fn host_of(&self, process: ProcessId) -> HostId {
        self.process(process).birth.place.host
    }

    pub(super) fn host(&self, host: HostId) -> &Host {
        match self.hosts.get(usize::from(host.0)) {
            Some(host) => host,
            None => panic!("there is no host {}", host.0),
        }
    }

    pub(super) fn host_mut(&mut self, host: HostId) -> &mut Host {
        match self.hosts.edit().get_mut(usize::from(host.0)) {
            Some(host) => host,
            None => panic!("there is no host {}", host.0),
        }
    }

    fn next_host(&self) -> HostId {
        match u8::try_from(self.hosts.len()) {
            Ok(number) => HostId(number),
            Err(_) => panic!("there are 256 hosts"),
        }
    }

    /// The namespaces that a host boots with, in which pids start over. No two hosts have one in common.
    fn boot(&mut self, host: HostId) -> Place {
        self.spaces.edit().boot(host)
    }
}
