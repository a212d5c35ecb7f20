//! TCP ports: who may bind and listen where, as far as the kernel decides it when a socket is bound.
//!
//! Nobody connects over TCP here: bulk data is none of the kernel's business, and a port is a token that excludes.
//!
//! # Invariants
//!
//! - Two sockets that listen never overlap: equal ports, one family, and equal addresses or one of them a wildcard.
//! - A socket that is bound and does not listen excludes nobody, because every socket has `SO_REUSEADDR`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use portcullis_os::{Errno, Fd, Reply};

use super::descriptions::{DescriptionId, Object, TcpSocket};
use super::{Kernel, ProcessId};

/// Lower ports are root's (`net.ipv4.ip_unprivileged_port_start`).
const UNPRIVILEGED: u16 = 1024;

/// `ENOTSOCK`.
pub(super) const NO_SOCKET: Errno = Errno::Other(88);

impl Kernel {
    /// socket(2), setsockopt(2) and bind(2). Every IPv4 address is one of this machine's; of IPv6 it has `::` and `::1`.
    pub(super) fn bind_tcp(&mut self, who: ProcessId, address: SocketAddr) -> Result<Reply, Errno> {
        self.free_fd(who)?;
        let uid = self.process(who).birth.uid;
        check_address(address)?;
        if uid.0 != 0 && address.port() < UNPRIVILEGED {
            return Err(Errno::AccessDenied);
        }
        if self.is_listened_on(address, None) {
            return Err(Errno::AddressInUse);
        }
        let socket = self.new_socket(who);
        let tcp = TcpSocket { socket, uid, address, listening: false };
        Ok(Reply::Fd(self.install(who, Object::Tcp(tcp))?))
    }

    /// listen(2): of several sockets that were bound to one port, the first one to listen wins.
    pub(super) fn listen(&mut self, who: ProcessId, fd: Fd, backlog: u16) -> Result<Reply, Errno> {
        let id = self.description_of(who, fd)?;
        let taken = match &self.description(id).object {
            Object::Tcp(tcp) => self.is_listened_on(tcp.address, Some(id)),
            Object::File { .. } => return Err(NO_SOCKET),
            Object::UnixStream { .. } => return Err(Errno::InvalidArgument),
            Object::UnixListener(_) => false,
        };
        if taken {
            return Err(Errno::AddressInUse);
        }
        let credentials = self.credentials(who);
        match &mut self.description_mut(id).object {
            Object::Tcp(tcp) => tcp.listening = true,
            Object::UnixListener(listener) => {
                listener.backlog = backlog;
                listener.credentials = credentials;
            }
            Object::File { .. } | Object::UnixStream { .. } => unreachable!("it was refused above"),
        }
        Ok(Reply::Done)
    }

    /// Whether a listening socket other than `own` excludes this address.
    pub(super) fn is_listened_on(&self, address: SocketAddr, own: Option<DescriptionId>) -> bool {
        self.descriptions().any(|(id, description)| match &description.object {
            Object::Tcp(other) => other.listening && own != Some(id) && overlap(address, other.address),
            Object::File { .. } | Object::UnixListener(_) | Object::UnixStream { .. } => false,
        })
    }

    pub(super) fn tcp_sockets(&self) -> impl Iterator<Item = &TcpSocket> {
        self.descriptions().filter_map(|(_, description)| match &description.object {
            Object::Tcp(tcp) => Some(tcp),
            Object::File { .. } | Object::UnixListener(_) | Object::UnixStream { .. } => None,
        })
    }
}

/// Whether an address could be bound if nobody else were there.
pub(super) fn check_address(address: SocketAddr) -> Result<(), Errno> {
    match address.ip() {
        _ if address.port() == 0 => Err(Errno::InvalidArgument),
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => Err(Errno::InvalidArgument),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED | Ipv6Addr::LOCALHOST) | IpAddr::V4(_) => Ok(()),
        IpAddr::V6(_) => Err(Errno::AddressNotAvailable),
    }
}

/// Whether two sockets would answer to one address. IPv6 sockets are IPv6 only, so the families never meet.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (one_ip, other_ip) = (one.ip(), other.ip());
    one.port() == other.port()
        && one_ip.is_ipv4() == other_ip.is_ipv4()
        && (one_ip == other_ip || one_ip.is_unspecified() || other_ip.is_unspecified())
}
