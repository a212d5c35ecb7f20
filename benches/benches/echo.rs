//! One message of 256 bytes to the server and back, over a loopback connection and through the whole hot path.

#![expect(clippy::expect_used, reason = "a bench ends where its premises fail")]

use std::net::{Ipv4Addr, SocketAddr};

use criterion::{Criterion, Throughput};
use futures_util::{SinkExt as _, StreamExt as _};
use gateway::server::{Limits, Server, Service};
use gateway::{Phase, PhaseName};
use portcullis_os::{Errno, Linux, Os as _};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

const MESSAGE_BYTES: usize = 256;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = Builder::new_multi_thread().enable_all().build().expect("a runtime can be built");
    let os = Linux::new(|_| {});
    let mut socket = runtime.block_on(connected(&os));
    let message = Message::binary(vec![7; MESSAGE_BYTES]);
    let mut group = criterion.benchmark_group("echo");
    group.throughput(Throughput::Elements(1));
    group.bench_function("round trip of 256 bytes", |bench| {
        bench.iter(|| {
            let answer = runtime.block_on(round_trip(&mut socket, message.clone()));
            assert_eq!(answer, message);
        });
    });
    group.finish();
    criterion.final_summary();
}

async fn round_trip(socket: &mut WebSocketStream<TcpStream>, message: Message) -> Message {
    socket.send(message).await.expect("the server reads");
    socket.next().await.expect("the server stays").expect("the server answers")
}

/// A client of a server that listens on a free port.
async fn connected(os: &Linux) -> WebSocketStream<TcpStream> {
    let (address, listener) = free_listener(os).await;
    let phase = Phase::default();
    phase.set(PhaseName::Ready);
    let echo = Service::Echo { longest: 1024 * 1024 };
    Server::new(Limits::personal(), echo).open(os, vec![listener], &phase);
    let stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("a TCP socket has this option");
    client_async("ws://localhost/", stream).await.expect("the server takes WebSockets").0
}

async fn free_listener(os: &Linux) -> (SocketAddr, <Linux as portcullis_os::Os>::Listener) {
    // Below the ports that the kernel gives to outgoing connections.
    for port in 20_000..32_000 {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match os.bind_tcp(address).await {
            Ok(socket) => {
                os.listen(&socket, 16).await.expect("a bound socket can listen");
                // The listener has a descriptor of its own, so this one may be closed.
                return (address, os.listener(socket.fd()).expect("the socket listens"));
            }
            Err(Errno::AddressInUse) => {}
            Err(errno) => panic!("{address}: {errno}"),
        }
    }
    panic!("no port is free")
}
