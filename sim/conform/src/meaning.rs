//! Whether two answers mean the same, although the machines number things differently.
//!
//! What a machine chooses by itself (inodes, sockets, pids, ports, moments) is compared by a bijection that grows as
//! answers come: one thing here is one thing there, always, and never two.
//!
//! # Invariants
//!
//! - Two things of one machine are never the same thing of the other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use portcullis_os::{
    Call, Clock, FileKind, FileStatus, Namespaces, PeerCredentials, Pid, ProcessStatus, RangeHolder, Reply,
    TcpRow, Tick,
};

/// Ports from here on are chosen by the machine (`ip_local_port_range`).
const CHOSEN_PORTS: u16 = 32_768;

/// What is known of the two machines' numbers.
#[derive(Clone, Debug, Default)]
pub struct Meaning {
    pids: Bijection<Pid>,
    files: Bijection<portcullis_os::FileId>,
    devices: Bijection<u64>,
    sockets: Bijection<u64>,
    ports: Bijection<u16>,
    texts: Bijection<String>,
    pid_namespaces: Bijection<u64>,
    networks: Bijection<u64>,
    /// When each process has started, by its pid on the simulated machine.
    starts: BTreeMap<Pid, (Tick, Tick)>,
    /// The times that a file was given, which no clock would have chosen.
    given_times: BTreeSet<u64>,
    /// The last reading of each clock on the real machine.
    clocks: BTreeMap<Clock, u64>,
    randoms: BTreeSet<[u8; 16]>,
}

/// Pairs of what is the same on two machines.
#[derive(Clone, Debug)]
struct Bijection<T> {
    real: BTreeMap<T, T>,
    simulated: BTreeMap<T, T>,
}

