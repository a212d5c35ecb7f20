//! `compare`, the gateway beside its peers in one run. Everything it does is in the library.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    portcullis_benches::compare::main()
}

/// What a server costs is read from `/proc`.
#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::FAILURE
}
