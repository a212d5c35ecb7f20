//! The simulated kernel answers as the real one does: generated calls run on both, and every reply is compared.
//!
//! Two descriptor tables stand for two processes, which is all that files, flocks and sockets can tell apart. Numbers that
//! the kernel chooses are compared by meaning: a descriptor by when it was opened, an inode by when it was first seen.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use portcullis_os::{
    BindOptions, Call, Errno, Fd, FileId, FileKind, Links, Linux, LockMode, Open, Os, PeerCredentials, Pid,
    Reply, Uid,
};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestRng, TestRunner};
use sim::Kernel;
use sim::kernel::{Completion, Place, ProcessId, Readiness, Spawn};

const NAMES: [&str; 12] =
    ["a", "b", "a/", "sub", "sub/", "sub/c", "sub/deep", "../x/a", ".", "sub/..", "link", "absent/x"];
const NO_FD: Fd = Fd(900);
/// The same ones each time, so that a test that passed cannot fail for a call that nobody has changed.
const CASES: u32 = 1500;

/// One generated call: numbers that [`Pair::call`] reads as it needs them.
#[derive(Clone, Copy, Debug)]
struct Draw {
    second_process: bool,
    kind: u8,
    slot: usize,
    name: usize,
    other: usize,
    flags: u8,
}

fn draw() -> impl Strategy<Value = Draw> {
    (any::<bool>(), 0..24_u8, 0..4_usize, 0..NAMES.len(), 0..NAMES.len(), any::<u8>()).prop_map(
        |(second_process, kind, slot, name, other, flags)| Draw {
            second_process,
            kind,
            slot,
            name,
            other,
            flags,
        },
    )
}

/// A process on both machines.
struct Process {
    linux: Linux,
    sim: ProcessId,
    /// The descriptors that are open: the simulated one and the real one.
    open: Vec<(Fd, Fd)>,
}

/// Both machines, in equal states as far as the replies have told.
struct Pair {
    kernel: Kernel,
    processes: [Process; 2],
    directory: PathBuf,
    port: u16,
    addresses: Vec<IpAddr>,
    /// Inodes of the simulated machine and what they are called on the real one.
    inodes: BTreeMap<FileId, FileId>,
}

impl Pair {
    async fn new(directory: &Path) -> Self {
        let uid = own_uid().await;
        let mut kernel = Kernel::new();
        kernel.make_directory(directory, 0o700, uid);
        let mut process = |name: &str| {
            let spawn = Spawn {
                name: name.to_owned(),
                command: String::new(),
                uid,
                parent: None,
                pid: None,
                place: Place::default(),
            };
            let Ok(sim) = kernel.spawn(&spawn) else { panic!("{name} is not started") };
            Process { linux: Linux::new(|_| {}), sim, open: Vec::new() }
        };
        let processes = [process("first"), process("second")];
        let (port, addresses) = free_port().await;
        Self { kernel, processes, directory: directory.to_owned(), port, addresses, inodes: BTreeMap::new() }
    }

    /// Makes the same call on both machines and compares the replies.
    async fn step(&mut self, draw: Draw) -> Result<(), TestCaseError> {
        let who = usize::from(draw.second_process);
        let slots = &self.processes[who].open;
        let (sim_fd, real_fd) = slots.get(draw.slot % slots.len().max(1)).copied().unwrap_or((NO_FD, NO_FD));
        let sim = self.processes[who].sim;
        let simulated = self.call(draw, sim_fd);
        let how = match self.kernel.readiness(sim, &simulated) {
            Readiness::Ready => Completion::Normal,
            Readiness::WaitsUntilDeadline => Completion::TimedOut,
            Readiness::Waits => return Ok(()),
        };
        let expected = self.kernel.perform(sim, &simulated, how);
        let linux = self.processes[who].linux.clone();
        let real = linux.call(self.call(draw, real_fd)).await;
        match (&expected, &real) {
            (Ok(Reply::Fd(one)), Ok(Reply::Fd(other))) => self.processes[who].open.push((*one, *other)),
            (Ok(Reply::Accepted { stream: one, .. }), Ok(Reply::Accepted { stream: other, .. })) => {
                self.processes[who].open.push((*one, *other));
            }
            // `Linux` asks for credentials in a way that finds other words for what is no socket at all.
            (Err(_), Err(_)) if matches!(simulated, Call::PeerCredentials { .. }) => {}
            (expected, real) => {
                let expected = self.translated(expected.clone(), real);
                prop_assert_eq!(&plain(expected), &plain(real.clone()), "{:?}", simulated);
            }
        }
        if let Call::Close { fd } = simulated {
            self.processes[who].open.retain(|(open, _)| *open != fd);
        }
        Ok(())
    }

