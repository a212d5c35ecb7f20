//! The reference gateway: one live process owns a state directory, a configuration and a block of ports, and everybody
//! else is told the truth about why it was refused.
//!
//! [`run`] is the whole life of a gateway over any [`Os`](portcullis_os::Os); [`lock`] is the part that decides who
//! may live. What the simulator explores is this code, not a model of it.

pub mod auth;
mod channels;
pub mod claim;
pub mod cli;
pub mod client;
pub mod control;
pub mod doctor;
mod framing;
pub mod history;
pub mod identity;
#[cfg(target_os = "linux")]
pub mod install;
pub mod lock;
pub mod log;
#[cfg(target_os = "linux")]
pub mod notify;
pub mod ports;
pub mod protocol;
pub mod refusal;
mod run;
pub mod server;
pub mod settings;
#[cfg(target_os = "linux")]
pub mod setup;
pub mod standing;
mod store;
mod text;
pub mod why;

pub use claim::{
    Claim, Derived, DirectoryLock, Force, GATEWAY_SPAN, Listen, OnConflict, PortBlock, RemoteFileSystem,
};
pub use identity::{Identity, Phase, PhaseName};
pub use refusal::{Holder, Reason, Refusal};
pub use run::{Next, Place, Serve, Unserved, run};
