//! Both machines side by side: each call is made on both, and their answers are compared.
//!
//! Two descriptor tables stand for two processes, which is all that sockets can tell apart. Numbers that a kernel chooses
//! are compared by meaning.

use std::fs::File;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use portcullis_os::{BindOptions, Call, Errno, Fd, Linux, Os, Port, Reply, TcpRow, Uid};
use sim::Kernel;
use sim::kernel::{Addresses, Completion, Ipv6, NetworkNamespace, Place, ProcessId, Readiness, Spawn};
use tokio::runtime::Runtime;

/// After this long a call of the real machine waits for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// A descriptor of both machines, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle(usize);

impl Handle {
    /// What was opened first.
    pub(crate) const FIRST: Self = Self(0);
}

/// Which of the two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    First,
    Second,
}

pub(crate) use Who::{First, Second};

/// Both machines.
pub(crate) struct Twin {
    pub(crate) kernel: Kernel,
    pub(crate) sim: [ProcessId; 2],
    real: [Linux; 2],
    runtime: Runtime,
    /// One test at a time: what ports others have, and what they have left of them, shows in many answers.
    _alone: File,
    /// Whose it is, and its numbers: the simulated one and the real one.
    handles: Vec<(Who, Fd, Fd)>,
    /// What the real machine was asked and said.
    history: Vec<String>,
}

/// What a call is about on one of the machines.
pub(crate) struct Machine<'a> {
    handles: &'a [(Who, Fd, Fd)],
    is_real: bool,
    /// Long where the answer is there, short where it is not.
    pub(crate) deadline_ms: u32,
    ask: &'a dyn Fn(Who, Fd) -> Result<Reply, Errno>,
}

impl Machine<'_> {
    pub(crate) fn fd(&self, handle: Handle) -> Fd {
        let (_, sim, real) = self.handles[handle.0];
        if self.is_real { real } else { sim }
    }

    /// The address that a socket has on this machine.
    pub(crate) fn local(&self, handle: Handle) -> SocketAddr {
        match (self.ask)(self.handles[handle.0].0, self.fd(handle)) {
            Ok(Reply::Address(address)) => address,
            other => panic!("no address but {other:?}"),
        }
    }
}