impl<T> Default for Bijection<T> {
    fn default() -> Self {
        Self { real: BTreeMap::new(), simulated: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> Bijection<T> {
    /// Whether the two can be the same; from now on they are.
    fn same(&mut self, simulated: &T, real: &T) -> bool {
        match (self.real.get(simulated), self.simulated.get(real)) {
            (None, None) => {
                self.real.insert(simulated.clone(), real.clone());
                self.simulated.insert(real.clone(), simulated.clone());
                true
            }
            (Some(known), _) => known == real,
            (None, Some(_)) => false,
        }
    }

    /// Whether the two are known to be the same.
    fn known(&self, simulated: &T, real: &T) -> bool {
        self.real.get(simulated) == Some(real)
    }

    /// Forgets what either of them was before.
    fn replace(&mut self, simulated: &T, real: &T) {
        if let Some(old) = self.real.remove(simulated) {
            self.simulated.remove(&old);
        }
        if let Some(old) = self.simulated.remove(real) {
            self.real.remove(&old);
        }
        self.same(simulated, real);
    }
}

impl Meaning {
    /// A process or thread has come to be on both machines.
    pub fn born(&mut self, simulated: Pid, real: Pid) {
        self.starts.remove(&simulated);
        self.pids.replace(&simulated, &real);
    }

    /// Whether two answers to one call mean the same. `call` is the call of the simulated machine.
    pub fn agree(&mut self, call: &Call, simulated: &Reply, real: &Reply) -> bool {
        if let (Call::SetModified { modified_ns, .. }, Reply::Done) = (call, simulated) {
            self.given_times.insert(*modified_ns);
        }
        match (simulated, real) {
            (Reply::File(one), Reply::File(other)) => {
                self.files_agree(one, other, matches!(call, Call::StatFd { .. }))
            }
            (Reply::Pid(one), Reply::Pid(other)) => self.pids.known(one, other),
            (Reply::Pids(one), Reply::Pids(other)) => self.pid_lists_agree(one, other),
            (Reply::Process(one), Reply::Process(other)) => self.processes_agree(call, one, other),
            (Reply::Text(one), Reply::Text(other)) if matches!(call, Call::BootId) => {
                self.texts.same(one, other)
            }
            (Reply::Tcp(one), Reply::Tcp(other)) => self.tables_agree(one, other),
            (Reply::Peer(one), Reply::Peer(other)) => self.peers_agree(one, other),
            (Reply::Nanoseconds(_), Reply::Nanoseconds(real)) => self.clock_goes_on(call, *real),
            (Reply::Random(_), Reply::Random(real)) => self.randoms.insert(*real),
            (Reply::Range(Some(one)), Reply::Range(Some(other))) => self.holders_agree(one, other),
            (Reply::Address(one), Reply::Address(other)) => self.addresses_agree(one, other),
            (Reply::Namespaces(one), Reply::Namespaces(other)) => self.namespaces_agree(*one, *other),
            (one, other) => one == other,
        }
    }

    fn files_agree(&mut self, one: &FileStatus, other: &FileStatus, is_open: bool) -> bool {
        let FileStatus { id, kind, mode, uid, links, size, modified_ns } = one;
        if is_open && *kind == FileKind::Special && !self.sockets.same(&id.inode, &other.id.inode) {
            return false;
        }
        self.files.same(id, &other.id)
            && self.devices.same(&id.device, &other.id.device)
            && (kind, mode, uid, links) == (&other.kind, &other.mode, &other.uid, &other.links)
            // How long a directory is, each file system says in its own way.
            && (*kind == FileKind::Directory || *size == other.size)
            && self.times_agree(*modified_ns, other.modified_ns)
    }

    /// A time that was given comes back; one that the clock chose is none of those.
    fn times_agree(&self, one: u64, other: u64) -> bool {
        if self.given_times.contains(&one) { one == other } else { !self.given_times.contains(&other) }
    }

    fn pid_lists_agree(&self, one: &[Pid], other: &[Pid]) -> bool {
        let mut translated: Vec<Pid> = Vec::new();
        for pid in one {
            let Some(real) = self.pids.real.get(pid) else { return false };
            translated.push(*real);
        }
        translated.sort_unstable();
        translated == other
    }

    fn processes_agree(&mut self, call: &Call, one: &ProcessStatus, other: &ProcessStatus) -> bool {
        let parents = match (one.parent, other.parent) {
            (Some(one), Some(other)) => self.pids.known(&one, &other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let starts = match call {
            Call::ProcessStatus { pid } => {
                *self.starts.entry(*pid).or_insert((one.start, other.start)) == (one.start, other.start)
            }
            _ => true,
        };
        parents && starts && (&one.name, one.state) == (&other.name, other.state)
    }

    /// Rows that differ only in sockets that nobody has looked at yet cannot be told apart, and need not be.
    fn tables_agree(&mut self, one: &[TcpRow], other: &[TcpRow]) -> bool {
        if one.len() != other.len() {
            return false;
        }
        let mut left: Vec<TcpRow> = other.to_vec();
        let (known, unknown): (Vec<TcpRow>, Vec<TcpRow>) =
            one.iter().partition(|row| row.socket == 0 || self.sockets.real.contains_key(&row.socket));
        for row in known {
            let socket = self.sockets.real.get(&row.socket).copied().unwrap_or_default();
            let Some(at) =
                left.iter().position(|other| self.rows_agree(&row, other) && other.socket == socket)
            else {
                return false;
            };
            left.remove(at);
        }
        for row in &unknown {
            let alike = |other: &&TcpRow| self.rows_agree(row, other);
            let Some(at) = left.iter().position(|other| alike(&other)) else { return false };
            let is_only_one = left.iter().filter(alike).count() == 1
                && unknown.iter().filter(|other| self.rows_agree(other, &left[at])).count() == 1;
            let found = left.remove(at);
            if found.socket == 0 || (is_only_one && !self.sockets.same(&row.socket, &found.socket)) {
                return false;
            }
        }
        true
    }

    /// All but the socket.
    fn rows_agree(&self, one: &TcpRow, other: &TcpRow) -> bool {
        let ports = (one.local.port(), other.local.port());
        let same_port =
            if ports.0 < CHOSEN_PORTS { ports.0 == ports.1 } else { self.ports.known(&ports.0, &ports.1) };
        same_port && one.local.ip() == other.local.ip() && (one.state, one.uid) == (other.state, other.uid)
    }

    fn peers_agree(&self, one: &PeerCredentials, other: &PeerCredentials) -> bool {
        self.visible_pids_agree(one.pid, other.pid) && one.uid == other.uid
    }

    fn holders_agree(&self, one: &RangeHolder, other: &RangeHolder) -> bool {
        self.visible_pids_agree(one.pid, other.pid) && (one.mode, one.range) == (other.mode, other.range)
    }

    fn visible_pids_agree(&self, one: Option<Pid>, other: Option<Pid>) -> bool {
        match (one, other) {
            (Some(one), Some(other)) => self.pids.known(&one, &other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    fn clock_goes_on(&mut self, call: &Call, real: u64) -> bool {
        let Call::ReadClock { clock } = call else { return false };
        let before = self.clocks.insert(*clock, real).unwrap_or_default();
        // The wall clock may be set while the test runs; the others never go back.
        *clock == Clock::Wall || before <= real
    }

    fn addresses_agree(&mut self, one: &SocketAddr, other: &SocketAddr) -> bool {
        let same_port = if one.port() < CHOSEN_PORTS {
            one.port() == other.port()
        } else {
            // A chosen port that is free again may be chosen again, by either machine alone.
            self.ports.replace(&one.port(), &other.port());
            other.port() >= CHOSEN_PORTS
        };
        one.ip() == other.ip() && same_port
    }

    fn namespaces_agree(&mut self, one: Namespaces, other: Namespaces) -> bool {
        self.pid_namespaces.same(&one.pid, &other.pid) && self.networks.same(&one.network, &other.network)
    }
}
