//! Locks against the library: each naive one is caught, each part of the reference lock is needed, each check can fail, and what
//! the explorer leaves out changes none of it.

mod checks;
mod cloexec;
mod environment;
mod epochs;
mod generated;
mod incidents;
#[path = "../common/library.rs"]
mod library;
mod lock_race;
mod matrix;
mod reductions;
mod tokens;
mod zoo;
