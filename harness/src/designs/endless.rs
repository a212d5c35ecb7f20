//! Naive locks that never give up: safe, and yet whoever starts beside another one may ask for ever.
//!
//! They are written as rounds that carry nothing from one to the next, so the simulator sees that a round leads back to
//! where it began, and says who could go on for ever.

use std::path::{Path, PathBuf};

use gateway::Claim;
use portcullis_os::{Call, Errno, Fd, LockMode, Open, Os, Round};

use super::naive::life::{announce, prepare, serve};

pub(super) const LOCK_FILE: &str = "gateway.flock";

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endless {
    /// Asks for the lock until it has it.
    Insists,
    /// Takes the lock together with others and then asks for it alone; gives it back and begins again if it is not alone.
    Retreats,
}

impl Endless {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Insists, Self::Retreats];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Insists => "flock-without-limit",
            Self::Retreats => "flock-upgrade",
        }
    }

    pub(super) const fn describe(self) -> &'static str {
        match self {
            Self::Insists => "A flock that is asked for again and again, without a limit.",
            Self::Retreats => {
                "A shared flock that is turned into an exclusive one; whoever is not alone gives it back and begins again."
            }
        }
    }
}

/// The whole life of a gateway with one of these locks.
pub(super) async fn run<O: Os>(which: Endless, os: O, claim: Claim) -> u8 {
    let Ok(file) = open(&os, &claim).await else { return 1 };
    let (fd, of_task) = (file.fd(), os.clone());
    os.repeat(move || ask(which, of_task.clone(), fd, claim.clone()));
    // It owns no more before the descriptor is closed, and the lock is somebody else's.
    serve(&os).await;
    0
}

async fn open<O: Os>(os: &O, claim: &Claim) -> Result<portcullis_os::Descriptor<O>, Errno> {
    prepare(os, claim).await?;
    os.open(&lock_file(&claim.state), Open::read_write_create()).await
}

/// The file that is locked.
pub(super) fn lock_file(state: &Path) -> PathBuf {
    state.join(LOCK_FILE)
}

/// One round: the lock, or nothing.
async fn ask<O: Os>(which: Endless, os: O, fd: Fd, claim: Claim) -> Round {
    let lock = |mode| os.call(Call::Flock { fd, mode });
    let owns = match which {
        Endless::Insists => lock(LockMode::Exclusive).await.is_ok(),
        Endless::Retreats => {
            let _ = lock(LockMode::Shared).await;
            let is_alone = lock(LockMode::Exclusive).await.is_ok();
            if !is_alone {
                let _ = lock(LockMode::Unlock).await;
            }
            is_alone
        }
    };
    if owns && announce(&os, &claim).await.is_ok() { Round::Over } else { Round::Again }
}
