//! What costs time is measured, each in a bench of its own; nothing depends on this package.
//!
//! `cargo bench -p portcullis-benches` measures, and with `-- --test` runs everything once.
//!
//! - `lock`: what a start pays for its tokens, and what a refused one costs until it says why.
//! - `echo`: one message there and back over a loopback connection.
//! - `explore`: how many states a second the explorer visits.
