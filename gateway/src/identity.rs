//! Who a gateway says it is. Information for people and for diagnosis; no admission is decided by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_os::{Cell, FileId, Pid, Port};
use serde::{Deserialize, Serialize};

use crate::claim::PortBlock;

/// How far a gateway has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PhaseName {
    /// It owns the state directory and does not serve yet.
    Starting,
    /// It serves clients.
    Ready,
    /// It was asked to stop and takes no new work.
    Draining,
}

impl PhaseName {
    /// As the word of memory that tells it to the tasks of the lock.
    pub const fn to_word(self) -> u64 {
        match self {
            Self::Starting => 0,
            Self::Ready => 1,
            Self::Draining => 2,
        }
    }

    /// The phase that a word of memory stands for.
    pub const fn from_word(word: u64) -> Self {
        match word {
            0 => Self::Starting,
            1 => Self::Ready,
            _ => Self::Draining,
        }
    }

    /// The word for it, as on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// Where the tasks of the lock find the phase. Written by [`run`](crate::run()) alone.
pub(crate) const PHASE: Cell = Cell(0);

/// The phase of this gateway as its server sees it, which runs outside the world of calls.
#[derive(Clone, Debug, Default)]
pub struct Phase(Arc<AtomicU64>);

impl Phase {
    /// The present phase.
    pub fn get(&self) -> PhaseName {
        PhaseName::from_word(self.0.load(Ordering::Acquire))
    }

    /// Enters a phase.
    pub fn set(&self, phase: PhaseName) {
        self.0.store(phase.to_word(), Ordering::Release);
    }
}

/// The identity of one run of a gateway, as it answers it and as it records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// The version of this format: 1.
    pub schema: u32,
    /// 128 random bits in hexadecimal, new for each run.
    pub instance: String,
    /// The process id in its own pid namespace.
    pub pid: u32,
    /// How far it has come. Only an answer tells; a record would be out of date at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<PhaseName>,
    /// The path of the state directory, for display.
    pub state: String,
    /// The device of the state directory.
    pub state_device: u64,
    /// The inode of the state directory.
    pub state_inode: u64,
    /// The path of the configuration file, for display.
    pub config: String,
    /// The first reserved port.
    pub base: u16,
    /// How many ports above it are reserved.
    pub span: u16,
    /// The ports outside these that are reserved as well, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pinned: Vec<u16>,
    /// The version of the program.
    pub version: String,
}

/// The longest identity that is read, in bytes: two paths of 4096 bytes, escaped, and the rest.
pub const LONGEST: usize = 32 * 1024;

impl Identity {
    /// The identity as one line of JSON.
    pub fn to_line(&self) -> Vec<u8> {
        // A struct of strings and integers always serialises; an empty line would be read as "no identity".
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// Reads one line; `None` for anything that is not an identity of this format.
    pub fn from_line(line: &[u8]) -> Option<Self> {
        let identity: Self = serde_json::from_slice(line).ok()?;
        (identity.schema == 1).then_some(identity)
    }

    /// The block of reserved ports, if it makes sense.
    pub fn ports(&self) -> Option<PortBlock> {
        PortBlock::new(Port::new(self.base)?, self.span)
    }

    /// The state directory.
    pub const fn state_id(&self) -> FileId {
        FileId { device: self.state_device, inode: self.state_inode }
    }

    /// The process.
    pub const fn process(&self) -> Option<Pid> {
        Pid::new(self.pid)
    }
}
