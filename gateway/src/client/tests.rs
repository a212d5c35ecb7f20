//! Whatever answers at an address, the ending is the right one: real sockets, and peers that say what they are told to.

use std::future::ready;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{Address, CallError, Caller, Deadlines, Ended, Look, Session, look, reach};
use crate::auth::Word;

/// What a peer does with one connection after another.
#[derive(Clone, Copy)]
enum Peer {
    /// It accepts and says nothing.
    Mute,
    /// It answers these bytes.
    Bytes(&'static str),
    /// A WebSocket that says nothing.
    Socket,
    /// A gateway that answers `connect` so, and closes with this.
    Refusing(&'static str, u16),
    /// A gateway that closes with this instead of a challenge.
    Closing(u16),
    /// A gateway that lets everybody in and answers no call.
    Deaf,
    /// A gateway that lets everybody in and then talks without end.
    Flood,
    /// A gateway that answers each call with its params, after much that nobody asked for.
    Parrot,
}

const CHALLENGE: &str = r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"n","future":{}}}"#;

async fn serve(peer: Peer) -> Address {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(peer, stream));
        }
    });
    Address::loopback(portcullis_os::Port::new(port).expect("it is none of the lowest"))
}

async fn talk(peer: Peer, mut stream: TcpStream) {
    let text = |text: String| Message::text(text);
    match peer {
        Peer::Mute => std::future::pending().await,
        Peer::Bytes(bytes) => {
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(bytes.as_bytes()).await;
        }
        Peer::Socket => {
            let _socket = accept_async(stream).await;
            std::future::pending::<()>().await;
        }
        Peer::Closing(code) => {
            let mut socket = accept_async(stream).await.expect("a handshake");
            let _ = socket.close(Some(CloseFrame { code: code.into(), reason: "why".into() })).await;
        }
        Peer::Refusing(error, code) => {
            let mut socket = accept_async(stream).await.expect("a handshake");
            let _ = socket.send(text(CHALLENGE.to_owned())).await;
            let _ = socket.next().await;
            let answer = format!(r#"{{"type":"res","id":"1","ok":false,"error":{error}}}"#);
            let _ = socket.send(text(answer)).await;
            let _ = socket.close(Some(CloseFrame { code: code.into(), reason: "why".into() })).await;
        }
        Peer::Flood => {
            let mut socket = accept_async(stream).await.expect("a handshake");
            let _ = socket.send(text(CHALLENGE.to_owned())).await;
            let _ = socket.next().await;
            let hello = json!({"type": "res", "id": "1", "ok": true, "payload": {"type": "hello-ok"}});
            let _ = socket.send(text(hello.to_string())).await;
            while socket.send(text(r#"{"type":"event","event":"tick"}"#.to_owned())).await.is_ok() {}
        }
        Peer::Deaf | Peer::Parrot => {
            let mut socket = accept_async(stream).await.expect("a handshake");
            let _ = socket.send(text(CHALLENGE.to_owned())).await;
            while let Some(Ok(message)) = socket.next().await {
                let Ok(request) = serde_json::from_str::<Value>(message.to_text().unwrap_or_default()) else {
                    return;
                };
                let is_first = request["method"] == "connect";
                if matches!(peer, Peer::Deaf) && !is_first {
                    continue;
                }
                for noise in ["nonsense", "[1]", r#"{"type":"event","event":"tick","seq":9}"#] {
                    let _ = socket.send(text(noise.to_owned())).await;
                }
                let other = json!({"type": "res", "id": "other", "ok": true, "payload": 1});
                let _ = socket.send(text(other.to_string())).await;
                let answer =
                    json!({"type": "res", "id": request["id"], "ok": true, "payload": request["params"]});
                let _ = socket.send(Message::binary(answer.to_string().into_bytes())).await;
            }
        }
    }
}

fn brief() -> Deadlines {
    Deadlines::within(Duration::from_millis(300))
}

/// The ending in a word.
fn word(reached: &Result<Session, Ended>) -> &'static str {
    let Err(ended) = reached else { return "ready" };
    match ended {
        Ended::Nobody => "nobody",
        Ended::Unreachable(_) => "unreachable",
        Ended::Silent { .. } => "silent",
        Ended::Stranger { .. } => "stranger",
        Ended::Starting(_) => "starting",
        Ended::Draining(_) => "draining",
        Ended::Unauthorized(_) => "unauthorized",
        Ended::Mismatch(_) => "mismatch",
        Ended::Refused(_) => "refused",
        Ended::Closed(_) => "closed",
    }
}

#[tokio::test]
async fn each_kind_of_peer_is_told_from_the_others() {
    const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<!DOCTYPE HTML>";
    const STARTING: &str =
        r#"{"code":"UNAVAILABLE","message":"gateway starting; retry shortly","retryAfterMs":500}"#;
    const DRAINING: &str =
        r#"{"code":"UNAVAILABLE","message":"gateway stopping","details":{"reason":"gateway-draining"}}"#;
    const WRONG: &str =
        r#"{"code":"INVALID_REQUEST","message":"no","details":{"code":"AUTH_TOKEN_MISMATCH"}}"#;
    const UNPAIRED: &str = r#"{"code":"NOT_PAIRED","message":"device identity required"}"#;
    const OLD: &str = r#"{"code":"INVALID_REQUEST","message":"no","details":{"code":"PROTOCOL_MISMATCH"}}"#;
    const BUSY: &str = r#"{"code":"UNAVAILABLE","message":"The server is busy"}"#;
    for (peer, expected) in [
        (Peer::Mute, "silent"),
        (Peer::Bytes(PAGE), "stranger"),
        (Peer::Bytes("SSH-2.0-OpenSSH\r\n"), "stranger"),
        (Peer::Bytes(""), "stranger"),
        (Peer::Socket, "stranger"),
        (Peer::Refusing(STARTING, 1013), "starting"),
        (Peer::Refusing(DRAINING, 1012), "draining"),
        (Peer::Refusing(WRONG, 1008), "unauthorized"),
        (Peer::Refusing(UNPAIRED, 1008), "unauthorized"),
        (Peer::Refusing(OLD, 1002), "mismatch"),
        (Peer::Refusing(BUSY, 1008), "refused"),
        (Peer::Closing(1012), "draining"),
        (Peer::Closing(1013), "starting"),
        (Peer::Closing(1008), "closed"),
        (Peer::Parrot, "ready"),
    ] {
        let address = serve(peer).await;
        let reached = reach(&address, Caller::Probe, &[], ready(None), &brief()).await;
        assert_eq!(word(&reached), expected, "{reached:?}");
    }
}

#[tokio::test]
async fn nobody_is_told_from_somebody_by_the_kernel() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    drop(listener);
    let address = Address::loopback(portcullis_os::Port::new(port).expect("a port"));
    assert!(matches!(reach(&address, Caller::Cli, &[], ready(None), &brief()).await, Err(Ended::Nobody)));
    assert_eq!(look(&address, &brief()).await, Look::Nobody);
}

#[tokio::test]
async fn a_refusal_keeps_its_code_its_reason_and_its_close() {
    const WRONG: &str =
        r#"{"code":"INVALID_REQUEST","message":"no","details":{"code":"AUTH_TOKEN_MISMATCH"}}"#;
    let address = serve(Peer::Refusing(WRONG, 1008)).await;
    let word = Word::new("s3cret");
    let reached = reach(&address, Caller::Cli, &[], ready(Some(&word)), &brief()).await;
    let Err(Ended::Unauthorized(refused)) = &reached else { panic!("{reached:?}") };
    let close = refused.close.as_ref().expect("it was closed");
    assert_eq!((refused.detail(), close.code, close.reason.as_str()), ("AUTH_TOKEN_MISMATCH", 1008, "why"));
    assert!(!format!("{reached:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_call_gets_its_own_answer_or_says_how_long_it_has_waited() {
    let address = serve(Peer::Parrot).await;
    let Ok(mut session) = reach(&address, Caller::Cli, &[], ready(None), &brief()).await else { panic!() };
    let params = json!({"a": [1, 2]});
    assert_eq!(session.call("x", Some(&params)).await, Ok(params));
    assert_eq!(session.call("x", None).await, Ok(Value::Null));
    session.leave().await;
    for peer in [Peer::Deaf, Peer::Flood] {
        let address = serve(peer).await;
        let Ok(mut session) = reach(&address, Caller::Cli, &[], ready(None), &brief()).await else {
            panic!()
        };
        assert_eq!(session.call("x", None).await, Err(CallError::Silent(brief().call)));
    }
}

#[tokio::test]
async fn what_is_asked_by_http_is_answered_by_a_gateway_or_by_a_stranger() {
    let page = serve(Peer::Bytes("HTTP/1.0 200 OK\r\n\r\n<!DOCTYPE HTML>\r\n<html>")).await;
    assert_eq!(look(&page, &brief()).await, Look::Stranger("HTTP 200: <!DOCTYPE HTML> <html>".to_owned()));
    let ssh = serve(Peer::Bytes("SSH-2.0-x\r\n")).await;
    assert_eq!(look(&ssh, &brief()).await, Look::Stranger("no HTTP: SSH-2.0-x".to_owned()));
    assert_eq!(look(&serve(Peer::Mute).await, &brief()).await, Look::Silent);
    let live = "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{\"ok\":true,\"status\":\"live\"}";
    assert!(matches!(look(&serve(Peer::Bytes(live)).await, &brief()).await, Look::Gateway(_)));
}
