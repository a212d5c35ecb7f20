//! What one gateway wants to own, decided before anything is touched.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use portcullis_os::Port;

/// How many ports above its base a gateway reserves: the last CDP port is base + 110.
pub const GATEWAY_SPAN: u16 = 110;

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

    /// Whether two blocks share a port.
    pub const fn overlaps(self, other: Self) -> bool {
        self.base.get() <= other.last() && other.base.get() <= self.last()
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

/// Everything that one gateway wants to own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The state directory, as an absolute path. Created if absent.
    pub state: PathBuf,
    /// The configuration file, as an absolute path. It need not exist.
    pub config: PathBuf,
    /// The ports.
    pub ports: PortBlock,
    /// Whether the lock on the directory itself may be missing.
    pub directory_lock: DirectoryLock,
    /// The version of this program, told to whoever asks.
    pub version: String,
}

#[cfg(test)]
mod tests {
    use portcullis_os::Port;
    use proptest::prelude::*;

    use super::{GATEWAY_SPAN, PortBlock};

    fn block(base: u16, span: u16) -> Option<PortBlock> {
        Port::new(base).and_then(|base| PortBlock::new(base, span))
    }

    #[test]
    fn the_highest_base_leaves_room_for_the_whole_block() {
        assert!(block(65425, GATEWAY_SPAN).is_some());
        assert!(block(65426, GATEWAY_SPAN).is_none());
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
