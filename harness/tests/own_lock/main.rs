//! A lock that is in no catalogue, in a suite of its own: in the simulator beside the reference lock, and as real processes.
//!
//! The same code runs on both machines. It is what the author of a gateway writes in the tests of his package, see
//! `docs/library.md`.

#[cfg(target_os = "linux")]
mod directory_lock;
#[cfg(target_os = "linux")]
mod gatewayd;

use std::process::ExitCode;

/// What holds of a lock that names nobody and claims no more than a state directory.
#[cfg(target_os = "linux")]
const SCENARIOS: [&str; 9] = [
    "../scenarios/clock",
    "../scenarios/crash",
    "../scenarios/known/owner-killed.toml",
    "../scenarios/known/reclaimer-killed.toml",
    "../scenarios/operator/paused-at-any-call.toml",
    "../scenarios/pid/recycled-pid.toml",
    "../scenarios/pid/stale-lock-race.toml",
    "../scenarios/restart/rival-starts-while-owner-stops.toml",
    "../scenarios/supervisor/service-restart.toml",
];

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use directory_lock::DirectoryLock;
    use harness::designs::Design;
    use harness::{real, sim, suite};

    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(status) = gatewayd::main(&arguments) {
        return status;
    }
    suite::main(env!("CARGO_MANIFEST_DIR"), &SCENARIOS, || {
        // This program is the gateway, too.
        let itself = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
        vec![sim(Design::Refgate), sim(DirectoryLock), real("tests/own_lock/target.toml", itself).tries(3)]
    })
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::SUCCESS
}
