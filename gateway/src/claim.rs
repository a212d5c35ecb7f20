//! What one gateway wants to own, decided before anything is touched.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use portcullis_os::Port;

/// How many ports above its base a gateway reserves: the last CDP port is base + 110.
pub const GATEWAY_SPAN: u16 = CDP_LAST;
/// The control service of browsers, above the base.
const BROWSER_CONTROL: u16 = 2;
/// The first port that a browser can be given, above the base.
const CDP_FIRST: u16 = 11;
/// The last one.
const CDP_LAST: u16 = 110;

/// What the ports of a block are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Derived {
    /// Where the gateway listens: the base.
    pub gateway: u16,
    /// The control service of browsers.
    pub browser_control: u16,
    /// The first port that a browser can be given.
    pub cdp_first: u16,
    /// The last one.
    pub cdp_last: u16,
}

/// The ports that one gateway reserves: its base and `span` ports above it.
///
/// A value of this type fits below 65536.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortBlock {
    base: Port,
    span: u16,
}

impl PortBlock {
    /// The block `[base, base + span]`; `None` if it does not fit below 65536.
    pub fn new(base: Port, span: u16) -> Option<Self> {
        base.get().checked_add(span).map(|_| Self { base, span })
    }

    /// The first port.
    pub const fn base(self) -> Port {
        self.base
    }

    /// How many ports there are above the base.
    pub const fn span(self) -> u16 {
        self.span
    }

    /// The last port.
    pub const fn last(self) -> u16 {
        self.base.get() + self.span
    }

    /// Every port, ascending.
    pub fn ports(self) -> RangeInclusive<u16> {
        self.base.get()..=self.last()
    }

    /// Whether a port is one of these.
    pub const fn holds(self, port: u16) -> bool {
        self.base.get() <= port && port <= self.last()
    }

    /// Whether two blocks share a port.
    pub const fn overlaps(self, other: Self) -> bool {
        self.base.get() <= other.last() && other.base.get() <= self.last()
    }

    /// What the ports are for; `None` in a block that is too short for a browser.
    pub const fn derived(self) -> Option<Derived> {
        if self.span < CDP_LAST {
            return None;
        }
        let gateway = self.base.get();
        Some(Derived {
            gateway,
            browser_control: gateway + BROWSER_CONTROL,
            cdp_first: gateway + CDP_FIRST,
            cdp_last: gateway + CDP_LAST,
        })
    }

    /// The lowest base above `other` at which a block of this length would not touch it; `None` if there is none.
    pub fn next_free_base_above(self, other: Self) -> Option<Port> {
        let base = other.last().checked_add(1).and_then(Port::new)?;
        Self::new(base, self.span).map(Self::base)
    }
}

impl fmt::Display for PortBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.base, self.last())
    }
}

/// What to do where a directory cannot be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DirectoryLock {
    /// Refuse to start.
    Required,
    /// Rely on the lock file alone. An operator who deletes that file then lets a second gateway in.
    Optional,
}

/// What to do on a file system that other machines may open too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RemoteFileSystem {
    /// Refuse to start: locks may not reach the other machines.
    Refused,
    /// Trust its locks, because somebody said so. Two machines may then both own the directory where that is wrong.
    Allowed,
}

/// What to do while another gateway is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OnConflict {
    /// Refuse to start, and say why.
    Refuse,
    /// Wait until that one has ended, and start then.
    Park,
    /// Have it hand over everything if it serves the same claim, and go on in its place.
    TakeOver,
}

/// Where a gateway accepts connections. Both loopback names always lead to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listen {
    /// On 127.0.0.1 and on ::1.
    Loopback,
    /// On these and on one more address of this machine.
    Also(Ipv4Addr),
    /// On every address of this machine.
    Everywhere,
}

impl Listen {
    /// The addresses to listen on, in the order in which they are taken.
    ///
    /// The wildcards come in two, one a family: each excludes every address of its family, loopback included, and where
    /// there is no IPv6 the other one is still to be had.
    pub fn addresses(self) -> Vec<IpAddr> {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        match self {
            Self::Loopback => vec![loopback, Ipv6Addr::LOCALHOST.into()],
            Self::Also(Ipv4Addr::LOCALHOST) => Self::Loopback.addresses(),
            Self::Also(address) => vec![loopback, address.into(), Ipv6Addr::LOCALHOST.into()],
            Self::Everywhere => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback => f.write_str("loopback"),
            Self::Also(address) => write!(f, "loopback and {address}"),
            Self::Everywhere => f.write_str("every address"),
        }
    }
}

/// That an owner of the state directory which stands in the way may be ended.
///
/// One that is stopped may be ended as it is. One that runs may be ended only if it is the instance that was expected, for
/// it may be healthy, and a timeout proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Force {
    /// The instance that is to be ended, and no other.
    pub expect: Option<String>,
}

/// Everything that one gateway wants to own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The state directory, as an absolute path. Created if absent.
    pub state: PathBuf,
    /// The configuration file, as an absolute path. It need not exist.
    pub config: PathBuf,
    /// The ports.
    pub ports: PortBlock,
    /// Ports outside the block that were given to a browser by hand, in any order.
    pub pinned: Vec<Port>,
    /// The directories that its agents work in, as absolute paths without symbolic links. Created if absent.
    pub workspaces: Vec<PathBuf>,
    /// Where it listens.
    pub listen: Listen,
    /// Whether the lock on the directory itself may be missing.
    pub directory_lock: DirectoryLock,
    /// Whether the state may lie where other machines reach it.
    pub remote: RemoteFileSystem,
    /// Whether an owner that stands in the way may be ended; `None`: it may not.
    pub force: Option<Force>,
    /// What to do while another gateway is in the way.
    pub on_conflict: OnConflict,
    /// The version of this program, told to whoever asks.
    pub version: String,
}

