//! What a real gateway answers to raw bytes: each path of its HTTP, each way a WebSocket can begin wrong, each limit.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use crate::room::{Room, Running};

/// Sends bytes and returns everything until the gateway hangs up.
fn ask(room: &Room, request: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, room.base)).expect("it listens");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        Ok(_) | Err(_) => String::from_utf8_lossy(&answer).replace("\r\n", "\n"),
    }
}

fn get(room: &Room, line: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let host = format!("Host: 127.0.0.1:{}", room.base);
    ask(room, &format!("{line} HTTP/1.1\r\n{host}\r\n{headers}Connection: close\r\n\r\n"))
}

fn gateway(room: &Room) -> Running {
    room.gateway_with(&[], &[("OPENCLAW_GATEWAY_TOKEN", "t0ken")])
}

#[test]
fn every_path_answers_as_its_clients_expect() {
    let room = Room::busy(30);
    let mut running = gateway(&room);
    let known = "Authorization: Bearer t0ken";
    for (line, headers, expected) in [
        ("GET /healthz", &[] as &[_], "200 OK"),
        ("HEAD /health", &[], "200 OK"),
        ("POST /healthz", &[], "405 Method Not Allowed"),
        ("OPTIONS /health", &[], "405 Method Not Allowed"),
        ("GET /readyz", &[], "200 OK"),
        ("GET /ready", &[], "200 OK"),
        ("GET /startupz", &[], "200 OK"),
        ("GET /startup", &[], "200 OK"),
        ("DELETE /startupz", &[], "405 Method Not Allowed"),
        ("GET /identity", &[], "200 OK"),
        ("GET /", &[], "401 Unauthorized"),
        ("GET /", &[known], "200 OK"),
        ("POST /", &[known], "405 Method Not Allowed"),
        ("GET /metrics", &[known], "200 OK"),
        ("GET /__openclaw__/canvas/", &[known], "404 Not Found"),
        ("GET /__openclaw__/canvas/../gateway.lock", &[known], "404 Not Found"),
        ("GET /nope", &[known], "404 Not Found"),
        ("POST /nope", &[], "404 Not Found"),
        ("GET /favicon.ico", &[], "404 Not Found"),
        ("GET /v1/models", &[], "404 Not Found"),
        ("POST /tools/invoke", &[], "404 Not Found"),
        ("GET /healthz", &["X-Forwarded-For: 10.0.0.1"], "403 Forbidden"),
        ("GET /healthz", &["Origin: https://evil.example"], "403 Forbidden"),
        ("GET /healthz", &["Host: localhost"], "400 Bad Request"),
        ("GET /", &["Upgrade: websocket", "Sec-WebSocket-Version: 8"], "400 Bad Request"),
    ] {
        let answer = get(&room, line, headers);
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}\n")), "{line} {headers:?}: {answer}");
        assert!(
            answer.contains("\nx-content-type-options: nosniff\nreferrer-policy: no-referrer\n"),
            "{answer}"
        );
    }
    let started = get(&room, "GET /startupz", &[]);
    assert!(started.contains(r#""ok":true"#) && started.contains(r#""status":"started""#), "{started}");
    let told = get(&room, "GET /identity", &[known]);
    assert!(told.contains(&format!("\"pid\":{},", running.pid())), "{told}");
    assert!(!get(&room, "GET /identity", &[]).contains("pid"));
    assert!(running.child.lives());
}

#[test]
fn the_canvas_shows_plain_files_below_its_directory_and_nothing_else() {
    let room = Room::busy(27);
    let _running = room.gateway(&[]);
    let canvas = room.at("state/canvas");
    for directory in [&canvas, &canvas.join("deep")] {
        std::fs::create_dir(directory).expect("a directory");
    }
    room.put("state/canvas/index.html", b"<p>drawn</p>");
    room.put("state/canvas/deep/a.css", b"p{}");
    room.put("state/canvas/.hidden", b"x");
    std::os::unix::fs::symlink("../gateway.lock", canvas.join("link")).expect("a link");
    std::os::unix::fs::symlink("..", canvas.join("out")).expect("a link");
    let pipe = room.command("/usr/bin/mkfifo").arg(canvas.join("pipe")).status();
    assert!(pipe.expect("it runs").success());
    room.put("state/canvas/large", &vec![0; 9 << 20]);
    let drawn = get(&room, "GET /__openclaw__/canvas/", &[]);
    assert!(drawn.ends_with("\n\n<p>drawn</p>") && drawn.contains("\ncontent-type: text/html; "), "{drawn}");
    assert!(drawn.contains("\ncontent-security-policy: sandbox allow-scripts\n"), "{drawn}");
    let style = get(&room, "GET /__openclaw__/canvas/deep/a.css?v=1", &[]);
    assert!(style.ends_with("\n\np{}") && style.contains("\ncontent-type: text/css; "), "{style}");
    for name in
        [".hidden", "link", "out/gateway.lock", "pipe", "large", "deep", "deep/", "gone", "deep/a.css/"]
    {
        let answer = get(&room, &format!("GET /__openclaw__/canvas/{name}"), &[]);
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\n"), "{name}: {answer}");
    }
}

/// A WebSocket after its handshake, and the challenge that came with it.
fn socket(room: &Room) -> (WebSocket<TcpStream>, Value) {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, room.base)).expect("it listens");
    let (mut socket, _) =
        client(format!("ws://127.0.0.1:{}/any/path", room.base), stream).expect("a handshake");
    let challenge = text(&mut socket);
    assert_eq!(challenge["event"], "connect.challenge");
    (socket, challenge)
}

