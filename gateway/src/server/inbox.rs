//! What has arrived on a connection and was not taken yet. It has a large buffer only as long as much is left in it.

use super::spare;

/// How much there is room for, in bytes.
pub(super) const LARGEST: usize = spare::INCOMING;
/// So much at most is copied to give back the buffer that it waits in, in bytes.
const LITTLE: usize = 4 * 1024;

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

    /// Where what comes next is put. There is room unless [`LARGEST`] bytes wait.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.buffer.is_empty() {
            self.buffer = spare::take_incoming();
        } else if self.buffer.len() < LARGEST {
            let mut buffer = spare::take_incoming();
            let count = self.waiting().len();
            buffer[..count].copy_from_slice(self.waiting());
            *self = Self { buffer, from: 0, to: count };
        } else if self.from > 0 {
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        &mut self.buffer[self.to..]
    }

    /// So many bytes were put there.
    pub(super) const fn came(&mut self, count: usize) {
        self.to += count;
    }

    /// So many of those that wait are taken. Answers where they begin in the buffer: there they stay until there is to be room
    /// again, or the buffer is given back.
    pub(super) const fn take(&mut self, count: usize) -> usize {
        let from = self.from;
        self.from += count;
        from
    }

    /// Bytes that were taken.
    pub(super) fn taken(&self, from: usize, length: usize) -> &[u8] {
        &self.buffer[from..from + length]
    }

    /// Gives its buffer back unless much waits.
    pub(super) fn give_back(&mut self) {
        if self.from == self.to {
            spare::give_incoming(std::mem::take(self).buffer);
        } else if self.to - self.from <= LITTLE && self.buffer.len() == LARGEST {
            let rest = Self::new(self.waiting().to_vec());
            spare::give_incoming(std::mem::replace(self, rest).buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Inbox, LARGEST, LITTLE};

    #[test]
    fn a_buffer_is_kept_as_long_as_much_is_left() {
        let mut inbox = Inbox::new(b"early".to_vec());
        assert_eq!(inbox.room().len(), LARGEST - 5);
        assert_eq!(inbox.waiting(), b"early");
        inbox.came(LARGEST - 5);
        assert!(inbox.room().is_empty(), "there is an end to it");
        inbox.take(LARGEST - LITTLE - 1);
        assert_eq!(inbox.room().len(), LARGEST - LITTLE - 1, "what is left moves to the front");
        inbox.waiting_mut()[1..].fill(b'x');
        inbox.give_back();
        assert_eq!((inbox.waiting().len(), inbox.buffer.len()), (LITTLE + 1, LARGEST), "that is much");
        inbox.take(1);
        inbox.give_back();
        assert_eq!((inbox.waiting(), inbox.buffer.capacity()), (&[b'x'; LITTLE][..], LITTLE), "that is not");
        assert_eq!(inbox.room().len(), LARGEST - LITTLE);
        assert_eq!(inbox.waiting(), [b'x'; LITTLE]);
        inbox.take(LITTLE);
        inbox.give_back();
        assert_eq!((inbox.buffer.capacity(), inbox.room().len()), (0, LARGEST));
    }
}
