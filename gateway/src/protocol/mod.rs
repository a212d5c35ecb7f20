//! The gateway protocol, version 4, as `OpenClaw` 2026.9 publishes it: frames, what a client says of itself, what it is told.
//!
//! Nothing here knows a socket, a clock or a secret. What comes in is read leniently where the published schema allows it
//! and refused with the place and the reason where it does not; what goes out has the fields of the schema and no other.

mod connect;
mod device;
mod failure;
mod frame;
mod scopes;
mod shape;

pub(crate) use connect::{Connect, ROLE_NODE, ROLE_OPERATOR};
pub(crate) use device::{DeviceFault, Said};
pub(crate) use failure::{Code, Failure};
pub use frame::{Frame, Payload, Request, StateVersion, Told, answer, read};
pub(crate) use frame::{answer_with, refuse};
pub(crate) use scopes::{Scopes, scope};
pub(crate) use shape::{Field, Shape, object};

/// The version that is spoken.
pub(crate) const VERSION: u64 = 4;

/// The oldest version that a probe or a node may ask with: they call nothing whose shape has changed since.
pub(crate) const OLDEST_OF_PROBES: u64 = 3;
