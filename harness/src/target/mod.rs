//! Anybody's gateway as data: how it is started, when it serves, what its refusals look like, which ports it has.
//!
//! A target says how a gateway behaves, never what should come of it: that is the scenario's business. The reference
//! gateway is a target like any other, with one thing more to go by: it tells its events ([`Signs::Events`]).
//!
//! # Invariants
//!
//! - No input panics: a file ends as a [`Target`] or as [`Problem`](crate::scenario::Problem)s, all of them at once.
//! - What a target cannot do is absent from it; nothing is guessed.

mod builtin;
mod capability;
mod events;
mod format;
mod gateway;
mod known;
mod load;
mod model;
mod parse;
mod pattern;
mod refusals;
mod signs;
mod template;

pub use builtin::REFGATE;
pub use capability::Capability;
pub use events::{Emits, Log, LogLine};
pub(crate) use format::json_schema;
pub use load::{load, locate};
pub use model::{
    Extra, Feature, Known, Locks, Patience, Ports, Probe, Range, Refusal, Request, Signs, StopSignal, Target,
};
pub use parse::parse;
pub use pattern::{Day, Glob, Pattern};
pub use template::{Piece, Places, Template};
