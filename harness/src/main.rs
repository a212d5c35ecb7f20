//! `portcullis`: parses arguments, calls one function, and turns its answer into an exit status.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    #[cfg(target_os = "linux")]
    if let Some(status) = conform::real::agent_main_if_asked(&arguments) {
        return status;
    }
    #[cfg(target_os = "linux")]
    if let Some(status) = harness::real::internal_main(&arguments) {
        return status;
    }
    // The reference gateway is built in, so that what is explored and what runs as a process is one build.
    let name = arguments.first().and_then(|name| Path::new(name).file_name());
    if name.is_some_and(|name| name == harness::cli::BUILT_IN) {
        return gateway::cli::main(arguments);
    }
    harness::cli::main(arguments)
}
