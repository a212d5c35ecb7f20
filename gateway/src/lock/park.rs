//! Who is told to wait for a conflicting gateway sleeps until that one is dead, and then starts like everybody else.
//!
//! Supervisors that know no exit statuses start a refused gateway again and again. A parked one asks nothing while it
//! waits: the kernel wakes it when the process in the way is dead and all that it held is free. It has no privilege then
//! and takes no short cut; if somebody else is quicker, it waits for that one.
//!
//! A pid is a number that the kernel gives to the next process. So a pidfd is opened first, and then the tokens are tried
//! again: if the second refusal names the same number, that process had it all the time or is dead, and then the wait is
//! over at once. Nobody waits for a stranger.
//!
//! Who is waited for is seen to hold the lock on this state directory or its writers' lock, or to have reserved a port. A
//! gateway and its children give these up by ending; one that hands them over ends as well, and its successor is waited for
//! then. Whether whoever locks the directory and does not answer is a gateway that begins or ends, or a stranger, cannot be
//! told, so a stranger is waited for until it ends as well, and that is said: a backup ends, and of a program that does not the
//! operator is told the pid. Where nobody is seen who has what is needed, it may be a process that is dying, so it is looked at
//! again a few times. Every other refusal is final.
//!
//! # Invariants
//!
//! - Nobody sleeps beside what a gateway has given up: the wait is over as soon as that process is dead.

use portcullis_os::{Errno, FOREVER_MS, Notice, Os, Pid};

use super::{Owned, acquire};
use crate::claim::Claim;
use crate::refusal::{Reason, Refusal};

/// How often is looked again where nobody is seen: a process that dies gives back its memory before its locks.
const LOOKS: u32 = 3;
/// How long between two of these looks, in milliseconds.
const LOOK_AGAIN_MS: u32 = 1_000;

/// Takes every token of the claim, once those who have them are gone.
///
/// # Errors
///
/// A refusal that waiting does not cure.
pub async fn park<O: Os>(os: &O, claim: &Claim) -> Result<Owned<O>, Refusal> {
    let mut told = None;
    let mut looks = 0;
    let mut refused = match acquire(os, claim).await {
        Ok(owned) => return Ok(owned),
        Err(refusal) => refusal,
    };
    loop {
        let Some(pid) = in_the_way(&refused) else {
            if looks == LOOKS || !refused.is_unexplained() {
                return Err(refused);
            }
            looks += 1;
            // A sleep that fails has only made the pause shorter.
            let _ = os.sleep(LOOK_AGAIN_MS).await;
            refused = match acquire(os, claim).await {
                Ok(owned) => return Ok(owned),
                Err(refusal) => refusal,
            };
            continue;
        };
        looks = 0;
        let process = match os.open_pidfd(pid).await {
            Ok(process) => Some(process),
            Err(Errno::NoProcess) => None,
            Err(errno) => return Err(unwatched(refused, pid, errno)),
        };
        refused = match acquire(os, claim).await {
            Ok(owned) => return Ok(owned),
            Err(refusal) => refusal,
        };
        let (Some(process), true) = (process, in_the_way(&refused) == Some(pid)) else { continue };
        if told != Some(pid) {
            told = Some(pid);
            // Whoever watches and is gone needs no note.
            let is_unknown = refused.reason == Reason::HeldUnknown;
            let doubt = if is_unknown { ", and nothing shows that it is a gateway" } else { "" };
            let _ = os.notify(Notice::Noted(format!("{refused}{doubt}; waiting until pid {pid} ends"))).await;
        }
        if let Err(errno) = os.wait_pidfd(&process, FOREVER_MS).await {
            return Err(unwatched(refused, pid, errno));
        }
        drop(process);
        refused = match acquire(os, claim).await {
            Ok(owned) => return Ok(owned),
            Err(refusal) => refusal,
        };
    }
}

/// The process that is in the way, if its end is the end of the refusal.
fn in_the_way(refusal: &Refusal) -> Option<Pid> {
    let is_gateway = match refusal.reason {
        Reason::HeldReady
        | Reason::HeldStarting
        | Reason::HeldDraining
        | Reason::HeldHung
        | Reason::HeldStopped
        // A gateway that has just begun, or is about to end, does not answer yet or any more.
        | Reason::HeldUnknown
        // What may still write to the state holds a lock that goes with it.
        | Reason::HeldWriters
        | Reason::PortGateway
        | Reason::PortRange => true,
        Reason::HeldOrphan
        | Reason::ConfigShared
        | Reason::WorkspaceShared
        | Reason::WorkspaceNested
        | Reason::PortForeign
        | Reason::PortOtherUser
        | Reason::PortEphemeral
        | Reason::PortReserved
        | Reason::PortUnknown
        | Reason::AddressUnavailable
        | Reason::UnsupportedFileSystem
        | Reason::LocksNotEnforced
        | Reason::RemoteFileSystem
        | Reason::InsecureDirectory
        | Reason::Permission
        | Reason::ReadOnly
        | Reason::DiskFull
        | Reason::DescriptorLimit
        | Reason::InvalidPath
        | Reason::PathUnstable
        | Reason::NewerEpoch
        | Reason::Fenced
        | Reason::Error => false,
    };
    refusal.holder.as_ref().filter(|_| is_gateway).map(|holder| holder.pid)
}

fn unwatched(mut refused: Refusal, pid: Pid, errno: Errno) -> Refusal {
    refused.evidence.push(format!("pid {pid} cannot be waited for: {errno}"));
    refused
}
