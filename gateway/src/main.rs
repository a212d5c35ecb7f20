//! `refgate`, the reference gateway. Everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway::cli::main(std::env::args_os())
}
