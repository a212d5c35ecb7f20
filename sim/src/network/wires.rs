//! Which listening socket of the kernel is which listener of the network, and what is sent between hosts.
//!
//! Whether a port is taken, and who listens on it, is decided by the [`Kernel`] alone. A listening socket there has a listener on
//! the network behind it, on a port that only this file knows, from listen(2) until the kernel has closed it. So connections wait
//! in its backlog whoever accepts them, before and after a restart or a handover.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use portcullis_os::Port;
use turmoil_net::shim::tokio::net::TcpListener;
use turmoil_net::{EnterGuard, KernelConfig, Net, NetstatState, Packet, TcpFlags, TcpSegment, Transport};

use super::links::Links;
use crate::kernel::{HostId, Kernel, NetworkNamespace};
use crate::sample::Random;

/// How many connections may wait for somebody to accept them (`SOMAXCONN` is 4096; `refgate` asks for fewer).
const BACKLOG: usize = 128;
/// The first port of the network behind the listening sockets of the kernel.
const FIRST_PORT: u16 = 2;
/// A port on which nobody ever listens.
const NOBODY: u16 = 1;

/// A listening socket of the kernel: of which namespace, and its address.
type Place = (NetworkNamespace, SocketAddr);

/// Where a connection is to go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// To the loopback of this namespace.
    Here(NetworkNamespace),
    /// To a host, by its address.
    There(HostId, NetworkNamespace),
}

/// A listener of the network.
struct Wire {
    host: HostId,
    listener: Arc<TcpListener>,
    port: u16,
}

/// The network.
pub(super) struct Wires {
    hosts: Vec<turmoil_net::HostId>,
    listening: BTreeMap<Place, Wire>,
    next_port: u16,
    pub(super) links: Links,
    outbound: Vec<Packet>,
}

impl Wires {
    /// So many hosts, all connected.
    pub(super) fn between(hosts: usize) -> (Self, EnterGuard) {
        // Packets are late here and never lost, so nothing has to be sent again.
        let config = KernelConfig::default().default_backlog(BACKLOG).retx_threshold(u32::MAX);
        let mut net = Net::with_config(config);
        let hosts = (0..hosts).map(|number| net.add_host(address(number))).collect();
        let wires = Self {
            hosts,
            listening: BTreeMap::new(),
            next_port: FIRST_PORT,
            links: Links::default(),
            outbound: Vec::new(),
        };
        (wires, net.enter())
    }

    /// Whose sockets the calls of this thread are about from now on.
    pub(super) fn enter(&self, host: HostId) {
        if let Some(host) = self.hosts.get(usize::from(host.0)) {
            turmoil_net::set_current(*host);
        }
    }

    /// The listener behind a listening socket of the kernel.
    pub(super) fn listen(&mut self, host: HostId, place: Place) -> io::Result<Arc<TcpListener>> {
        if let Some(wire) = self.listening.get(&place) {
            return Ok(wire.listener.clone());
        }
        self.enter(host);
        let port = self.next_port;
        self.next_port = port.checked_add(1).ok_or(io::ErrorKind::AddrInUse)?;
        let everywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
        let listener = Arc::new(at_once(TcpListener::bind(everywhere))?);
        self.listening.insert(place, Wire { host, listener: listener.clone(), port });
        Ok(listener)
    }

    /// Where a connection to a port goes: one in the same namespace, or on a host as others see it.
    pub(super) fn route(&self, to: Target, port: Port) -> SocketAddr {
        let (ip, network) = match to {
            Target::Here(network) => (IpAddr::V4(Ipv4Addr::LOCALHOST), network),
            Target::There(host, network) => (address(usize::from(host.0)), network),
        };
        let takes = |at: &SocketAddr| {
            at.port() == port.get() && (matches!(to, Target::Here(_)) || !at.ip().is_loopback())
        };
        let found = self.listening.iter().find(|((of, at), _)| *of == network && takes(at));
        SocketAddr::new(ip, found.map_or(NOBODY, |(_, wire)| wire.port))
    }

    /// Ends the listeners whose sockets the kernel has closed.
    pub(super) fn close_what_is_gone(&mut self, kernel: &Kernel) {
        let gone: Vec<Place> =
            self.listening.keys().filter(|(network, at)| !is_held(kernel, *network, *at)).copied().collect();
        for place in gone {
            if let Some(wire) = self.listening.remove(&place) {
                self.enter(wire.host);
            }
        }
    }

    /// Ends all listeners.
    pub(super) fn clear(&mut self) {
        while let Some((_, wire)) = self.listening.pop_first() {
            self.enter(wire.host);
        }
    }

    /// The power of a host fails: it knows of no connection any more, says nothing, and hears later what is sent to it meanwhile.
    pub(super) fn darken(&mut self, guard: &EnterGuard, host: HostId) {
        self.links.darken(host);
        let number = usize::from(host.0);
        if number >= self.hosts.len() {
            return;
        }
        let own = address(number);
        for entry in turmoil_net::netstat(own).entries {
            // What nobody has accepted ends with its listener, and what does not leave the host with both its sides.
            let is_left = entry.state != Some(NetstatState::SynReceived);
            let Some(peer) = entry.peer.filter(|peer| is_left && !peer.ip().is_loopback()) else { continue };
            // A stack has no other way to forget one than to be told that the other side has.
            let reset = TcpSegment {
                src_port: peer.port(),
                dst_port: entry.local.port(),
                seq: 0,
                ack: 0,
                flags: TcpFlags { rst: true, ..TcpFlags::default() },
                window: 0,
                payload: Default::default(),
            };
            guard.deliver(Packet { src: peer.ip(), dst: own, ttl: 64, payload: Transport::Tcp(reset) });
        }
    }

    /// Takes what the hosts send.
    pub(super) fn collect(&mut self, guard: &EnterGuard, now_ms: u64, random: &mut Random) {
        guard.egress_all(&mut self.outbound);
        for packet in self.outbound.drain(..) {
            if let (Some(from), Some(to)) = (host_at(packet.src), host_at(packet.dst)) {
                self.links.send([from, to], packet, now_ms, random);
            }
        }
    }

    /// Takes what the hosts send, and gives them what has arrived. Answers whether anything has.
    pub(super) fn carry(&mut self, guard: &EnterGuard, now_ms: u64, random: &mut Random) -> bool {
        self.collect(guard, now_ms, random);
        let mut has_arrived = false;
        while let Some(packet) = self.links.arrived(now_ms) {
            has_arrived = true;
            guard.deliver(packet);
        }
        has_arrived
    }
}

/// Whether somebody listens at an address.
fn is_held(kernel: &Kernel, network: NetworkNamespace, at: SocketAddr) -> bool {
    let listeners = Port::new(at.port()).map(|port| kernel.listeners(port)).unwrap_or_default();
    listeners.iter().any(|(address, holder)| *address == at && kernel.place(*holder).network == network)
}

/// The address of a host.
fn address(number: usize) -> IpAddr {
    let [.., number] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
}

/// The host at an address.
const fn host_at(address: IpAddr) -> Option<HostId> {
    match address {
        IpAddr::V4(address) => Some(HostId(address.octets()[3])),
        IpAddr::V6(_) => None,
    }
}

/// What a future that never waits comes to.
fn at_once<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
