//! How each server is started: the program itself again, node, or what go has made of a file that is kept here.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::gateway::whole;
use super::{Server, Start, Work};
use crate::compare::options::Options;

/// The servers in other languages, beside the source of this package.
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");

/// How a server is started.
///
/// # Errors
///
/// Why it cannot be, in words: what it needs is not installed, or was not named.
pub(super) fn start(server: Server, work: Work, options: &Options) -> Result<Start, String> {
    let command = match (server, work) {
        (Server::Refgate, Work::Health) => return whole(),
        (Server::Ws, _) => {
            let folder = options.ws.as_deref().ok_or("no --ws DIR was given")?;
            node(folder, work)?
        }
        (Server::Gorilla, _) => {
            let folder = options.gorilla.as_deref().ok_or("no --gorilla DIR was given")?;
            return go(folder, work);
        }
        (server, work) => {
            let mut command = own()?;
            command.args(["serve", server.name(), work.word()]);
            command
        }
    };
    Ok(Start { command, room: None })
}

/// This program.
pub(super) fn own() -> Result<Command, String> {
    std::env::current_exe().map(Command::new).map_err(|error| format!("this program: {error}"))
}

fn node(folder: &Path, work: Work) -> Result<Command, String> {
    let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    answers("node", &["--version"])?;
    let mut command = Command::new("node");
    command.arg(Path::new(PEERS).join("ws.mjs")).arg(folder).arg(work.word());
    Ok(command)
}

/// The program is made anew each time, into a folder that goes with it.
fn go(path: &Path, work: Work) -> Result<Start, String> {
    let room = tempfile::tempdir().map_err(|error| format!("a folder for it: {error}"))?;
    let path = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
    answers("go", &["version"])?;
    let program: PathBuf = room.path().join("gorilla");
    let made = Command::new("go")
        .args([OsStr::new("build"), OsStr::new("-o"), program.as_os_str()])
        .arg(Path::new(PEERS).join("gorilla.go"))
        .env("GOPATH", path)
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("go: {error}"))?;
    if !made.status.success() {
        let why = String::from_utf8_lossy(&made.stderr);
        return Err(format!("go cannot build it: {}", why.lines().last().unwrap_or_default()));
    }
    let mut command = Command::new(program);
    command.arg(work.word()).env("GOMAXPROCS", "1");
    Ok(Start { command, room: Some(room) })
}

fn answers(program: &str, arguments: &[&str]) -> Result<(), String> {
    let asked = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    match asked {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{program}: {}", output.status)),
        Err(error) => Err(format!("{program}: {error}")),
    }
}
