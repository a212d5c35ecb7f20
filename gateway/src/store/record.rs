//! The lines of a memory: each says one thing that happened, and is whole or does not count.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The version of the format. A file of a later one is neither read nor removed.
pub(super) const FORMAT: u32 = 1;

/// The first line of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Header {
    pub(super) format: u32,
    pub(super) epoch: u64,
    pub(super) instance: String,
}

/// Just enough of any version.
#[derive(Deserialize)]
pub(super) struct AnyFormat {
    pub(super) format: u32,
}

/// A text that is written into the file and shown nowhere else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Hidden(pub(crate) String);

impl fmt::Debug for Hidden {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Hidden(..)")
    }
}

/// Something that has happened. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(crate) enum Record {
    /// This gateway got the key that it is known by: 32 bytes in base64url.
    Key { seed: Hidden },
    /// A device may come in a role, with these scopes.
    Paired {
        device: String,
        public_key: String,
        name: String,
        platform: String,
        role: String,
        scopes: Vec<String>,
        at_ms: u64,
    },
    /// A device was given a token; of it only the SHA-256 is kept, in hexadecimal.
    Issued { device: String, role: String, digest: Hidden, scopes: Vec<String>, at_ms: u64 },
    /// The tokens of a device in a role count no more.
    Revoked { device: String, role: String },
    /// A device may not come any more.
    Removed { device: String },
    /// A session began.
    Session { key: String, id: String, at_ms: u64 },
    /// Somebody said something in a session. `run` is the key that makes it happen once.
    Said { session: String, run: String, text: String, at_ms: u64 },
    /// The agent answered that.
    Replied { session: String, run: String, text: String, at_ms: u64 },
    /// A job is about to run, for this slot if it was due.
    Begun { job: String, run: String, slot_ms: Option<u64>, at_ms: u64 },
    /// The last slot of a job that has begun, where the run itself is remembered no more.
    Slot { job: String, slot_ms: u64 },
    /// It has run, or has failed.
    Ended { job: String, run: String, duration_ms: u64, error: Option<String>, at_ms: u64 },
}

impl Record {
    /// As a line of the file.
    pub(super) fn line(&self) -> Vec<u8> {
        line(self)
    }
}

/// A value as a line.
pub(super) fn line(value: &impl Serialize) -> Vec<u8> {
    // Structs of strings and integers always serialise; an empty line would end the file for every reader.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}
