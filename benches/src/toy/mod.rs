//! A broken lock of 13 calls, in three forms that must have the same states: the `async fn` in [`program`], a table in
//! [`table`], and threads in [`threads`].
//!
//! It is the lock that most projects write first. Look whether the lock file is there; if so, read the pid in it and ask
//! whether that process lives; remove the file if not; create it; write the own pid; flush; look and read once more; bind
//! the port; serve; close the port; remove the file. Two can own it at once.

pub mod program;
pub mod table;
pub mod threads;

/// The pid in the lock file that a dead process has left behind.
pub const DEAD_PID: u32 = 9;

/// How often a contender begins anew because somebody else has created the lock file.
pub const RETRIES: u8 = 2;

/// How many contend, for what, and how many of them may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Race {
    /// The number of contenders, at most 6.
    pub contenders: u8,
    /// Whether a dead process has left its lock file behind.
    pub stale: bool,
    /// How many contenders may be killed, each at any point.
    pub crashes: u8,
}

/// What can be seen of the machine: the same for every form of the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seen {
    /// Who has created the lock file that is there, and as its how manieth; 0 of nobody is the stale one.
    pub file: Option<(Option<u8>, u8)>,
    /// The pid that stands in it.
    pub content: Option<u32>,
    /// Who has the port.
    pub port: Option<u8>,
    /// The contenders that are alive, a bit each.
    pub alive: u8,
}
