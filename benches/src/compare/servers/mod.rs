//! The servers: each is a process of its own, so that its processor time is its own, and dies with whoever started it.

mod cork;
mod fan;
mod foreign;
mod gateway;
mod peers;
mod rpc;

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::process::{self, Child, ExitCode, Stdio};

use clap::ValueEnum;
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use super::Fault;
use super::options::Options;

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Server {
    /// What comes goes back, without a protocol; of a fan-out, a loop of writes
    Tcp,
    /// The gateway's own connection code
    Refgate,
    /// tokio-tungstenite as its examples have it, and `serde_json::Value`
    Tungstenite,
    /// fastwebsockets, over a stream that gathers writes
    Fastwebsockets,
    /// tokio-websockets, over a stream that gathers writes
    TokioWebsockets,
    /// sockudo-ws, flushed once nothing more has come
    SockudoWs,
    /// `ws` of JavaScript, with the options of OpenClaw's gateway
    Ws,
    /// gorilla/websocket of Go
    Gorilla,
}

impl Server {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Refgate => "refgate",
            Self::Tungstenite => "tungstenite",
            Self::Fastwebsockets => "fastwebsockets",
            Self::TokioWebsockets => "tokio-websockets",
            Self::SockudoWs => "sockudo-ws",
            Self::Ws => "ws",
            Self::Gorilla => "gorilla",
        }
    }

    /// Whether it is another library of Rust.
    pub(crate) const fn is_peer(self) -> bool {
        match self {
            Self::Tungstenite | Self::Fastwebsockets | Self::TokioWebsockets | Self::SockudoWs => true,
            Self::Tcp | Self::Refgate | Self::Ws | Self::Gorilla => false,
        }
    }
}

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// Every message is answered with itself.
    Echo,
    /// Every request is answered with its params.
    Rpc,
    /// The method `health` of a whole gateway.
    Health,
    /// One event goes to everybody.
    Fan,
}

impl Work {
    /// What it is called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Rpc => "rpc",
            Self::Health => "health",
            Self::Fan => "fan-out",
        }
    }

    /// The word for it among the arguments of a server.
    const fn word(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Rpc => "rpc",
            Self::Health => "health",
            Self::Fan => "fan",
        }
    }
}

/// How a server is started.
#[derive(Debug)]
struct Start {
    command: process::Command,
    /// The state of a gateway lies there.
    room: Option<TempDir>,
}

/// A server that runs. It is killed when this value goes.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) port: u16,
    _room: Option<TempDir>,
}

/// How often a gateway is tried on other ports, before it is given up.
const TRIES: usize = 20;

impl Running {
    /// Starts the server of a work; `Err` within: why it cannot be.
    pub(crate) fn of(server: Server, work: Work, options: &Options) -> Result<Result<Self, String>, Fault> {
        let mut tries = TRIES;
        loop {
            let start = match foreign::start(server, work, options) {
                Ok(start) => start,
                Err(why) => return Ok(Err(why)),
            };
            match Self::start(start) {
                Ok(running) => return Ok(Ok(running)),
                // Somebody else may have its ports.
                Err(_) if (server, work) == (Server::Refgate, Work::Health) && tries > 0 => tries -= 1,
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Starts one, and waits until it says that it serves.
    fn start(start: Start) -> Result<Self, Fault> {
        let Start { mut command, room } = start;
        let name = format!("{command:?}");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(Fault::of(&name))?;
        let stdout = child.stdout.take();
        let mut running = Self { child, port: 0, _room: room };
        let mut lines = BufReader::new(stdout.ok_or_else(|| Fault::Wrong(format!("{name} has no stdout")))?);
        let mut line = String::new();
        while running.port == 0 {
            line.clear();
            if lines.read_line(&mut line).map_err(Fault::of(&name))? == 0 {
                return Err(Fault::Wrong(format!("{name} ended before it served")));
            }
            running.port = port(&line).unwrap_or(0);
        }
        // Whatever else it says must find a reader.
        std::thread::spawn(move || io::copy(&mut lines, &mut io::sink()));
        Ok(running)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until it is killed, or whoever started it is gone.
pub(crate) fn serve(server: Server, work: Work) -> Result<(), Fault> {
    die_with_parent()?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Fault::of("a runtime"))?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Fault::of("a listener"))?;
        let port = listener.local_addr().map_err(Fault::of("a listener"))?.port();
        writeln!(io::stdout(), "{port}").map_err(Fault::of("stdout"))?;
        match (server, work) {
            (Server::Refgate, work) => gateway::serve(listener, work).await,
            (Server::Tcp, Work::Fan) => fan::serve(listener).await,
            (server, work) => peers::serve(listener, server, work).await,
        }
    })
}

/// The port that a server names in its first line, or a gateway once it is ready.
fn port(line: &str) -> Option<u16> {
    #[derive(Deserialize)]
    struct Line<'a> {
        event: &'a str,
        port: Option<u16>,
    }
    match serde_json::from_str(line) {
        Ok(Line { event: "ready", port }) => port,
        Ok(Line { .. }) => None,
        Err(_) => line.trim().parse().ok(),
    }
}

fn die_with_parent() -> Result<(), Fault> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| Fault::System { doing: "prctl".to_owned(), source: errno.into() })
}

/// Runs the gateway as if it had been called so.
pub(crate) fn refgate(arguments: &[OsString]) -> ExitCode {
    if die_with_parent().is_err() {
        return ExitCode::FAILURE;
    }
    ::gateway::cli::main(std::iter::once(OsString::from("refgate")).chain(arguments.iter().cloned()))
}

#[cfg(test)]
mod tests {
    use super::port;

    #[test]
    fn a_server_says_its_port_and_a_gateway_says_it_once_it_is_ready() {
        assert_eq!(port("4711\n"), Some(4711));
        assert_eq!(port(r#"{"event":"owner","port":20000}"#), None);
        assert_eq!(port(r#"{"schema":1,"event":"ready","port":20000}"#), Some(20_000));
        assert_eq!(port("something else"), None);
    }
}
