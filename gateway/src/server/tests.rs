//! The server over connections in memory and a clock that only moves when everybody waits.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use futures_util::{SinkExt as _, StreamExt as _};
use portcullis_os::{Linux, Listener};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Host, Limits, Server, Service};
use crate::control::Now;
use crate::identity::{Phase, PhaseName};
use crate::run::{Next, Serve};

#[derive(Clone)]
struct Memory(tokio::time::Instant);

impl Host for Memory {
    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(body);
    }

    async fn now(&self) -> Now {
        // The paused clock of the runtime that this runs in, from its first look at it on.
        let milliseconds = u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { wall_ms: milliseconds, monotonic_ms: milliseconds }
    }

    async fn random(&self) -> Option<[u8; 16]> {
        Some([0xa5; 16])
    }

    async fn file(&self, _: &Path, _: &[String], _: u32) -> Option<Vec<u8>> {
        None
    }
}

struct Inbox(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Inbox {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        match self.0.recv().await {
            Some(stream) => Ok((stream, (Ipv4Addr::LOCALHOST, 1).into())),
            None => std::future::pending().await,
        }
    }
}

const ECHO: Service = Service::Echo { longest: 1024 * 1024 };

/// A server that is open, and the way to it.
pub(super) struct Stand {
    server: Server,
    pub(super) phase: Phase,
    door: mpsc::UnboundedSender<DuplexStream>,
}

impl Stand {
    fn new(limits: Limits) -> Self {
        Self::with(limits, ECHO)
    }

    pub(super) fn with(limits: Limits, service: Service) -> Self {
        let (door, inbox) = mpsc::unbounded_channel();
        let (server, phase) = (Server::new(limits, service), Phase::default());
        phase.set(PhaseName::Ready);
        server.open(&Memory(tokio::time::Instant::now()), vec![Inbox(inbox)], &phase);
        Self { server, phase, door }
    }

    pub(super) fn connect(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 * 1024);
        self.door.send(far).expect("the server listens");
        near
    }

    /// Sends one request and returns everything until the server hangs up.
    pub(super) async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("the server answers");
        String::from_utf8_lossy(&answer).replace("\r\n", "\n")
    }

    /// The first line of the answer to a request with these headers.
    pub(super) async fn status(&self, line: &str, headers: &[&str]) -> String {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let answer = self.ask(&format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n")).await;
        answer.lines().next().unwrap_or_default().to_owned()
    }

    pub(super) async fn socket(&self) -> Result<WebSocketStream<DuplexStream>, Error> {
        Ok(client_async("ws://localhost/", self.connect()).await?.0)
    }
}

fn stand() -> Stand {
    Stand::new(Limits::personal())
}

