//! TCP sockets that are bound or listen: who has a port, and who is asked when somebody connects to it.
//!
//! # Invariants
//!
//! - Every change of who has a port is checked against all who have it, by the rule in [`super::bindings`].
//! - A port that the kernel chooses depends on who asks, and on nothing that others do with ports of their own.

use std::net::{IpAddr, SocketAddr};

use portcullis_os::{BindOptions, Errno, Fd, Reply};

use super::bindings::{Binding, Sharing, Standing};
use super::descriptions::{DescriptionId, Object};
use super::networks::Ipv6;
use super::{Kernel, NetworkNamespace, ProcessId};

/// Lower ports are root's (`net.ipv4.ip_unprivileged_port_start`).
const UNPRIVILEGED: u16 = 1024;

/// `net.ipv4.ip_local_port_range`: the first port, and how many.
const EPHEMERAL: (u16, u16) = (32_768, 28_232);
/// The ports of that range that one process is given before it gets those of the next.
const EPHEMERAL_OF_ONE: u16 = 128;

/// A TCP socket that has a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TcpSocket {
    pub(super) socket: u64,
    pub(super) role: Role,
}

/// What a TCP socket does with its port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Bound(Binding),
    Listening {
        binding: Binding,
        backlog: u16,
        /// The connections that nobody has accepted yet, oldest first.
        pending: Vec<u64>,
    },
    /// What it has is an end of a connection, and that end has the port.
    Connected {
        connection: u64,
        side: Side,
    },
}

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Client,
    Server,
}

impl Side {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// Which ports of the ephemeral range the kernel takes: odd ones for bind(2), even ones for connect(2), as
/// `inet_csk_find_open_port` and `__inet_hash_connect` prefer them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parity {
    Even = 0,
    Odd = 1,
}

impl TcpSocket {
    /// Where it listens, if it does.
    pub(super) const fn listening(&self) -> Option<&Binding> {
        match &self.role {
            Role::Listening { binding, .. } => Some(binding),
            Role::Bound(_) | Role::Connected { .. } => None,
        }
    }

    /// Which end of which connection it is, if it is connected.
    pub(super) const fn connected(&self) -> Option<(u64, Side)> {
        match self.role {
            Role::Connected { connection, side } => Some((connection, side)),
            Role::Bound(_) | Role::Listening { .. } => None,
        }
    }

    /// Whether a connection waits to be accepted; `None` if it does not listen.
    pub(super) const fn has_pending(&self) -> Option<bool> {
        match &self.role {
            Role::Listening { pending, .. } => Some(!pending.is_empty()),
            Role::Bound(_) | Role::Connected { .. } => None,
        }
    }

    /// Takes the connection that has waited longest.
    pub(super) fn next_pending(&mut self) -> u64 {
        match &mut self.role {
            Role::Listening { pending, .. } => pending.remove(0),
            Role::Bound(_) | Role::Connected { .. } => {
                unreachable!("only a listener has connections that wait")
            }
        }
    }
}

impl Kernel {
    /// socket(2), setsockopt(2) and bind(2).
    pub(super) fn bind_tcp(
        &mut self,
        who: ProcessId,
        address: SocketAddr,
        options: BindOptions,
    ) -> Result<Reply, Errno> {
        self.free_fd(who)?;
        let binding = self.bindable(who, address, options)?;
        self.remember(&binding);
        Ok(Reply::Fd(self.install_tcp(who, Role::Bound(binding))?))
    }

    pub(super) fn install_tcp(&mut self, who: ProcessId, role: Role) -> Result<Fd, Errno> {
        let socket = self.new_socket(who);
        self.install(who, Object::Tcp(TcpSocket { socket, role }))
    }

    /// What bind(2) would give a process, in the order in which `__inet_bind` and `__inet6_bind` find fault.
    pub(super) fn bindable(
        &self,
        who: ProcessId,
        address: SocketAddr,
        options: BindOptions,
    ) -> Result<Binding, Errno> {
        let birth = &self.process(who).birth;
        let network = birth.place.network;
        self.check_family(network, address)?;
        let is_privileged = (1..UNPRIVILEGED).contains(&address.port()) && birth.uid.0 != 0;
        if address.is_ipv4() {
            self.check_address(network, address.ip())?;
        }
        if is_privileged {
            return Err(Errno::AccessDenied);
        }
        if let IpAddr::V6(ip) = address.ip() {
            if ip.to_ipv4_mapped().is_some() && options.v6_only {
                return Err(Errno::InvalidArgument);
            }
            self.check_address(network, address.ip())?;
        }
        let mut binding = Binding::new(network, address, options, birth.uid);
        if address.port() == 0 {
            let port = self.ephemeral_port(who, network, Parity::Odd).ok_or(Errno::AddressInUse)?;
            binding.address.set_port(port);
        } else if self.is_excluded(&binding, None) {
            return Err(Errno::AddressInUse);
        }
        Ok(binding)
    }

    /// socket(2): whether there are sockets of this family.
    pub(super) fn check_family(&self, network: NetworkNamespace, address: SocketAddr) -> Result<(), Errno> {
        if address.is_ipv6() && self.ipv6(network) == Ipv6::Absent {
            return Err(Errno::AddressFamilyNotSupported);
        }
        Ok(())
    }

    /// A port that nobody has at all. The range is cut into one piece a process, so that two of them that take ports at
    /// once get the same ones in either order. The real kernel begins at a random place.
    pub(super) fn ephemeral_port(
        &self,
        who: ProcessId,
        network: NetworkNamespace,
        parity: Parity,
    ) -> Option<u16> {
        let (first, count) = EPHEMERAL;
        let start = u32::from(who.0) * u32::from(EPHEMERAL_OF_ONE) + parity as u32;
        (0..u32::from(count) / 2).find_map(|n| {
            let offset = u16::try_from((start + 2 * n) % u32::from(count)).ok()?;
            let port = first + offset;
            self.ports(network, port).next().is_none().then_some(port)
        })
    }

