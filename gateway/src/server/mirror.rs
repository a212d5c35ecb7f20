//! Answers without a gateway: every message with itself, or every request with its own params. The framing and the envelope of
//! the protocol are tried and measured so.

use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::link::Heard;
use super::socket::Talk;
use crate::control::{Mailbox, Now, Outbox};
use crate::protocol::{Failure, Frame, answer_with, read, refuse};

/// Answers each message by what is in it alone.
pub(super) struct Mirror {
    longest: usize,
    answer: fn(Heard<'_>, &mut Outbox),
}

impl Mirror {
    /// One that takes messages of so many bytes.
    pub(super) fn of(longest: usize, answer: fn(Heard<'_>, &mut Outbox)) -> Box<dyn Talk + Send + Sync> {
        Box::new(Self { longest, answer })
    }
}

/// Answers with the message itself.
pub(super) fn echo(message: Heard<'_>, out: &mut Outbox) {
    match message {
        Heard::Text(text) => out.text(|into| into.extend_from_slice(text.as_bytes())),
        Heard::Binary(bytes) => out.binary(bytes),
        Heard::Sign | Heard::Part => {}
    }
}

/// Answers a request with its params.
pub(super) fn repeat(message: Heard<'_>, out: &mut Outbox) {
    let text = match message {
        Heard::Text(text) => text,
        Heard::Binary(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
        Heard::Sign | Heard::Part => return,
    };
    out.text(|into| match read(text) {
        Frame::Request(request) => {
            let params = request.params.map_or("null", RawValue::get);
            answer_with(into, &request.id, |into| into.extend_from_slice(params.as_bytes()));
        }
        Frame::Strange { id, why } => refuse(into, &id, &Failure::invalid(&why)),
        Frame::Noise => refuse(into, "invalid", &Failure::invalid("no JSON")),
    });
}

impl Talk for Mirror {
    fn longest(&self) -> usize {
        self.longest
    }

    fn message(&mut self, message: Heard<'_>, _: Now, out: &mut Outbox) {
        (self.answer)(message, out);
    }

    fn due_ms(&self) -> u64 {
        u64::MAX
    }

    fn due(&mut self, _: Now, _: &mut Outbox) {}

    fn mailbox(&self) -> Option<&Mailbox> {
        None
    }

    fn posted(&mut self, _: bool, _: Now, _: &mut Outbox) {}

    fn end(&mut self, out: &mut Outbox) {
        out.close(CloseCode::Restart.into(), "service restart");
    }
}

#[cfg(test)]
mod tests {
    use super::{Heard, Outbox, repeat};
    use crate::framing::Kind;
    use crate::framing::tests::messages;

    fn answered(text: &str) -> String {
        let mut out = Outbox::default();
        repeat(Heard::Text(text), &mut out);
        let messages = messages(out.frames().expect("nothing but messages"));
        let [(Kind::Text, bytes)] = messages.as_slice() else { panic!("{messages:?}") };
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[test]
    fn a_request_is_answered_with_its_params_as_they_were_written() {
        assert_eq!(
            answered(r#"{"type":"req","id":"7","method":"m","params":{ "a": [1] }}"#),
            r#"{"type":"res","id":"7","ok":true,"payload":{ "a": [1] }}"#
        );
        assert_eq!(
            answered(r#"{"type":"req","id":"7","method":"m"}"#),
            r#"{"type":"res","id":"7","ok":true,"payload":null}"#
        );
        assert!(answered(r#"{"id":"7"}"#).starts_with(r#"{"type":"res","id":"7","ok":false,"#));
        assert!(answered("hello").contains(r#""ok":false"#));
    }
}
