//! A process that is no gateway: it looks like what the scenario says, listens where it says, and does nothing else.

use std::ffi::{CString, OsString};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};

use super::internal::BYSTANDER;
use crate::scenario::Bystander;

/// What a bystander says once it listens everywhere.
pub(super) const READY: &str = "ready";

/// The command that starts a bystander.
///
/// Its command line is the one that the scenario gives, split at blanks, and nothing else.
pub(super) fn command(program: &OsString, bystander: &Bystander) -> Command {
    let mut words = bystander.looks_like.split_whitespace();
    let addresses: Vec<String> = bystander.listens.iter().map(ToString::to_string).collect();
    let mut command = Command::new(program);
    command
        .arg0(words.next().unwrap_or_default())
        .args(words)
        .env_clear()
        .env(BYSTANDER, addresses.join(" "))
        .stdin(Stdio::null());
    command
}

/// Lives as a bystander until it is killed.
pub(super) fn main(args: &[OsString], addresses: &str) -> ExitCode {
    // Best effort: whoever starts a bystander also kills it.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    take_name(args);
    match listen(addresses) {
        Ok(listeners) => live(listeners),
        Err(reason) => {
            // Read by whoever started it; without a reader nobody wants to know.
            let _ = writeln!(io::stdout(), "{reason}");
            ExitCode::FAILURE
        }
    }
}

/// The command name that `/proc/PID/stat` shows is that of the program that it pretends to be.
fn take_name(args: &[OsString]) {
    let path = args.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default().as_bytes();
    if let Ok(name) = CString::new(&name[..name.len().min(15)]) {
        let _ = rustix::thread::set_name(&name);
    }
}

fn listen(addresses: &str) -> Result<Vec<TcpListener>, String> {
    let mut listeners = Vec::new();
    for word in addresses.split_whitespace() {
        let address: SocketAddr = word.parse().map_err(|error| format!("{word}: {error}"))?;
        listeners.push(TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?);
    }
    Ok(listeners)
}

fn live(listeners: Vec<TcpListener>) -> ExitCode {
    if writeln!(io::stdout(), "{READY}").is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        // Nobody unparks this thread; a loop, because it may wake for no reason.
        std::thread::park();
        std::hint::black_box(&listeners);
    }
}
