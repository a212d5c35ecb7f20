//! The gateway as a server of this comparison: its connection code alone, with clients in memory, or all of it.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use gateway::control::{About, Control, SessionLimits};
use gateway::server::{Limits, Server, Service};
use gateway::{Phase, PhaseName};
use portcullis_os::{Linux, Listener};
use tokio::net::{TcpListener, TcpStream};

use super::foreign::own;
use super::{Start, Work};
use crate::compare::Fault;

/// The longest message, in bytes.
const LONGEST: usize = 1024 * 1024;
/// More than one user on one machine needs, so that a thousand clients can come.
const CONNECTIONS: usize = 4096;
/// How much may wait for a client where a thousand are, in bytes: more than the events of one case, and less than the list of
/// so many clients, which each of them would be sent whenever another one comes.
const WAITING_BYTES: usize = 32 * 1024;
/// How long one that is slow to speak is waited for, in milliseconds: on a machine that is busy it takes a while to let all in.
const PATIENCE_MS: u64 = 600_000;

/// A socket that listens, for the server of the gateway.
struct Door(TcpListener);

impl Listener for Door {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, from) = self.0.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, from))
    }
}

/// Serves until the process ends.
pub(super) async fn serve(listener: TcpListener, work: Work) -> Result<(), Fault> {
    let service = match work {
        Work::Echo => Service::Echo { longest: LONGEST },
        Work::Rpc => Service::Repeat { longest: LONGEST },
        Work::Health | Work::Fan => Service::Gateway(Control::new(About::open(), crowd())),
    };
    let phase = Phase::default();
    phase.set(PhaseName::Ready);
    let limits = Limits { connections: CONNECTIONS, ..Limits::personal() };
    Server::new(limits, service).open(&Linux::new(|_| {}), vec![Door(listener)], &phase);
    std::future::pending().await
}

/// What bounds a client where a thousand come at once.
fn crowd() -> SessionLimits {
    SessionLimits {
        handshake_ms: PATIENCE_MS,
        ping_ms: PATIENCE_MS,
        waiting_bytes: WAITING_BYTES,
        strangers: CONNECTIONS,
        ..SessionLimits::openclaw()
    }
}

/// A whole gateway, as its users start it, with a state directory of its own. The name of that is long, because the answer to
/// `health` has it twice: so it is as long as OpenClaw's.
pub(super) fn whole() -> Result<Start, String> {
    let room = tempfile::tempdir().map_err(|error| format!("a state directory: {error}"))?;
    let state = room.path().join("s".repeat(255)).join("t".repeat(255));
    let mut command = own()?;
    command
        .args(["refgate", "gateway", "--json", "--port", &next_base().to_string()])
        .env("OPENCLAW_STATE_DIR", &state)
        .env("HOME", room.path());
    without_own_settings(&mut command);
    Ok(Start { command, room: Some(room) })
}

/// Where the ports of a gateway may begin: another one each time it is asked, below those of outgoing connections.
fn next_base() -> u16 {
    static ASKED: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(rustix::process::getpid().as_raw_nonzero().get() % 90).unwrap_or(0);
    20_000 + (begin + ASKED.fetch_add(1, Ordering::Relaxed)) % 90 * 111
}

/// Whoever measures may have a gateway of its own.
fn without_own_settings(command: &mut Command) {
    for name in [
        "OPENCLAW_PROFILE",
        "OPENCLAW_CONFIG_PATH",
        "OPENCLAW_GATEWAY_PORT",
        "OPENCLAW_WORKSPACE_DIR",
        "OPENCLAW_GATEWAY_TOKEN",
        "OPENCLAW_GATEWAY_PASSWORD",
        "NOTIFY_SOCKET",
    ] {
        command.env_remove(name);
    }
}
