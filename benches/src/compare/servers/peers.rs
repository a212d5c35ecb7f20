//! The loops around libraries that know WebSockets, and around nothing: one shared handshake, so that only what comes after
//! it differs.

use bytes::Bytes;
use fastwebsockets::{Frame, OpCode, Payload};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::cork::Cork;
use super::rpc::{answer, textbook};
use super::{Server, Work};
use crate::compare::Fault;

/// The buffer of a server without a protocol, in bytes.
const BUFFER: usize = 64 * 1024;
/// The longest head of a handshake, in bytes.
const LONGEST_HEAD: usize = 4096;

/// Serves until the process ends.
pub(super) async fn serve(listener: TcpListener, server: Server, work: Work) -> Result<(), Fault> {
    loop {
        let stream = accept(&listener).await?;
        tokio::spawn(async move {
            // A client that goes ends its own connection and nothing else.
            let _ = match server {
                Server::Tcp => bare(stream).await,
                Server::Tungstenite => tungstenite(stream, work).await,
                Server::Fastwebsockets => fastwebsockets(stream, work).await,
                Server::TokioWebsockets => tokio_websockets(stream, work).await,
                Server::SockudoWs => sockudo(stream, work).await,
                // These are served elsewhere.
                Server::Refgate | Server::Ws | Server::Gorilla => None,
            };
        });
    }
}

/// The next connection, which sends what it is given at once.
pub(super) async fn accept(listener: &TcpListener) -> Result<TcpStream, Fault> {
    let (stream, _) = listener.accept().await.map_err(Fault::of("accept"))?;
    stream.set_nodelay(true).map_err(Fault::of("nodelay"))?;
    Ok(stream)
}

async fn bare(mut stream: TcpStream) -> Option<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match stream.read(&mut buffer).await.ok()? {
            0 => return None,
            count => stream.write_all(&buffer[..count]).await.ok()?,
        }
    }
}

/// Answers the request that a WebSocket begins with.
pub(super) async fn handshake(stream: &mut TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > LONGEST_HEAD || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))?;
    let accept = derive_accept_key(key.trim().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.ok()
}

async fn tungstenite(mut stream: TcpStream, work: Work) -> Option<()> {
    handshake(&mut stream).await?;
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    while let Ok(message) = socket.next().await? {
        let Message::Text(text) = &message else { continue };
        let answer = textbook(work, text).map_or(message, Message::text);
        socket.send(answer).await.ok()?;
    }
    None
}

async fn fastwebsockets(mut stream: TcpStream, work: Work) -> Option<()> {
    handshake(&mut stream).await?;
    let mut socket =
        ::fastwebsockets::WebSocket::after_handshake(Cork::new(stream), ::fastwebsockets::Role::Server);
    while let Ok(frame) = socket.read_frame().await {
        if frame.opcode == OpCode::Text {
            let payload = match answer(work, &frame.payload) {
                Some(answer) => Payload::Owned(answer.into_bytes()),
                None => frame.payload,
            };
            socket.write_frame(Frame::text(payload)).await.ok()?;
        }
    }
    None
}

async fn tokio_websockets(mut stream: TcpStream, work: Work) -> Option<()> {
    handshake(&mut stream).await?;
    let mut socket = ::tokio_websockets::ServerBuilder::new().serve(Cork::new(stream));
    while let Ok(message) = socket.next().await? {
        if message.is_text() {
            let answer = answer(work, message.as_payload()).map(::tokio_websockets::Message::text);
            socket.send(answer.unwrap_or(message)).await.ok()?;
        }
    }
    None
}

async fn sockudo(mut stream: TcpStream, work: Work) -> Option<()> {
    use sockudo_ws::{Config, Message, WebSocketStream};
    handshake(&mut stream).await?;
    let mut socket = WebSocketStream::server(stream, Config::default());
    loop {
        let mut next = socket.next().await;
        // Whatever has come is answered before anything is sent.
        while let Some(message) = next {
            if let Message::Text(text) = message.ok()? {
                let answer = answer(work, &text).map_or(text, Bytes::from);
                socket.feed(Message::Text(answer)).await.ok()?;
            }
            match socket.next().now_or_never() {
                Some(more) => next = Some(more?),
                None => break,
            }
        }
        socket.flush().await.ok()?;
    }
}
