//! The naive locks, each written from the description of its steps: what people write who want one owner, and how it fails.
//!
//! Each one breaks some scenario, and its shortest counterexample is pinned; two hold for as long as nobody else touches
//! their file. They are numbered N1 to N26 after the catalogue of designs that the reference lock was derived from; a
//! letter marks a variant.
//!
//! # Invariants
//!
//! - Whoever says that it is the owner has done every step of its lock before that. What it does as an owner comes after.
//! - None of them knows who else is there but by what it asks the system.

mod catalogue;
mod check_then_write;
mod exclusive;
mod flock;
mod flock_inherited;
mod lease_heartbeat;
mod lease_wall_clock;
pub(super) mod life;
mod listener;
mod path_hash;
mod pidfile_kill_owner;
mod pidfile_unlink_stale;
mod port_kill_holder;
mod port_probe;
mod process_lock;
mod published;
mod reclaim_guard;
mod record;
mod rename_aside;
pub(super) mod sqlite;

use std::path::{Path, PathBuf};

use gateway::Claim;
use portcullis_os::Os;
use sim::Program;

use catalogue::{CATALOGUE, Entry};

/// A lock that is wrong on purpose, or right only where nobody touches its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Naive {
    /// N1: the port is the lock.
    BindOnly,
    /// N2: look, then write.
    PidfileCheckThenWrite,
    /// N3: a stale lock file is unlinked.
    PidfileUnlinkStale,
    /// N4: the same, and a pid counts only with its start time.
    PidfileStartTime,
    /// N5: the same, and a file that says nothing is stale after 30 seconds.
    PidfileAge,
    /// N6: the file appears by link(2).
    PidfileLink,
    /// N7: a stale file is moved aside and looked at again.
    PidfileRenameAside,
    /// N8: the file appears by rename(2) and is read back.
    PidfileRenameOver,
    /// N9: one process at a time removes a stale file.
    ReclaimGuard,
    /// N10: the same, and everybody removes the guard.
    ReclaimGuardFinally,
    /// N11: flock, and the name is removed before the lock goes.
    FlockUnlinkClose,
    /// N12: flock, and the name is removed after the lock has gone.
    FlockUnlockUnlink,
    /// N12b: the same with a second look at the name.
    FlockRecheckUnlockUnlink,
    /// N13: flock, a second look at the name, which is removed before the lock goes.
    FlockRecheckUnlinkClose,
    /// N14: flock, and nobody removes the name.
    FlockNeverUnlink,
    /// N15: the same with a second look at the name.
    FlockRecheckNeverUnlink,
    /// N16: fcntl(2) on the whole file.
    PosixLock,
    /// N17: `BEGIN EXCLUSIVE` of SQLite.
    SqliteExclusive,
    /// N18: a file that is touched again and again.
    LeaseHeartbeat,
    /// N18b: a file with the end of the lease.
    LeaseWallClock,
    /// N19: a sidecar with pid and start time, removed only if unchanged.
    SidecarUnchanged,
    /// N20: a flock on a name that is made from the path.
    PathHash,
    /// N21: the port, then a pid file.
    PortThenPidfile,
    /// N22: the port says whether the owner lives.
    PortProbe,
    /// N23: the lease is looked at before each write.
    VerifyThenWrite,
    /// N24: whoever's pid stands in the file is told to stop.
    PidfileKillOwner,
    /// N24b: whoever listens on the port is told to stop.
    PortKillHolder,
    /// N25: a child inherits the flock.
    FlockInherited,
    /// N26: the port is shared.
    ReusePort,
}

