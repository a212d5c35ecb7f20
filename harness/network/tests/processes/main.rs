//! Plans on real processes: those of the library keep what they promise there, and what breaks a promise there is seen.
//!
//! This program is the gateway, too: under that name it acts as one, so that no other has to be built.

#[cfg(target_os = "linux")]
mod plans;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(status) = plans::gateway_main(&arguments) {
        return status;
    }
    plans::tests_main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::SUCCESS
}
