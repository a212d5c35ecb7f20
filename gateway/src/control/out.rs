//! What a session wants of whoever has its socket, in the order in which it wants it. Messages are written one after the other
//! into one buffer, which is used again once they are sent: a message that is sent costs no allocation.

/// So much is much, in bytes: what is answered beyond it is made once this is sent.
const MUCH: usize = 1 << 20;
/// The largest buffer that is kept for what comes next, in bytes.
const KEPT: usize = 64 * 1024;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Out<'a> {
    /// A text message.
    Text(&'a [u8]),
    /// A binary one.
    Binary(&'a [u8]),
    /// A sign of life is asked for.
    Ping,
    /// Nothing further for so many milliseconds.
    Pause(u64),
    /// The end, with a code and a reason.
    Close(u16, &'a str),
    /// The end without a word: nobody listens any more.
    Drop,
}

/// Everything that is wanted and not done yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// The messages, one after the other.
    bytes: Vec<u8>,
    wanted: Vec<Wanted>,
}

#[derive(Debug)]
enum Wanted {
    /// The message that ends there.
    Text(usize),
    Binary(usize),
    Ping,
    Pause(u64),
    Close(u16, String),
    Drop,
}

impl Outbox {
    /// A text message, as it is written.
    pub(crate) fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.wanted.push(Wanted::Text(self.bytes.len()));
    }

    /// A binary one.
    pub(crate) fn binary(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.wanted.push(Wanted::Binary(self.bytes.len()));
    }

    /// A sign of life is asked for.
    pub(crate) fn ping(&mut self) {
        self.wanted.push(Wanted::Ping);
    }

    /// Nothing further for so many milliseconds.
    pub(crate) fn pause(&mut self, milliseconds: u64) {
        self.wanted.push(Wanted::Pause(milliseconds));
    }

    /// The end, with a code and a reason.
    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        self.wanted.push(Wanted::Close(code, reason.to_owned()));
    }

    /// The end without a word.
    pub(crate) fn abandon(&mut self) {
        self.wanted.push(Wanted::Drop);
    }

    /// Whether so much waits to be sent that nothing more should be made before it is.
    pub(crate) const fn is_much(&self) -> bool {
        self.bytes.len() >= MUCH
    }

    /// What is wanted, the first thing first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Out<'_>> {
        let mut from = 0;
        self.wanted.iter().map(move |wanted| match wanted {
            Wanted::Text(to) => Out::Text(&self.bytes[std::mem::replace(&mut from, *to)..*to]),
            Wanted::Binary(to) => Out::Binary(&self.bytes[std::mem::replace(&mut from, *to)..*to]),
            Wanted::Ping => Out::Ping,
            Wanted::Pause(milliseconds) => Out::Pause(*milliseconds),
            Wanted::Close(code, reason) => Out::Close(*code, reason),
            Wanted::Drop => Out::Drop,
        })
    }

    /// All of that is done.
    pub(crate) fn clear(&mut self) {
        self.wanted.clear();
        self.bytes.clear();
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
    }

    /// Nothing is wanted for a while: an empty one keeps no memory.
    pub(crate) fn rest(&mut self) {
        if self.wanted.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Out, Outbox};

    #[test]
    fn what_is_wanted_comes_out_in_its_order_and_a_large_buffer_is_not_kept() {
        let mut out = Outbox::default();
        out.text(|into| into.extend_from_slice(b"one"));
        out.ping();
        out.binary(&[7; KEPT]);
        out.text(|_| ());
        out.pause(3);
        out.close(1000, "bye");
        out.abandon();
        let wanted: Vec<Out<'_>> = out.iter().collect();
        assert_eq!(
            wanted,
            [
                Out::Text(b"one"),
                Out::Ping,
                Out::Binary(&[7; KEPT]),
                Out::Text(b""),
                Out::Pause(3),
                Out::Close(1000, "bye"),
                Out::Drop
            ]
        );
        out.clear();
        assert_eq!((out.iter().count(), out.bytes.capacity()), (0, 0));
    }
}
