//! What is known of the generations of OpenClaw's lock, from runs of the shipped programs or from reading them, and of the
//! naive locks, from the catalogue that tells how each is broken.
//!
//! One row for each known case, by its number, with the case that shows it here and the promises that are at stake. What
//! a case expects besides is about the reference gateway, and not compared.

use crate::designs::{Design, Generation, Naive};
use crate::scenario::Check;

/// What is known of one design in one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The promises hold.
    Holds,
    /// One of them is broken.
    Broken,
    /// Not known, or a matter of taste: whatever is found is no mistake.
    Open,
    /// The case is not about this design.
    Apart,
}

use Answer::{Apart as X, Broken as B, Holds as H, Open as O};

/// A known case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its number, for instance `K4`; `C4` for a contest of naive locks.
    pub id: &'static str,
    /// The case that shows it.
    pub case: &'static str,
    /// The promises that are at stake; none: how it ends is, as the scenario says.
    pub checks: &'static [Check],
    /// What is known of the reference gateway.
    refgate: Answer,
    /// What is known of the generations, the first one first.
    generations: [Answer; 6],
    /// What is known of naive locks. Of those that are not here: nothing.
    naive: &'static [(Answer, &'static [Naive])],
}

impl Known {
    /// What is known of a design.
    pub fn answer(&self, design: Design) -> Answer {
        match design {
            Design::Refgate => self.refgate,
            Design::Openclaw(generation) => {
                let place = Generation::ALL.iter().position(|known| *known == generation);
                place.map_or(O, |place| self.generations[place])
            }
            Design::Naive(naive) => {
                let told = self.naive.iter().find(|(_, locks)| locks.contains(&naive));
                told.map_or(O, |(answer, _)| *answer)
            }
            Design::Without(_)
            | Design::Slipping(_)
            | Design::Leaking(_)
            | Design::Endless(_)
            | Design::Own(_) => O,
        }
    }
}

const fn known(
    id: &'static str,
    case: &'static str,
    checks: &'static [Check],
    refgate: Answer,
    generations: [Answer; 6],
) -> Known {
    Known { id, case, checks, refgate, generations, naive: &[] }
}

/// A contest that the reference gateway holds.
const fn contest(
    id: &'static str,
    case: &'static str,
    checks: &'static [Check],
    naive: &'static [(Answer, &'static [Naive])],
) -> Known {
    Known { id, case, checks, refgate: H, generations: [O; 6], naive }
}

const OWNER: &[Check] = &[Check::SingleOwner];
const FILE: &[Check] = &[Check::NoTheft];
const CONFIG: &[Check] = &[Check::ConfigIdentity];
const PORTS: &[Check] = &[Check::PortsDisjoint];
const OTHERS: &[Check] = &[Check::NoCollateral];
const RECOVERY: &[Check] = &[Check::NoWedge];
const TRUTH: &[Check] = &[Check::Truthful];
const ENDS: &[Check] = &[];

/// Every known case that a scenario can tell, in the order of their numbers. The others ask for what no scenario can: an owner
/// that listens on an address of another machine (K3), a lock that maintenance holds and a start waits for (K23), an
/// owner that is healthy long after it owns and a supervisor that does not wait for it (K28), two generations at once (K34).
pub const KNOWN: [Known; 25] = [
    known("K1", "race/two-gateways", OWNER, H, [H, H, B, B, H, H]),
    known("K2", "known/other-port", OWNER, H, [B, H, B, B, H, H]),
    known("K4", "pid/stale-lock-race", OWNER, H, [X, B, B, B, H, H]),
    known("K5", "known/owner-that-lost-its-file-stops", FILE, H, [X, B, B, B, H, H]),
    known("K6", "known/owner-killed", RECOVERY, H, [H, H, H, H, H, H]),
    known("K7", "known/pid-reused-later", RECOVERY, H, [H, H, H, H, H, H]),
    // The same pid and the same start time.
    known("K8", "pid/recycled-pid[cron]", RECOVERY, H, [H, B, H, H, B, B]),
    known("K10", "crash/killed-during-start", RECOVERY, H, [H, B, B, B, B, B]),
    known("K11", "known/reclaimer-killed", RECOVERY, H, [X, X, X, X, B, B]),
    known("K12", "known/owner-paused-and-its-backlog-full", OWNER, H, [H, H, B, B, H, H]),
    known("K14", "known/other-tmpdir", OWNER, H, [B, B, B, B, H, H]),
    known("K15", "known/linked-state-directory", OWNER, H, [B, B, B, B, H, H]),
    known("K16", "known/two-configurations", OWNER, H, [B, B, B, B, H, H]),
    // One configuration is one pid file to the second generation. The third and the fourth share the name, but take an
    // owner on another port for dead, as in K2.
    known("K17", "isolation/shared-config", CONFIG, O, [B, H, B, B, B, B]),
    known("K18", "container/second-container-shares-state", OWNER, H, [B, B, B, B, H, H]),
    // The sixth generation was seen to break without a lease, which the lock alone does not take. With one it should hold.
    known("K20", "operator/lock-file-removed", OWNER, H, [B, B, B, B, B, O]),
    known("K21", "known/locks-stay-on-each-host", OWNER, H, [B, B, B, B, B, B]),
    known("K24", "port/foreign-holder", TRUTH, H, [B, B, B, B, B, B]),
    known("K25", "port/foreign-holder-on-v6-only", ENDS, O, [B, B, B, B, B, B]),
    known("K26", "port/ephemeral-connection", TRUTH, H, [B, B, B, B, B, B]),
    known("K27", "known/service-clears-its-port", OTHERS, H, [X, X, B, B, B, B]),
    // The fifth generation says that the lifecycle is owned, which is so.
    known("K30", "known/duplicate-start", ENDS, H, [H, H, H, H, O, B]),
    known("K31", "known/clock-steps-during-start", OWNER, H, [H, B, B, B, H, H]),
    known("K32", "isolation/overlapping-cdp-ranges[18809]", PORTS, H, [B, B, B, B, B, B]),
    known("K35", "known/disk-full-at-write", RECOVERY, H, [X, B, B, H, H, H]),
];

