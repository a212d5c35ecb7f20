//! Whose ports are whose on this host: what the kernel shows, what the configurations of other profiles say, and where a new
//! block has room.
//!
//! The kernel is right about the present, and a configuration is what a profile remembers of its block. A new block overlaps
//! neither.

pub mod edge;
mod told;

use std::collections::BTreeSet;
use std::path::PathBuf;

use portcullis_os::{Errno, Os, Port};

use crate::claim::{GATEWAY_SPAN, PortBlock};
use crate::lock::{self, Neighbour};
use crate::settings::{DEFAULT_PORT, Found, Profile, remembered};

pub use told::Report;
pub(crate) use told::block;

/// Where blocks are looked for once there is no room above the one that was wanted.
const LOWEST: u16 = 20_000;

/// The ports that a profile under the same home would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Which; `None`: the default one.
    pub profile: Option<Profile>,
    /// Its configuration.
    pub config: PathBuf,
    /// Its block. `None`: its configuration cannot be read.
    pub ports: Option<PortBlock>,
    /// The ports that it gives to browsers.
    pub pinned: Vec<Port>,
}

impl Remembered {
    /// What the configuration of a profile remembers; where it names no port, the one that follows from the name.
    pub fn of(profile: Option<Profile>, found: &Found) -> Self {
        let without_a_word = profile.as_ref().map_or(DEFAULT_PORT, Profile::port);
        let read = remembered(found);
        let ports =
            read.as_ref().and_then(|(port, _)| PortBlock::new(port.unwrap_or(without_a_word), GATEWAY_SPAN));
        let pinned = read.map(|(_, pinned)| pinned).unwrap_or_default();
        Self { profile, config: found.path.clone(), ports, pinned }
    }

    /// What it is called, for people.
    pub fn name(&self) -> String {
        match &self.profile {
            Some(profile) => format!("the profile {}", profile.as_str()),
            None => "the default profile".to_owned(),
        }
    }

    /// Everything that is its own.
    pub fn blocks(&self) -> impl Iterator<Item = PortBlock> {
        self.ports.into_iter().chain(self.pinned.iter().filter_map(|port| PortBlock::new(*port, 0)))
    }
}

/// Who has reserved ports on this host at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// Everybody, in the order of their lowest ports.
    pub neighbours: Vec<Neighbour>,
}

impl Reserved {
    /// Asks everybody who has one of these tokens.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn ask<O: Os>(os: &O, tokens: &BTreeSet<u16>) -> Result<Self, Errno> {
        Ok(Self { neighbours: lock::neighbours(os, tokens).await? })
    }

    /// The ports that are taken, as blocks.
    pub fn blocks(&self) -> impl Iterator<Item = PortBlock> {
        let ports = self.neighbours.iter().flat_map(|neighbour| neighbour.ports.iter().copied());
        ports.filter_map(|port| PortBlock::new(Port::new(port)?, 0))
    }
}

/// The base at `wanted` or above it at which a full block overlaps nothing that is taken; below it only where there is no
/// room above. `None`: there is no room.
pub fn free_base(wanted: Port, taken: &[PortBlock]) -> Option<Port> {
    let is_free = |base: u16| {
        let block = PortBlock::new(Port::new(base)?, GATEWAY_SPAN)?;
        taken.iter().all(|other| !other.overlaps(block)).then(|| block.base())
    };
    // Room begins where somebody's ends.
    let mut ends: Vec<u16> = taken.iter().filter_map(|block| block.last().checked_add(1)).collect();
    ends.sort_unstable();
    let above = ends.iter().copied().filter(|end| *end > wanted.get());
    let below = ends.iter().copied().filter(|end| *end >= LOWEST);
    [wanted.get()].into_iter().chain(above).chain([LOWEST]).chain(below).find_map(is_free)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use portcullis_os::Port;
    use proptest::prelude::*;

    use super::{Remembered, free_base};
    use crate::claim::{GATEWAY_SPAN, PortBlock};
    use crate::settings::{ConfigFile, Found, Profile};

    fn block(base: u16, span: u16) -> PortBlock {
        PortBlock::new(Port::new(base).unwrap(), span).unwrap()
    }

    fn free(wanted: u16, taken: &[PortBlock]) -> Option<u16> {
        free_base(Port::new(wanted).unwrap(), taken).map(Port::get)
    }

    #[test]
    fn a_block_is_where_it_is_wanted_or_above_whatever_is_in_the_way() {
        assert_eq!(free(18_789, &[]), Some(18_789));
        assert_eq!(free(18_789, &[block(18_800, 0)]), Some(18_801));
        assert_eq!(free(18_789, &[block(18_800, 0), block(18_811, 110)]), Some(18_922));
        assert_eq!(free(65_000, &[block(65_400, 0)]), Some(65_000));
        assert_eq!(free(65_400, &[block(65_400, 0)]), Some(65_401), "the highest but 24");
        assert_eq!(free(65_420, &[block(65_430, 0)]), Some(20_000), "none above");
        let all: Vec<_> = (0..=589).map(|n| block(1 + n * 111, 110)).collect();
        assert_eq!(free(18_789, &all), None);
    }

    #[test]
    fn a_profile_remembers_the_port_of_its_configuration_and_else_the_one_of_its_name() {
        let found = |text: &str| Found {
            path: "/c".into(),
            file: if text.is_empty() { ConfigFile::Absent } else { ConfigFile::Bytes(text.into()) },
        };
        let ports = |profile: &str, text: &str| {
            Remembered::of(Profile::new(profile), &found(text)).ports.map(|block| block.base().get())
        };
        assert_eq!(ports("", ""), Some(18_789));
        assert_eq!(ports("rescue", ""), Some(23_532));
        assert_eq!(ports("rescue", "{gateway:{port:20000}}"), Some(20_000));
        assert_eq!(
            ports("rescue", "{gateway:{port:20000,bind:'moon'}}"),
            Some(20_000),
            "the port can be read"
        );
        assert_eq!(ports("rescue", "{"), None);
        let browsers = Remembered::of(None, &found("{browser:{cdpUrl:'http://localhost:9222'}}"));
        let blocks: Vec<_> = browsers.blocks().map(|block| (block.base().get(), block.last())).collect();
        assert_eq!(blocks, [(18_789, 18_899), (9_222, 9_222)]);
        assert_eq!(browsers.config, Path::new("/c"));
    }

    proptest! {
        #[test]
        fn what_is_found_overlaps_nothing(wanted in 1_u16..=65425, bases in prop::collection::vec((1_u16..=65425, 0_u16..=110), 0..80)) {
            let taken: Vec<_> = bases.into_iter().map(|(base, span)| block(base, span)).collect();
            let found = free(wanted, &taken);
            prop_assert!(found.is_some(), "80 blocks leave room somewhere");
            let found = block(found.unwrap_or(1), GATEWAY_SPAN);
            prop_assert!(taken.iter().all(|other| !other.overlaps(found)));
        }
    }
}
