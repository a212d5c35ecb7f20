//! The floor of a fan-out: one frame, made once, and one write of it to every subscriber for each event.

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::peers::{accept, handshake};
use crate::compare::wire::{padding, plain};
use crate::compare::{Fault, fan};

/// Whoever comes first says what is to be sent, and everybody after it is sent that.
pub(super) async fn serve(listener: TcpListener) -> Result<(), Fault> {
    let mut trigger = accept(&listener).await?;
    if handshake(&mut trigger).await.is_none() {
        return Ok(());
    }
    let mut order = [0; fan::ORDER_BYTES];
    let mut subscribers = Vec::new();
    loop {
        tokio::select! {
            biased;
            ordered = trigger.read_exact(&mut order) => {
                if ordered.is_err() {
                    return Ok(());
                }
                let (events, bytes) = fan::ordered(order);
                let frame = plain(padding(bytes).as_bytes());
                send(&mut subscribers, &frame, events);
            }
            stream = accept(&listener) => {
                let mut stream = stream?;
                if handshake(&mut stream).await.is_some() {
                    subscribers.push(stream);
                }
            }
        }
    }
}

/// Nobody is waited for: who does not read is not written to, and who was sent half a frame is sent nothing more.
fn send(subscribers: &mut Vec<TcpStream>, frame: &[u8], events: usize) {
    subscribers.retain(|subscriber| {
        (0..events).all(|_| match subscriber.try_write(frame) {
            Ok(count) => count == frame.len(),
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        })
    });
}
