//! Frames of a WebSocket (RFC 6455, section 5.2): what is before a payload, and the mask over it.

/// The head of a frame (RFC 6455, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Whether it ends a message, reserved bits, and what it is.
    pub(crate) first: u8,
    /// What the payload is masked with.
    pub(crate) mask: Option<[u8; 4]>,
    /// How long the head is, in bytes.
    pub(crate) length: usize,
    /// How long the payload is.
    pub(crate) payload: u64,
}

impl Head {
    /// A message in one frame.
    const WHOLE_TEXT: u8 = 0x81;
    const WHOLE_BINARY: u8 = 0x82;

    /// Reads a head, as soon as all of it is there.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let (payload, rest) = match second & 0x7f {
            126 => {
                rest.split_first_chunk().map(|(length, rest)| (u16::from_be_bytes(*length).into(), rest))?
            }
            127 => rest.split_first_chunk().map(|(length, rest)| (u64::from_be_bytes(*length), rest))?,
            short => (short.into(), rest),
        };
        let is_masked = second & 0x80 != 0;
        let (mask, rest) = if is_masked {
            rest.split_first_chunk().map(|(mask, rest)| (Some(*mask), rest))?
        } else {
            (None, rest)
        };
        Some(Self { first, mask, length: bytes.len() - rest.len(), payload })
    }

    /// The kind of message that it is, if it is one by itself.
    pub(crate) const fn whole(&self) -> Option<Kind> {
        match self.first {
            Self::WHOLE_TEXT => Some(Kind::Text),
            Self::WHOLE_BINARY => Some(Kind::Binary),
            _ => None,
        }
    }

    /// How many bytes the frame has.
    pub(crate) const fn all(&self) -> u64 {
        self.payload.saturating_add(self.length as u64)
    }
}

/// The kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// UTF-8.
    Text,
    /// Anything.
    Binary,
}

/// Takes off the mask of a payload, or puts it on: it is the same.
pub(crate) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

/// The head of nearly all messages of a server is so long: it is left free until the length is known.
const USUAL: usize = 4;

/// Appends a message in one frame, as a server sends it: what `write` appends is its payload.
pub(crate) fn frame(into: &mut Vec<u8>, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) {
    let first = match kind {
        Kind::Text => Head::WHOLE_TEXT,
        Kind::Binary => Head::WHOLE_BINARY,
    };
    let begin = into.len();
    into.extend_from_slice(&[0; USUAL]);
    write(into);
    let length = into.len() - begin - USUAL;
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..126), _) => {
            into.copy_within(begin + USUAL.., begin + 2);
            into.truncate(begin + 2 + length);
            into[begin..begin + 2].copy_from_slice(&[first, short]);
        }
        (_, Ok(longer)) => {
            let [high, low] = longer.to_be_bytes();
            into[begin..begin + USUAL].copy_from_slice(&[first, 126, high, low]);
        }
        (_, Err(_)) => {
            let head = [first, 127].into_iter().chain((length as u64).to_be_bytes());
            drop(into.splice(begin..begin + USUAL, head));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::{Head, Kind, frame, unmask};

    /// The messages in frames of a server.
    pub(crate) fn messages(mut frames: &[u8]) -> Vec<(Kind, Vec<u8>)> {
        let mut messages = Vec::new();
        while let Some(head) = Head::read(frames) {
            let all = usize::try_from(head.all()).expect("it is in memory");
            messages.push((head.whole().expect("a message"), frames[head.length..all].to_vec()));
            frames = &frames[all..];
        }
        assert_eq!(frames, b"", "nothing but frames");
        messages
    }

    proptest! {
        #[test]
        fn a_frame_is_read_as_it_was_written(
            length in prop_oneof![0..130usize, 65_530..65_540usize],
            is_text in any::<bool>(),
            mask in any::<[u8; 4]>(),
        ) {
            let kind = if is_text { Kind::Text } else { Kind::Binary };
            let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
            let mut bytes = b"before".to_vec();
            frame(&mut bytes, kind, |into| into.extend_from_slice(&payload));
            let (before, bytes) = bytes.split_at(6);
            prop_assert_eq!(before, b"before");
            let head = Head::read(bytes).expect("a head");
            prop_assert_eq!((head.whole(), head.mask, head.payload), (Some(kind), None, length as u64));
            prop_assert_eq!(&bytes[head.length..], &payload);
            for cut in 0..head.length {
                prop_assert_eq!(Head::read(&bytes[..cut]), None);
            }
            let mut masked = payload.clone();
            unmask(&mut masked, mask);
            let naive: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
            prop_assert_eq!(&masked, &naive);
        }
    }
}
