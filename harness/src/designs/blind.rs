//! A process that sees no other one, and that nobody answers: what is left of a lock when nothing can be explained.
//!
//! So it is with `/proc` hidden and connections forbidden by a security module. Whoever decides by what it sees of others
//! decides wrongly then; who asks the kernel for a lock does not notice.

use portcullis_os::{Call, Errno, Reply};
use sim::Rule;

/// Denies every question about other processes, and every way to talk to them. That is no step: nothing is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blind;

impl Rule for Blind {
    fn instead(&mut self, call: &Call) -> Option<Result<Reply, Errno>> {
        let is_denied = matches!(
            call,
            Call::Processes
                | Call::ProcessStatus { .. }
                | Call::ProcessCommand { .. }
                | Call::HoldsLock { .. }
                | Call::HoldsSocket { .. }
                | Call::LockTakers { .. }
                | Call::TcpSockets { .. }
                | Call::TcpListeners { .. }
                | Call::ConnectUnix { .. }
        );
        is_denied.then_some(Err(Errno::AccessDenied))
    }

    fn saw(&mut self, _: &Call, _: &Result<Reply, Errno>) {}
}
