//! How a call ends on either machine.

use std::fmt;

use portcullis_os::{Errno, Reply};
use serde::{Deserialize, Serialize};

/// How a call ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// With an answer.
    Reply(Result<Reply, Errno>),
    /// Not for the time being: it waits for somebody else.
    Waits,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(Ok(reply)) => reply.fmt(f),
            Self::Reply(Err(errno)) => f.write_str(&errno.name()),
            Self::Waits => f.write_str("waits"),
        }
    }
}
