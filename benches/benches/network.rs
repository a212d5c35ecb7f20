//! Whole gateways a second on a simulated network: two hosts are made, a gateway starts on one of them, a client on the other shakes
//! hands, is let in, asks ten things and leaves, and the gateway is told to stop and has stopped. All 111 ports, and only 4.

#![expect(clippy::expect_used, reason = "a bench ends where its premises fail")]

use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput};
use futures_util::{SinkExt as _, StreamExt as _};
use gateway::control::{About, Control, SessionLimits};
use gateway::server::{Limits, Server, Service};
use gateway::{Claim, GATEWAY_SPAN, Listen, PortBlock};
use portcullis_os::{Notice, Os as _, Port, Signal, Uid};
use sim::Ending;
use sim::kernel::{Effect, HostId, Kernel, Life, Spawn};
use sim::network::{Happened, Network, Node};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

const REQUESTS: u32 = 10;
const CONNECT: &str = r#"{"type":"req","id":"c","method":"connect","params":{"minProtocol":4,"maxProtocol":4,"caps":[],"role":"operator","scopes":["operator.read"],"client":{"id":"cli","version":"1","platform":"linux","mode":"cli"}}}"#;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("network");
    group.throughput(Throughput::Elements(1));
    for span in [3, GATEWAY_SPAN] {
        let mut seed = 0;
        group.bench_function(BenchmarkId::new("whole gateway, ten requests", span + 1), |bench| {
            bench.iter(|| {
                seed += 1;
                life(seed, span)
            });
        });
    }
    group.finish();
    criterion.final_summary();
}

fn port() -> Port {
    Port::new(18789).expect("a port")
}

/// One gateway from its start to its end.
fn life(seed: u64, span: u16) -> u128 {
    let mut kernel = Kernel::new();
    kernel.add_host(60_000);
    kernel.make_directory(Path::new("/home"), 0o755, Uid(1000));
    let mut network = Network::new(kernel, &["server", "client"], seed).expect("a network");
    let server = spawn(&network, HostId(0));
    let server = network.spawn(&server, |node| serve(node, span)).expect("room");
    let is_ready =
        |happened: &Happened| matches!(&happened.effect, Effect::Notified { notice: Notice::Ready, .. });
    network.run(1_000, |_, happened| happened.iter().any(is_ready)).expect("time goes on");
    let client = spawn(&network, HostId(1));
    let client = network.spawn(&client, ask).expect("room");
    network.run(60_000, |kernel, _| matches!(kernel.life(client), Life::Dead(_))).expect("time goes on");
    network.signal(server, Signal::Terminate);
    network.run(5_000, |kernel, _| matches!(kernel.life(server), Life::Dead(_))).expect("time goes on");
    for process in [client, server] {
        assert_eq!(network.look(|kernel| kernel.life(process)), Life::Dead(Ending::Exited(0)));
    }
    network.digest()
}

fn spawn(network: &Network, host: HostId) -> Spawn {
    let place = network.look(|kernel| kernel.place_on(host));
    Spawn { name: "x".to_owned(), command: "x".to_owned(), uid: Uid(1000), parent: None, pid: None, place }
}

async fn serve(node: Node, span: u16) -> u8 {
    let ports = PortBlock::new(port(), span).expect("it fits");
    let claim = Claim {
        listen: Listen::Everywhere,
        ..Claim::plain("/home/state".into(), "/home/openclaw.json".into(), ports)
    };
    let service = Service::Gateway(Control::new(About::open(), SessionLimits::openclaw()));
    let ended = gateway::run(node, claim, Server::new(Limits::personal(), service)).await;
    ended.map_or_else(|refusal| refusal.exit_status(), |()| 0)
}

async fn ask(node: Node) -> u8 {
    let stream = node.dial("server", port()).await.expect("it listens");
    let (mut socket, _) = client_async("ws://localhost:18789/", stream).await.expect("a handshake");
    socket.next().await.expect("a challenge").expect("a challenge");
    socket.send(Message::text(CONNECT)).await.expect("it is sent");
    for number in 0..=REQUESTS {
        // The first answer is that it is let in.
        let answer = loop {
            let message = socket.next().await.expect("an answer").expect("an answer");
            let text = message.into_text().expect("text");
            if text.contains(r#""type":"res""#) {
                break text;
            }
        };
        assert!(answer.contains(r#""ok":true"#), "{answer}");
        if number < REQUESTS {
            let request = format!(r#"{{"type":"req","id":"{number}","method":"health","params":{{}}}}"#);
            socket.send(Message::text(request)).await.expect("it is sent");
        }
    }
    u8::from(socket.close(None).await.is_err())
}
