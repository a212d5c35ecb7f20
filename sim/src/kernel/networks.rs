//! Which addresses a network namespace has.
//!
//! Each has 127.0.0.0/8 whatever is said. Namespaces do not reach each other, and nothing outside of the machine ever
//! answers: a packet to an address that is not here is lost.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use portcullis_os::Errno;

use super::{Kernel, NetworkNamespace};

/// The address on the local network that every machine has where nothing else is said. From RFC 5737.
const USUAL: &[IpAddr] = &[IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10))];

/// What a network namespace can do with IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ipv6 {
    /// It has `::1` and what it was given.
    Enabled,
    /// It has sockets and no address (`net.ipv6.conf.all.disable_ipv6`).
    WithoutAddresses,
    /// The kernel was started without it (`ipv6.disable=1`): there is no such socket.
    Absent,
}

/// The addresses of a network namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addresses {
    /// Those beside 127.0.0.0/8 and `::1`.
    pub others: Vec<IpAddr>,
    /// Whether those of IPv6 are usable.
    pub ipv6: Ipv6,
}

impl Addresses {
    /// Both loopbacks, and 192.0.2.10 on a local network.
    pub fn usual() -> Self {
        Self { others: USUAL.to_vec(), ipv6: Ipv6::Enabled }
    }
}

impl Kernel {
    /// Gives a network namespace these addresses. Sockets that are bound already keep theirs, as on Linux.
    pub fn set_addresses(&mut self, network: NetworkNamespace, addresses: Addresses) {
        let networks = Arc::make_mut(&mut self.networks);
        if addresses == Addresses::usual() {
            networks.remove(&network);
        } else {
            networks.insert(network, addresses);
        }
    }

    pub(super) fn ipv6(&self, network: NetworkNamespace) -> Ipv6 {
        self.networks.get(&network).map_or(Ipv6::Enabled, |addresses| addresses.ipv6)
    }

    /// Whether an address is one of this namespace's. IPv4 written as IPv6 is IPv4.
    pub(super) fn has_address(&self, network: NetworkNamespace, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let others = self.networks.get(&network).map_or(USUAL, |addresses| &addresses.others);
        match ip {
            IpAddr::V4(v4) => v4.is_loopback() || others.contains(&ip),
            IpAddr::V6(v6) => {
                self.ipv6(network) == Ipv6::Enabled && (v6 == Ipv6Addr::LOCALHOST || others.contains(&ip))
            }
        }
    }

    /// What bind(2) says of an address before it looks at others: `inet_addr_valid_or_nonlocal` and `__inet6_bind`.
    /// Broadcast and multicast addresses, which Linux lets a socket have, are not modelled.
    pub(super) fn check_address(&self, network: NetworkNamespace, ip: IpAddr) -> Result<(), Errno> {
        let canonical = ip.to_canonical();
        let is_broadcast = canonical == IpAddr::V4(Ipv4Addr::BROADCAST);
        if canonical.is_unspecified() || self.has_address(network, ip) {
            Ok(())
        } else if canonical.is_ipv4() && canonical.is_multicast() || is_broadcast {
            Err(Errno::NotImplemented)
        } else if ip.is_multicast() {
            Err(Errno::InvalidArgument)
        } else {
            Err(Errno::AddressNotAvailable)
        }
    }
}
