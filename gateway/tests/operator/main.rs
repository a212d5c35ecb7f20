//! What an operator asks and does while something is in the way: `refgate why`, `refgate doctor`, `refgate gateway --force`,
//! on real processes, as root and as an ordinary user where the tests run as root.

#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "a test that cannot set its stage has failed")]

mod bots;
mod crowd;
mod doctor;
mod events;
mod force;
mod help;
mod home;
mod install;
mod ladder;
mod memory;
mod notify;
mod page;
mod park;
mod profiles;
mod restart;
mod room;
mod settings;
mod takeover;
mod untouched;
mod why;
mod wire;
