//! Between the moment when the pidfd of an owner is open and the moment when it is signalled, everything about it is
//! answered as it was before.

use std::collections::BTreeMap;

use portcullis_os::{Call, Errno, Fd, Pid, Reply};

/// What one process was told of the owner in its way.
#[derive(Clone, Debug)]
pub(super) struct SecondLook {
    /// The answers to all questions about other processes, by question. Descriptors count as one.
    told: BTreeMap<Call, Result<Reply, Errno>>,
    /// The open pidfds.
    pids: BTreeMap<Fd, Pid>,
    is_open: bool,
}

impl SecondLook {
    pub(super) const fn new() -> Self {
        Self { told: BTreeMap::new(), pids: BTreeMap::new(), is_open: false }
    }

    /// The process of a pidfd.
    pub(super) fn pid(&self, fd: Fd) -> Option<Pid> {
        self.pids.get(&fd).copied()
    }

    /// The answer of the first look.
    pub(super) fn instead(&self, call: &Call) -> Option<Result<Reply, Errno>> {
        if !self.is_open {
            return None;
        }
        self.told.get(&question(call)?).cloned()
    }

    /// Remembers what was answered.
    pub(super) fn saw(&mut self, call: &Call, reply: &Result<Reply, Errno>) {
        if let (Call::OpenPidfd { pid }, Ok(Reply::Fd(fd))) = (call, reply) {
            self.pids.insert(*fd, *pid);
            self.is_open = true;
        }
        if matches!(call, Call::SignalPidfd { .. } | Call::Kill { .. }) {
            self.is_open = false;
        }
        if let Some(question) = question(call) {
            self.told.insert(question, reply.clone());
        }
    }
}

/// A question about another process, apart from the descriptor that it is asked on.
fn question(call: &Call) -> Option<Call> {
    if let Call::PeerCredentials { .. } = call {
        return Some(Call::PeerCredentials { fd: Fd(0) });
    }
    if let Call::Receive { length, deadline_ms, .. } = call {
        return Some(Call::Receive { fd: Fd(0), length: *length, deadline_ms: *deadline_ms });
    }
    let is_question = matches!(
        call,
        Call::ConnectUnix { .. }
            | Call::HoldsLock { .. }
            | Call::LockTakers { .. }
            | Call::ProcessStatus { .. }
            | Call::ProcessCommand { .. }
    );
    is_question.then(|| call.clone())
}
