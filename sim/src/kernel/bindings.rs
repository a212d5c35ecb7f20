//! When two TCP sockets cannot have one port: the rule of Linux, on values.
//!
//! Two sockets are rivals if their options do not let them share and their addresses meet. The first is
//! `inet_bind_conflict` in `net/ipv4/inet_connection_sock.c`, the second `inet_bind2_bucket_match_addr_any`,
//! `inet_bhash2_conflict` and `inet_rcv_saddr_equal`.
//!
//! Before the rule there are two short cuts. The one for `SO_REUSEADDR` (`fastreuse`) only finds out sooner what the rule
//! says. The one for `SO_REUSEPORT` (`sk_reuseport_match`) lets a socket in for being like the last one that came in, and
//! so past others whom only that one got along with: see [`Sharing`].

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use portcullis_os::{BindOptions, Uid};

use super::NetworkNamespace;

/// What a TCP socket has of its network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Binding {
    pub(super) network: NetworkNamespace,
    /// Its family is that of the socket: an IPv6 socket may well have an IPv4 address (`::ffff:127.0.0.1`).
    pub(super) address: SocketAddr,
    /// `v6_only` is as the kernel has it, see [`Binding::new`].
    pub(super) options: BindOptions,
    pub(super) uid: Uid,
}

/// Whom a port remembers for those who come with `SO_REUSEPORT` (`fastreuseport`). It is forgotten when somebody comes
/// without that option, or when nobody has the port any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sharing {
    with: Binding,
    /// It was the first there (`FASTREUSEPORT_ANY`), so its address does not matter.
    any_address: bool,
}

impl Sharing {
    pub(super) const fn first(with: Binding) -> Self {
        Self { with, any_address: true }
    }

    pub(super) const fn later(with: Binding) -> Self {
        Self { with, any_address: false }
    }

    /// Whether the rule is not asked (`sk_reuseport_match`).
    pub(super) fn admits(&self, other: &Binding) -> bool {
        let is_alike = other.options.reuse_port && other.uid == self.with.uid;
        is_alike && (self.any_address || self.covers(other))
    }

    /// `ipv6_rcv_saddr_equal` and `ipv4_rcv_saddr_equal`, in which only the remembered one may be a wildcard.
    fn covers(&self, other: &Binding) -> bool {
        let (own, next) = (self.with.mapped(), other.mapped());
        if is_v4(own) {
            // The IPv4 part of `::` is 0.0.0.0.
            let is_equal = own == next || is_v4_wildcard(own) && (is_v4(next) || self.with.address.is_ipv4());
            is_equal && !other.options.v6_only
        } else {
            own == next || own.is_unspecified() && !(self.with.options.v6_only && is_v4(next))
        }
    }
}

/// What the one who was first does with the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is bound, or connected.
    Held,
    Listening,
    /// It is closed, and only the port remembers: `TIME_WAIT`, or `FIN_WAIT2` without a socket.
    Closed,
}

impl Binding {
    /// bind(2) makes an IPv6 socket with an IPv6 address IPv6 only, whatever its option says (`__inet6_bind`); an IPv4
    /// socket has no such option.
    pub(super) fn new(
        network: NetworkNamespace,
        address: SocketAddr,
        options: BindOptions,
        uid: Uid,
    ) -> Self {
        let v6_only = match address.ip() {
            IpAddr::V4(_) => false,
            IpAddr::V6(ip) => options.v6_only || !ip.is_unspecified() && ip.to_ipv4_mapped().is_none(),
        };
        Self { network, address, options: BindOptions { v6_only, ..options }, uid }
    }

    /// Whether `self` cannot have its port because of `first`. The ports are equal and the network is one.
    pub(super) fn is_excluded_by(&self, first: &Self, standing: Standing) -> bool {
        let (own, other) = (self.options, first.options);
        if own.reuse_address && other.reuse_address && standing != Standing::Listening {
            return false;
        }
        if own.reuse_port && other.reuse_port && (standing == Standing::Closed || self.uid == first.uid) {
            return false;
        }
        self.meets(first)
    }

    /// Whether a packet to some address could be for both. Not symmetric, as on Linux: a wildcard that comes second
    /// looks at more than an address that comes second.
    fn meets(&self, first: &Self) -> bool {
        let (own, other) = (self.mapped(), first.mapped());
        let (own_is_v4, other_is_v4) = (is_v4(own), is_v4(other));
        if !self.address.ip().to_canonical().is_unspecified() {
            let meets = own == other || other.is_unspecified() || own_is_v4 && is_v4_wildcard(other);
            return meets && !(own_is_v4 && first.options.v6_only);
        }
        if own.is_unspecified() {
            // `::`
            !(self.options.v6_only && other_is_v4)
        } else if self.address.is_ipv6() {
            // `::ffff:0.0.0.0`
            (other_is_v4 || other.is_unspecified()) && !first.options.v6_only
        } else {
            // `0.0.0.0` looks at the option alone, and so finds a client with an IPv6 address that never was bound.
            !first.options.v6_only
        }
    }

    /// How well this address fits a packet to `to`; `None` if not at all. The exact address comes first, then the
    /// wildcard of IPv4, then that of IPv6 (`compute_score`, `__inet_lookup_listener`).
    pub(super) fn fit(&self, to: IpAddr) -> Option<u8> {
        let (own, to) = (self.mapped(), mapped(to));
        if own == to {
            Some(0)
        } else if is_v4(to) && is_v4_wildcard(own) {
            Some(1)
        } else if own.is_unspecified() && !(is_v4(to) && self.options.v6_only) {
            Some(2)
        } else {
            None
        }
    }

    fn mapped(&self) -> Ipv6Addr {
        mapped(self.address.ip())
    }
}

/// An address of either family in the one notation that the tables of the kernel have.
pub(super) const fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

fn is_v4(ip: Ipv6Addr) -> bool {
    ip.to_ipv4_mapped().is_some()
}

fn is_v4_wildcard(ip: Ipv6Addr) -> bool {
    ip.to_ipv4_mapped().is_some_and(|ip| ip.is_unspecified())
}
