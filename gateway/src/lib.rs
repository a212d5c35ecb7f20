//! The reference gateway: one live process owns a state directory, a configuration and a block of ports, and everybody
//! else is told the truth about why it was refused.
//!
//! [`run`] is the whole life of a gateway over any [`Os`](portcullis_os::Os); [`lock`] is the part that decides who
//! may live. What the simulator explores is this code, not a model of it.

pub mod claim;
pub mod cli;
pub mod identity;
pub mod lock;
pub mod log;
pub mod refusal;
mod run;
pub mod server;
pub mod settings;
mod text;

pub use claim::{Claim, DirectoryLock, GATEWAY_SPAN, PortBlock};
pub use identity::{Identity, Phase, PhaseName};
pub use refusal::{Holder, Reason, Refusal};
pub use run::{Serve, Unserved, run};