    /// Whether a socket is kept from its port by anybody but `own` (`inet_csk_get_port`).
    pub(super) fn is_excluded(&self, binding: &Binding, own: Option<DescriptionId>) -> bool {
        let key = (binding.network, binding.address.port());
        if self.sharing.get(&key).is_some_and(|sharing| sharing.admits(binding)) {
            return false;
        }
        self.ports(binding.network, binding.address.port()).any(|(id, first, standing)| {
            (id.is_none() || id != own) && binding.is_excluded_by(&first, standing)
        })
    }

    /// What a port keeps in mind of a socket that may have it (`inet_csk_update_fastreuse`). To be told before the socket
    /// has it.
    pub(super) fn remember(&mut self, binding: &Binding) {
        let key = (binding.network, binding.address.port());
        let is_first = self.ports(key.0, key.1).next().is_none();
        let known = self.sharing.get(&key);
        if !binding.options.reuse_port {
            if known.is_some() {
                self.sharing.remove(&key);
            }
        } else if is_first {
            self.sharing.insert(key, Sharing::first(*binding));
        } else if !known.is_some_and(|sharing| sharing.admits(binding)) {
            self.sharing.insert(key, Sharing::later(*binding));
        }
    }

    /// Lets ports that nobody has any more forget. To be called wherever somebody may have lost one.
    pub(super) fn tidy_ports(&mut self) {
        let is_over =
            |(network, port): &(NetworkNamespace, u16)| self.ports(*network, *port).next().is_none();
        let over: Vec<_> = self.sharing.keys().copied().filter(is_over).collect();
        for key in over {
            self.sharing.remove(&key);
        }
    }

    /// Everybody who has a port in a network namespace: sockets, connections that wait to be accepted, and what closed
    /// connections have left.
    fn ports(
        &self,
        network: NetworkNamespace,
        port: u16,
    ) -> impl Iterator<Item = (Option<DescriptionId>, Binding, Standing)> {
        let sockets = self.tcp_sockets().filter_map(|(id, tcp)| match &tcp.role {
            Role::Bound(binding) => Some((Some(id), *binding, Standing::Held)),
            Role::Listening { binding, .. } => Some((Some(id), *binding, Standing::Listening)),
            Role::Connected { .. } => None,
        });
        let ends = self.tcp_ends().filter_map(|end| Some((None, end.binding, end.standing()?)));
        sockets
            .chain(ends)
            .filter(move |(_, binding, _)| binding.network == network && binding.address.port() == port)
    }

    /// listen(2). `inet_csk_listen_start` asks for the port once more: of several sockets that share one because none
    /// listens, the first to listen wins.
    pub(super) fn listen_tcp(&mut self, id: DescriptionId, backlog: u16) -> Result<Reply, Errno> {
        let Object::Tcp(tcp) = &self.description(id).object else { unreachable!("it is a TCP socket") };
        let (binding, pending) = match &tcp.role {
            Role::Bound(binding) if self.is_excluded(binding, Some(id)) => return Err(Errno::AddressInUse),
            Role::Bound(binding) => {
                let binding = *binding;
                self.remember(&binding);
                (binding, Vec::new())
            }
            Role::Listening { binding, pending, .. } => (*binding, pending.clone()),
            Role::Connected { .. } => return Err(Errno::InvalidArgument),
        };
        if let Object::Tcp(tcp) = &mut self.description_mut(id).object {
            tcp.role = Role::Listening { binding, backlog, pending };
        }
        Ok(Reply::Done)
    }

    /// Who answers for an address. Of several sockets that share it by `SO_REUSEPORT` the real kernel takes any one, by
    /// a hash; here it is always the same one.
    pub(super) fn listener_at(&self, network: NetworkNamespace, to: SocketAddr) -> Option<DescriptionId> {
        let fits = self.tcp_sockets().filter_map(|(id, tcp)| {
            let binding = tcp.listening().filter(|binding| binding.network == network)?;
            let fit = binding.fit(to.ip()).filter(|_| binding.address.port() == to.port())?;
            Some((fit, id))
        });
        fits.min().map(|(_, id)| id)
    }

    pub(super) fn tcp_sockets(&self) -> impl Iterator<Item = (DescriptionId, &TcpSocket)> {
        self.descriptions().filter_map(|(id, description)| match &description.object {
            Object::Tcp(tcp) => Some((id, tcp)),
            Object::File { .. }
            | Object::UnixListener(_)
            | Object::UnixStream { .. }
            | Object::Pidfd { .. } => None,
        })
    }

    /// What a TCP socket has, or had while its connection lived.
    pub(super) fn binding_of(&self, tcp: &TcpSocket) -> Binding {
        match &tcp.role {
            Role::Bound(binding) | Role::Listening { binding, .. } => *binding,
            Role::Connected { connection, side } => self.tcp_connection(*connection).end(*side).binding,
        }
    }

    /// getsockname(2).
    pub(super) fn local_address(&self, who: ProcessId, fd: Fd) -> Result<Reply, Errno> {
        match self.object(who, fd)? {
            Object::Tcp(tcp) => Ok(Reply::Address(self.binding_of(tcp).address)),
            Object::UnixListener(_) | Object::UnixStream { .. } => Err(Errno::AddressFamilyNotSupported),
            Object::File { .. } | Object::Pidfd { .. } => Err(Errno::NotSocket),
        }
    }
}
