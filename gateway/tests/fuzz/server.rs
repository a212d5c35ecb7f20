//! Whatever a client sends, the gateway answers with whole messages or ends the connection, and serves the next client.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use gateway::auth::{Auth, Secret};
use gateway::control::{About, Control, Now, SessionLimits};
use gateway::server::{Host, Limits, Server, Service};
use gateway::{Phase, PhaseName};
use portcullis_os::Listener;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::go_on;
use crate::spoilt::{corpus, spoilt};

/// Longer than anything that a gateway waits for on its own, apart from the next tick.
const PATIENCE: Duration = Duration::from_secs(25);

/// A process in memory, which notices when one of its tasks panics.
#[derive(Clone)]
struct Process {
    began: tokio::time::Instant,
    panics: Arc<AtomicU64>,
}

impl Host for Process {
    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        let (panics, task) = (self.panics.clone(), tokio::spawn(body));
        tokio::spawn(async move {
            if task.await.is_err_and(|error| error.is_panic()) {
                panics.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    async fn now(&self) -> Now {
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { wall_ms: 1_795_295_080_000 + elapsed_ms, monotonic_ms: elapsed_ms }
    }

    async fn random(&self) -> Option<[u8; 16]> {
        Some([0x5a; 16])
    }

    async fn file(&self, _: &Path, _: &[String], _: u32) -> Option<Vec<u8>> {
        None
    }
}

struct Door(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Door {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        match self.0.recv().await {
            Some(stream) => Ok((stream, (Ipv4Addr::LOCALHOST, 1).into())),
            None => std::future::pending().await,
        }
    }
}

/// A gateway in memory, and the way to it.
struct Stand {
    door: mpsc::UnboundedSender<DuplexStream>,
    panics: Arc<AtomicU64>,
}

impl Stand {
    fn new() -> Self {
        let about = About { auth: Auth::Token(Secret::new("t")), ..About::open() };
        let service = Service::Gateway(Control::new(about, SessionLimits::openclaw()));
        let (server, phase) = (Server::new(Limits::personal(), service), Phase::default());
        phase.set(PhaseName::Ready);
        let (door, inbox) = mpsc::unbounded_channel();
        let process = Process { began: tokio::time::Instant::now(), panics: Arc::default() };
        server.open(&process, vec![Door(inbox)], &phase);
        Self { door, panics: process.panics }
    }

    fn connect(&self) -> Result<DuplexStream, TestCaseError> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        self.door.send(far).map_err(|_| TestCaseError::fail("nobody accepts"))?;
        Ok(near)
    }

    async fn socket(&self) -> Result<WebSocketStream<DuplexStream>, TestCaseError> {
        let shaken = timeout(PATIENCE, client_async("ws://localhost/", self.connect()?)).await;
        let (socket, _) = shaken.map_err(failed)?.map_err(failed)?;
        Ok(socket)
    }

    /// Whether nothing has panicked, and a client is let in.
    async fn serves(&self) -> Result<(), TestCaseError> {
        let mut socket = self.socket().await?;
        let hello = String::from_utf8_lossy(&corpus("messages")[4]).into_owned();
        socket.send(Message::text(hello)).await.map_err(failed)?;
        let mut told = Vec::new();
        while !told.iter().any(|said: &Value| said["payload"]["type"] == "hello-ok") {
            let Ok(Some(Ok(message))) = timeout(PATIENCE, socket.next()).await else {
                return Err(TestCaseError::fail(format!("no client is let in any more: {told:?}")));
            };
            if let Message::Text(text) = message {
                told.push(serde_json::from_str(&text).map_err(failed)?);
            }
        }
        prop_assert_eq!(self.panics.load(Ordering::Relaxed), 0);
        Ok(())
    }
}

fn failed(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

fn run(body: impl Future<Output = Result<(), TestCaseError>>) -> Result<(), TestCaseError> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.map_err(failed)?.block_on(body)
}

/// Reads whatever is said until nothing more is. Every text is one message of the protocol.
async fn listen(socket: &mut WebSocketStream<DuplexStream>) -> Result<usize, TestCaseError> {
    let mut count = 0;
    while let Ok(Some(message)) = timeout(Duration::from_secs(6), socket.next()).await {
        match message {
            Ok(Message::Text(text)) => {
                let said: Value = serde_json::from_str(&text).map_err(failed)?;
                prop_assert!(matches!(said["type"].as_str(), Some("event" | "res")), "{said}");
                count += 1;
            }
            Ok(Message::Close(frame)) => {
                let frame = frame.ok_or_else(|| failed("it ends without a code"))?;
                prop_assert!(!frame.reason.is_empty(), "{frame:?}");
            }
            Ok(_) => {}
            Err(Error::ConnectionClosed) => break,
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(count)
}

#[test]
fn no_message_stops_a_gateway() {
    let messages = proptest::collection::vec((spoilt(corpus("messages")), any::<bool>()), 1..6);
    let known = any::<bool>();
    go_on("conversations", &(messages, known), |(messages, known)| {
        run(async {
            let stand = Stand::new();
            let mut socket = stand.socket().await?;
            let hello = known.then(|| (corpus("messages")[4].clone(), false));
            let count = messages.len();
            for (bytes, binary) in hello.into_iter().chain(messages) {
                let text = String::from_utf8(bytes);
                let message = match text {
                    Ok(text) if !binary => Message::text(text),
                    Ok(text) => Message::binary(text.into_bytes()),
                    Err(error) => Message::binary(error.into_bytes()),
                };
                // A gateway that has ended the connection takes no more.
                if socket.send(message).await.is_err() {
                    break;
                }
            }
            let told = listen(&mut socket).await?;
            // The challenge, the answers, and an event or two for each.
            prop_assert!(told <= 4 + 3 * count, "{} messages for {}", told, count);
            stand.serves().await
        })
    });
}

#[test]
fn no_bytes_at_the_door_stop_a_gateway() {
    go_on("heads", &spoilt(corpus("heads")), |bytes| {
        run(async {
            let stand = Stand::new();
            let mut stream = stand.connect()?;
            // A gateway that has refused already need not read the rest.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            let mut answer = Vec::new();
            let read = timeout(PATIENCE, (&mut stream).take(1 << 20).read_to_end(&mut answer)).await;
            prop_assert!(read.is_ok(), "it neither answers nor ends: {}", String::from_utf8_lossy(&answer));
            prop_assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{answer:?}");
            stand.serves().await
        })
    });
}