impl Naive {
    /// Every one, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        CATALOGUE.iter().map(|entry| entry.naive)
    }

    /// Its number.
    pub fn id(self) -> &'static str {
        self.entry().id
    }

    /// Its name on the command line and in tokens.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// What it is and what is wrong with it, in one sentence.
    pub fn describe(self) -> &'static str {
        self.entry().describe
    }

    fn entry(self) -> &'static Entry {
        let Some(entry) = CATALOGUE.iter().find(|entry| entry.naive == self) else {
            unreachable!("every naive lock is in the catalogue")
        };
        entry
    }

    /// The files that an operator would take for its lock.
    pub(super) fn lock_files(self, state: &Path) -> Vec<PathBuf> {
        match self {
            Self::BindOnly | Self::PortKillHolder | Self::ReusePort => Vec::new(),
            Self::PidfileCheckThenWrite
            | Self::PidfileUnlinkStale
            | Self::PidfileStartTime
            | Self::PidfileAge
            | Self::PidfileLink
            | Self::PidfileRenameAside
            | Self::PidfileRenameOver
            | Self::ReclaimGuard
            | Self::ReclaimGuardFinally
            | Self::SidecarUnchanged
            | Self::PortThenPidfile
            | Self::PortProbe
            | Self::PidfileKillOwner => vec![state.join(record::LOCK_FILE)],
            Self::FlockUnlinkClose
            | Self::FlockUnlockUnlink
            | Self::FlockRecheckUnlockUnlink
            | Self::FlockRecheckUnlinkClose
            | Self::FlockNeverUnlink
            | Self::FlockRecheckNeverUnlink
            | Self::FlockInherited => vec![state.join(flock::LOCK_FILE)],
            Self::PosixLock => vec![state.join(process_lock::Bytes::Whole.file())],
            Self::SqliteExclusive => vec![state.join(process_lock::Bytes::Sqlite.file())],
            Self::LeaseHeartbeat | Self::VerifyThenWrite => vec![state.join(lease_heartbeat::LEASE_FILE)],
            Self::LeaseWallClock => vec![state.join(lease_wall_clock::LEASE_FILE)],
            Self::PathHash => vec![path_hash::lock_file(state)],
        }
    }

    /// The child that each gateway of this design starts: the path of its program, and the program.
    pub(super) fn child(self) -> Option<(&'static str, Program)> {
        (self == Self::FlockInherited)
            .then(|| (flock_inherited::CHILD_PROGRAM, Program::new("child", flock_inherited::child)))
    }

    /// The whole life of one gateway with this lock. Answers the exit status.
    pub(super) async fn run<O: Os>(self, os: O, claim: Claim) -> u8 {
        use flock::{Leaving, Recheck};
        match self {
            Self::BindOnly => listener::run(os, claim, listener::Asking::ByName).await,
            Self::ReusePort => listener::run(os, claim, listener::Asking::Sharing).await,
            Self::PidfileCheckThenWrite => {
                check_then_write::run(os, claim, check_then_write::First::Nothing).await
            }
            Self::PortThenPidfile => {
                check_then_write::run(os, claim, check_then_write::First::Listener).await
            }
            Self::PidfileUnlinkStale => pidfile_unlink_stale::run(os, claim).await,
            Self::PidfileStartTime => exclusive::run(os, claim, exclusive::Rule::Identity).await,
            Self::PidfileAge => exclusive::run(os, claim, exclusive::Rule::Age).await,
            Self::SidecarUnchanged => exclusive::run(os, claim, exclusive::Rule::Unchanged).await,
            Self::PidfileLink => published::run(os, claim, published::Publishing::Link).await,
            Self::PidfileRenameOver => published::run(os, claim, published::Publishing::RenameOver).await,
            Self::PidfileRenameAside => rename_aside::run(os, claim).await,
            Self::ReclaimGuard => reclaim_guard::run(os, claim, reclaim_guard::Leaving::Maker).await,
            Self::ReclaimGuardFinally => {
                reclaim_guard::run(os, claim, reclaim_guard::Leaving::Everybody).await
            }
            Self::FlockUnlinkClose => flock::run(os, claim, Recheck::No, Leaving::UnlinkThenClose).await,
            Self::FlockUnlockUnlink => flock::run(os, claim, Recheck::No, Leaving::UnlockThenUnlink).await,
            Self::FlockRecheckUnlockUnlink => {
                flock::run(os, claim, Recheck::Yes, Leaving::UnlockThenUnlink).await
            }
            Self::FlockRecheckUnlinkClose => {
                flock::run(os, claim, Recheck::Yes, Leaving::UnlinkThenClose).await
            }
            Self::FlockNeverUnlink => flock::run(os, claim, Recheck::No, Leaving::Close).await,
            Self::FlockRecheckNeverUnlink => flock::run(os, claim, Recheck::Yes, Leaving::Close).await,
            Self::PosixLock => process_lock::run(os, claim, process_lock::Bytes::Whole).await,
            Self::SqliteExclusive => process_lock::run(os, claim, process_lock::Bytes::Sqlite).await,
            Self::LeaseHeartbeat => lease_heartbeat::run(os, claim, lease_heartbeat::Acting::Always).await,
            Self::VerifyThenWrite => lease_heartbeat::run(os, claim, lease_heartbeat::Acting::Verified).await,
            Self::LeaseWallClock => lease_wall_clock::run(os, claim).await,
            Self::PathHash => path_hash::run(os, claim).await,
            Self::PortProbe => port_probe::run(os, claim).await,
            Self::PidfileKillOwner => pidfile_kill_owner::run(os, claim).await,
            Self::PortKillHolder => port_kill_holder::run(os, claim).await,
            Self::FlockInherited => flock_inherited::run(os, claim).await,
        }
    }
}
