//! Sockets on the simulated kernel and on the real one, call by call: every answer is compared, and the ones that locks
//! depend on are written down.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

mod bind_table;
mod connections;
mod generated;
mod names;
mod passing;
mod twin;
