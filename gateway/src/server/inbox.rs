//! What has arrived on a connection and was not taken yet: one buffer, small until more comes at once than it holds.

/// How large it is at first, in bytes.
const FIRST: usize = 4 * 1024;
/// How large it grows by itself.
const LARGE: usize = 32 * 1024;
/// How large it grows for a frame that is known to need it.
pub(super) const LARGEST: usize = 128 * 1024;

/// Bytes in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    buffer: Vec<u8>,
    from: usize,
    to: usize,
}

impl Inbox {
    pub(super) fn new(early: Vec<u8>) -> Self {
        Self { from: 0, to: early.len(), buffer: early }
    }

    /// What waits.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.buffer[self.from..self.to]
    }

    /// The same, to be changed.
    pub(super) fn waiting_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.from..self.to]
    }

    /// Where what comes next is put. There is room unless [`LARGEST`] bytes wait, or so many as are `needed`.
    pub(super) fn room(&mut self, needed: usize) -> &mut [u8] {
        let length = self.buffer.len();
        // What filled it may have been cut off.
        let is_small = self.to == length || needed > length;
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        } else if self.from > 0 && self.to == length {
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        if is_small {
            let grown = (length * 2).clamp(FIRST, LARGE).max(needed.min(LARGEST)).max(length);
            self.buffer.resize(grown, 0);
        }
        &mut self.buffer[self.to..]
    }

    /// So many bytes were put there.
    pub(super) const fn came(&mut self, count: usize) {
        self.to += count;
    }

    /// So many of those that wait are taken. Answers where they begin in the buffer: there they stay until there is to be room
    /// again.
    pub(super) const fn take(&mut self, count: usize) -> usize {
        let from = self.from;
        self.from += count;
        from
    }

    /// Bytes that were taken.
    pub(super) fn taken(&self, from: usize, length: usize) -> &[u8] {
        &self.buffer[from..from + length]
    }

    /// Nothing comes for a while: an empty one keeps no memory.
    pub(super) fn rest(&mut self) {
        if self.from == self.to {
            *self = Self::default();
        }
    }
}

/// The head of a frame (RFC 6455, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Whether it ends a message, reserved bits, and what it is.
    pub(super) first: u8,
    /// What the payload is masked with.
    pub(super) mask: Option<[u8; 4]>,
    /// How long the head is, in bytes.
    pub(super) length: usize,
    /// How long the payload is.
    pub(super) payload: u64,
}

impl Head {
    /// A message in one frame.
    const WHOLE_TEXT: u8 = 0x81;
    const WHOLE_BINARY: u8 = 0x82;

    /// Reads a head, as soon as all of it is there.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
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
    pub(super) const fn whole(&self) -> Option<Kind> {
        match self.first {
            Self::WHOLE_TEXT => Some(Kind::Text),
            Self::WHOLE_BINARY => Some(Kind::Binary),
            _ => None,
        }
    }

    /// How many bytes the frame has.
    pub(super) const fn all(&self) -> u64 {
        self.payload.saturating_add(self.length as u64)
    }
}

/// The kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// UTF-8.
    Text,
    /// Anything.
    Binary,
}

/// Takes off the mask of a payload, or puts it on: it is the same.
pub(super) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
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

/// Puts the head of a frame of a server before its payload, which is a message by itself.
pub(super) fn frame(into: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    into.push(match kind {
        Kind::Text => Head::WHOLE_TEXT,
        Kind::Binary => Head::WHOLE_BINARY,
    });
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..126), _) => into.push(short),
        (_, Ok(longer)) => {
            into.push(126);
            into.extend_from_slice(&longer.to_be_bytes());
        }
        (_, Err(_)) => {
            into.push(127);
            into.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    into.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FIRST, Head, Inbox, Kind, LARGE, LARGEST, frame, unmask};

    #[test]
    fn a_buffer_grows_with_what_comes_at_once_and_only_as_far_as_is_needed() {
        let mut inbox = Inbox::new(b"early".to_vec());
        assert_eq!(inbox.waiting(), b"early");
        let mut sizes = vec![inbox.room(0).len() + 5];
        for needed in [0, 0, 0, 0, LARGEST, usize::MAX] {
            let room = inbox.room(needed).len();
            inbox.came(room);
            sizes.push(inbox.buffer.len());
        }
        assert_eq!(sizes[..5], [FIRST, FIRST, FIRST * 2, FIRST * 4, LARGE]);
        assert_eq!(sizes[5..], [LARGEST, LARGEST]);
        assert!(inbox.room(usize::MAX).is_empty(), "there is an end to it");
        let all = inbox.waiting().len();
        inbox.take(all - 1);
        assert_eq!(inbox.room(0).len(), LARGEST - 1, "what is left moves to the front");
        inbox.rest();
        assert_eq!(inbox.waiting().len(), 1, "what waits is kept");
        inbox.take(1);
        inbox.rest();
        assert_eq!(inbox.buffer.capacity(), 0);
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
            let mut bytes = Vec::new();
            frame(&mut bytes, kind, &payload);
            let head = Head::read(&bytes).expect("a head");
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
