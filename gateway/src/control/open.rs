//! A client that is in, and how it is told things.

use std::sync::Arc;

use super::Mailbox;
use super::out::Outbox;
use crate::protocol::{Failure, Payload, Scopes, Told, answer, refuse};

/// A client that is in.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) number: u64,
    pub(super) scopes: Scopes,
    pub(super) mailbox: Arc<Mailbox>,
    /// How many events it was sent, or has lost.
    pub(super) seq: u64,
}

impl Open {
    /// An event with the number that is next for this client, after those that it has lost.
    pub(super) fn numbered(&mut self, told: &Told, lost: u64, out: &mut Outbox) {
        self.seq += 1 + lost;
        out.text(|into| told.write(into, Some(self.seq)));
    }
}

/// What a client is told of its request.
pub(super) fn told(id: &str, outcome: &Result<Payload, Failure>, out: &mut Outbox) {
    out.text(|into| match outcome {
        Ok(payload) => answer(into, id, payload),
        Err(failure) => refuse(into, id, failure),
    });
}
