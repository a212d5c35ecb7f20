//! Generated calls of two processes: ports, connections, names and descriptors under way, in every mixture.

use std::net::SocketAddr;
use std::path::PathBuf;

use portcullis_os::{BindOptions, Call, Fd, LockMode, Open, Port, UnixName};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::twin::{First, Handle, Machine, Second, Twin, Who};

/// The same ones each time, so that a test that passed cannot fail for a call that nobody has changed.
const CASES: u32 = 150;

const ADDRESSES: [&str; 7] =
    ["127.0.0.1", "127.0.0.2", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "127.0.0.1"];

/// One generated call: numbers that [`Scene::call`] reads as it needs them.
#[derive(Clone, Copy, Debug)]
struct Draw {
    second: bool,
    kind: u8,
    slot: usize,
    other: usize,
    address: usize,
    from: usize,
    flags: u8,
}

fn draw() -> impl Strategy<Value = Draw> {
    let numbers = (0..6_usize, 0..6_usize, 0..ADDRESSES.len(), 0..ADDRESSES.len(), any::<u8>());
    (any::<bool>(), 0..26_u8, numbers).prop_map(|(second, kind, (slot, other, address, from, flags))| Draw {
        second,
        kind,
        slot,
        other,
        address,
        from,
        flags,
    })
}

/// A call on either machine.
type Made = Box<dyn Fn(&Machine<'_>) -> Call>;

/// A call on a descriptor, if there is one.
fn on(fd: Option<Handle>, call: impl Fn(&Machine<'_>, Fd) -> Call + 'static) -> Option<Made> {
    fd.map(|fd| -> Made { Box::new(move |it| call(it, it.fd(fd))) })
}

/// What is open, and on what machines.
struct Scene {
    twin: Twin,
    home: PathBuf,
    ports: [u16; 2],
    open: Vec<(Who, Handle)>,
    /// Those that can be sent without a message ever holding itself: the real kernel needs a moment to find that out.
    plain: Vec<(Who, Handle)>,
    /// Those with `SO_REUSEPORT`. Of two such listeners the real kernel takes any one, so only one ever listens.
    sharers: Vec<Handle>,
    shared_listener: Option<Handle>,
}

impl Scene {
    fn address(&self, index: usize, flags: u8) -> SocketAddr {
        format!("{}:{}", ADDRESSES[index], self.ports[usize::from(flags & 1)]).parse().unwrap()
    }

    fn name(&self, flags: u8) -> UnixName {
        let name = format!("{}", flags & 1);
        if flags & 2 == 0 {
            format!("{}-{name}", self.home.display()).into()
        } else {
            UnixName::Path(self.home.join(name))
        }
    }

    fn of(list: &[(Who, Handle)], who: Who, slot: usize) -> Option<Handle> {
        let own: Vec<Handle> = list.iter().filter(|(of, _)| *of == who).map(|(_, it)| *it).collect();
        (!own.is_empty()).then(|| own[slot % own.len()])
    }

    fn step(&mut self, draw: Draw) {
        let who = if draw.second { Second } else { First };
        let fd = Self::of(&self.open, who, draw.slot);
        let sent = Self::of(&self.plain, who, draw.other);
        let Some(call) = self.call(draw, fd, sent) else { return };
        if !self.twin.answers(who, &call) {
            return;
        }
        if let Some(fd) = fd.filter(|fd| matches!(draw.kind, 14 | 15) && self.sharers.contains(fd))
            && *self.shared_listener.get_or_insert(fd) != fd
        {
            return;
        }
        let before = self.twin.opened();
        let closes = matches!(draw.kind, 12 | 13);
        let outcome = self.twin.ask(who, &call);
        if closes && outcome.is_ok() {
            self.open.retain(|(_, it)| Some(*it) != fd);
            self.plain.retain(|(_, it)| Some(*it) != fd);
        }
        if self.twin.opened() > before {
            let handle = self.twin.last();
            self.open.push((who, handle));
            if matches!(draw.kind, 0..4) && draw.flags >> 6 & 1 == 1 {
                self.sharers.push(handle);
            }
            if matches!(draw.kind, 0..8 | 25) {
                self.plain.push((who, handle));
            }
        }
    }

    /// What a draw means.
    fn call(&self, draw: Draw, fd: Option<Handle>, sent: Option<Handle>) -> Option<Made> {
        let Draw { kind, address, from, flags, .. } = draw;
        let flag = move |bit: u8| flags >> bit & 1 == 1;
        let to = self.address(address, flags);
        let from = flag(1).then(|| {
            let mut from = self.address(from, flags >> 2);
            from.set_port(if flag(3) { from.port() } else { 0 });
            from
        });
        let options =
            BindOptions { reuse_address: !flag(4) || flag(5), reuse_port: flag(6), v6_only: flag(7) };
        let port = Port::new(to.port());
        let name = self.name(flags);
        let path = |bit: u8| self.home.join(if flag(bit) { "0" } else { "1" });
        let (one, other) = (path(0), path(1));
        Some(match kind {
            0..4 => Box::new(move |_| Call::BindTcp { address: to, options }),
            4..8 => Box::new(move |it| Call::ConnectTcp { address: to, from, deadline_ms: it.deadline_ms }),
            8 | 9 => Box::new(move |_| Call::ListenUnix { name: name.clone(), backlog: 1 }),
            10 | 11 => Box::new(move |_| Call::ConnectUnix { name: name.clone() }),
            12 | 13 => on(fd, move |_, fd| Call::Close { fd })?,
            14 | 15 => on(fd, move |_, fd| Call::Listen { fd, backlog: u16::from(flags % 2) })?,
            16 | 17 => on(fd, move |_, fd| Call::Accept { fds: vec![fd] })?,
            18 => on(fd, move |_, fd| Call::Send { fd, bytes: vec![b's'; usize::from(flags % 4)] })?,
            19 | 20 => on(fd, move |it, fd| Call::Receive {
                fd,
                length: u32::from(flags % 3) + 1,
                deadline_ms: it.deadline_ms,
            })?,
            21 => sent.and_then(|sent| on(fd, move |it, socket| Call::SendFd { socket, fd: it.fd(sent) }))?,
            22 => on(fd, move |it, fd| Call::ReceiveFd { socket: fd, deadline_ms: it.deadline_ms })?,
            23 => port.map(|port| -> Made { Box::new(move |_| Call::TcpSockets { port }) })?,
            24 if flag(2) => Box::new(move |_| Call::Unlink { at: None, path: one.clone() }),
            24 => Box::new(move |_| Call::Rename {
                from_at: None,
                from: one.clone(),
                to_at: None,
                to: other.clone(),
                replace: true,
            }),
            _ if flag(0) => on(fd, move |_, fd| Call::Flock { fd, mode: LockMode::Exclusive })?,
            _ => {
                let path = self.home.join("file");
                Box::new(move |_| Call::Open {
                    at: None,
                    path: path.clone(),
                    open: Open::read_write_create(),
                })
            }
        })
    }
}

#[test]
fn generated_calls_have_the_same_answers_on_both_kernels() {
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let script = prop::collection::vec(draw(), 1..120);
    let outcome = runner.run(&script, |script| {
        let home = tempfile::tempdir()?;
        let mut twin = Twin::new();
        twin.directory(home.path());
        let home_path = home.path().to_owned();
        let mut scene = Scene {
            ports: twin.free_ports(),
            twin,
            home: home_path,
            open: Vec::new(),
            plain: Vec::new(),
            sharers: Vec::new(),
            shared_listener: None,
        };
        for draw in script {
            scene.step(draw);
        }
        scene.twin.close_all();
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