fn text(socket: &mut WebSocket<TcpStream>) -> Value {
    let message = socket.read().expect("a message");
    serde_json::from_str(message.to_text().expect("text")).expect("JSON")
}

/// All that is still said, in short, with the close frame at the end.
fn rest(socket: &mut WebSocket<TcpStream>) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => {
                let said: Value = serde_json::from_str(&text).expect("JSON");
                let error = &said["error"];
                told.push(match said["ok"].as_bool() {
                    Some(true) => "ok".to_owned(),
                    Some(false) => format!("{} {}", error["code"], error["message"]).replace('"', ""),
                    None => format!("event {}", said["event"]),
                });
            }
            Ok(Message::Close(frame)) => {
                let frame = frame.expect("a code");
                told.push(format!("{} {}", u16::from(frame.code), frame.reason));
            }
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return told,
            Err(error) => {
                told.push(error.to_string());
                return told;
            }
        }
    }
}

fn connect(change: impl Fn(&mut Value)) -> String {
    let mut params = json!({
        "minProtocol": 4, "maxProtocol": 4, "role": "operator", "scopes": ["operator.read"],
        "client": {"id": "test", "version": "1", "platform": "linux", "mode": "test"},
        "auth": {"token": "t0ken"},
    });
    change(&mut params);
    json!({"type": "req", "id": "1", "method": "connect", "params": params}).to_string()
}

#[test]
fn whoever_begins_wrong_is_sent_away_with_the_code_of_the_protocol() {
    let room = Room::busy(28);
    let _running = gateway(&room);
    let mismatch =
        "unauthorized: gateway token mismatch (use this gateway's gateway.auth.token or pair the device)";
    let refused = |code: &str, message: &str, close: u16| {
        vec![format!("{code} {message}"), format!("{close} {message}")]
    };
    let client = "at /client/id: must be equal to one of the allowed values";
    let long = "x".repeat(64 * 1024);
    for (first, expected) in [
        (
            connect(|params| params["auth"]["token"] = json!("wrong")),
            refused("INVALID_REQUEST", mismatch, 1008),
        ),
        (
            connect(|params| params["auth"] = json!({})),
            refused("NOT_PAIRED", "device identity required", 1008),
        ),
        (
            connect(|params| params["role"] = json!("node")),
            refused("NOT_PAIRED", "device identity required", 1008),
        ),
        (connect(|params| params["role"] = json!("king")), refused("INVALID_REQUEST", "invalid role", 1008)),
        (connect(|params| params["maxProtocol"] = json!(5)), vec!["ok".to_owned()]),
        (
            connect(|params| {
                params["minProtocol"] = json!(3);
                params["maxProtocol"] = json!(3);
            }),
            refused("INVALID_REQUEST", "protocol mismatch", 1002),
        ),
        (
            connect(|params| params["client"]["id"] = json!("who")),
            refused("INVALID_REQUEST", &format!("invalid connect params: {client}"), 1008),
        ),
        (
            json!({"type": "req", "id": "1", "method": "health"}).to_string(),
            refused("INVALID_REQUEST", "invalid handshake: first request must be connect", 1008),
        ),
        ("[1,2,3]".to_owned(), vec!["1008 invalid request frame".to_owned()]),
        (String::new(), vec!["1000 the first message must be a connect request in JSON".to_owned()]),
        ("{".to_owned(), vec!["1000 the first message must be a connect request in JSON".to_owned()]),
        (connect(|params| params["userAgent"] = json!(long)), vec!["1009 message too long".to_owned()]),
    ] {
        let (mut socket, _) = socket(&room);
        socket.send(Message::text(first.clone())).expect("it is sent");
        if expected == ["ok"] {
            assert_eq!(text(&mut socket)["payload"]["type"], "hello-ok");
            continue;
        }
        assert_eq!(rest(&mut socket), expected, "{}", &first[..first.len().min(300)]);
    }
    // Binary frames that hold no text are no JSON either.
    let (mut socket, _) = socket(&room);
    socket.send(Message::binary(vec![0xff, 0xfe])).expect("it is sent");
    assert_eq!(rest(&mut socket), ["1000 the first message must be a connect request in JSON"]);
}

#[test]
fn only_so_many_may_stand_at_the_door_without_a_word() {
    let room = Room::busy(29);
    let _running = gateway(&room);
    let mut standing: Vec<_> = (0..32).map(|_| socket(&room).0).collect();
    let shake = "Upgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let refused = ask(&room, &format!("GET / HTTP/1.1\r\nHost: localhost\r\n{shake}\r\n\r\n"));
    assert!(
        refused.starts_with("HTTP/1.1 503 ") && refused.ends_with("\n\nToo many unauthenticated sockets"),
        "{refused}"
    );
    let mut known = standing.pop().expect("there are 32");
    known.send(Message::text(connect(|_| ()))).expect("it is sent");
    assert_eq!(text(&mut known)["ok"], true);
    // Whoever has said who it is stands at the door no more.
    socket(&room);
}
