//! What supervisors, operators, clocks, containers and other hosts make of a lock: the one that ships is held to by each
//! scenario of the library, and some naive one breaks it by how it ends or by a second owner, whatever else is wrong with it.

use std::path::{Path, PathBuf};

use harness::designs::{Design, Leak, Naive, Token};
use harness::scenario::{Case, Check, Paint, Policy, Scenario, load};
use harness::simulate::run_case;
use harness::verdict::{Evidence, Verdict};

/// The cases that need more than processes and signals.
fn cases() -> Vec<Case> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let scenarios = load(&[folder]).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)));
    let cases = scenarios.iter().flat_map(Scenario::cases);
    cases
        .filter(|case| {
            case.scenario.explore.slow_release
                || (case.scenario.only_simulated().is_some() && !case.id.starts_with("storage/"))
        })
        // `epochs.rs` holds these, and knows what breaks them.
        .filter(|case| !case.scenario.tags.iter().any(|tag| tag == "epoch"))
        // No other design hands anything over.
        .filter(|case| !case.scenario.tags.iter().any(|tag| tag == "takeover"))
        // `incidents.rs` knows what breaks these.
        .filter(|case| !case.id.starts_with("incident/"))
        // What breaks these is known, and compared by `portcullis matrix`.
        .filter(|case| !case.id.starts_with("known/"))
        // A sample, and what it is about is an exit status, of which the naive ones have one.
        .filter(|case| case.id != "restart/parked-behind-a-dying-owner")
        // Whoever runs the library explores it, which takes longer than a test should.
        .filter(|case| case.id != "race/three-in-the-dark")
        .collect()
}

/// The same, with nothing demanded but that there is one owner, and how it ends.
fn ends_only(case: &Case) -> Case {
    let mut case = case.clone();
    case.scenario.expect.always.retain(|check| check.value == Check::SingleOwner);
    case.scenario.expect.refusal = None;
    case
}

/// Families of cases that need more than one lock file.
const COARSE: [&str; 3] =
    ["lock/pinned-port-pairs[", "lock/shared-things-in-two-containers[", "lock/open-files-"];

/// Those in which somebody waits or comes again.
fn expected_of_waits(id: &str) -> Option<(Design, &'static str, Option<u8>)> {
    let broken = match id {
        // It waits for nobody.
        "restart/parked-takes-over"
        | "restart/parked-while-owner-stops"
        | "restart/parked-and-recycled-pid"
        | "restart/two-parked"
        | "restart/parked-behind-a-writer" => (Design::Naive(Naive::PidfileUnlinkStale), "outcomes", None),
        // It has no lock that a backup could hold.
        "restart/parked-behind-a-backup" => (Design::Naive(Naive::PidfileUnlinkStale), "reach", None),
        "operator/backup-while-service-restarts" => {
            (Design::Naive(Naive::PidfileUnlinkStale), "reach", Some(3))
        }
        _ => return None,
    };
    Some(broken)
}

