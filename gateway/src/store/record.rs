//! The lines of a memory: each says one thing that happened, and is whole or does not count.
//!
//! The last member of each is the beginning of the SHA-256 of what the line is without it. It tells what a disk has changed, and
//! nothing of who has written it.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::outbox::{Fate, Stage};

/// The version of the format. A file of a later one is neither read nor removed.
pub(super) const FORMAT: u32 = 2;
/// The first version, whose lines have no sums.
pub(super) const WITHOUT_SUMS: u32 = 1;
/// How long a sum is, in bytes.
const SUM_BYTES: usize = 8;
/// What stands around it.
const SUM: [&str; 2] = [",\"sum\":\"", "\"}"];

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
    /// Somebody said something to a bot, in the update of that number: it is said in a session, and a reply is owed.
    Received { bot: String, update: i64, session: String, run: String, chat: i64, text: String, at_ms: u64 },
    /// An update of a bot was taken in, and nothing is to be answered.
    Passed { bot: String, update: i64 },
    /// The reply to an update is about to be sent, by the owner of that epoch.
    Sending { bot: String, update: i64, epoch: u64 },
    /// What became of it.
    Settled { bot: String, update: i64, fate: Fate, at_ms: u64 },
    /// A reply that is owed, where what led to it is told elsewhere.
    Owed {
        bot: String,
        update: i64,
        session: String,
        run: String,
        chat: i64,
        text: String,
        state: Stage,
        at_ms: u64,
    },
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
    // Structs of strings and integers always serialise, as objects; an empty line is damage for every reader.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    if line.pop().is_some() {
        let sum = sum(&line);
        line.extend_from_slice([SUM[0], &sum, SUM[1]].concat().as_bytes());
    }
    line.push(b'\n');
    line
}

/// What a line says, without its end; `None`: it is not what was written.
pub(super) fn checked(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.strip_suffix(SUM[1].as_bytes())?;
    let (line, told) = line.split_at_checked(line.len().checked_sub(2 * SUM_BYTES)?)?;
    let line = line.strip_suffix(SUM[0].as_bytes())?;
    (told == sum(line).as_bytes()).then(|| [line, b"}"].concat())
}

fn sum(line: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(line)[..SUM_BYTES])
}
