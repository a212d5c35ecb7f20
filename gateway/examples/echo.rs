//! The connection code of the gateway with every message answered by itself: what suites that check the framing talk to.
//!
//! `cargo run --example echo -- 9001` listens on that port of loopback until it is killed.

#![expect(clippy::expect_used, reason = "an example ends where its premises fail")]

use std::net::{Ipv4Addr, SocketAddr};

use gateway::server::{Limits, Server, Service};
use gateway::{Phase, PhaseName};
use portcullis_os::{Linux, Os as _};

/// The longest message, in bytes: suites send 16 MiB.
const LONGEST: usize = 64 * 1024 * 1024;

fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("a port");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let os = Linux::new(|_| {});
        let socket = os.bind_tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.expect("a free port");
        os.listen(&socket, 64).await.expect("a bound socket can listen");
        let listener = os.listener(socket.fd()).expect("the socket listens");
        let phase = Phase::default();
        phase.set(PhaseName::Ready);
        let server = Server::new(Limits::personal(), Service::Echo { longest: LONGEST });
        server.open(&os, vec![listener], &phase);
        std::future::pending::<()>().await;
    });
}
