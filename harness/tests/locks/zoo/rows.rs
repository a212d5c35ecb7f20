//! What is known of each naive lock: the case that breaks it, the check that says so, and the least trace.
//!
//! The least trace has the fewest faults, then preemptions, then steps, and all calls count. Beside it stand the steps of
//! the lock's own protocol in that trace, which is how a catalogue of such locks tells its counterexamples, and how many the
//! catalogue lists. Who stops, removes or resumes something from outside takes a step, too; who starts a process does not.

use harness::designs::Naive;
use harness::scenario::Check::{self, NoCollateral, NoTheft, NoWedge, SingleOwner};

use super::Move::{self, Bind, Link, Look, LookBack, Rename, Unlink, Write};

/// A naive lock and how it breaks.
pub(crate) struct Row {
    pub(crate) lock: Naive,
    pub(crate) case: &'static str,
    pub(crate) check: Check,
    /// Faults, preemptions and steps, the setup left out.
    pub(crate) least: (usize, usize, usize),
    /// Which steps of the protocol are counted; `None`: all.
    pub(crate) counted: Option<&'static [Move]>,
    /// These, in the order of the trace, those in the setup included.
    pub(crate) moves: &'static str,
    /// How many of them the catalogue lists, where it lists them.
    pub(crate) listed: Option<usize>,
}

/// The locks that are right until somebody else touches their file: N13 and N14.
pub(crate) const HOLDING: [Naive; 2] = [Naive::FlockRecheckUnlinkClose, Naive::FlockNeverUnlink];

impl Row {
    const fn new(
        lock: Naive,
        case: &'static str,
        check: Check,
        least: (usize, usize, usize),
        moves: &'static str,
    ) -> Self {
        Self { lock, case, check, least, counted: None, moves, listed: None }
    }

    /// Of which only these are counted.
    const fn counting(self, kinds: &'static [Move]) -> Self {
        Self { counted: Some(kinds), ..self }
    }

    /// Of which the catalogue lists so many.
    const fn listed(self, steps: usize) -> Self {
        Self { listed: Some(steps), ..self }
    }
}

