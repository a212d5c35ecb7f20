//! TCP connections inside one network namespace, and what is left of them.
//!
//! Packets are not modelled, and are never late or lost, as on a loopback device; so `FIN_WAIT1` (up to 40 ms there, until
//! the other end acknowledges) and `LAST_ACK` do not exist.
//!
//! # Invariants
//!
//! - Who closes first keeps the port, as `FIN_WAIT2` and then `TIME_WAIT`, until a minute has passed.
//! - A close with bytes unread is a reset: nothing is left of it, and the other end is told.

use std::net::SocketAddr;

use portcullis_os::{Errno, Fd, Reply, TcpRow, TcpState, Uid};

use super::bindings::{Binding, Standing, mapped};
use super::descriptions::Object;
use super::tcp::{Role, Side, TcpSocket};
use super::{HostId, Kernel, NetworkNamespace, ProcessId, Readiness};
use crate::shared::Shared;

/// `TCP_TIMEWAIT_LEN`, and `net.ipv4.tcp_fin_timeout`.
const LINGER_MS: u64 = 60_000;

/// How many bytes may wait to be received. The real number moves with memory and use.
const UNREAD_BYTES: usize = 212_992;

/// Two ends, of which at least one still has something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TcpConnection {
    client: TcpEnd,
    server: TcpEnd,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TcpEnd {
    pub(super) binding: Binding,
    /// bind(2) was asked for this very port (`SOCK_BINDPORT_LOCK`), so not even a reset frees it before the close.
    keeps_port: bool,
    stage: Stage,
    /// Its inode; 0 while it waits to be accepted, and after it was closed.
    socket: u64,
    /// What the other end has sent.
    unread: Vec<u8>,
    /// The other end was closed, and everything that it sent has come (`SOCK_DONE`).
    ended: bool,
    /// What went wrong, told once (`sk_err`).
    failure: Option<Errno>,
}

/// Where in its life an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Open,
    /// Open still, and no more than a descriptor: the other end has reset the connection.
    Reset,
    /// Closed; the other end is open (`FIN_WAIT2`). The time is when the kernel forgets it.
    Closing {
        until_ms: u64,
    },
    /// Closed, as the other end was later.
    TimeWait {
        until_ms: u64,
    },
    Gone,
    /// On a machine that is not here. It sends nothing, and closes when the other end does.
    Elsewhere,
}

