//! Whole gateways a second on a simulated network: two hosts are made, a gateway starts on one of them, a client on the other shakes
//! hands, is let in, asks ten things and leaves, and the gateway is told to stop and has stopped. All 111 ports, and only 4.
//!
//! And what carries the bytes: the server of the gateway alone, to which somebody says ten things that it echoes, over our kernel and
//! turmoil-net, and over turmoil as it is.

#![expect(clippy::expect_used, reason = "a bench ends where its premises fail")]

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use futures_util::{SinkExt as _, StreamExt as _};
use gateway::control::{About, Control, Now, SessionLimits};
use gateway::server::{Host, Limits, Server, Service};
use gateway::{Claim, GATEWAY_SPAN, Listen, Phase, PhaseName, PortBlock};
use portcullis_os::{BindOptions, Call, Listener, Notice, Os as _, Port, Reply, Signal, Uid};
use sim::Ending;
use sim::kernel::{Effect, HostId, Kernel, Life, Spawn};
use sim::network::{Happened, Network, Node};
use tokio::io::{AsyncRead, AsyncWrite};
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
    group
        .bench_function(BenchmarkId::new("echo, ten messages", "turmoil-net"), |bench| bench.iter(over_ours));
    group.bench_function(BenchmarkId::new("echo, ten messages", "turmoil"), |bench| bench.iter(over_turmoil));
    group.finish();
    criterion.final_summary();
}

fn port() -> Port {
    Port::new(18789).expect("a port")
}

/// One gateway from its start to its end.
fn life(seed: u64, span: u16) -> u128 {
    let mut network = two_hosts(seed);
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

fn two_hosts(seed: u64) -> Network {
    let mut kernel = Kernel::new();
    kernel.add_host(60_000);
    kernel.make_directory(Path::new("/home"), 0o755, Uid(1000));
    Network::new(kernel, &["server", "client"], seed).expect("a network")
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

const ECHO: Service = Service::Echo { longest: 1024 };

/// A server that echoes, on whatever carries its bytes.
fn open(host: &impl Host, listener: impl Listener) {
    let phase = Phase::default();
    phase.set(PhaseName::Ready);
    Server::new(Limits::personal(), ECHO).open(host, vec![listener], &phase);
}

async fn ten_messages(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let (mut socket, _) = client_async("ws://localhost:18789/", stream).await.expect("a handshake");
    for number in 0..REQUESTS {
        let said = Message::text(format!("{number:0256}"));
        socket.send(said.clone()).await.expect("it is sent");
        assert_eq!(socket.next().await.expect("an answer").expect("an answer"), said);
    }
    socket.close(None).await.expect("it is closed");
}

fn over_ours() -> u128 {
    let mut network = two_hosts(1);
    let server = spawn(&network, HostId(0));
    network
        .spawn(&server, async |node: Node| {
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port().get()));
            let bound = node.call(Call::BindTcp { address, options: BindOptions::SERVER }).await;
            let Ok(Reply::Fd(fd)) = bound else { return 1 };
            node.call(Call::Listen { fd, backlog: 16 }).await.expect("it listens");
            open(&node, node.listener(fd).expect("a listener"));
            node.call(Call::CatchSignals).await.expect("it catches");
            node.call(Call::NextSignal).await.map_or(2, |_| 0)
        })
        .expect("room");
    network.run(1, |_, _| false).expect("time goes on");
    let client = spawn(&network, HostId(1));
    let client = network
        .spawn(&client, async |node: Node| {
            ten_messages(node.dial("server", port()).await.expect("it listens")).await;
            0
        })
        .expect("room");
    network.run(60_000, |kernel, _| matches!(kernel.life(client), Life::Dead(_))).expect("time goes on");
    assert_eq!(network.look(|kernel| kernel.life(client)), Life::Dead(Ending::Exited(0)));
    network.digest()
}

/// A process on a host of turmoil.
#[derive(Clone)]
struct There;

impl Host for There {
    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(body);
    }

    async fn now(&self) -> Now {
        let elapsed_ms = u64::try_from(turmoil::elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { wall_ms: elapsed_ms, monotonic_ms: elapsed_ms }
    }

    async fn random(&self) -> Option<[u8; 16]> {
        Some([7; 16])
    }

    async fn file(&self, _: &Path, _: &[String], _: u32) -> Option<Vec<u8>> {
        None
    }
}

struct Door(turmoil::net::TcpListener);

impl Listener for Door {
    type Stream = turmoil::net::TcpStream;

    async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
        self.0.accept().await
    }
}

fn over_turmoil() {
    // As far apart as hosts are over there unless somebody says something else.
    let [least, most] = [1, 2].map(Duration::from_millis);
    let mut network =
        turmoil::Builder::new().rng_seed(1).min_message_latency(least).max_message_latency(most).build();
    network.host("server", || async {
        let door = turmoil::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port().get())).await?;
        open(&There, Door(door));
        std::future::pending().await
    });
    network.client("client", async {
        ten_messages(turmoil::net::TcpStream::connect(("server", port().get())).await?).await;
        Ok(())
    });
    network.run().expect("the client is answered");
}
