//! connect(2) over TCP, in one step: the kernel of the listener answers, whatever its process does.
//!
//! A call that nobody answers waits, and nobody sees it wait: `SYN_SENT` is not modelled. Nor is a connection of a socket
//! to itself, which is refused as such.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use portcullis_os::{BindOptions, Errno, Reply};

use super::bindings::{Binding, mapped};
use super::connections::same;
use super::descriptions::{DescriptionId, Object};
use super::networks::Ipv6;
use super::tcp::{Parity, Role, Side, TcpSocket};
use super::{Kernel, ProcessId, Readiness};

/// What a socket has that connect(2) gives a port.
const UNBOUND: BindOptions = BindOptions { reuse_address: false, reuse_port: false, v6_only: false };
/// How a socket is bound that connects from a chosen address.
const CHOSEN: BindOptions = BindOptions { reuse_address: true, ..UNBOUND };

/// What a connection would be, and whether it could be made at once.
struct Plan {
    client: Binding,
    keeps_port: bool,
    to: SocketAddr,
    /// `None`: nobody will answer before the deadline.
    listener: Option<DescriptionId>,
}

impl Kernel {
    /// connect(2): at once, with an error at once, or not before the deadline.
    pub(super) fn connect_readiness(
        &self,
        who: ProcessId,
        address: SocketAddr,
        from: Option<SocketAddr>,
    ) -> Readiness {
        match self.plan_connection(who, address, from) {
            Ok(Plan { listener: None, .. }) => Readiness::WaitsUntilDeadline,
            Ok(Plan { listener: Some(_), .. }) | Err(_) => Readiness::Ready,
        }
    }

    /// connect(2).
    pub(super) fn connect_tcp(
        &mut self,
        who: ProcessId,
        address: SocketAddr,
        from: Option<SocketAddr>,
    ) -> Result<Reply, Errno> {
        let plan = self.plan_connection(who, address, from);
        let from_one_family = from.filter(|from| from.is_ipv4() == address.is_ipv4());
        if let Some(Ok(bound)) = from_one_family.map(|from| self.bindable(who, from, CHOSEN)) {
            // It is bound before it fails to connect.
            self.remember(&bound);
            self.tidy_ports();
        }
        let Plan { client, keeps_port, to, listener } = plan?;
        let Some(listener) = listener else { unreachable!("connect is carried out though nobody answers") };
        self.drop_time_wait(&client, to);
        let number = self.new_socket(who);
        let Object::Tcp(tcp) = &mut self.description_mut(listener).object else {
            unreachable!("only a TCP socket listens on a port")
        };
        let Role::Listening { binding, pending, .. } = &mut tcp.role else {
            unreachable!("who answers listens")
        };
        pending.push(number);
        let ip = match binding.address {
            SocketAddr::V4(_) => to.ip().to_canonical(),
            SocketAddr::V6(_) => IpAddr::V6(mapped(to.ip())),
        };
        let server = Binding { address: SocketAddr::new(ip, to.port()), ..*binding };
        self.make_connection(number, (client, keeps_port), server);
        let role = Role::Connected { connection: number, side: Side::Client };
        let tcp = Object::Tcp(TcpSocket { socket: number, role });
        Ok(Reply::Fd(self.install(who, tcp)?))
    }

