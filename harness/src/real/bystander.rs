//! A process that is no gateway: it looks like what the scenario says, listens and answers where it says, and does nothing
//! else.

use std::ffi::{CString, OsString};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};

use super::answering;
use super::internal::{ANSWERS_AS, BYSTANDER};
use crate::scenario::{ANSWERS, Answers, Bystander};

/// What a bystander says once it listens everywhere.
pub(super) const READY: &str = "ready";

/// What one says first that ends because somebody else listens there.
pub(super) const TAKEN: &str = "taken: ";

/// The command that starts a bystander.
///
/// Its command line is the one that the scenario gives, split at blanks, and nothing else.
pub(super) fn command(program: &OsString, bystander: &Bystander) -> Command {
    let mut words = bystander.looks_like.split_whitespace();
    let addresses: Vec<String> = bystander.listens.iter().map(ToString::to_string).collect();
    let mut command = Command::new(program);
    command.env_clear();
    if bystander.answers != Answers::NeverAccepts {
        command.env(ANSWERS_AS, bystander.answers.word());
    }
    command
        .arg0(words.next().unwrap_or_default())
        .args(words)
        .env(BYSTANDER, addresses.join(" "))
        .stdin(Stdio::null());
    command
}

/// Lives as a bystander until it is killed.
pub(super) fn main(args: &[OsString], addresses: &str, answers: &str) -> ExitCode {
    // Best effort: whoever starts a bystander also kills it.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    take_name(args);
    match listen(addresses) {
        Ok(listeners) => {
            let answers = ANSWERS.into_iter().find(|(word, _)| *word == answers).map(|(_, answers)| answers);
            live(&listeners, answers.unwrap_or_default())
        }
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
        listeners.push(TcpListener::bind(address).map_err(|error| {
            let taken = if error.kind() == io::ErrorKind::AddrInUse { TAKEN } else { "" };
            format!("{taken}{address}: {error}")
        })?);
    }
    Ok(listeners)
}

fn live(listeners: &[TcpListener], answers: Answers) -> ExitCode {
    if writeln!(io::stdout(), "{READY}").is_err() {
        return ExitCode::FAILURE;
    }
    if answers != Answers::NeverAccepts {
        answering::serve(listeners, answers);
        return ExitCode::FAILURE;
    }
    loop {
        // Nobody unparks this thread; a loop, because it may wake for no reason.
        std::thread::park();
        std::hint::black_box(listeners);
    }
}
