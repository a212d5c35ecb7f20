//! A scenario file is read completely or not at all, and every mistake in it is shown at once, at its place.
//!
//! [`load`] finds and reads files, [`parse`] turns the text of one into a [`Scenario`], [`Scenario::cases`] lists what is
//! to be run. A scenario says who competes for what and how it may end; never how a gateway is started.
//!
//! # Invariants
//!
//! - No input panics: text from outside ends as a [`Scenario`] or as [`Problem`]s.
//! - What was parsed is consistent: each name in a step or an outcome is declared, each is started once.
//! - The id of a case depends on its file and on what varies, never on which other files were asked for with it, unless
//!   two of them would be called the same.

mod answers;
mod browsers;
mod declared;
mod deeds;
pub(crate) mod diagnostics;
mod effort;
mod expected;
mod explored;
pub(crate) mod fields;
pub(crate) mod format;
mod layout;
mod lints;
mod lives;
mod load;
mod meaning;
mod model;
mod names;
mod operations;
mod outcome;
mod parse;
pub(crate) mod problem;
mod simulated;
mod steps;
mod supervised;
mod sweeps;
mod timeline;
mod varied;
mod vocabulary;
mod waits;

pub(crate) use answers::ANSWERS;
pub use answers::Answers;
pub(crate) use browsers::{FIRST_ABOVE, MOST_BROWSERS};
pub use effort::{Explore, MOST_STATES, Policy};
pub(crate) use explored::PCT_DEPTH;
pub(crate) use format::schema::json_schema;
pub use layout::laid_out;
pub(crate) use layout::with_outcomes;
pub(crate) use load::read_file;
pub use load::{LoadError, LoadErrors, MAX_FILE_BYTES, load, load_what_is_valid};
pub use model::{
    Action, Bystander, Case, Deed, Disk, Expect, Gateway, Located, Locks, Mount, Named, Operation, Outcome,
    Reach, Refusal, Scenario, Step, Variant, Wait,
};
pub(crate) use names::is_name;
pub use operations::Tampering;
pub use parse::{parse, parse_as};
pub(crate) use parse::{schema, with_syntax_errors};
pub use problem::{Note, Paint, Problem, Severity};
pub(crate) use sweeps::{SWEEP_ENDING, SweepFiles, is_sweep};
pub use timeline::{Happening, Seen, Timeline};
pub use vocabulary::{Check, Fate, FinalState, REASONS, Reason};