/// The close code that the server sends next, after any messages.
async fn close_code(socket: &mut WebSocketStream<DuplexStream>) -> Option<CloseCode> {
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(frame) = message {
            return frame.map(|frame| frame.code);
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn health_is_answered_as_openclaw_answers_it() {
    let answer = stand().ask("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    insta::assert_snapshot!(answer, @r#"
    HTTP/1.1 200 OK
    content-type: application/json; charset=utf-8
    cache-control: no-store
    x-content-type-options: nosniff
    referrer-policy: no-referrer
    connection: close
    content-length: 27

    {"ok":true,"status":"live"}
    "#);
    let head = stand().ask("HEAD /health HTTP/1.0\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.0 200 OK\n"), "{head}");
    assert!(head.ends_with("content-length: 27\n\n"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_the_phase() {
    let stand = stand();
    let request = "GET /readyz HTTP/1.1\r\nHost: [::1]:18789\r\nConnection: close\r\n\r\n";
    for (phase, status, body) in [
        (PhaseName::Starting, "503", r#"{"failing":["starting"],"ready":false,"uptimeMs":0}"#),
        (PhaseName::Ready, "200", r#"{"failing":[],"ready":true,"uptimeMs":0}"#),
        (PhaseName::Draining, "503", r#"{"failing":["gateway-draining"],"ready":false,"uptimeMs":0}"#),
    ] {
        stand.phase.set(phase);
        let answer = stand.ask(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.ends_with(body), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_says_so() {
    let stand = stand();
    let host = "Host: 127.0.0.1:18789";
    for (line, headers, expected) in [
        ("POST /healthz", vec![host], "HTTP/1.1 405 Method Not Allowed"),
        ("DELETE /readyz", vec![host], "HTTP/1.1 405 Method Not Allowed"),
        ("POST /", vec![host], "HTTP/1.1 405 Method Not Allowed"),
        ("GET /nope", vec![host], "HTTP/1.1 404 Not Found"),
        ("GET /healthz/", vec![host], "HTTP/1.1 404 Not Found"),
        ("GET /healthz?x=1", vec![host], "HTTP/1.1 200 OK"),
        ("GET /", vec![host], "HTTP/1.1 404 Not Found"),
        ("GET /", vec![host, "Upgrade: websocket"], "HTTP/1.1 400 Bad Request"),
        ("GET /healthz", vec![], "HTTP/1.1 400 Bad Request"),
        ("GET /healthz", vec!["Host: rebound.example"], "HTTP/1.1 403 Forbidden"),
        ("GET /healthz", vec![host, "Origin: https://evil.example"], "HTTP/1.1 403 Forbidden"),
        ("GET /healthz", vec![host, "Origin: http://localhost:3000"], "HTTP/1.1 200 OK"),
        ("nonsense", vec![], "HTTP/1.1 400 Bad Request"),
    ] {
        assert_eq!(stand.status(line, &headers).await, expected, "{line} {headers:?}");
    }
    let refused = stand.ask("POST /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(
        refused.contains("\nallow: GET, HEAD\n") && refused.ends_with("\nMethod Not Allowed"),
        "{refused}"
    );
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(32 * 1024));
    let refused = stand.ask(&long).await;
    assert!(refused.starts_with("HTTP/1.1 431 Request Header Fields Too Large"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_needs_the_right_version_and_a_whole_key() {
    let stand = stand();
    let shake = |version: &'static str, key: &'static str, more: &'static str| {
        format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: {key}\r\n{more}\r\n"
        )
    };
    let good = "dGhlIHNhbXBsZSBub25jZQ==";
    for (request, expected) in [
        (shake("8", good, ""), "HTTP/1.1 426 Upgrade Required"),
        (shake("13", "dGhlIHNhbXBsZSBub25jZQ=", ""), "HTTP/1.1 400 Bad Request"),
        (shake("13", "dGhlIHNhbXBsZSBub25jZR==", ""), "HTTP/1.1 400 Bad Request"),
        (shake("13", good, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), "HTTP/1.1 400 Bad Request"),
        (shake("13", good, "Content-Length: 1\r\n"), "HTTP/1.1 400 Bad Request"),
    ] {
        let mut stream = stand.connect();
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut answer = [0; 64];
        let count = stream.read(&mut answer).await.expect("the server answers");
        assert!(answer[..count].starts_with(expected.as_bytes()), "{request}");
    }
    // The key and the answer to it are those of RFC 6455, section 1.3. The first message comes with the handshake.
    let mut stream = stand.connect();
    stream.write_all(shake("13", good, "").as_bytes()).await.expect("the server reads");
    stream.write_all(b"\x81\x82\0\0\0\0hi").await.expect("the server reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"hi") {
        assert!(stream.read_buf(&mut answer).await.expect("the server answers") > 0, "{answer:?}");
    }
    insta::assert_snapshot!(String::from_utf8_lossy(&answer).replace("\r\n", "\n").replace("\u{2}", "[2]"), @r"
    HTTP/1.1 101 Switching Protocols
    connection: Upgrade
    upgrade: websocket
    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=

    �[2]hi
    ");
}

#[tokio::test(start_paused = true)]
async fn every_message_is_answered_with_itself() {
    let stand = stand();
    let mut socket = stand.socket().await.expect("a handshake");
    let messages = [
        Message::text("hello"),
        Message::text(""),
        Message::text("ä€😀"),
        Message::binary(vec![0_u8, 255, 128]),
        Message::binary(vec![7_u8; 1024 * 1024]),
    ];
    for message in messages {
        socket.send(message.clone()).await.expect("it is sent");
        assert_eq!(socket.next().await.expect("open").expect("valid"), message);
    }
    for number in 0..1000 {
        socket.feed(Message::text(number.to_string())).await.expect("it is sent");
    }
    socket.flush().await.expect("it is sent");
    for number in 0..1000 {
        assert_eq!(socket.next().await.expect("open").expect("valid"), Message::text(number.to_string()));
    }
    socket.send(Message::Ping(vec![1, 2].into())).await.expect("it is sent");
    assert_eq!(socket.next().await.expect("open").expect("valid"), Message::Pong(vec![1, 2].into()));
    socket.close(None).await.expect("it is sent");
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
    assert!(socket.next().await.is_none());
    stand.server.room.empty().await;
}

#[tokio::test(start_paused = true)]
async fn who_breaks_a_rule_is_told_which() {
    let stand = stand();
    let too_long = [b"\x82\xff".as_slice(), &(1024 * 1024_u64 + 1).to_be_bytes(), b"\0\0\0\0"].concat();
    for (frame, expected) in [
        (too_long.as_slice(), CloseCode::Size),
        (b"\x81\x82\0\0\0\0\xff\xfe", CloseCode::Invalid),
        (b"\x81\x02hi", CloseCode::Protocol),
        (b"\x83\x80\0\0\0\0", CloseCode::Protocol),
    ] {
        let mut socket = stand.socket().await.expect("a handshake");
        socket.get_mut().write_all(frame).await.expect("the server reads");
        assert_eq!(close_code(&mut socket).await, Some(expected), "{frame:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_server_says_so_and_still_answers_health() {
    let stand = Stand::new(Limits { connections: 1, spare: 1, ..Limits::personal() });
    let mut first = stand.socket().await.expect("a handshake");
    match stand.socket().await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 503),
        other => panic!("a second socket got {other:?}"),
    }
    let health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(stand.ask(health).await.starts_with("HTTP/1.1 200 OK"));
    let waiting = stand.connect();
    assert_eq!(stand.ask(health).await, "", "the place beyond the spare one");
    drop(waiting);
    first.close(None).await.expect("it is sent");
    assert!(matches!(close_code(&mut first).await, None | Some(_)));
    drop(first);
    stand.server.room.empty().await;
    assert!(stand.socket().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_closing_server_sends_everybody_away_with_1012() {
    let stand = stand();
    let mut socket = stand.socket().await.expect("a handshake");
    let mut idle = stand.connect();
    stand.phase.set(PhaseName::Draining);
    let close = tokio::spawn({
        let server = stand.server.clone();
        async move { server.close().await }
    });
    assert_eq!(close_code(&mut socket).await, Some(CloseCode::Restart));
    assert!(socket.next().await.is_none());
    assert_eq!(idle.read(&mut [0; 8]).await.expect("it is closed"), 0);
    close.await.expect("it ends");
    match stand.socket().await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 503),
        other => panic!("a late socket got {other:?}"),
    }
}

/// Restarts in place, and tells how many milliseconds of the paused clock that has taken.
async fn restart(stand: &mut Stand) -> u128 {
    let began = tokio::time::Instant::now();
    Serve::<Linux>::drain(&stand.server, Next::Restart).await;
    let (door, inbox) = mpsc::unbounded_channel();
    stand.door = door;
    stand.server.open(&Memory(tokio::time::Instant::now()), vec![Inbox(inbox)], &stand.phase);
    began.elapsed().as_millis()
}

#[tokio::test(start_paused = true)]
async fn who_has_asked_for_nothing_holds_no_restart_up_and_is_served_after_it() {
    let mut stand = stand();
    let (silent, mut idle) = (stand.connect(), stand.connect());
    tokio::task::yield_now().await;
    assert_eq!(restart(&mut stand).await, 0, "nobody is waited for");
    let (mut socket, _) = client_async("ws://localhost/", silent).await.expect("it is let in as before");
    socket.send(Message::text("hello")).await.expect("the server reads");
    assert_eq!(socket.next().await.expect("an answer").expect("a message"), Message::text("hello"));
    // At the end nobody is waited for either.
    stand.server.close().await;
    assert_eq!(idle.read(&mut [0; 8]).await.expect("it is closed"), 0);
    assert_eq!(close_code(&mut socket).await, Some(CloseCode::Restart));
}

#[tokio::test(start_paused = true)]
async fn who_outlasts_a_restart_keeps_the_place() {
    let mut stand = Stand::new(Limits { connections: 1, spare: 0, ..Limits::personal() });
    let silent = stand.connect();
    tokio::task::yield_now().await;
    restart(&mut stand).await;
    let health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(stand.ask(health).await, "", "the only place is taken");
    drop(silent);
    stand.server.room.empty().await;
    assert!(stand.ask(health).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test(start_paused = true)]
async fn nobody_holds_a_server_up_by_saying_nothing() {
    let stand = stand();
    // This client never reads its goodbye, so it is cut off when its time is up: virtual time, no waiting.
    let mut deaf = stand.socket().await.expect("a handshake");
    stand.server.close().await;
    stand.server.room.empty().await;
    assert_eq!(close_code(&mut deaf).await, Some(CloseCode::Restart));

    let stand = self::stand();
    let mut slow = stand.connect();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost:").await.expect("the server reads");
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).await.expect("it is closed");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{answer:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_stop_the_server(
        before in prop::collection::vec(any::<u8>(), 0..64),
        frames in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let stand = stand();
            let mut stream = stand.connect();
            // It may hang up before it has read everything.
            let _ = stream.write_all(&before).await;
            let mut socket = stand.socket().await.expect("a handshake");
            let _ = socket.get_mut().write_all(&frames).await;
            drop((stream, socket));
            let status = stand.status("GET /healthz", &["Host: localhost"]).await;
            assert_eq!(status, "HTTP/1.1 200 OK");
            stand.server.close().await;
            stand.server.room.empty().await;
        });
    }
}
