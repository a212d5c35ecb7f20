//! The server that ships, over a network that is simulated: same code, other sockets, another clock.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use gateway::control::Now;
use gateway::server::{Host, Limits, Server, Service};
use gateway::{Phase, PhaseName};
use portcullis_os::Listener;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use turmoil::net::{TcpListener, TcpStream};

/// A process on a simulated host.
#[derive(Clone)]
struct Simulated;

impl Host for Simulated {
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

struct Door(TcpListener);

impl Listener for Door {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }
}

const ECHO: Service = Service::Echo { longest: 1024 * 1024 };

/// A server on a host of that name, and whatever it takes to keep it there.
fn host(network: &mut turmoil::Sim<'_>) {
    network.host("gateway", || async {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 18789)).await?;
        let (server, phase) = (Server::new(Limits::personal(), ECHO), Phase::default());
        phase.set(PhaseName::Ready);
        server.open(&Simulated, vec![Door(listener)], &phase);
        std::future::pending().await
    });
}

#[test]
fn a_client_on_a_slow_network_shakes_hands_and_is_answered() -> turmoil::Result {
    let latency = Duration::from_millis(40);
    let mut network =
        turmoil::Builder::new().min_message_latency(latency).max_message_latency(latency).build();
    host(&mut network);
    network.client("client", async move {
        let before = turmoil::elapsed();
        let stream = TcpStream::connect("gateway:18789").await?;
        let (mut socket, response) = client_async("ws://localhost/", stream).await?;
        assert_eq!(response.status(), 101);
        socket.send(Message::text("hello")).await?;
        assert_eq!(socket.next().await.ok_or("closed")??, Message::text("hello"));
        // Handshake and message: two journeys there and back, after the connection.
        assert!(turmoil::elapsed() - before >= latency * 4, "{:?}", turmoil::elapsed() - before);
        Ok(())
    });
    network.run()
}

#[test]
fn a_client_whose_messages_are_held_up_is_answered_when_they_arrive() -> turmoil::Result {
    let mut network = turmoil::Builder::new().build();
    host(&mut network);
    network.client("client", async move {
        let stream = TcpStream::connect("gateway:18789").await?;
        let (mut socket, _) = client_async("ws://localhost/", stream).await?;
        turmoil::hold("client", "gateway");
        socket.send(Message::text("late")).await?;
        let early = tokio::time::timeout(Duration::from_secs(5), socket.next()).await;
        assert!(early.is_err(), "nothing can have arrived, but there is {early:?}");
        turmoil::release("client", "gateway");
        assert_eq!(socket.next().await.ok_or("closed")??, Message::text("late"));
        Ok(())
    });
    network.run()
}
