//! The frames of RFC 6455 as a client needs them that must cost less than the server: what is sent is made once and masked,
//! what comes back is found without being copied.

use serde_json::value::RawValue;

/// The mask of every frame. Not random: nothing here is a browser, and equal runs should send equal bytes.
const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];

const TEXT: u8 = 1;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What a client asks for when it comes.
pub(crate) const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole text message.
    Text,
    /// The other end asks for a sign of life.
    Ping,
    /// Anything else, a part of a message too: no server here has a reason to send it.
    Other,
}

/// Where a frame lies in what was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    /// The bytes before the payload.
    pub(crate) head: usize,
    /// The bytes of all of it.
    pub(crate) whole: usize,
}

/// The frame that `bytes` begin with; `None`: it has not arrived whole.
pub(crate) fn frame(bytes: &[u8]) -> Option<Frame> {
    let [first, second, rest @ ..] = bytes else { return None };
    let (extra, payload) = match second & 0x7f {
        126 => (2, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (8, u64::from_be_bytes(*rest.first_chunk()?)),
        length => (0, u64::from(length)),
    };
    let mask = if second & 0x80 == 0 { 0 } else { MASK.len() };
    let head = 2 + extra + mask;
    let whole = head.checked_add(usize::try_from(payload).ok()?)?;
    let kind = match (first & 0xf0 == 0x80, first & 0x0f) {
        (true, TEXT) => Kind::Text,
        (true, PING) => Kind::Ping,
        (true | false, _) => Kind::Other,
    };
    (bytes.len() >= whole).then_some(Frame { kind, head, whole })
}

/// How many bytes are certainly still to come of the frame that `bytes` begin with.
pub(crate) fn missing(bytes: &[u8]) -> usize {
    let extra = match bytes.get(1).map(|second| second & 0x7f) {
        None => return 2 - bytes.len(),
        Some(126) => 2,
        Some(127) => 8,
        Some(_) => 0,
    };
    let mask = if bytes[1] & 0x80 == 0 { 0 } else { MASK.len() };
    let head = 2 + extra + mask;
    let length = match (extra, bytes.get(2..head)) {
        (_, None) => return head - bytes.len(),
        (0, Some(_)) => usize::from(bytes[1] & 0x7f),
        (extra, Some(rest)) => {
            rest[..extra].iter().fold(0_usize, |length, byte| length.saturating_mul(256) + usize::from(*byte))
        }
    };
    (head + length).saturating_sub(bytes.len())
}

/// A text message as a server sends it.
pub(crate) fn plain(payload: &[u8]) -> Vec<u8> {
    let mut frame = head(TEXT, payload.len(), 0);
    frame.extend(payload);
    frame
}

/// A text message as a client sends it.
pub(crate) fn masked(payload: &[u8]) -> Vec<u8> {
    by_client(TEXT, payload)
}

/// The answer to a ping.
pub(crate) fn pong(payload: &[u8]) -> Vec<u8> {
    by_client(PONG, payload)
}

fn by_client(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(opcode, payload.len(), 0x80);
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn head(opcode: u8, length: usize, mask: u8) -> Vec<u8> {
    let first = 0x80 | opcode;
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..126), _) => vec![first, mask | length],
        (_, Ok(length)) => [&[first, mask | 126][..], &length.to_be_bytes()].concat(),
        (_, Err(_)) => [&[first, mask | 127][..], &(length as u64).to_be_bytes()].concat(),
    }
}

/// A request as the gateway protocol has it, padded to so many bytes where there is room for less.
pub(crate) fn request(id: &str, method: &str, bytes: usize) -> String {
    let params = |pad: &str| {
        format!(
            r#"{{"sessionKey":"agent:main:main","limit":20,"flags":[true,false,null],"nested":{{"a":1,"b":"two"}},"note":"{pad}"}}"#
        )
    };
    let request =
        |params: &str| format!(r#"{{"type":"req","id":"{id}","method":"{method}","params":{params}}}"#);
    let least = request(&params("")).len();
    if bytes < least {
        return request("{}");
    }
    request(&params(&padding(bytes - least)))
}

/// Text of so many bytes, which differ from each other.
pub(crate) fn padding(bytes: usize) -> String {
    ('a'..='z').chain('0'..='9').cycle().take(bytes).collect()
}

/// What of an answer is held against what was asked.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Answer<'a> {
    #[serde(rename = "type", borrow)]
    pub(crate) kind: &'a str,
    #[serde(borrow)]
    pub(crate) id: &'a str,
    pub(crate) ok: bool,
    #[serde(borrow)]
    pub(crate) payload: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::{Frame, Kind, frame, masked, missing, padding, plain, pong, request};

    #[test]
    fn a_frame_is_found_once_its_last_byte_is_there_whatever_its_length_takes() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload = vec![b'x'; length];
            for (bytes, head) in [(plain(&payload), 2), (masked(&payload), 6)] {
                let extra = if length < 126 {
                    0
                } else if length < 65_536 {
                    2
                } else {
                    8
                };
                let whole = Frame { kind: Kind::Text, head: head + extra, whole: head + extra + length };
                assert_eq!(frame(&bytes), Some(whole), "{length}");
                for cut in [0, 1, 2, 3, bytes.len().saturating_sub(1)] {
                    assert_eq!(frame(&bytes[..cut.min(bytes.len() - 1)]), None, "{length}, {cut}");
                }
                assert_eq!(frame(&[&bytes[..], b"more"].concat()), Some(whole), "{length}");
                let mut read = 0;
                while frame(&bytes[..read]).is_none() {
                    assert!(missing(&bytes[..read]) > 0, "{length}");
                    read += missing(&bytes[..read]);
                }
                assert_eq!(read, bytes.len(), "nothing of what follows is taken");
            }
        }
    }

    #[test]
    fn what_is_no_whole_text_is_told_apart() {
        let kind = |bytes: &[u8]| frame(bytes).map(|frame| frame.kind);
        assert_eq!(kind(&[0x89, 0]), Some(Kind::Ping));
        assert_eq!(kind(&[0x8a, 0]), Some(Kind::Other), "a pong");
        assert_eq!(kind(&[0x88, 0]), Some(Kind::Other), "a goodbye");
        assert_eq!(kind(&[0x82, 0]), Some(Kind::Other), "bytes");
        assert_eq!(kind(&[0x01, 0]), Some(Kind::Other), "a part of a text");
        assert_eq!(kind(&[0xc1, 0]), Some(Kind::Other), "a compressed text");
        assert_eq!(kind(&[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None, "too long");
    }

    #[test]
    fn a_client_masks_what_it_sends() {
        assert_eq!(masked(b"abcde"), [0x81, 0x85, 0x5a, 0xa5, 0x3c, 0xc3, 0x3b, 0xc7, 0x5f, 0xa7, 0x3f]);
        assert_eq!(pong(b""), [0x8a, 0x80, 0x5a, 0xa5, 0x3c, 0xc3]);
    }

    #[test]
    fn a_request_has_the_length_that_is_asked_for() {
        for bytes in [256, 1024, 16_384] {
            let text = request("c00-s00", "repeat", bytes);
            assert_eq!(text.len(), bytes);
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        }
        assert_eq!(request("1", "health", 0), r#"{"type":"req","id":"1","method":"health","params":{}}"#);
        assert_eq!(padding(40), "abcdefghijklmnopqrstuvwxyz0123456789abcd");
    }
}