impl Claim {
    /// A state directory, a configuration and a block of ports, nothing more and nothing risked.
    pub fn plain(state: PathBuf, config: PathBuf, ports: PortBlock) -> Self {
        Self {
            state,
            config,
            ports,
            pinned: Vec::new(),
            workspaces: Vec::new(),
            listen: Listen::Loopback,
            directory_lock: DirectoryLock::Required,
            remote: RemoteFileSystem::Refused,
            force: None,
            on_conflict: OnConflict::Refuse,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Every port that is reserved, ascending, each once: the block and what was pinned outside it.
    pub fn all_ports(&self) -> BTreeSet<u16> {
        self.ports.ports().chain(self.pinned_outside().map(Port::get)).collect()
    }

    /// The pinned ports that the block does not hold anyway, ascending, each once.
    pub fn pinned_outside(&self) -> impl Iterator<Item = Port> {
        let outside: BTreeSet<Port> =
            self.pinned.iter().copied().filter(|port| !self.ports.holds(port.get())).collect();
        outside.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_os::Port;
    use proptest::prelude::*;

    use super::{Claim, GATEWAY_SPAN, Listen, PortBlock};

    fn block(base: u16, span: u16) -> Option<PortBlock> {
        Port::new(base).and_then(|base| PortBlock::new(base, span))
    }

    #[test]
    fn the_highest_base_leaves_room_for_the_whole_block() {
        assert!(block(65425, GATEWAY_SPAN).is_some());
        assert!(block(65426, GATEWAY_SPAN).is_none());
    }

    #[test]
    fn a_full_block_holds_the_ports_of_its_browsers_and_a_shorter_one_has_none() {
        let derived = block(18_789, GATEWAY_SPAN).unwrap().derived().unwrap();
        let told = (derived.gateway, derived.browser_control, derived.cdp_first, derived.cdp_last);
        assert_eq!(told, (18_789, 18_791, 18_800, 18_899));
        assert_eq!(block(18_789, GATEWAY_SPAN - 1).unwrap().derived(), None);
    }

    #[test]
    fn every_port_is_claimed_once_and_in_order_wherever_it_was_pinned() {
        let pinned = [9_222, 18_800, 40_000, 9_222].map(|port| Port::new(port).unwrap()).to_vec();
        let ports = block(18_789, 20).unwrap();
        let claim = Claim { pinned, ..Claim::plain("/s".into(), "/c".into(), ports) };
        let outside: Vec<u16> = claim.pinned_outside().map(Port::get).collect();
        assert_eq!(outside, [9_222, 40_000]);
        let all: Vec<u16> = claim.all_ports().into_iter().collect();
        let expected: Vec<u16> = [9_222].into_iter().chain(18_789..=18_809).chain([40_000]).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn both_loopbacks_are_taken_wherever_else_a_gateway_listens() {
        for (listen, expected) in [
            (Listen::Loopback, "127.0.0.1 ::1"),
            (Listen::Also([127, 0, 0, 1].into()), "127.0.0.1 ::1"),
            (Listen::Also([192, 168, 0, 2].into()), "127.0.0.1 192.168.0.2 ::1"),
            (Listen::Everywhere, "0.0.0.0 ::"),
        ] {
            let addresses: Vec<String> = listen.addresses().iter().map(ToString::to_string).collect();
            assert_eq!(addresses.join(" "), expected, "{listen}");
        }
    }

    proptest! {
        #[test]
        fn overlap_is_sharing_a_port(a in 1_u16..=65425, b in 1_u16..=65425, span in 0_u16..=GATEWAY_SPAN) {
            let (Some(first), Some(second)) = (block(a, span), block(b, span)) else { return Ok(()) };
            let shared = first.ports().any(|port| second.ports().any(|other| other == port));
            prop_assert_eq!(first.overlaps(second), shared);
            prop_assert_eq!(second.overlaps(first), shared);
        }

        #[test]
        fn two_full_blocks_are_disjoint_from_a_distance_of_111_on(base in 1_u16..=65000, distance in 0_u16..=300) {
            let (Some(first), Some(second)) = (block(base, GATEWAY_SPAN), block(base + distance, GATEWAY_SPAN)) else {
                return Ok(());
            };
            prop_assert_eq!(first.overlaps(second), distance <= GATEWAY_SPAN);
        }

        #[test]
        fn the_next_free_base_is_free_and_the_one_below_is_not(a in 1_u16..=65425, b in 1_u16..=65425) {
            let (Some(mine), Some(other)) = (block(a, GATEWAY_SPAN), block(b, GATEWAY_SPAN)) else { return Ok(()) };
            let Some(free) = mine.next_free_base_above(other) else { return Ok(()) };
            prop_assert!(!PortBlock::new(free, GATEWAY_SPAN).is_some_and(|moved| moved.overlaps(other)));
            prop_assert!(block(free.get() - 1, GATEWAY_SPAN).is_some_and(|moved| moved.overlaps(other)));
        }
    }
}
