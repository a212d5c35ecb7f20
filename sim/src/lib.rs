//! A deterministic machine, and an explorer of everything that can happen on it.
//!
//! The programs are unmodified `async` code over [`Os`](portcullis_os::Os). The machine is a [`Kernel`], one plain
//! value. [`explore`] visits every state that the two can reach together under the bounds asked for; [`replay`] takes
//! one schedule again, step for step.
//!
//! # Invariants
//!
//! - Same inputs, same bytes: no clock, no randomness, no address and no hash order decides anything.
//! - A process is a function of the replies it has seen. Code that is not is reported, never explored wrongly.

mod engine;
mod explore;
mod fake;
mod fault;
pub mod kernel;
mod learn;
mod process;
mod replay;
mod schedule;
mod script;
mod seen;
mod shortest;
mod world;

pub use explore::{Bounds, Evidence, Exploration, Found, Policy, explore, explore_until};
pub use fake::{Fake, Rule};
pub use fault::Fault;
pub use kernel::Kernel;
pub use learn::Program;
pub use process::{NoListener, Process};
pub use replay::{Trace, TraceStep, Walk, What, Who, replay, walk};
pub use schedule::{Schedule, ScheduleError};
pub use script::{Action, Condition, Script};
pub use world::{Checker, Ending, Setup, Slot, SlotState, Step, View, Violation};