/// Every counterexample that is pinned, by the number of the lock.
pub(crate) const ROWS: &[Row] = &[
    Row::new(Naive::BindOnly, "race/one-state-two-ports", SingleOwner, (0, 0, 15), "a.bind b.bind").listed(2),
    // `localhost` has a second address.
    Row::new(Naive::BindOnly, "race/two-gateways", SingleOwner, (0, 0, 16), "a.bind b.bind b.bind"),
    // The catalogue counts a file that is written as one step.
    Row::new(
        Naive::PidfileCheckThenWrite,
        "race/two-gateways",
        SingleOwner,
        (0, 1, 20),
        "a.look b.look b.write a.write",
    )
    .counting(&[Look, Write])
    .listed(4),
    Row::new(
        Naive::PidfileUnlinkStale,
        "pid/stale-lock-race",
        SingleOwner,
        (0, 1, 29),
        "a.create a.look b.create b.look b.unlink b.create b.write a.unlink a.create a.write",
    )
    .listed(10),
    // Without a start time the pid of a dead owner in the last container is that of the process itself.
    Row::new(Naive::PidfileUnlinkStale, "container/recreated-with-the-same-pid", NoWedge, (0, 0, 0), ""),
    Row::new(
        Naive::PidfileStartTime,
        "pid/stale-lock-race",
        SingleOwner,
        (0, 1, 31),
        "a.create a.look b.create b.look b.unlink b.create b.write a.unlink a.create a.write",
    )
    .listed(10),
    // The heir of the pid was born in the same tick of the clock, so that nothing at all has to happen.
    Row::new(Naive::PidfileStartTime, "pid/recycled-pid[cron]", NoWedge, (0, 0, 0), ""),
    // Half a file.
    Row::new(Naive::PidfileStartTime, "crash/killed-during-start", NoWedge, (0, 0, 7), "a.create somebody.outside"),
    Row::new(
        Naive::PidfileAge,
        "operator/paused-at-any-call",
        SingleOwner,
        (0, 0, 29),
        "a.create somebody.outside somebody.outside b.create b.look b.unlink b.create b.write somebody.outside a.write",
    ),
    Row::new(
        Naive::PidfileLink,
        "pid/stale-lock-race",
        SingleOwner,
        (0, 1, 35),
        "a.link a.look b.link b.look b.unlink b.link b.unlink a.unlink a.link a.unlink",
    )
    .counting(&[Link, Look, Unlink]),
    Row::new(
        Naive::PidfileRenameAside,
        "pid/stale-lock-three-starters",
        SingleOwner,
        (0, 2, 37),
        "a.create a.look b.create b.look b.rename b.look-back b.unlink b.create b.write a.rename c.create c.write",
    ),
    // The catalogue begins where both have found the lock free.
    Row::new(
        Naive::PidfileRenameOver,
        "race/two-gateways",
        SingleOwner,
        (0, 1, 29),
        "b.rename b.look-back a.rename a.look-back",
    )
    .counting(&[Rename, LookBack])
    .listed(4),
    Row::new(
        Naive::ReclaimGuard,
        "crash/killed-while-reclaiming",
        NoWedge,
        (0, 0, 11),
        "a.create a.look a.mkdir somebody.outside",
    ),
    Row::new(
        Naive::ReclaimGuardFinally,
        "pid/stale-lock-three-starters",
        SingleOwner,
        (0, 1, 53),
        "a.create a.look a.mkdir a.look-back b.create b.look b.mkdir b.rmdir c.create c.look c.mkdir c.look-back \
         c.unlink c.create c.write c.rmdir a.unlink a.create a.write",
    )
    .listed(19),
    Row::new(
        Naive::FlockUnlinkClose,
        "restart/two-rivals-start-while-owner-stops",
        SingleOwner,
        (0, 1, 21),
        "old.open old.lock somebody.outside a.open old.unlink old.close a.lock b.open b.lock",
    )
    .listed(11),
    Row::new(
        Naive::FlockUnlockUnlink,
        "restart/two-rivals-start-while-owner-stops",
        SingleOwner,
        (0, 1, 22),
        "old.open old.lock somebody.outside old.unlock a.open a.lock old.unlink b.open b.lock",
    )
    .listed(11),
    Row::new(
        Naive::FlockRecheckUnlockUnlink,
        "restart/two-rivals-start-while-owner-stops",
        SingleOwner,
        (0, 1, 26),
        "old.open old.lock old.look-back somebody.outside old.unlock a.open a.lock a.look-back old.unlink b.open b.lock \
         b.look-back",
    )
    .listed(14),
    Row::new(
        Naive::FlockRecheckUnlinkClose,
        "operator/lock-file-removed",
        SingleOwner,
        (0, 0, 10),
        "a.open a.lock a.look-back somebody.outside b.open b.lock b.look-back",
    ),
    Row::new(
        Naive::FlockNeverUnlink,
        "operator/lock-file-removed",
        SingleOwner,
        (0, 0, 8),
        "a.open a.lock somebody.outside b.open b.lock",
    ),
    Row::new(
        Naive::FlockRecheckNeverUnlink,
        "operator/lock-file-removed",
        SingleOwner,
        (0, 0, 10),
        "a.open a.lock a.look-back somebody.outside b.open b.lock b.look-back",
    )
    .listed(9),
    Row::new(
        Naive::PosixLock,
        "race/two-gateways",
        SingleOwner,
        (0, 0, 18),
        "a.open a.lock a.look-back a.close b.open b.lock",
    ),
    Row::new(
        Naive::SqliteExclusive,
        "race/two-gateways",
        SingleOwner,
        (0, 0, 28),
        "a.open a.lock a.lock a.unlock a.lock a.lock a.lock a.look-back a.close \
         b.open b.lock b.lock b.unlock b.lock b.lock b.lock",
    ),
    Row::new(
        Naive::LeaseHeartbeat,
        "operator/paused-at-any-call",
        SingleOwner,
        (0, 0, 22),
        "a.create a.write somebody.outside somebody.outside b.create b.look b.unlink b.create b.write",
    ),
    Row::new(
        Naive::LeaseWallClock,
        "clock/wall-steps-forward",
        SingleOwner,
        (0, 0, 10),
        "a.open a.look-back a.write somebody.outside b.open b.look-back b.write",
    ),
    Row::new(
        Naive::SidecarUnchanged,
        "container/second-container-shares-state",
        SingleOwner,
        (0, 0, 19),
        "a.create a.write b.create b.look b.unlink b.create b.write",
    ),
    Row::new(
        Naive::PathHash,
        "isolation/state-directory-by-two-paths",
        SingleOwner,
        (0, 0, 8),
        "a.mkdir a.open a.lock b.mkdir b.open b.lock",
    ),
    // As N2, with a port of one's own before it.
    Row::new(
        Naive::PortThenPidfile,
        "race/one-state-two-ports",
        SingleOwner,
        (0, 1, 24),
        "a.bind b.bind b.write a.write",
    )
    .counting(&[Bind, Write]),
    Row::new(
        Naive::PortProbe,
        "race/two-gateways",
        NoTheft,
        (0, 1, 15),
        "a.create a.write b.create b.look b.unlink",
    ),
    // Two act on what they have verified; the second write is not needed to see it.
    Row::new(
        Naive::VerifyThenWrite,
        "operator/paused-at-any-call",
        SingleOwner,
        (0, 0, 34),
        "a.create a.write a.look-back somebody.outside somebody.outside b.create b.look b.unlink b.create b.write \
         b.look-back",
    ),
    Row::new(
        Naive::PidfileKillOwner,
        "pid/recycled-pid[cron]",
        NoCollateral,
        (0, 0, 8),
        "new.create new.look new.signal",
    ),
    Row::new(Naive::PortKillHolder, "port/foreign-holder", NoCollateral, (0, 0, 8), "a.bind a.look a.signal"),
    // Its child lives on, so that nothing at all has to happen.
    Row::new(Naive::FlockInherited, "pid/recycled-pid[cron]", NoWedge, (0, 0, 0), ""),
    Row::new(Naive::ReusePort, "race/two-gateways", SingleOwner, (0, 0, 15), "a.bind b.bind"),
];
