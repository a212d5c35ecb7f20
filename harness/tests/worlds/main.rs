//! The same in both worlds: what is seen on the simulated machine is seen on real processes, call by call or line by line.

mod answers;
mod browsers;
#[path = "../common/library.rs"]
mod library;
mod stepped;
mod tampered;
mod waits;
mod words;
mod writes;
