//! `portcullis schema`: the published shape of what this program reads and writes.

use clap::ValueEnum;

use super::profiles;
use crate::{reports, scenario, target};

/// What has a published shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Published {
    /// A line of `run --message-format json`
    Events,
    /// A scenario file, as JSON; an editor reads it with `#:schema` in the first line
    Scenario,
    /// A plan of `sweep`, a file that ends in `.sweep.toml`, as JSON
    Plan,
    /// A target file, as JSON
    Target,
    /// `portcullis.toml`, the profiles of `run`, as JSON
    Profiles,
}

impl Published {
    /// The JSON Schema, with a line break at its end.
    pub(super) fn text(self) -> String {
        match self {
            Self::Events => reports::schema::events(),
            Self::Scenario => scenario::json_schema(),
            Self::Plan => network::Sweep::json_schema(),
            Self::Target => target::json_schema(),
            Self::Profiles => profiles::json_schema(),
        }
    }
}
