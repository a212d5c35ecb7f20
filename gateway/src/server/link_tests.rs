//! A link hears what tungstenite alone hears, however the bytes arrive: the same messages, the same error, the same answers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::link::{Heard, Link};

/// Longer messages end a connection, in bytes. Longer ones than a link has a buffer for do not.
const LONGEST: usize = 150_000;

/// A connection whose bytes come in these pieces, and then end. Whoever does not wait for anything has them at once; for others
/// there is nothing between two pieces, and what they write is taken a few bytes at a time.
#[derive(Debug, Default)]
struct Pieces {
    pieces: VecDeque<Vec<u8>>,
    /// Whether there was nothing the last time.
    paused: bool,
    written: Rc<RefCell<Vec<u8>>>,
    /// Whether there was no room the last time.
    full: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.front_mut() else { return Ok(0) };
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        piece.drain(..count);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        Ok(count)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = this.pieces.len();
        if !this.paused && before > 0 {
            this.paused = true;
            return Poll::Pending;
        }
        let count = this.read(buffer.initialize_unfilled())?;
        buffer.advance(count);
        this.paused = this.pieces.len() == before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.full = !this.full;
        match this.full {
            true => Poll::Pending,
            false => Poll::Ready(this.write(&bytes[..bytes.len().min(20)])),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What was heard, how it ended, and what was answered.
type Course = (Vec<Vec<u8>>, String, Vec<u8>);

fn heard_by_link(pieces: VecDeque<Vec<u8>>) -> Course {
    let written = Rc::default();
    let stream = Pieces { pieces, written: Rc::clone(&written), ..Pieces::default() };
    let mut link = Link::new(stream, Vec::new(), LONGEST);
    let mut heard = Vec::new();
    loop {
        let arrived = in_the_end(|context| link.poll_arrival(context));
        // It is between messages or within one: neither may change what is heard.
        link.rest();
        if let Err(error) = arrived {
            let _ = in_the_end(|context| link.poll_flush(context));
            return (heard, error.to_string(), written.take());
        }
        while let Some(message) = link.hear() {
            heard.push(match message {
                Heard::Text(text) => [b"t", text.as_bytes()].concat(),
                Heard::Binary(bytes) => [b"b", bytes].concat(),
                Heard::Sign => b"s".to_vec(),
                Heard::Part => continue,
            });
        }
        // Not all of it is sent before more is heard.
        let _ = link.poll_flush(&mut Context::from_waker(Waker::noop()));
    }
}

fn heard_by_tungstenite(pieces: VecDeque<Vec<u8>>) -> Course {
    let config = WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST));
    let stream = Pieces { pieces, ..Pieces::default() };
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
    let mut heard = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => heard.push([b"t", text.as_bytes()].concat()),
            Ok(Message::Binary(bytes)) => heard.push([b"b", &bytes[..]].concat()),
            Ok(_) => heard.push(b"s".to_vec()),
            Err(error) => {
                let _: Result<(), Error> = socket.flush();
                return (heard, error.to_string(), socket.get_ref().written.take());
            }
        }
    }
}

/// What comes of asking again and again.
fn in_the_end<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    for _ in 0..1_000_000 {
        if let Poll::Ready(value) = poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
    panic!("it waits for ever")
}

#[test]
fn what_is_no_message_yet_is_heard_frame_by_frame() {
    let mask = Some([0; 4]);
    let parts = [frame(0x01, mask, b""), frame(0x00, mask, b"").repeat(500), frame(0x80, mask, b"end")];
    let pieces = VecDeque::from([parts.concat()]);
    let mut link = Link::new(Pieces { pieces, ..Pieces::default() }, Vec::new(), LONGEST);
    in_the_end(|context| link.poll_arrival(context)).expect("bytes");
    for _ in 0..501 {
        assert_eq!(link.hear(), Some(Heard::Part));
    }
    assert_eq!(link.hear(), Some(Heard::Text("end")));
    assert_eq!(link.hear(), None);
}

/// A frame with this first byte, masked or not.
fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..126), _) => frame.push(masked | short),
        (_, Ok(longer)) => {
            frame.push(masked | 126);
            frame.extend(longer.to_be_bytes());
        }
        (_, Err(_)) => {
            frame.push(masked | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(mask.unwrap_or_default());
    let mask = mask.unwrap_or_default();
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

prop_compose! {
    /// Mostly what clients send, sometimes what they may not.
    fn frames()(
        first in prop_oneof![
            8 => Just(0x81_u8), 4 => Just(0x82), 3 => Just(0x01), 3 => Just(0x00), 4 => Just(0x80),
            3 => Just(0x89), 1 => Just(0x8a), 1 => Just(0x88), 1 => any::<u8>(),
        ],
        mask in prop_oneof![30 => any::<[u8; 4]>().prop_map(Some), 1 => Just(None)],
        letter in prop_oneof![20 => 0x20..0x7f_u8, 1 => any::<u8>()],
        length in prop_oneof![
            12 => 0..126_usize, 8 => 126..2_000_usize, 3 => 4_000..40_000_usize, 1 => 120_000..160_000_usize,
        ],
    ) -> Vec<u8> {
        // A control frame is short.
        let length = if first & 0x08 == 0 { length } else { length % 130 };
        frame(first, mask, &vec![letter; length])
    }
}

proptest! {
    #[test]
    fn a_link_hears_what_tungstenite_hears_however_the_bytes_arrive(
        frames in proptest::collection::vec(frames(), 0..12),
        cuts in proptest::collection::vec(prop_oneof![1..20_usize, 20..5_000_usize, 5_000..200_000_usize], 0..40),
    ) {
        let mut bytes = frames.concat();
        let mut pieces = VecDeque::new();
        for cut in cuts {
            let rest = bytes.split_off(cut.min(bytes.len()));
            pieces.push_back(std::mem::replace(&mut bytes, rest));
        }
        pieces.push_back(bytes);
        pieces.retain(|piece| !piece.is_empty());
        let (link, tungstenite) = (heard_by_link(pieces.clone()), heard_by_tungstenite(pieces));
        prop_assert_eq!(&link.1, &tungstenite.1);
        prop_assert_eq!(link.2, tungstenite.2, "what is answered");
        prop_assert!(link.0 == tungstenite.0, "{} and {} messages", link.0.len(), tungstenite.0.len());
    }
}
