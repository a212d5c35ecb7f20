//! What is said between the driver of a run and its processes: one packet each way, as JSON.
//!
//! The sockets keep packets apart (`SOCK_SEQPACKET`), so a message is read whole or not at all.

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use portcullis_os::{Call, Errno, Reply};
use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest message, in bytes.
const LONGEST: usize = 64 * 1024;

/// What the driver asks of the first process of the namespaces.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Errand {
    /// A new directory of its own.
    Directory { path: PathBuf, mode: u32 },
    /// A process of this user and name, which connects to the driver.
    Process { uid: u32, name: String },
    /// Waits for a dead child.
    Reap { pid: u32 },
    /// Ends every other process and removes a directory.
    Clear { path: PathBuf },
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Errands {
    /// The machine is ready: its users, and the directory that it offers.
    Ready { users: Vec<u32>, root: PathBuf },
    /// The machine cannot be made.
    Impossible(String),
    /// It is done.
    Done,
    /// The errand failed.
    Failed(String),
}

/// What the driver asks of an agent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Make this call; give up waiting after so many milliseconds.
    Call { call: Call, patience_ms: Option<u32> },
    /// From now on at most so many descriptors.
    Limit(u32),
    /// Fork.
    Fork,
    /// Execute the same program again.
    Exec,
    /// Exit.
    Exit(u8),
    /// Start a thread that does nothing.
    Thread,
}

/// What an agent says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// It is there; its pid in its own namespace. A new process sends its pidfd along.
    Here { pid: u32 },
    /// The call was answered.
    Reply(Result<Reply, Errno>),
    /// The call waits.
    Waits,
    /// The child of a fork, or a thread, has this number.
    Number(u32),
    /// It is done.
    Done,
    /// It could not be done.
    Failed(String),
}

/// Sends one message.
pub(super) fn tell<T: Serialize>(socket: impl AsFd, message: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    retry_on_intr(|| send(&socket, &bytes, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Receives one message; `None` at the end of the conversation.
pub(super) fn hear<T: DeserializeOwned>(socket: impl AsFd, buffer: &mut Vec<u8>) -> io::Result<Option<T>> {
    buffer.resize(LONGEST, 0);
    let (_, length) = retry_on_intr(|| recv(&socket, &mut buffer[..], RecvFlags::empty()))?;
    match length {
        0 => Ok(None),
        length => Ok(Some(serde_json::from_slice(&buffer[..length])?)),
    }
}
