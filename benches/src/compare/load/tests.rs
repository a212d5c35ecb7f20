//! What the clients take for an answer, and what they do not.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use serde_json::json;

use super::{Load, Wanted, fits, spoken};
use crate::compare::case::Case;
use crate::compare::machine::own_pid;
use crate::compare::servers::{Server, Work};
use crate::compare::wire::{masked, plain};

#[test]
fn an_answer_fits_one_request_only() {
    let right = br#"{"payload":{"a":[1]},"ok":true,"id":"7","type":"res"}"#;
    assert!(fits(right, "7", &json!({"a": [1]})));
    assert!(!fits(right, "8", &json!({"a": [1]})), "another id");
    assert!(!fits(right, "7", &json!({"a": [2]})), "another payload");
    for wrong in [
        &br#"{"type":"res","id":"7","ok":false,"payload":{"a":[1]}}"#[..],
        br#"{"type":"event","id":"7","ok":true,"payload":{"a":[1]}}"#,
        br#"{"type":"res","id":"7","ok":true}"#,
        b"",
        b"7",
    ] {
        assert!(!fits(wrong, "7", &json!({"a": [1]})), "{}", String::from_utf8_lossy(wrong));
    }
}

#[test]
fn no_two_messages_on_their_way_are_equal_and_all_are_as_long_as_the_case_says() {
    let case = |work| Case { work, connections: 2, window: 2, bytes: 256 };
    for work in [Work::Echo, Work::Rpc] {
        let texts = [(0, 0), (0, 1), (1, 0), (1, 1)]
            .map(|(number, slot)| spoken(number, slot, case(work), Server::Refgate).0);
        assert!(texts.iter().all(|text| text.len() == 256));
        assert!(texts.iter().enumerate().all(|(at, text)| !texts[at + 1..].contains(text)));
    }
    let (text, wanted) = spoken(0, 0, case(Work::Echo), Server::Refgate);
    assert!(matches!(wanted, Wanted::Bytes(bytes) if bytes == plain(text.as_bytes())));
    let (text, wanted) = spoken(0, 0, case(Work::Rpc), Server::Tcp);
    assert!(matches!(wanted, Wanted::Bytes(bytes) if bytes == masked(text.as_bytes())));
}

/// What comes of clients whose server sends this for each message, whatever it says.
fn answered_with(work: Work, answer: &'static [u8]) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 4096];
        // The handshake is one piece, and so is each request.
        let mut length = stream.read(&mut bytes).unwrap();
        assert!(bytes[..length].ends_with(b"\r\n\r\n"));
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").unwrap();
        while length > 0 {
            length = stream.read(&mut bytes).unwrap_or(0);
            if stream.write_all(&plain(answer)).is_err() {
                return;
            }
        }
    });
    let case = Case { work, connections: 1, window: 1, bytes: 32 };
    let mut load = Load::connect(case, Server::Refgate, port).unwrap();
    let measured = load.measure(own_pid(), Duration::ZERO, Duration::from_secs(5));
    measured.map_or_else(|fault| fault.to_string(), |sample| format!("{} answers", sample.messages))
}

#[test]
fn a_wrong_answer_ends_a_measurement() {
    assert_eq!(answered_with(Work::Echo, b"something else"), "a wrong answer: something else");
    let other = br#"{"type":"res","id":"c0000-s001","ok":true,"payload":{}}"#;
    assert_eq!(
        answered_with(Work::Rpc, other),
        format!("a wrong answer: {}", String::from_utf8_lossy(other))
    );
}
