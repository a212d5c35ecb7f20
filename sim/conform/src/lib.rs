//! The simulated kernel answers as the real one does: generated sequences of calls run on both, and every reply is
//! compared.
//!
//! A sequence is a few processes and some twenty steps: calls, forks, programs, signals. The simulated machine is a
//! [`Kernel`](sim::Kernel); the real one is a pid namespace full of processes that do what they are told through
//! [`Linux`](portcullis_os::Linux). What the machines number differently is compared by meaning. A sequence on which they
//! differ is shrunken to the shortest one that still does.
//!
//! # Invariants
//!
//! - Linux decides: a difference is a mistake in the simulated kernel, or a choice of the real one that
//!   [`allowed`] names with its reason.
//! - Same seed, same sequences.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is generated and compared picks a few calls of many; executors, which must know all, are elsewhere"
)]

pub mod allowed;
#[cfg(target_os = "linux")]
pub mod contention;
pub mod corpus;
pub mod coverage;
#[cfg(target_os = "linux")]
pub mod describe;
#[cfg(target_os = "linux")]
pub mod expected;
pub mod generate;
#[cfg(target_os = "linux")]
pub mod lane;
pub mod machine;
pub mod meaning;
pub mod outcome;
#[cfg(target_os = "linux")]
pub mod pair;
mod parts;
#[cfg(target_os = "linux")]
pub mod real;
#[cfg(target_os = "linux")]
pub mod report;
#[cfg(target_os = "linux")]
pub mod run;
pub mod sequence;
#[cfg(target_os = "linux")]
pub mod shrink;
pub mod simulation;
pub mod symbols;
