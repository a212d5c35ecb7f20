//! The hot path of the gateway without a network and without a runtime: whole connections whose bytes come from memory and
//! go nowhere, so that what a message costs is the same in every run and can be bounded.
//!
//! It is the shipped server that runs here, from the handshake on: [`Stand`] offers it connections of memory ([`Wire`]) and
//! polls its tasks whenever they are woken ([`House`]). A [`Case`] is what clients do; it is counted in allocations
//! (`tests/allocations.rs`), in instructions (`.ci/instructions`, the limits in `limits`), and timed (`benches/`).
//!
//! - `cargo test -p portcullis-hot` holds every case to its allocations: none for an echo, a request that is answered at once, or
//!   the delivery of an event.
//! - `.ci/instructions` holds it to its instructions, in the profile `gate`. Both counts repeat exactly on a busy machine, which times
//!   do not.
//! - `cargo bench -p portcullis-hot` takes the times: `ws_mem` (messages), `envelope` (their JSON), `fanout_mem` (events),
//!   `queue` (events for whoever does not read), `handshake` (coming and going).
//!
//! What is not seen here is the kernel: a real message also costs its share of a read, a write and a wake-up.

#![expect(clippy::expect_used, reason = "a measurement ends where its premises fail")]

mod cases;
mod house;
mod stand;
mod wire;

pub use cases::{Case, Ready};
pub use house::House;
pub use stand::Stand;
pub use wire::{Wire, frame};
