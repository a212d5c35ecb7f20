//! The naive locks by number, name and what is wrong with them.

use super::Naive;

/// What is said of a naive lock.
pub(super) struct Entry {
    pub(super) naive: Naive,
    /// Its number.
    pub(super) id: &'static str,
    /// Its name on the command line and in tokens.
    pub(super) name: &'static str,
    /// One sentence.
    pub(super) describe: &'static str,
}

/// Every naive lock, in the order of their numbers.
pub(super) const CATALOGUE: [Entry; 29] = [
    Entry {
        naive: Naive::BindOnly,
        id: "N1",
        name: "bind-only",
        describe: "The port at the first address of `localhost` that is free, and nothing else: there are other addresses and ports.",
    },
    Entry {
        naive: Naive::PidfileCheckThenWrite,
        id: "N2",
        name: "pidfile-check-then-write",
        describe: "A pid file that is looked at and then written: two can look before either writes.",
    },
    Entry {
        naive: Naive::PidfileUnlinkStale,
        id: "N3",
        name: "pidfile-unlink-stale",
        describe: "A lock file made with O_EXCL; its owner is judged by kill(pid, 0); a stale one is unlinked.",
    },
    Entry {
        naive: Naive::PidfileStartTime,
        id: "N4",
        name: "pidfile-start-time",
        describe: "A lock file made with O_EXCL and judged by pid and start time: what is unlinked is still a name, and half a file stays for ever.",
    },
    Entry {
        naive: Naive::PidfileAge,
        id: "N5",
        name: "pidfile-stale-by-age",
        describe: "A lock file made with O_EXCL that is stale after 30 seconds if it says nothing: its owner may only be slow.",
    },
    Entry {
        naive: Naive::PidfileLink,
        id: "N6",
        name: "pidfile-link",
        describe: "A lock file that appears whole, by link(2): a stale one is unlinked as ever, and another one in its place.",
    },
    Entry {
        naive: Naive::PidfileRenameAside,
        id: "N7",
        name: "pidfile-rename-aside",
        describe: "A stale lock file is moved aside, looked at and put back if it lives: meanwhile the name is free.",
    },
    Entry {
        naive: Naive::PidfileRenameOver,
        id: "N8",
        name: "pidfile-rename-over",
        describe: "A lock file that is renamed into place and read back: each of two can read its own.",
    },
    Entry {
        naive: Naive::ReclaimGuard,
        id: "N9",
        name: "reclaim-guard",
        describe: "A stale lock file goes only under a guard directory: whoever dies inside locks everybody out.",
    },
    Entry {
        naive: Naive::ReclaimGuardFinally,
        id: "N10",
        name: "reclaim-guard-finally",
        describe: "A guard directory that is removed by those, too, who did not get it: then two are inside.",
    },
    Entry {
        naive: Naive::FlockUnlinkClose,
        id: "N11",
        name: "flock-unlink-then-close",
        describe: "A flock on a file that its owner unlinks, then closes: who has opened it before gets a lock without a name.",
    },
    Entry {
        naive: Naive::FlockUnlockUnlink,
        id: "N12",
        name: "flock-unlock-then-unlink",
        describe: "A flock on a file that its owner unlocks, then unlinks: the name that goes is that of the next owner.",
    },
    Entry {
        naive: Naive::FlockRecheckUnlockUnlink,
        id: "N12b",
        name: "flock-recheck-unlock-then-unlink",
        describe: "A flock with a second look at the name, and a name that is unlinked after the unlock: the look comes before it goes.",
    },
    Entry {
        naive: Naive::FlockRecheckUnlinkClose,
        id: "N13",
        name: "flock-recheck-unlink-then-close",
        describe: "A flock with a second look at the name, unlinked while it is held: right until somebody else removes the name.",
    },
    Entry {
        naive: Naive::FlockNeverUnlink,
        id: "N14",
        name: "flock-never-unlink",
        describe: "A flock on a file that is never unlinked: right until somebody else does.",
    },
    Entry {
        naive: Naive::FlockRecheckNeverUnlink,
        id: "N15",
        name: "flock-recheck-never-unlink",
        describe: "A flock with a second look at a name that is never unlinked: the look protects who comes, not who owns.",
    },
    Entry {
        naive: Naive::PosixLock,
        id: "N16",
        name: "posix-lock",
        describe: "A lock of fcntl(2) on the whole file: the owner loses it by reading and closing that file.",
    },
    Entry {
        naive: Naive::SqliteExclusive,
        id: "N17",
        name: "sqlite-exclusive",
        describe: "BEGIN EXCLUSIVE on a database: the same locks, lost in the same way, inside an open transaction.",
    },
    Entry {
        naive: Naive::LeaseHeartbeat,
        id: "N18",
        name: "lease-heartbeat",
        describe: "A file that its owner touches and that is free when it is 30 seconds old: a stopped owner cannot touch it.",
    },
    Entry {
        naive: Naive::LeaseWallClock,
        id: "N18b",
        name: "lease-wall-clock",
        describe: "A file with the end of the owner's lease by the wall clock; asked for until it has ended.",
    },
    Entry {
        naive: Naive::SidecarUnchanged,
        id: "N19",
        name: "sidecar-unchanged",
        describe: "A lock file with pid and start time, unlinked only if it still says the same: in another container every owner looks dead.",
    },
    Entry {
        naive: Naive::PathHash,
        id: "N20",
        name: "path-hash",
        describe: "A flock in a shared directory under a hash of the path: one directory has many paths.",
    },
    Entry {
        naive: Naive::PortThenPidfile,
        id: "N21",
        name: "port-then-pidfile",
        describe: "The port, then a pid file that is looked at and written: with two ports two can do so at once.",
    },
    Entry {
        naive: Naive::PortProbe,
        id: "N22",
        name: "pidfile-port-probe",
        describe: "A lock file that is stale if nobody listens on the port: an owner that is starting does not yet.",
    },
    Entry {
        naive: Naive::VerifyThenWrite,
        id: "N23",
        name: "verify-then-write",
        describe: "A lease that is looked at before each write: it can run out between the look and the write.",
    },
    Entry {
        naive: Naive::PidfileKillOwner,
        id: "N24",
        name: "pidfile-kill-owner",
        describe: "A lock file made with O_EXCL; whoever's pid stands in it is told to stop, then it is unlinked.",
    },
    Entry {
        naive: Naive::PortKillHolder,
        id: "N24b",
        name: "port-kill-holder",
        describe: "Whoever listens on the port is told to stop, be it a gateway or not.",
    },
    Entry {
        naive: Naive::FlockInherited,
        id: "N25",
        name: "flock-inherited",
        describe: "A flock and a listener that a child inherits: they outlive their owner in a process that knows nothing of them.",
    },
    Entry {
        naive: Naive::ReusePort,
        id: "N26",
        name: "reuse-port",
        describe: "A listener with SO_REUSEPORT: the kernel shares the port among all who ask so.",
    },
];
