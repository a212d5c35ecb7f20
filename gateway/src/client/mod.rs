//! Who answers at an address, told apart as far as it can be from outside: nobody, something that is silent, a stranger, a
//! gateway that is not ready or lets nobody in, and one that does its work.
//!
//! Everything that is waited for has a deadline, everything that is read a bound, and nothing that came over the wire is
//! believed to be more than what somebody at that address has said. A secret is sent in `connect` and nowhere else.

mod address;
mod deadlines;
mod frame;
mod http;
mod link;
mod reach;
#[cfg(test)]
mod tests;

pub use address::{Address, AddressError};
pub use deadlines::Deadlines;
pub use frame::Refused;
pub use http::{Gateway, Look, look};
pub(crate) use link::own_entry;
pub use link::{CallError, Close, Hello, Session};
pub use reach::{Caller, Ended, reach};

/// The scope of those who look.
const READ: &str = "operator.read";

/// The methods that only look, of this gateway and of `OpenClaw`'s.
const LOOKS: [&str; 24] = [
    "agents.list",
    "channels.status",
    "config.get",
    "config.schema",
    "cron.list",
    "cron.status",
    "diagnostics.stability",
    "doctor.memory.status",
    "gateway.identity.get",
    "gateway.restart.preflight",
    "health",
    "last-heartbeat",
    "logs.tail",
    "models.list",
    "node.list",
    "sessions.get",
    "sessions.list",
    "sessions.preview",
    "sessions.usage",
    "skills.status",
    "status",
    "system-presence",
    "tools.catalog",
    "usage.cost",
];

/// The least that a client must be allowed in order to call a method. What is not known to look only may need anything.
pub fn scopes_of(method: &str) -> &'static [&'static str] {
    if LOOKS.contains(&method) { &[READ] } else { &["operator.admin", READ, "operator.write"] }
}
