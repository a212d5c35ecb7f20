//! What is known of the generations of OpenClaw's lock: from runs of the shipped programs, or from reading them.
//!
//! One row for each known case, by its number, with the case that shows it here and the promises that are at stake. What
//! a case expects besides is about the reference gateway, and not compared.

use crate::designs::{Design, Generation};
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
    /// Its number, for instance `K4`.
    pub id: &'static str,
    /// The case that shows it.
    pub case: &'static str,
    /// The promises that are at stake; none: how it ends is, as the scenario says.
    pub checks: &'static [Check],
    /// What is known of the reference gateway.
    refgate: Answer,
    /// What is known of the generations, the first one first.
    generations: [Answer; 6],
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
            Design::Without(_) | Design::Naive(_) | Design::Endless(_) => O,
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
    Known { id, case, checks, refgate, generations }
}

const OWNER: &[Check] = &[Check::SingleOwner];
const FILE: &[Check] = &[Check::NoTheft];
const CONFIG: &[Check] = &[Check::ConfigIdentity];
const PORTS: &[Check] = &[Check::PortsDisjoint];
const OTHERS: &[Check] = &[Check::NoCollateral];
const RECOVERY: &[Check] = &[Check::NoWedge];
const TRUTH: &[Check] = &[Check::Truthful];
const ENDS: &[Check] = &[];

/// Every known case that the simulated machine can show, in the order of their numbers.
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
