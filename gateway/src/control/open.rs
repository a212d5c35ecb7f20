//! A client that is in, and how it is told things.

use std::sync::Arc;

use serde_json::Value;

use super::Mailbox;
use super::out::Out;
use crate::protocol::{self, Failure, Scopes, answer, event, refuse};

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
    pub(super) fn numbered(
        &mut self,
        name: &str,
        payload: &str,
        lost: u64,
        version: Option<protocol::StateVersion>,
    ) -> Out {
        self.seq += 1 + lost;
        Out::text(event(name, payload, Some(self.seq), version))
    }
}

/// What a client is told of its request.
pub(super) fn told(id: &str, outcome: &Result<Value, Failure>) -> Out {
    Out::text(match outcome {
        Ok(payload) => answer(id, payload),
        Err(failure) => refuse(id, failure),
    })
}
