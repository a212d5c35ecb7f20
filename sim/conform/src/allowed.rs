//! Where the real machine may answer otherwise than the simulated one, with one reason for each.
//!
//! Both answers leave their machines as they were, so that what follows can still be compared.

use portcullis_os::{Call, Errno, Reply, TcpRow, TcpState, Uid};

use crate::outcome::Outcome;

/// A freedom that the real machine has.
struct Freedom {
    reason: &'static str,
    /// Whether it explains that one call has these two answers, the simulated one first.
    explains: fn(&Call, &Outcome, &Outcome) -> bool,
}

const FREEDOMS: [Freedom; 2] = [
    Freedom {
        reason: "/proc is files, and a process without a free descriptor cannot read them; the simulated kernel does not ask",
        explains: |call, _, real| asks_proc(call) && *real == Outcome::Reply(Err(Errno::TooManyFiles)),
    },
    Freedom {
        reason: "a closed end is its owner's until the other end has acknowledged that (FIN_WAIT1), which may take 40 ms; \
                 packets of the simulated kernel are never late",
        explains: |call, simulated, real| match (call, simulated, real) {
            (
                Call::TcpSockets { .. },
                Outcome::Reply(Ok(Reply::Tcp(one))),
                Outcome::Reply(Ok(Reply::Tcp(other))),
            ) => ownerless(one) == ownerless(other),
            _ => false,
        },
    },
];

/// Rows without the owners of closed ends, and without numbers of sockets.
fn ownerless(rows: &[TcpRow]) -> Vec<TcpRow> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        if row.socket == 0 && row.state == TcpState::Connected {
            row.uid = Uid(0);
        }
        row.socket = row.socket.min(1);
    }
    rows.sort_unstable();
    rows
}

/// Why an answer of the real machine that differs from the simulated one is right all the same; `None` if it is not.
pub fn reason(call: &Call, simulated: &Outcome, real: &Outcome) -> Option<&'static str> {
    let freedom = FREEDOMS.iter().find(|freedom| (freedom.explains)(call, simulated, real));
    freedom.map(|freedom| freedom.reason)
}

const fn asks_proc(call: &Call) -> bool {
    matches!(
        call,
        Call::Processes
            | Call::ProcessStatus { .. }
            | Call::ProcessCommand { .. }
            | Call::HoldsLock { .. }
            | Call::HoldsSocket { .. }
            | Call::LockTakers { .. }
            | Call::TcpSockets { .. }
            | Call::TcpListeners { .. }
            | Call::BootId
    )
}