/// The design that ends otherwise, by which check, and after how many starts the search was cut where it holds.
fn expected(id: &str) -> (Design, &'static str, Option<u8>) {
    match id {
        // The one that launchd starts again and again tells the owner to stop, some time.
        "supervisor/launchd-ignores-statuses" => {
            (Design::Naive(Naive::PidfileKillOwner), "single-owner", Some(2))
        }
        // A kill between create and write leaves what nobody can judge.
        "supervisor/service-restart"
        | "supervisor/systemd-restarts-after-crashes"
        | "race/service-killed-any-pid" => (Design::Naive(Naive::PidfileUnlinkStale), "outcomes", None),
        // Its exit status says nothing, so it is restarted whatever the reason was.
        "supervisor/systemd-rival-refused" | "supervisor/predecessor-still-stopping" => {
            (Design::Naive(Naive::PidfileUnlinkStale), "reach", Some(2))
        }
        "supervisor/two-managers" => (Design::Naive(Naive::PidfileKillOwner), "single-owner", None),
        // A lease runs out while its owner sleeps, or when the clock says so, and lasts for ever when it is set back.
        "clock/suspended" | "clock/wall-steps-forward" => {
            (Design::Naive(Naive::LeaseWallClock), "single-owner", None)
        }
        "clock/wall-steps-back" => (Design::Naive(Naive::LeaseWallClock), "outcomes", None),
        // The dead owner's pid is that of the process itself, or of a stranger.
        "container/recreated-with-the-same-pid" | "host/reboot" => {
            (Design::Naive(Naive::PidfileUnlinkStale), "outcomes", None)
        }
        // The pid of an owner that cannot be seen from here is that of the process itself.
        "container/second-container-shares-state"
        | "host/shared-storage-with-locks"
        | "host/network-file-system-refused" => {
            (Design::Naive(Naive::PidfileKillOwner), "single-owner", None)
        }
        "operator/backup-reads-lock" | "operator/state-directory-moved" => {
            (Design::Naive(Naive::PidfileKillOwner), "single-owner", None)
        }
        // What it cannot read is stale when it is old enough.
        "operator/lock-file-overwritten" => (Design::Naive(Naive::PidfileAge), "single-owner", None),
        "operator/config-edited" => (Design::Without(Token::Config), "outcomes", None),
        // It knows one reason only.
        "disk/full-then-well" | "operator/state-directory-opened-up" => {
            (Design::Naive(Naive::PidfileUnlinkStale), "outcomes", None)
        }
        // It takes the other host's owner for one of this host.
        "host/second-host-on-shared-storage" => (Design::Naive(Naive::PidfileUnlinkStale), "outcomes", None),
        // It cannot touch its file while it stands still, and does not know that it has not.
        "operator/paused-at-any-call" => (Design::Naive(Naive::LeaseHeartbeat), "single-owner", None),
        // It has lost its lease before it wakes up.
        "operator/paused-owner-writes" => (Design::Naive(Naive::LeaseHeartbeat), "single-owner", None),
        "isolation/state-directory-by-two-paths" => (Design::Naive(Naive::PathHash), "single-owner", None),
        "operator/old-files-cleaned-up" => (Design::Naive(Naive::PidfileUnlinkStale), "single-owner", None),
        // It has no port to be found by, so nobody makes room, and it knows no force.
        "operator/port-freed-by-force" | "operator/force-stopped-owner" | "operator/two-forced-starts" => {
            (Design::Naive(Naive::PidfileUnlinkStale), "outcomes", None)
        }
        "crash/owner-with-every-token-killed" => (Design::Leaking(Leak::Directory), "outcomes", None),
        "operator/force-healthy-owner" => (Design::Without(Token::ForceStopped), "outcomes", None),
        "operator/force-and-recycled-pid" => (Design::Without(Token::ForcePidfd), "outcomes", None),
        "port/ephemeral-connection" => (Design::Without(Token::ListenerV4), "outcomes", None),
        "isolation/one-port-in-two-networks" | "isolation/port-of-another-user" => {
            (Design::Without(Token::Ports), "outcomes", None)
        }
        "isolation/pinned-browser-port[9222]" | "isolation/pinned-browser-port[18790]" => {
            (Design::Without(Token::PinnedPorts), "outcomes", None)
        }
        // It asks nobody whose directory it is.
        "isolation/state-of-another-user" => (Design::Naive(Naive::PidfileUnlinkStale), "outcomes", None),
        "lock/writer-left-behind" => (Design::Without(Token::Writers), "outcomes", None),
        "lock/writer-ends-while-the-next-starts" => (Design::Without(Token::Writers), "reach", None),
        "lock/killed-with-every-token"
        | "lock/disk-full-at-any-call"
        | "lock/disk-read-only-at-any-call"
        | "lock/disk-without-inodes-at-any-call" => {
            (Design::Naive(Naive::PidfileUnlinkStale), "outcomes", None)
        }
        // It knows no token but its file, needs fewer files, and knows one reason only.
        _ if COARSE.iter().any(|prefix| id.starts_with(prefix)) => {
            (Design::Naive(Naive::PidfileUnlinkStale), "outcomes", None)
        }
        // It refuses nobody who shares less than the lock file.
        _ if id.starts_with("lock/equal-tick-any-token[") => {
            (Design::Naive(Naive::PidfileUnlinkStale), "reach", None)
        }
        "lock/clock-steps-at-any-call" => (Design::Naive(Naive::LeaseWallClock), "single-owner", None),
        // The pid of the other one means somebody else here, or nobody.
        "lock/two-containers-race" => (Design::Naive(Naive::PidfileUnlinkStale), "outcomes", None),
        _ => expected_of_waits(id).unwrap_or_else(|| panic!("no design is known to break {id}")),
    }
}

#[test]
fn each_scenario_of_the_world_outside_is_held_by_the_lock_that_ships_and_broken_by_a_naive_one() {
    for case in cases() {
        let (design, check, cut) = expected(&case.id);
        match run_case(&case, Design::Refgate) {
            Verdict::Pass(Evidence::Complete { .. }) => assert_eq!(cut, None, "{}", case.id),
            Verdict::Pass(Evidence::Bounded { preemptions, starts, .. }) => {
                let asked = match case.scenario.explore.policy {
                    Policy::Exhaustive | Policy::Sampled(_) => None,
                    Policy::Preemptions(bound) => Some(bound),
                };
                assert_eq!((preemptions, starts), (asked, cut), "{}", case.id);
            }
            other @ (Verdict::Pass(Evidence::Sampled { .. } | Evidence::Observed { .. })
            | Verdict::Fail(_)
            | Verdict::Inconclusive(_)
            | Verdict::Known(_)
            | Verdict::Unsupported(_)) => panic!("{}: {other:?}", case.id),
        }
        match run_case(&ends_only(&case), design) {
            Verdict::Fail(failure) => assert_eq!(failure.check, check, "{}: {}", case.id, failure.says),
            other @ (Verdict::Pass(_)
            | Verdict::Known(_)
            | Verdict::Inconclusive(_)
            | Verdict::Unsupported(_)) => {
                panic!("{} does not break {}: {other:?}", design.name(), case.id)
            }
        }
    }
}