/// Right until somebody else removes their file.
const RIGHT: (Answer, &[Naive]) =
    (H, &[Naive::FlockRecheckUnlinkClose, Naive::FlockNeverUnlink, Naive::FlockRecheckNeverUnlink]);

/// Asks until the lease has ended, which takes too many rounds to try them all.
const POLLING: (Answer, &[Naive]) = (X, &[Naive::LeaseWallClock]);

/// The contests that tell the naive locks apart. In each row the locks are broken whose catalogued counterexample it is; what
/// others do there is left open.
pub const CONTESTS: [Known; 19] = [
    contest(
        "C1",
        "race/one-state-two-ports",
        OWNER,
        &[RIGHT, (B, &[Naive::BindOnly, Naive::PortThenPidfile])],
    ),
    contest(
        "C2",
        "race/two-gateways",
        OWNER,
        &[
            RIGHT,
            (
                B,
                &[
                    Naive::BindOnly,
                    Naive::PidfileCheckThenWrite,
                    Naive::PidfileRenameOver,
                    Naive::PosixLock,
                    Naive::SqliteExclusive,
                    Naive::ReusePort,
                ],
            ),
        ],
    ),
    contest("C3", "race/two-gateways", FILE, &[RIGHT, (B, &[Naive::PortProbe]), POLLING]),
    contest(
        "C4",
        "pid/stale-lock-race",
        OWNER,
        &[RIGHT, (B, &[Naive::PidfileUnlinkStale, Naive::PidfileStartTime, Naive::PidfileLink]), POLLING],
    ),
    contest(
        "C5",
        "pid/stale-lock-three-starters",
        OWNER,
        &[RIGHT, (B, &[Naive::PidfileRenameAside, Naive::ReclaimGuardFinally]), POLLING],
    ),
    // The pid was given to somebody else in the same tick.
    contest(
        "C6",
        "pid/recycled-pid[cron]",
        RECOVERY,
        &[RIGHT, (B, &[Naive::PidfileStartTime, Naive::FlockInherited])],
    ),
    contest("C7", "pid/recycled-pid[cron]", OTHERS, &[RIGHT, (B, &[Naive::PidfileKillOwner])]),
    contest("C8", "crash/killed-during-start", RECOVERY, &[RIGHT, (B, &[Naive::PidfileStartTime])]),
    contest("C9", "crash/killed-while-reclaiming", RECOVERY, &[RIGHT, (B, &[Naive::ReclaimGuard])]),
    contest(
        "C10",
        "restart/two-rivals-start-while-owner-stops",
        OWNER,
        &[RIGHT, (B, &[Naive::FlockUnlinkClose, Naive::FlockUnlockUnlink, Naive::FlockRecheckUnlockUnlink])],
    ),
    contest("C11", "operator/lock-file-removed", OWNER, &[(B, RIGHT.1)]),
    contest(
        "C12",
        "operator/paused-at-any-call",
        OWNER,
        &[RIGHT, (B, &[Naive::PidfileAge, Naive::LeaseHeartbeat, Naive::VerifyThenWrite])],
    ),
    contest("C13", "known/clock-steps-during-start", OWNER, &[RIGHT, (B, &[Naive::PidfileAge])]),
    contest("C14", "clock/wall-steps-forward", OWNER, &[RIGHT, (B, &[Naive::LeaseWallClock])]),
    contest(
        "C15",
        "container/second-container-shares-state",
        OWNER,
        &[RIGHT, (B, &[Naive::SidecarUnchanged])],
    ),
    // The pid in the file is that of the process itself, which it tells to stop.
    contest(
        "C16",
        "container/recreated-with-the-same-pid",
        ENDS,
        &[RIGHT, (B, &[Naive::PidfileUnlinkStale, Naive::PidfileKillOwner])],
    ),
    contest("C17", "isolation/state-directory-by-two-paths", OWNER, &[RIGHT, (B, &[Naive::PathHash])]),
    contest("C18", "port/foreign-holder", OTHERS, &[RIGHT, (B, &[Naive::PortKillHolder])]),
    contest("C19", "port/orphan-holds-the-port", TRUTH, &[RIGHT, (B, &[Naive::BindOnly])]),
];
