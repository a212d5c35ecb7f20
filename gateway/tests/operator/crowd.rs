//! Clients that misbehave towards a real gateway cost it a bounded amount of memory and nobody else anything: one that does
//! not read, one that asks without end and never reads the answers, one that is there and says nothing.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::room::{Room, Running, read};

/// What a gateway may need more than before, whatever one client does, in KiB: what it may keep for it is far less than is sent.
const ROOM_KIB: u64 = 8 * 1024;

/// A client that was let in.
fn inside(room: &Room) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, room.base)).expect("it listens");
    let (mut socket, _) = client(format!("ws://127.0.0.1:{}/", room.base), stream).expect("a handshake");
    next(&mut socket);
    let params = json!({
        "minProtocol": 4, "maxProtocol": 4, "role": "operator", "scopes": ["operator.read", "operator.write"],
        "client": {"id": "test", "version": "1", "platform": "linux", "mode": "test"},
        "auth": {"token": "t0ken"},
    });
    ask(&mut socket, "c", "connect", &params);
    socket
}

fn next(socket: &mut WebSocket<TcpStream>) -> Value {
    loop {
        if let Message::Text(text) = socket.read().expect("a message") {
            return serde_json::from_str(&text).expect("JSON");
        }
    }
}

fn request(id: &str, method: &str, params: &Value) -> String {
    json!({"type": "req", "id": id, "method": method, "params": params}).to_string()
}

/// What is answered; everything that is told before is passed over.
fn ask(socket: &mut WebSocket<TcpStream>, id: &str, method: &str, params: &Value) -> Value {
    socket.send(Message::text(request(id, method, params))).expect("it is sent");
    loop {
        let said = next(socket);
        if said["id"] == id {
            assert_eq!(said["ok"], true, "{said}");
            return said["payload"].clone();
        }
    }
}

/// The memory that a process has in use, in KiB (`VmRSS` of proc(5)).
fn resident_kib(running: &Running) -> u64 {
    let status = String::from_utf8(read(format!("/proc/{}/status", running.pid()).as_ref())).expect("text");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("every process has one");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

fn gateway(room: &Room) -> Running {
    room.gateway_with(&[], &[("OPENCLAW_GATEWAY_TOKEN", "t0ken")])
}

/// A message as a client sends it.
fn frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a short message");
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(length.to_be_bytes());
    // A mask of zeros changes nothing.
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

#[test]
fn a_client_that_does_not_read_is_sent_away_and_the_others_hear_everything() {
    let room = Room::busy(24);
    let running = gateway(&room);
    let (mut slow, mut speaker) = (inside(&room), inside(&room));
    ask(&mut slow, "s", "sessions.messages.subscribe", &json!({"key": "main"}));
    let before = resident_kib(&running);
    // Far more than the buffers of the kernel hold, and more events than may wait for one client.
    let text = "x".repeat(16 * 1024);
    for number in 0..800 {
        let params = json!({"sessionKey": "main", "message": text, "idempotencyKey": number.to_string()});
        // Every one is answered at once: nobody waits for the one that does not read.
        ask(&mut speaker, &number.to_string(), "chat.send", &params);
    }
    let happened = ask(&mut speaker, "d", "diagnostics.stability", &json!({"type": "client.slow"}));
    assert_eq!(happened["count"], 1, "{happened}");
    // It may be too late to hear why: a goodbye is not waited for without end either.
    let mut events = 0;
    while let Ok(message) = slow.read() {
        match message {
            Message::Text(_) => events += 1,
            Message::Close(frame) => assert_eq!(frame.expect("a code").reason, "slow consumer"),
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
    assert!(events < 2_400, "{events} were heard");
    // The memory of what was said is bounded by itself, at 8 MiB, and what waits for a client at 1,024 events, which are shared.
    let grown = resident_kib(&running).saturating_sub(before);
    assert!(grown < 1_024 * 2 * 17 + 8 * 1024 * 2 + ROOM_KIB, "{grown} KiB");
    ask(&mut speaker, "h", "health", &json!({}));
}

#[test]
fn a_client_that_asks_without_end_and_never_reads_is_not_read_any_more() {
    let room = Room::busy(25);
    let running = gateway(&room);
    let mut flood = inside(&room);
    let before = resident_kib(&running);
    let burst = frame(&request("f", "health", &json!({"filler": "x".repeat(200)}))).repeat(64);
    let stream = flood.get_mut();
    stream.set_write_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    let mut sent = 0_usize;
    // Until nobody takes it any more: all buffers between the two are full.
    while sent < 256 << 20 {
        match stream.write(&burst[sent % burst.len()..]) {
            Ok(count) => sent += count,
            Err(_) => break,
        }
    }
    assert!(sent < 256 << 20, "everything was read");
    let grown = resident_kib(&running).saturating_sub(before);
    assert!(grown < ROOM_KIB, "{grown} KiB for {sent} bytes");
    let mut other = inside(&room);
    ask(&mut other, "h", "health", &json!({}));
    // Once it reads it is answered, and whole frames come.
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let mut answers = 0;
    while answers < 1_000 {
        let said = next(&mut flood);
        answers += usize::from(said["id"] == "f" && said["ok"] == true);
    }
}

#[test]
fn a_client_that_has_ended_its_half_is_answered_and_let_go() {
    let room = Room::busy(26);
    let running = gateway(&room);
    let mut keeps = inside(&room);
    for _ in 0..300 {
        let mut half = inside(&room);
        let stream = half.get_mut();
        stream
            .write_all(&frame(&request("last", "health", &json!({"filler": "x".repeat(200)}))))
            .expect("it is sent");
        stream.shutdown(Shutdown::Write).expect("it is connected");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("the gateway ends it");
        let rest = String::from_utf8_lossy(&rest);
        assert!(rest.contains(r#""id":"last","ok":true"#), "{rest}");
    }
    // More came and went than there are places: each was free again.
    ask(&mut keeps, "h", "health", &json!({}));
    assert!(resident_kib(&running) < 64 * 1024);
}
