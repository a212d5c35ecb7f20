//! The locks that scenarios can be run on: the one that ships, the same with one token taken away, and naive ones.
//!
//! A design that is wrong on purpose is how we know that the checkers can see.

mod lease_wall_clock;
mod naive;
mod pidfile_kill_owner;
mod pidfile_unlink_stale;
mod weakened;

use std::path::{Path, PathBuf};

use gateway::{Claim, Unserved};
use portcullis_os::Os;
use sim::{Fake, Program};

pub use weakened::Token;

/// A way to own a state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    /// The reference gateway, as it ships.
    Refgate,
    /// The reference gateway with one token that is never really taken.
    Without(Token),
    /// A lock file made with `O_EXCL`, judged by `kill(pid, 0)` and unlinked when stale.
    PidfileUnlinkStale,
    /// A lock file whose recorded pid is told to stop.
    PidfileKillOwner,
    /// A lease until a time of the wall clock.
    LeaseWallClock,
}

impl Design {
    /// Every design, the reference first.
    pub fn all() -> Vec<Self> {
        let mut all =
            vec![Self::Refgate, Self::PidfileUnlinkStale, Self::PidfileKillOwner, Self::LeaseWallClock];
        all.extend(Token::ALL.into_iter().map(Self::Without));
        all
    }

    /// Its name on the command line and in tokens.
    pub fn name(self) -> String {
        match self {
            Self::Refgate => "refgate".to_owned(),
            Self::Without(token) => format!("refgate-without-{}", token.name()),
            Self::PidfileUnlinkStale => "pidfile-unlink-stale".to_owned(),
            Self::PidfileKillOwner => "pidfile-kill-owner".to_owned(),
            Self::LeaseWallClock => "lease-wall-clock".to_owned(),
        }
    }

    /// What it is, in one sentence.
    pub fn describe(self) -> String {
        match self {
            Self::Refgate => "The reference gateway, as it ships.".to_owned(),
            Self::Without(token) => format!("The reference gateway, which never takes {}.", token.describe()),
            Self::PidfileUnlinkStale => {
                "A lock file made with O_EXCL; its owner is judged by kill(pid, 0); a stale \
                                         one is unlinked."
                    .to_owned()
            }
            Self::PidfileKillOwner => {
                "A lock file made with O_EXCL; whoever's pid stands in it is told to stop, then \
                                       it is unlinked."
                    .to_owned()
            }
            Self::LeaseWallClock => {
                "A file with the end of the owner's lease by the wall clock; asked for until it \
                                     has ended."
                    .to_owned()
            }
        }
    }

    /// The design of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|design| design.name() == name)
    }

    /// The program of one gateway.
    pub fn program(self, claim: Claim) -> Program {
        Program::new(self.name(), move |process| self.run(process, claim.clone()))
    }

    /// The whole life of one gateway, on whatever operating system. Answers the exit status.
    pub async fn run<O: Os>(self, os: O, claim: Claim) -> u8 {
        match self {
            Self::Refgate => refgate(os, claim).await,
            Self::Without(token) => {
                let rule = weakened::Without::new(token, &claim);
                refgate(Fake::new(os, rule), claim).await
            }
            Self::PidfileUnlinkStale => pidfile_unlink_stale::run(os, claim).await,
            Self::PidfileKillOwner => pidfile_kill_owner::run(os, claim).await,
            Self::LeaseWallClock => lease_wall_clock::run(os, claim).await,
        }
    }

    /// The files that an operator would take for its lock.
    pub fn lock_files(self, state: &Path) -> Vec<PathBuf> {
        match self {
            Self::Refgate | Self::Without(_) => vec![state.join(gateway::lock::LOCK_FILE)],
            Self::PidfileUnlinkStale | Self::PidfileKillOwner => {
                vec![state.join(pidfile_unlink_stale::LOCK_FILE)]
            }
            Self::LeaseWallClock => vec![state.join(lease_wall_clock::LEASE_FILE)],
        }
    }
}

/// The whole life of the reference gateway, without clients.
async fn refgate<O: Os>(os: O, claim: Claim) -> u8 {
    match gateway::run(os, claim, Unserved).await {
        Ok(()) => 0,
        Err(refusal) => refusal.exit_status(),
    }
}
