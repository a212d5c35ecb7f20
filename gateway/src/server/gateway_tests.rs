//! The gateway over connections in memory: what only shows once there are sockets, heads of requests and a clock.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::tests::Stand;
use super::{Limits, Service};
use crate::auth::{Auth, Secret};
use crate::control::{About, Control, SessionLimits};
use crate::identity::PhaseName;

fn stand(limits: SessionLimits) -> Stand {
    let about = About { auth: Auth::Token(Secret::new("t")), ..About::open() };
    Stand::with(Limits::personal(), Service::Gateway(Control::new(about, limits)))
}

async fn next(socket: &mut WebSocketStream<DuplexStream>) -> Value {
    loop {
        match socket.next().await.expect("open").expect("valid") {
            Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
            Message::Ping(_) => {}
            other @ (Message::Binary(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => {
                panic!("{other:?} is no text")
            }
        }
    }
}

/// The close frame that comes next, after any messages.
async fn goodbye(socket: &mut WebSocketStream<DuplexStream>) -> (u16, String) {
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(Some(CloseFrame { code, reason })) = message {
            return (code.into(), reason.to_string());
        }
    }
    (1006, String::new())
}

/// A connect request of so many bytes.
pub(super) fn connect(bytes: usize) -> String {
    let text = |name: &str| {
        json!({"type": "req", "id": "1", "method": "connect", "params": {
            "minProtocol": 4, "maxProtocol": 4, "auth": {"token": "t"}, "scopes": ["operator.admin"],
            "client": {"id": "test", "version": "1", "platform": "linux", "mode": "test"}, "userAgent": name,
        }})
        .to_string()
    };
    let missing = bytes.saturating_sub(text("").len());
    text(&"x".repeat(missing))
}

async fn inside(stand: &Stand) -> WebSocketStream<DuplexStream> {
    let mut socket = stand.socket().await.expect("a handshake");
    assert_eq!(next(&mut socket).await["event"], "connect.challenge");
    socket.send(Message::text(connect(0))).await.expect("it is sent");
    assert_eq!(next(&mut socket).await["ok"], true);
    socket
}

#[tokio::test(start_paused = true)]
async fn whoever_sends_one_long_frame_slowly_is_alive_all_along() {
    let stand = stand(SessionLimits::openclaw());
    let mut socket = inside(&stand).await;
    let text = json!({"type": "req", "id": "2", "method": "health", "params": "x".repeat(1000)}).to_string();
    let length = u16::try_from(text.len()).expect("a short text");
    // A mask of zeros changes nothing.
    let frame = [b"\x81\xfe".as_slice(), &length.to_be_bytes(), &[0; 4], text.as_bytes()].concat();
    for piece in frame.chunks(frame.len() / 10) {
        tokio::io::AsyncWriteExt::write_all(socket.get_mut(), piece).await.expect("the server reads");
        tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    }
    loop {
        let said = next(&mut socket).await;
        if said["id"] == "2" {
            return assert_eq!(said["ok"], true, "{said}");
        }
        assert_eq!(said["event"], "tick", "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_may_say_less_at_once_than_a_client() {
    let stand = stand(SessionLimits::openclaw());
    let mut socket = stand.socket().await.expect("a handshake");
    socket.send(Message::text(connect(64 * 1024 + 1))).await.expect("it is sent");
    assert_eq!(goodbye(&mut socket).await, (1009, "message too long".to_owned()));

    let mut socket = stand.socket().await.expect("a handshake");
    socket.send(Message::text(connect(64 * 1024))).await.expect("it is sent");
    assert_eq!(next(&mut socket).await["event"], "connect.challenge");
    assert_eq!(next(&mut socket).await["ok"], true);
    let long = json!({"type": "req", "id": "2", "method": "health", "params": "x".repeat(1024 * 1024)});
    socket.send(Message::text(long.to_string())).await.expect("it is sent");
    assert_eq!(next(&mut socket).await["ok"], true);
    // Nobody has to hear the whole of it: the head says how long it would be.
    let head = [b"\x81\xff".as_slice(), &(25 * 1024 * 1024_u64 + 1).to_be_bytes(), b"\0\0\0\0"].concat();
    tokio::io::AsyncWriteExt::write_all(socket.get_mut(), &head).await.expect("the server reads");
    assert_eq!(goodbye(&mut socket).await.0, 1009);
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_is_told_why_it_ends() {
    let stand = stand(SessionLimits::openclaw());
    let began = tokio::time::Instant::now();
    let mut socket = stand.socket().await.expect("a handshake");
    let reason = "handshake timeout: no connect request came in time".to_owned();
    assert_eq!(goodbye(&mut socket).await, (1000, reason));
    assert_eq!(began.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_idle_is_told_that_the_connection_lives() {
    let stand = stand(SessionLimits::openclaw());
    let mut socket = inside(&stand).await;
    let began = tokio::time::Instant::now();
    for (seq, seconds) in [(1, 30), (2, 60), (3, 90)] {
        let tick = next(&mut socket).await;
        assert_eq!((&tick["event"], &tick["seq"]), (&json!("tick"), &json!(seq)));
        assert_eq!(began.elapsed().as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_is_answered_late_and_binary_frames_are_read_as_text() {
    let stand = stand(SessionLimits::openclaw());
    let mut socket = stand.socket().await.expect("a handshake");
    let wrong = connect(0).replace(r#""token":"t""#, r#""token":"x""#);
    let began = tokio::time::Instant::now();
    socket.send(Message::binary(wrong.into_bytes())).await.expect("it is sent");
    let _challenge = next(&mut socket).await;
    assert_eq!(next(&mut socket).await["error"]["details"]["code"], "AUTH_TOKEN_MISMATCH");
    assert_eq!(began.elapsed().as_millis(), 250);
    assert_eq!(goodbye(&mut socket).await.0, 1008);
}

#[tokio::test(start_paused = true)]
async fn too_many_strangers_at_one_address_are_told_so_before_they_are_let_in() {
    let stand = stand(SessionLimits { strangers: 2, ..SessionLimits::openclaw() });
    let (first, mut second) = (stand.socket().await, stand.socket().await.expect("a handshake"));
    match stand.socket().await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 503),
        other => panic!("a third stranger got {other:?}"),
    }
    // Whoever says who it is makes room.
    second.send(Message::text(connect(0))).await.expect("it is sent");
    let _challenge = next(&mut second).await;
    assert_eq!(next(&mut second).await["ok"], true);
    let third = stand.socket().await.expect("a handshake");
    drop((first, third));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_holds_nobody_up_and_is_dropped() {
    let stand = stand(SessionLimits::openclaw());
    let mut deaf = inside(&stand).await;
    for number in 0..2000 {
        let request = json!({"type": "req", "id": number.to_string(), "method": "health"});
        // What the server does not read any more does not fit.
        let sent = deaf.send(Message::text(request.to_string()));
        if tokio::time::timeout(std::time::Duration::from_millis(1), sent).await.is_err() {
            break;
        }
    }
    let mut other = inside(&stand).await;
    other.send(Message::text(r#"{"type":"req","id":"2","method":"health"}"#)).await.expect("it is sent");
    assert_eq!(next(&mut other).await["id"], "2");
    let began = tokio::time::Instant::now();
    let mut left = next(&mut other).await;
    while left["event"] != "presence" {
        left = next(&mut other).await;
    }
    assert!(began.elapsed().as_secs() <= 50, "it has not answered two pings");
    assert_eq!(
        left["payload"]["presence"].as_array().map(Vec::len),
        Some(2),
        "the gateway and the other one"
    );
}

#[tokio::test(start_paused = true)]
async fn how_far_a_gateway_is_shows_without_a_client() {
    let stand = stand(SessionLimits::openclaw());
    let version = env!("CARGO_PKG_VERSION");
    for (phase, status, body) in [
        (
            PhaseName::Starting,
            "503",
            json!({"ok": false, "status": "starting", "version": version, "uptimeMs": 0, "pendingReason": "starting"}),
        ),
        (
            PhaseName::Ready,
            "200",
            json!({"ok": true, "status": "started", "version": version, "uptimeMs": 0}),
        ),
        (
            PhaseName::Draining,
            "503",
            json!({
                "ok": false, "status": "draining", "version": version, "uptimeMs": 0, "pendingReason": "gateway-draining",
            }),
        ),
    ] {
        stand.phase.set(phase);
        for path in ["/startupz", "/startup"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let answer = stand.ask(&request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            let told = answer.split_once("\n\n").expect("a body").1;
            assert_eq!(serde_json::from_str::<Value>(told).expect("JSON"), body);
        }
    }
    let proxied = stand.status("GET /healthz", &["Host: localhost", "X-Forwarded-For: 10.0.0.1"]).await;
    assert_eq!(proxied, "HTTP/1.1 403 Forbidden");
    // A socket may be asked for by any path, a page may not.
    assert_eq!(stand.status("GET /somewhere", &["Host: localhost"]).await, "HTTP/1.1 404 Not Found");
    let (mut socket, _) = tokio_tungstenite::client_async("ws://localhost/somewhere", stand.connect())
        .await
        .expect("a handshake");
    assert_eq!(next(&mut socket).await["event"], "connect.challenge");
}