    /// What connect(2) finds wrong, in the order of Linux, and whom it finds.
    fn plan_connection(
        &self,
        who: ProcessId,
        address: SocketAddr,
        from: Option<SocketAddr>,
    ) -> Result<Plan, Errno> {
        self.free_fd(who)?;
        let birth = &self.process(who).birth;
        let network = birth.place.network;
        self.check_family(network, address)?;
        let bound = match (from, address) {
            (None, _) => None,
            (Some(SocketAddr::V4(_)), SocketAddr::V6(_)) => return Err(Errno::InvalidArgument),
            (Some(SocketAddr::V6(_)), SocketAddr::V4(_)) => return Err(Errno::AddressFamilyNotSupported),
            (Some(from), _) => Some(self.bindable(who, from, CHOSEN)?),
        };
        let bound_ip = bound.map(|bound| bound.address.ip()).filter(|ip| !ip.to_canonical().is_unspecified());
        if bound_ip.is_some_and(|ip| ip.to_canonical().is_ipv4() != address.ip().to_canonical().is_ipv4()) {
            return Err(Errno::NotImplemented);
        }
        let to = SocketAddr::new(destination(address.ip(), bound_ip), address.port());
        let is_here = self.has_address(network, to.ip());
        if to.ip().to_canonical().is_ipv6() && self.ipv6(network) != Ipv6::Enabled {
            return Err(Errno::AddressNotAvailable);
        }
        let mut client = bound.unwrap_or(Binding { network, address, options: UNBOUND, uid: birth.uid });
        client.address.set_ip(bound_ip.unwrap_or_else(|| source(to.ip())));
        if bound.is_none() {
            let port = self.ephemeral_port(who, network, Parity::Even).ok_or(Errno::AddressNotAvailable)?;
            client.address.set_port(port);
        }
        let keeps_port = from.is_some_and(|from| from.port() != 0);
        if !is_here {
            return Ok(Plan { client, keeps_port, to, listener: None });
        }
        if same(client.address, to) {
            return Err(Errno::NotImplemented);
        }
        self.check_tuple(&client, to)?;
        let listener = self.listener_at(network, to).ok_or(Errno::ConnectionRefused)?;
        Ok(Plan { client, keeps_port, to, listener: Some(listener).filter(|id| !self.is_full(*id)) })
    }

    /// The backlog holds one more than was asked for (`sk_acceptq_is_full`).
    fn is_full(&self, listener: DescriptionId) -> bool {
        match &self.description(listener).object {
            Object::Tcp(tcp) => match &tcp.role {
                Role::Listening { backlog, pending, .. } => pending.len() > usize::from(*backlog),
                Role::Bound(_) | Role::Connected { .. } => false,
            },
            Object::File { .. }
            | Object::UnixListener(_)
            | Object::UnixStream { .. }
            | Object::Pidfd { .. } => false,
        }
    }

    /// Gives a process a connection to another machine, from exactly this address, as connect(2) would with a port that
    /// the kernel chose: nobody may share it, and there is no listener to be found. When it is closed, it leaves
    /// `TIME_WAIT`.
    ///
    /// # Errors
    ///
    /// What bind(2) says of the address, for instance [`Errno::AddressInUse`].
    ///
    /// # Panics
    ///
    /// If the process is dead, the address is a wildcard, or no port is named.
    pub fn hold_connection(&mut self, process: ProcessId, local: SocketAddr) -> Result<(), Errno> {
        /// From RFC 5737: nobody's.
        const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), 443);
        assert!(self.process(process).is_alive(), "process {} is dead", process.0);
        let is_one = local.port() != 0 && !local.ip().to_canonical().is_unspecified();
        assert!(is_one, "{local} is no single address and port");
        self.free_fd(process)?;
        let binding = Binding { options: UNBOUND, ..self.bindable(process, local, UNBOUND)? };
        let number = self.new_socket(process);
        self.make_connection_elsewhere(number, binding, Binding { address: PEER, ..binding });
        let role = Role::Connected { connection: number, side: Side::Client };
        self.install(process, Object::Tcp(TcpSocket { socket: number, role })).map(|_| ())
    }
}

/// Where a packet to this address goes: the wildcard means the address that it comes from, or the loopback one
/// (`ip_route_output_key_hash_rcu`, `tcp_v6_connect`).
fn destination(ip: IpAddr, bound: Option<IpAddr>) -> IpAddr {
    match ip {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => bound.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(_) | IpAddr::V6(_) => ip,
    }
}

/// The address that a socket without one gets: all of 127.0.0.0/8 is reached from 127.0.0.1, any other address of this
/// machine from itself.
fn source(to: IpAddr) -> IpAddr {
    let is_loopback_v4 = to.to_canonical().is_ipv4() && to.to_canonical().is_loopback();
    match to {
        IpAddr::V4(_) if is_loopback_v4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) if is_loopback_v4 => IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()),
        IpAddr::V4(_) | IpAddr::V6(_) => to,
    }
}