impl TcpConnection {
    pub(super) const fn end(&self, side: Side) -> &TcpEnd {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    const fn end_mut(&mut self, side: Side) -> &mut TcpEnd {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// If it is one between these two, how far `client` and the other are.
    fn between(&self, client: &Binding, to: SocketAddr) -> Option<(Stage, Stage)> {
        [(&self.client, &self.server), (&self.server, &self.client)].into_iter().find_map(|(own, other)| {
            let is_same = own.binding.network == client.network
                && same(own.binding.address, client.address)
                && same(other.binding.address, to);
            is_same.then_some((own.stage, other.stage))
        })
    }
}

impl TcpEnd {
    const fn open(binding: Binding, keeps_port: bool, socket: u64) -> Self {
        Self {
            binding,
            keeps_port,
            stage: Stage::Open,
            socket,
            unread: Vec::new(),
            ended: false,
            failure: None,
        }
    }

    /// What it does with its port; `None` if it has it no more.
    pub(super) const fn standing(&self) -> Option<Standing> {
        match self.stage {
            Stage::Open => Some(Standing::Held),
            Stage::Reset if self.keeps_port => Some(Standing::Held),
            Stage::Closing { .. } | Stage::TimeWait { .. } => Some(Standing::Closed),
            Stage::Reset | Stage::Gone | Stage::Elsewhere => None,
        }
    }

    /// Its line in `/proc/net/tcp`. What was closed has no owner there, and no inode.
    fn row(&self) -> Option<TcpRow> {
        let local = self.binding.address;
        let closed = |state| Some(TcpRow { local, state, uid: Uid(0), socket: 0 });
        match self.stage {
            Stage::Open => {
                let state = TcpState::Connected;
                Some(TcpRow { local, state, uid: self.binding.uid, socket: self.socket })
            }
            Stage::Closing { .. } => closed(TcpState::Connected),
            Stage::TimeWait { .. } => closed(TcpState::TimeWait),
            Stage::Reset | Stage::Gone | Stage::Elsewhere => None,
        }
    }

    /// Leaves nothing but what `stage` says.
    fn close(&mut self, stage: Stage) {
        *self = Self { stage, ..Self::open(self.binding, false, 0) };
    }

    /// A reset arrives (`tcp_reset`). What has come before can still be read.
    fn reset(&mut self) {
        match self.stage {
            Stage::Open => {
                self.stage = Stage::Reset;
                self.failure = Some(if self.ended { Errno::BrokenPipe } else { Errno::ConnectionReset });
            }
            Stage::Closing { .. } | Stage::TimeWait { .. } => self.close(Stage::Gone),
            Stage::Reset | Stage::Gone | Stage::Elsewhere => {}
        }
    }

    const fn is_gone(&self) -> bool {
        matches!(self.stage, Stage::Gone | Stage::Elsewhere)
    }
}

impl Kernel {
    /// A connection that waits to be accepted, by the number of the socket of the client.
    pub(super) fn make_connection(&mut self, number: u64, client: (Binding, bool), server: Binding) {
        let client = TcpEnd::open(client.0, client.1, number);
        let server = TcpEnd::open(server, false, 0);
        self.tcp_connections.insert(number, Shared::new(TcpConnection { client, server }));
    }

    /// A connection to a machine that is not here.
    pub(super) fn make_connection_elsewhere(&mut self, number: u64, client: Binding, server: Binding) {
        let client = TcpEnd::open(client, false, number);
        let server = TcpEnd { stage: Stage::Elsewhere, ..TcpEnd::open(server, false, 0) };
        self.tcp_connections.insert(number, Shared::new(TcpConnection { client, server }));
    }

    /// Two addresses have one connection at a time (`__inet_check_established`). One in `TIME_WAIT` makes place.
    ///
    /// One that is closed at one end only is in the way for a moment, and is then cleared by a challenge, a reset and a
    /// second attempt. None of that is modelled.
    pub(super) fn check_tuple(&self, client: &Binding, to: SocketAddr) -> Result<(), Errno> {
        let between = self.tcp_connections.values().filter_map(|connection| connection.between(client, to));
        for stages in between {
            match stages {
                (Stage::Open, _) => return Err(Errno::AddressNotAvailable),
                (Stage::Closing { .. }, _) | (_, Stage::Open) => return Err(Errno::NotImplemented),
                (Stage::Reset | Stage::TimeWait { .. } | Stage::Gone | Stage::Elsewhere, _) => {}
            }
        }
        Ok(())
    }

    /// Makes place for a connection between these two (`tcp_twsk_unique`, `tcp_timewait_state_process`).
    pub(super) fn drop_time_wait(&mut self, client: &Binding, to: SocketAddr) {
        let old: Vec<u64> = self
            .tcp_connections
            .iter()
            .filter(|(_, connection)| connection.between(client, to).is_some())
            .map(|(number, _)| *number)
            .collect();
        for number in old {
            self.end_linger(number, |_, _| true);
        }
    }

    /// accept4(2): an end that waited gets a descriptor, and so an inode and an owner.
    pub(super) fn accept_tcp(&mut self, who: ProcessId, connection: u64) -> Result<Fd, Errno> {
        let uid = self.process(who).birth.uid;
        let role = Role::Connected { connection, side: Side::Server };
        let socket = self.new_socket(who);
        let end = self.tcp_connection_mut(connection).end_mut(Side::Server);
        end.socket = socket;
        end.binding.uid = uid;
        self.install(who, Object::Tcp(TcpSocket { socket, role }))
    }

    /// send(2) with `MSG_NOSIGNAL | MSG_DONTWAIT` (`tcp_sendmsg_locked`). What is sent to an end that was closed is taken,
    /// and answered with a reset.
    pub(super) fn send_tcp(&mut self, number: u64, side: Side, bytes: &[u8]) -> Result<Reply, Errno> {
        let connection = self.tcp_connection(number);
        if let Some(failure) = connection.end(side).failure {
            self.tcp_connection_mut(number).end_mut(side).failure = None;
            return Err(failure);
        }
        if connection.end(side).stage == Stage::Reset {
            return Err(Errno::BrokenPipe);
        }
        let receiver = connection.end(side.other());
        let room = match receiver.stage {
            Stage::Open => UNREAD_BYTES.saturating_sub(receiver.unread.len()),
            Stage::Reset
            | Stage::Closing { .. }
            | Stage::TimeWait { .. }
            | Stage::Gone
            | Stage::Elsewhere => UNREAD_BYTES,
        };
        let taken = bytes.len().min(room);
        if bytes.is_empty() {
            return Ok(Reply::Count(0));
        }
        if taken == 0 {
            return Err(Errno::WouldBlock);
        }
        let connection = self.tcp_connection_mut(number);
        match connection.end(side.other()).stage {
            Stage::Open => connection.end_mut(side.other()).unread.extend_from_slice(&bytes[..taken]),
            Stage::Elsewhere => {}
            Stage::Reset | Stage::Closing { .. } | Stage::TimeWait { .. } | Stage::Gone => {
                connection.end_mut(side.other()).reset();
                connection.end_mut(side).reset();
                self.tidy_ports();
            }
        }
        Ok(Reply::Count(taken as u32))
    }

    pub(super) fn receive_tcp_readiness(&self, number: u64, side: Side) -> Readiness {
        let end = self.tcp_connection(number).end(side);
        if end.stage == Stage::Open && end.unread.is_empty() && !end.ended {
            Readiness::WaitsUntilDeadline
        } else {
            Readiness::Ready
        }
    }

    /// recv(2) (`tcp_recvmsg_locked`). What was sent comes first, then the end of the stream, then what went wrong.
    pub(super) fn receive_tcp(&mut self, number: u64, side: Side, length: u32) -> Result<Reply, Errno> {
        let end = self.tcp_connection(number).end(side);
        if !end.unread.is_empty() {
            let taken = end.unread.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            let end = self.tcp_connection_mut(number).end_mut(side);
            return Ok(Reply::Bytes(end.unread.drain(..taken).collect()));
        }
        match end.failure.filter(|_| !end.ended) {
            Some(failure) => {
                self.tcp_connection_mut(number).end_mut(side).failure = None;
                Err(failure)
            }
            None => Ok(Reply::Bytes(Vec::new())),
        }
    }

    /// The last close of one end (`__tcp_close`).
    pub(super) fn hang_up_tcp(&mut self, number: u64, side: Side) {
        let network = self.tcp_connection(number).end(side).binding.network;
        let until_ms = self.network_clocks(network).monotonic_ms().saturating_add(LINGER_MS);
        let connection = self.tcp_connection_mut(number);
        let (own, other) = (connection.end(side), connection.end(side.other()));
        let own_stage = match (own.stage, other.stage) {
            (Stage::Open, _) if !own.unread.is_empty() => {
                connection.end_mut(side.other()).reset();
                Stage::Gone
            }
            (Stage::Open, Stage::Open) => {
                connection.end_mut(side.other()).ended = true;
                Stage::Closing { until_ms }
            }
            (Stage::Open, Stage::Closing { .. }) => {
                connection.end_mut(side.other()).close(Stage::TimeWait { until_ms });
                Stage::Gone
            }
            (Stage::Open, Stage::Elsewhere) => Stage::TimeWait { until_ms },
            (Stage::Open, Stage::Reset | Stage::TimeWait { .. } | Stage::Gone)
            | (
                Stage::Reset
                | Stage::Closing { .. }
                | Stage::TimeWait { .. }
                | Stage::Gone
                | Stage::Elsewhere,
                _,
            ) => Stage::Gone,
        };
        connection.end_mut(side).close(own_stage);
        self.drop_tcp_connection(number);
    }

    /// The last close of a listener: those who wait are told (`inet_csk_listen_stop`).
    pub(super) fn reset_pending(&mut self, pending: &[u64]) {
        for number in pending {
            let connection = self.tcp_connection_mut(*number);
            connection.end_mut(Side::Client).reset();
            connection.end_mut(Side::Server).close(Stage::Gone);
            self.drop_tcp_connection(*number);
        }
    }

    /// Lets every closed connection be forgotten at once, as if the minute of `TIME_WAIT` had passed.
    pub fn expire_time_wait(&mut self) {
        self.end_lingers(|_, _| true);
    }

    /// Forgets the closed connections whose minute is over.
    pub(super) fn end_lingers_of_the_past(&mut self) {
        let kernel = self.clone();
        self.end_lingers(|network, until_ms| until_ms <= kernel.network_clocks(network).monotonic_ms());
    }

    /// Forgets the closed connections of a host that boots.
    pub(super) fn end_lingers_on(&mut self, host: HostId) {
        let kernel = self.clone();
        self.end_lingers(|network, _| kernel.host_of_network(network) == host);
    }

    fn end_lingers(&mut self, is_over: impl Fn(NetworkNamespace, u64) -> bool) {
        let numbers: Vec<u64> = self.tcp_connections.keys().copied().collect();
        for number in numbers {
            self.end_linger(number, &is_over);
        }
        self.tidy_ports();
    }

    fn end_linger(&mut self, number: u64, is_over: impl Fn(NetworkNamespace, u64) -> bool) {
        for side in [Side::Client, Side::Server] {
            let end = self.tcp_connection(number).end(side);
            let network = end.binding.network;
            match end.stage {
                Stage::Closing { until_ms } | Stage::TimeWait { until_ms } if is_over(network, until_ms) => {
                    self.tcp_connection_mut(number).end_mut(side).close(Stage::Gone);
                }
                Stage::Open
                | Stage::Reset
                | Stage::Closing { .. }
                | Stage::TimeWait { .. }
                | Stage::Gone
                | Stage::Elsewhere => {}
            }
        }
        self.drop_tcp_connection(number);
    }

    fn drop_tcp_connection(&mut self, number: u64) {
        let connection = self.tcp_connection(number);
        if connection.client.is_gone() && connection.server.is_gone() {
            self.tcp_connections.remove(&number);
        }
    }

    /// The lines of `/proc/net/tcp` and `tcp6` about connections.
    pub(super) fn connection_rows(&self, network: NetworkNamespace) -> impl Iterator<Item = TcpRow> {
        self.tcp_ends().filter(move |end| end.binding.network == network).filter_map(TcpEnd::row)
    }

    pub(super) fn tcp_ends(&self) -> impl Iterator<Item = &TcpEnd> {
        self.tcp_connections.values().flat_map(|connection| [&connection.client, &connection.server])
    }

    pub(super) fn tcp_connection(&self, number: u64) -> &TcpConnection {
        match self.tcp_connections.get(&number) {
            Some(connection) => connection,
            None => unreachable!("connection {number} is referred to and does not exist"),
        }
    }

    fn tcp_connection_mut(&mut self, number: u64) -> &mut TcpConnection {
        match self.tcp_connections.get_mut(&number) {
            Some(connection) => connection.edit(),
            None => unreachable!("connection {number} is referred to and does not exist"),
        }
    }
}

/// Whether two addresses are one, in whichever notation.
pub(super) fn same(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && mapped(one.ip()) == mapped(other.ip())
}
