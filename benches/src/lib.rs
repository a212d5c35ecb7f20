//! What costs time is measured, each in a bench of its own; nothing depends on this package.
//!
//! `cargo bench -p portcullis-benches` measures, and with `-- --test` runs everything once. The program `compare` ([`compare`])
//! runs the gateway beside its peers and says how they compare.
//!
//! - `lock`: what a start pays for its tokens, and what a refused one costs until it says why.
//! - `echo`: one message there and back over a loopback connection.
//! - `sample`: how many random schedules a second, of the same lock.
//! - `explore`: how many states a second the explorer visits, beside other explorers: the same lock, in [`toy`], as an
//!   `async fn` for ours and as a table for theirs.

#[cfg(target_os = "linux")]
pub mod compare;
pub mod toy;
