//! What a session wants of whoever has its socket, in the order in which it wants it. Messages are written one after the other
//! into one buffer, as they are sent: a message costs no allocation, and is copied no more.

use crate::framing::{Kind, frame};

/// So much is much, in bytes: what is answered beyond it is made once this is sent.
const MUCH: usize = 1 << 20;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Out<'a> {
    /// Messages, in frames.
    Frames(&'a [u8]),
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
    frames: Vec<u8>,
    /// What else is wanted, and after how many bytes of them.
    wanted: Vec<(usize, Wanted)>,
}

#[derive(Debug)]
enum Wanted {
    Ping,
    Pause(u64),
    Close(u16, String),
    Drop,
}

impl Outbox {
    /// A text message, as it is written.
    pub(crate) fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        frame(&mut self.frames, Kind::Text, write);
    }

    /// A binary one.
    pub(crate) fn binary(&mut self, bytes: &[u8]) {
        frame(&mut self.frames, Kind::Binary, |into| into.extend_from_slice(bytes));
    }

    /// A sign of life is asked for.
    pub(crate) fn ping(&mut self) {
        self.want(Wanted::Ping);
    }

    /// Nothing further for so many milliseconds.
    pub(crate) fn pause(&mut self, milliseconds: u64) {
        self.want(Wanted::Pause(milliseconds));
    }

    /// The end, with a code and a reason.
    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        self.want(Wanted::Close(code, reason.to_owned()));
    }

    /// The end without a word.
    pub(crate) fn abandon(&mut self) {
        self.want(Wanted::Drop);
    }

    fn want(&mut self, wanted: Wanted) {
        self.wanted.push((self.frames.len(), wanted));
    }

    /// Whether so much waits to be sent that nothing more should be made before it is.
    pub(crate) const fn is_much(&self) -> bool {
        self.frames.len() >= MUCH
    }

    /// All of it, if it is messages and nothing else: whoever takes them leaves an empty buffer.
    pub(crate) fn frames(&mut self) -> Option<&mut Vec<u8>> {
        self.wanted.is_empty().then_some(&mut self.frames)
    }

    /// What is wanted, the first thing first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Out<'_>> {
        let ends = self.wanted.iter().map(|(to, wanted)| (*to, Some(wanted)));
        let mut from = 0;
        ends.chain([(self.frames.len(), None)]).flat_map(move |(to, wanted)| {
            let frames = &self.frames[std::mem::replace(&mut from, to)..to];
            let wanted = wanted.map(|wanted| match wanted {
                Wanted::Ping => Out::Ping,
                Wanted::Pause(milliseconds) => Out::Pause(*milliseconds),
                Wanted::Close(code, reason) => Out::Close(*code, reason),
                Wanted::Drop => Out::Drop,
            });
            (!frames.is_empty()).then_some(Out::Frames(frames)).into_iter().chain(wanted)
        })
    }

    /// All of that is done.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::{Out, Outbox};
    use crate::framing::Kind::{Binary, Text};
    use crate::framing::tests::messages;

    #[test]
    fn what_is_wanted_comes_out_in_its_order() {
        let mut out = Outbox::default();
        out.text(|into| into.extend_from_slice(b"one"));
        out.binary(&[7; 300]);
        let frames = out.frames().expect("nothing else is wanted").clone();
        assert_eq!(messages(&frames), [(Text, b"one".to_vec()), (Binary, vec![7; 300])]);
        out.ping();
        out.pause(3);
        out.text(|_| ());
        out.close(1000, "bye");
        out.abandon();
        assert_eq!(out.frames(), None);
        let empty = [0x81, 0];
        let wanted: Vec<Out<'_>> = out.iter().collect();
        assert_eq!(
            wanted,
            [
                Out::Frames(&frames),
                Out::Ping,
                Out::Pause(3),
                Out::Frames(&empty),
                Out::Close(1000, "bye"),
                Out::Drop
            ]
        );
        out.clear();
        assert_eq!((out.iter().count(), out.frames.capacity()), (0, 0));
    }
}