impl Twin {
    /// Two processes of the user who runs the test, on machines that have the same addresses.
    #[expect(
        clippy::disallowed_methods,
        reason = "a lock between test processes is none of the machines' business"
    )]
    pub(crate) fn new() -> Self {
        let alone = File::create(concat!(env!("CARGO_TARGET_TMPDIR"), "/kernel_twin")).unwrap();
        alone.lock().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let real = [Linux::new(|_| {}), Linux::new(|_| {})];
        let uid = runtime.block_on(real[0].own_uid()).unwrap();
        let mut kernel = Kernel::new();
        let addresses = Addresses { others: lan().into_iter().collect(), ipv6: Ipv6::Enabled };
        kernel.set_addresses(NetworkNamespace::default(), addresses);
        let sim = ["first", "second"].map(|name| kernel.spawn(&process(name, uid)).unwrap());
        Self { kernel, sim, real, runtime, _alone: alone, handles: Vec::new(), history: Vec::new() }
    }

    /// Some ports that nobody has on any address, below those that the kernel gives away. Only here, where one test
    /// is at work at a time: to ask whether a port is free is to have it for an instant.
    pub(crate) fn free_ports<const N: usize>(&self) -> [u16; N] {
        // Not the same ones again and again: closed connections keep theirs for a minute.
        let start = self.runtime.block_on(self.real[0].own_pid()).unwrap().get() % 600 * 10;
        let mut ports =
            (0..6000).map(|n| 11_000 + ((start + n) % 6000) as u16).filter(|port| self.is_free(*port));
        [(); N].map(|()| ports.next().unwrap())
    }

    fn is_free(&self, port: u16) -> bool {
        let options = BindOptions { reuse_address: false, reuse_port: false, v6_only: false };
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let Ok(Reply::Fd(fd)) = self.runtime.block_on(self.real[0].call(Call::BindTcp { address, options }))
        else {
            return false;
        };
        self.runtime.block_on(self.real[0].call(Call::Close { fd })).is_ok()
    }

    /// A directory of the test, on both machines.
    pub(crate) fn directory(&mut self, path: &Path) {
        let uid = self.runtime.block_on(self.real[0].own_uid()).unwrap();
        self.kernel.make_directory(path, 0o700, uid);
    }

    /// Whether the simulated machine has an answer to a call: it does not wait for ever, and it is modelled.
    pub(crate) fn answers(&self, who: Who, call: impl Fn(&Machine<'_>) -> Call) -> bool {
        let local = |_, _| Err(Errno::NotImplemented);
        let machine = Machine { handles: &self.handles, is_real: false, deadline_ms: 0, ask: &local };
        let (who, call) = (self.sim[who as usize], call(&machine));
        match self.kernel.readiness(who, &call) {
            Readiness::Ready => {
                let answer = self.kernel.clone().perform(who, &call, Completion::Normal);
                answer != Err(Errno::NotImplemented)
            }
            Readiness::Waits => false,
            Readiness::WaitsUntilDeadline => true,
        }
    }

    /// Makes one call on both machines. Where the simulated one waits, the real one has to wait as well.
    pub(crate) fn ask(&mut self, who: Who, call: impl Fn(&Machine<'_>) -> Call) -> Result<Reply, Errno> {
        let (sim, real) = (self.sim[who as usize], self.real[who as usize].clone());
        let local = |who, fd| {
            let who = self.sim[who as usize];
            self.kernel.clone().perform(who, &Call::LocalAddress { fd }, Completion::Normal)
        };
        let on_sim = Machine { handles: &self.handles, is_real: false, deadline_ms: 0, ask: &local };
        let simulated = call(&on_sim);
        let (how, deadline_ms) = match self.kernel.readiness(sim, &simulated) {
            Readiness::Ready => (Completion::Normal, 10_000),
            Readiness::WaitsUntilDeadline => (Completion::TimedOut, 1),
            Readiness::Waits => panic!("{simulated:?} waits for ever"),
        };
        let local = |who, fd| self.runtime.block_on(self.real[who as usize].call(Call::LocalAddress { fd }));
        let on_real = Machine { handles: &self.handles, is_real: true, deadline_ms, ask: &local };
        let call = call(&on_real);
        let expected = self.kernel.perform(sim, &simulated, how);
        let answer = async { tokio::time::timeout(PATIENCE, real.call(call.clone())).await };
        let Ok(seen) = self.runtime.block_on(answer) else {
            panic!("{call:?} never ends after\n{}", self.history.join("\n"))
        };
        self.history.push(format!("{who:?} {call:?} -> {seen:?}"));
        let history = self.history.join("\n");
        assert_eq!(plain(expected.clone()), plain(seen.clone()), "{simulated:?} after\n{history}");
        self.learn(who, &expected, &seen);
        expected
    }

    fn learn(&mut self, who: Who, simulated: &Result<Reply, Errno>, real: &Result<Reply, Errno>) {
        match (simulated, real) {
            (Ok(Reply::Fd(one)), Ok(Reply::Fd(other))) => self.handles.push((who, *one, *other)),
            (Ok(Reply::Accepted { on, stream: one }), Ok(Reply::Accepted { on: real_on, stream: other })) => {
                assert!(self.handles.contains(&(who, *on, *real_on)), "another listener accepts");
                self.handles.push((who, *one, *other));
            }
            _ => {}
        }
    }

    /// Whether nobody else, alive or closed, has the port that the real kernel has given to a socket.
    pub(crate) fn has_its_port_alone(&self, handle: Handle) -> bool {
        let (who, _, fd) = self.handles[handle.0];
        let ask = |call| self.runtime.block_on(self.real[who as usize].call(call)).unwrap();
        let Reply::Address(address) = ask(Call::LocalAddress { fd }) else { panic!("no address") };
        let rows = ask(Call::TcpSockets { port: Port::new(address.port()).unwrap() });
        matches!(rows, Reply::Tcp(rows) if rows.len() == 1)
    }

    /// Makes a call that answers with a descriptor.
    pub(crate) fn open(&mut self, who: Who, call: impl Fn(&Machine<'_>) -> Call) -> Result<Handle, Errno> {
        self.ask(who, call).map(|_| self.last())
    }

    /// Accepts a connection on a socket, and takes the descriptor of it.
    pub(crate) fn accept(&mut self, who: Who, on: &[Handle]) -> Handle {
        let call = |it: &Machine<'_>| Call::Accept { fds: on.iter().map(|handle| it.fd(*handle)).collect() };
        self.open(who, call).unwrap()
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, who: Who, on: Handle, bytes: &[u8]) -> Result<Reply, Errno> {
        self.ask(who, |it| Call::Send { fd: it.fd(on), bytes: bytes.to_owned() })
    }

    /// What is received within the deadline.
    pub(crate) fn receive(&mut self, who: Who, on: Handle) -> Result<Reply, Errno> {
        self.ask(who, |it| Call::Receive { fd: it.fd(on), length: 64, deadline_ms: it.deadline_ms })
    }

    /// How many descriptors there have been.
    pub(crate) fn opened(&self) -> usize {
        self.handles.len()
    }

    /// The latest descriptor.
    pub(crate) fn last(&self) -> Handle {
        Handle(self.handles.len() - 1)
    }

    pub(crate) fn close(&mut self, who: Who, handle: Handle) {
        self.ask(who, |machine| Call::Close { fd: machine.fd(handle) }).unwrap();
    }

    /// Closes what a process has, as its end does.
    pub(crate) fn close_all(&mut self) {
        for (who, sim, real) in &self.handles {
            // Some are closed.
            let _ =
                self.kernel.perform(self.sim[*who as usize], &Call::Close { fd: *sim }, Completion::Normal);
            let _ = self.runtime.block_on(self.real[*who as usize].call(Call::Close { fd: *real }));
        }
        self.handles.clear();
    }
}

/// A reply without what one kernel chooses and the other does not.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is not named here is compared as it is")]
fn plain(reply: Result<Reply, Errno>) -> Result<Reply, Errno> {
    reply.map(|reply| match reply {
        Reply::Fd(_) | Reply::Accepted { .. } => Reply::Done,
        Reply::Address(mut address) => {
            if address.port() >= 32_768 {
                address.set_port(u16::MAX);
            }
            Reply::Address(address)
        }
        Reply::Tcp(rows) => {
            let mut rows: Vec<TcpRow> = rows.into_iter().map(without_numbers).collect();
            rows.sort_unstable();
            Reply::Tcp(rows)
        }
        Reply::File(mut status) => {
            status.id.inode = 0;
            status.id.device = 0;
            status.modified_ns = 0;
            // The mask of the test's own process is nobody's business.
            status.mode &= 0o700;
            Reply::File(status)
        }
        Reply::Peer(mut peer) => {
            peer.pid = None;
            Reply::Peer(peer)
        }
        other => other,
    })
}

/// A closed socket keeps its user for some milliseconds more on the real kernel.
fn without_numbers(mut row: TcpRow) -> TcpRow {
    if row.socket == 0 {
        row.uid = Uid(0);
    }
    row.socket = row.socket.min(1);
    if row.local.port() >= 32_768 {
        row.local.set_port(u16::MAX);
    }
    row
}

pub(crate) fn process(name: &str, uid: Uid) -> Spawn {
    Spawn {
        name: name.to_owned(),
        command: String::new(),
        uid,
        parent: None,
        pid: None,
        place: Place::default(),
    }
}

/// The address that this machine would talk to others from, if it could. Nothing is sent.
pub(crate) fn lan() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("203.0.113.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}
