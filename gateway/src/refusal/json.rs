//! A holder in JSON has the same shape wherever one is told.

use portcullis_os::ProcessState;
use serde::Serialize;

use super::Holder;

/// The process that is in the way, as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HolderLine<'a> {
    pid: u32,
    name: &'a str,
    command: &'a str,
    state: &'static str,
    start_tick: u64,
    age_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
}

impl<'a> HolderLine<'a> {
    /// A holder, to be told.
    pub(crate) fn of(holder: &'a Holder) -> Self {
        Self {
            pid: holder.pid.get(),
            name: &holder.name,
            command: &holder.command,
            state: match holder.state {
                ProcessState::Running => "running",
                ProcessState::Uninterruptible => "uninterruptible",
                ProcessState::Stopped => "stopped",
                ProcessState::Zombie => "zombie",
            },
            start_tick: holder.start.0,
            age_seconds: holder.age_seconds,
            uid: holder.uid.map(|uid| uid.0),
        }
    }
}