    /// What a draw means for a descriptor of one machine.
    fn call(&self, draw: Draw, fd: Fd) -> Call {
        let flag = |bit: u8| draw.flags >> bit & 1 == 1;
        let path = |name: usize| self.directory.join("x").join(NAMES[name]);
        let name = format!("{}-{}", self.directory.display(), draw.name % 2);
        let address = self.addresses[draw.name % self.addresses.len()];
        // Without a descriptor most calls say the same, so most of the time there is opened one first.
        let kind = if fd == NO_FD && !draw.flags.is_multiple_of(8) { draw.kind % 5 } else { draw.kind };
        match kind {
            0..5 => {
                let open = Open {
                    write: flag(0),
                    append: false,
                    create: flag(1),
                    exclusive: flag(2) && flag(3),
                    truncate: flag(4),
                    directory: flag(5) && flag(6),
                    no_follow: flag(7),
                    mode: 0o600,
                };
                // `Linux` looks a descriptor up before the kernel looks at the rest: a bad one would only test that.
                let (at, path) = if flag(3) && !flag(2) && fd != NO_FD {
                    (Some(fd), PathBuf::from(NAMES[draw.name]))
                } else {
                    (None, path(draw.name))
                };
                Call::Open { at, path, open }
            }
            5 => Call::Close { fd },
            6 => Call::Write { fd, offset: u64::from(draw.flags % 5), bytes: vec![b'w'; draw.other % 4] },
            7 => Call::Read { fd, offset: u64::from(draw.flags % 3), length: 8 },
            8 => Call::Truncate { fd, length: u64::from(draw.flags % 4) },
            9 => Call::Sync { fd },
            10 => Call::StatFd { fd },
            11 => {
                let links = if flag(0) { Links::Follow } else { Links::NoFollow };
                Call::Stat { at: None, path: path(draw.name), links }
            }
            12 | 13 => Call::MakeDirectory { at: None, path: path(draw.name), mode: 0o700 },
            14 => Call::Unlink { at: None, path: path(draw.name) },
            15 | 16 => Call::Rename {
                from_at: None,
                from: path(draw.name),
                to_at: None,
                to: path(draw.other),
                replace: true,
            },
            17 => {
                let modes = [LockMode::Exclusive, LockMode::Exclusive, LockMode::Shared, LockMode::Unlock];
                Call::Flock { fd, mode: modes[usize::from(draw.flags % 4)] }
            }
            18 => {
                Call::BindTcp { address: SocketAddr::new(address, self.port), options: BindOptions::SERVER }
            }
            19 => Call::Listen { fd, backlog: 1 },
            20 if flag(0) => Call::ListenUnix { name: name.into(), backlog: 1 },
            20 => Call::ConnectUnix { name: name.into() },
            21 => Call::Accept { fds: vec![fd] },
            22 if flag(0) => Call::PeerCredentials { fd },
            22 => Call::Send { fd, bytes: vec![b's'; draw.other % 3] },
            _ => Call::Receive { fd, length: u32::from(draw.flags % 3) + 1, deadline_ms: 1 },
        }
    }

    /// A simulated reply with the inode numbers of the real machine, as far as they are known.
    fn translated(
        &mut self,
        simulated: Result<Reply, Errno>,
        real: &Result<Reply, Errno>,
    ) -> Result<Reply, Errno> {
        let (Ok(Reply::File(mut status)), Ok(Reply::File(seen))) = (simulated.clone(), real) else {
            return simulated;
        };
        status.id = *self.inodes.entry(status.id).or_insert(seen.id);
        Ok(Reply::File(status))
    }
}

/// A reply without what differs between file systems and between processes.
fn plain(reply: Result<Reply, Errno>) -> Result<Reply, Errno> {
    match reply {
        Ok(Reply::File(mut status)) => {
            if status.kind == FileKind::Directory {
                // Some file systems count subdirectories as links and some do not; the size is theirs as well.
                (status.links, status.size) = (status.links.min(1), 0);
            }
            status.modified_ns = 0;
            Ok(Reply::File(status))
        }
        Ok(Reply::Peer(peer)) => {
            Ok(Reply::Peer(PeerCredentials { pid: peer.pid.and(Pid::new(1)), uid: peer.uid }))
        }
        other => other,
    }
}

async fn own_uid() -> Uid {
    match Linux::new(|_| {}).own_uid().await {
        Ok(uid) => uid,
        Err(errno) => panic!("no uid: {errno}"),
    }
}

/// A port that nobody listens on, below those that the kernel gives away, and the addresses to try it with.
async fn free_port() -> (u16, Vec<IpAddr>) {
    let v4 = [Ipv4Addr::UNSPECIFIED, Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)].map(IpAddr::V4);
    let v6 = [Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST].map(IpAddr::V6);
    let bind = async |ip: IpAddr, port: u16| Linux::new(|_| {}).bind_tcp(SocketAddr::new(ip, port)).await;
    for port in 21_000..31_000 {
        if bind(v4[0], port).await.is_err() {
            continue;
        }
        return match bind(v6[0], port).await {
            Ok(_) => (port, v4.into_iter().chain(v6).collect()),
            Err(Errno::AddressInUse) => continue,
            Err(_) => (port, v4.to_vec()),
        };
    }
    panic!("no port is free")
}

#[test]
fn generated_calls_have_the_same_replies_on_both_kernels() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let script = prop::collection::vec(draw(), 1..80);
    let outcome = runner.run(&script, |script| {
        let directory = tempfile::tempdir()?;
        runtime.block_on(async {
            let mut pair = Pair::new(directory.path()).await;
            prepare(&mut pair, directory.path()).await;
            for draw in script {
                pair.step(draw).await?;
            }
            Ok(())
        })
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// `x`, `x/sub` and the symbolic link `x/link` to it, on both machines.
async fn prepare(pair: &mut Pair, directory: &Path) {
    let uid = own_uid().await;
    let linux = Linux::new(|_| {});
    for name in ["x", "x/sub"] {
        pair.kernel.make_directory(&directory.join(name), 0o700, uid);
        let made = linux.make_directory(&directory.join(name), 0o700).await;
        assert_eq!(made, Ok(()));
    }
    pair.kernel.make_symlink(&directory.join("x/link"), Path::new("sub"));
    let linked = std::os::unix::fs::symlink("sub", directory.join("x/link"));
    assert!(linked.is_ok());
}
