//! Calls about sockets: ports, names, connections and what goes over them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use portcullis_os::{BindOptions, Call, Port, UnixName};
use proptest::prelude::*;

use super::verbs::Verb;
use super::{Generator, Kind, one};
use crate::sequence::Who;
use crate::symbols;

/// Ports of the sequence that processes compete for, and the one that only root may bind.
const RIVAL_PORTS: [u16; 4] = [1, 1, 2, 9];

fn ip() -> impl Strategy<Value = IpAddr> {
    let v4 = |ip: Ipv4Addr| IpAddr::V4(ip);
    let v6 = |ip: Ipv6Addr| IpAddr::V6(ip);
    prop_oneof![
        8 => Just(v4(Ipv4Addr::LOCALHOST)),
        6 => Just(v4(Ipv4Addr::UNSPECIFIED)),
        2 => Just(v4(Ipv4Addr::new(127, 0, 0, 2))),
        4 => Just(v6(Ipv6Addr::UNSPECIFIED)),
        4 => Just(v6(Ipv6Addr::LOCALHOST)),
        2 => Just(v6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())),
        1 => Just(v4(Ipv4Addr::new(198, 51, 100, 7))),
    ]
}

fn target() -> impl Strategy<Value = IpAddr> {
    let v4 = |ip: Ipv4Addr| IpAddr::V4(ip);
    prop_oneof![
        8 => Just(v4(Ipv4Addr::LOCALHOST)),
        2 => Just(v4(Ipv4Addr::new(127, 0, 0, 2))),
        4 => Just(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ]
}

fn options() -> impl Strategy<Value = BindOptions> {
    let any = (any::<bool>(), prop::bool::weighted(0.3), any::<bool>())
        .prop_map(|(reuse_address, reuse_port, v6_only)| BindOptions { reuse_address, reuse_port, v6_only });
    prop_oneof![2 => Just(BindOptions::SERVER), 3 => any]
}

fn unix_name() -> impl Strategy<Value = UnixName> {
    prop_oneof![
        12 => Just(UnixName::Abstract("$n".to_owned())),
        3 => Just(UnixName::Abstract("$m".to_owned())),
        6 => Just(UnixName::Path(PathBuf::from("$/s"))),
        1 => Just(UnixName::Path(PathBuf::from("$/a"))),
        1 => Just(UnixName::Path(PathBuf::from("$/absent/s"))),
        1 => Just(UnixName::Abstract(format!("${}", "n".repeat(110)))),
        1 => Just(UnixName::Path(PathBuf::from(format!("$/{}", "n".repeat(120))))),
    ]
}

impl Generator<'_> {
    /// The call that a verb becomes, if it is about sockets and there is something that it could be done to.
    pub(super) fn socket_call(&mut self, who: Who, verb: Verb) -> Option<Call> {
        Some(match verb {
            Verb::BindTcp => {
                let port = if self.once_in(10) { 0 } else { self.rival_port() };
                let address = SocketAddr::new(self.pick(ip()), port);
                Call::BindTcp { address, options: self.pick(options()) }
            }
            Verb::ConnectTcp => {
                let addresses = self.addresses.clone();
                let port = match self.one_of(&addresses) {
                    Some(label) if self.once_in(3) => symbols::port(label),
                    _ => self.rival_port(),
                };
                let address = SocketAddr::new(self.pick(target()), port);
                let from = self.once_in(6).then(|| SocketAddr::new(self.pick(target()), self.rival_port()));
                // That a socket can be connected to itself is not modelled.
                let from = from.filter(|from| *from != address);
                Call::ConnectTcp { address, from, deadline_ms: 1 }
            }
            Verb::LocalAddress => {
                Call::LocalAddress { fd: self.fd(who, &[Kind::Bound, Kind::Listener, Kind::Stream])? }
            }
            // The numbers of ports have no order that both machines share, so a range is one port.
            Verb::TcpListeners => {
                let port = Port::new(self.rival_port())?;
                Call::TcpListeners { first: port, last: port }
            }
            Verb::TcpSockets => Call::TcpSockets { port: Port::new(self.rival_port())? },
            Verb::HoldsSocket => {
                let sockets = self.sockets.clone();
                Call::HoldsSocket { pid: self.pid(), socket: self.one_of(&sockets).map(symbols::socket)? }
            }
            Verb::ListenUnix => {
                let backlog = self.pick(one([0, 1, 1, 5_u16]));
                Call::ListenUnix { name: self.pick(unix_name()), backlog }
            }
            Verb::ConnectUnix => Call::ConnectUnix { name: self.pick(unix_name()) },
            Verb::Listen => {
                let backlog = self.pick(one([0, 1, 5_u16]));
                Call::Listen { fd: self.fd(who, &[Kind::Bound, Kind::Bound, Kind::Listener])?, backlog }
            }
            Verb::Accept => self.accept(who)?,
            Verb::PeerCredentials => {
                Call::PeerCredentials { fd: self.fd(who, &[Kind::Stream, Kind::Listener])? }
            }
            Verb::Send => {
                let bytes = vec![b's'; self.pick(0..4_usize)];
                Call::Send { fd: self.fd(who, &[Kind::Stream])?, bytes }
            }
            Verb::Receive => {
                let length = self.pick(one([0, 1, 2, 8_u32]));
                Call::Receive { fd: self.fd(who, &[Kind::Stream])?, length, deadline_ms: 1 }
            }
            Verb::SendFd => Call::SendFd {
                socket: self.fd(who, &[Kind::Stream])?,
                fd: self.fd(
                    who,
                    &[Kind::File, Kind::File, Kind::Directory, Kind::Bound, Kind::Listener, Kind::Stream],
                )?,
            },
            Verb::ReceiveFd => Call::ReceiveFd { socket: self.fd(who, &[Kind::Stream])?, deadline_ms: 1 },
            _ => return None,
        })
    }

    fn accept(&mut self, who: Who) -> Option<Call> {
        if self.once_in(40) {
            return Some(Call::Accept { fds: Vec::new() });
        }
        let first = self.fd(who, &[Kind::Listener])?;
        let second = if self.once_in(5) { self.fd(who, &[Kind::Listener, Kind::Stream]) } else { None };
        Some(Call::Accept { fds: [Some(first), second].into_iter().flatten().collect() })
    }

    fn rival_port(&mut self) -> u16 {
        self.pick(one(RIVAL_PORTS))
    }
}
