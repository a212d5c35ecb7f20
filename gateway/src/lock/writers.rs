//! Nobody becomes an owner while a process that an earlier owner has started may still write to the state.
//!
//! A lock that such a child inherited would keep its place in the kernel and say nothing of whose it is. So children get a
//! lock of their own: one shared description of `writers.lock`. An owner that starts takes it exclusively for an instant,
//! which fails for as long as one of them lives, and then holds it shared like them.
//!
//! The same two descriptions test the file system: while the first holds the lock exclusively, the second must be denied
//! it. A file system that grants it does not lock, whatever it says, and is refused before anything is written.

use portcullis_os::{Descriptor, Errno, FileId, LockMode, Open, Os, Uid};

use super::diagnose::{self, Meaning, Subject};
use super::state::StateLock;
use super::{PATH_ATTEMPTS, WRITERS_FILE, failed, responder};
use crate::claim::Claim;
use crate::refusal::{Reason, Refusal, quoted};

/// Makes sure that nobody else writes, and becomes a writer.
pub(super) async fn take<O: Os>(
    os: &O,
    claim: &Claim,
    state: &StateLock<O>,
    uid: Uid,
) -> Result<Descriptor<O>, Refusal> {
    let path = claim.state.join(WRITERS_FILE);
    let subject = |file: FileId, mode: LockMode| Subject { mode, ..subject(&path, state.id, file, uid) };
    let open = || os.open_at(&state.directory, WRITERS_FILE, Open::read_write_create());
    for _ in 0..PATH_ATTEMPTS {
        let probe = open().await.map_err(failed("open the writers' lock", &path))?;
        lock(os, &probe, LockMode::Exclusive, &path, &subject).await?;
        let held = open().await.map_err(failed("open the writers' lock", &path))?;
        match os.flock(&held, LockMode::Shared).await {
            Err(Errno::WouldBlock) => {}
            Ok(()) => {
                let first = os.stat_fd(&probe).await.map_err(failed("examine the writers' lock", &path))?;
                let second = os.stat_fd(&held).await.map_err(failed("examine the writers' lock", &path))?;
                if first.id == second.id {
                    return Err(not_enforced(claim, &path));
                }
                // The name was given to another file meanwhile.
                continue;
            }
            Err(errno) => return Err(failed("lock", &path)(errno)),
        }
        // From here on a stranger may lock it, who is then waited for or named; a child of an earlier owner is gone for good.
        probe.close().await.map_err(failed("close the writers' lock", &path))?;
        lock(os, &held, LockMode::Shared, &path, &subject).await?;
        return Ok(held);
    }
    Err(super::path_unstable(&claim.state))
}

/// The lock of those who write, for the report.
pub(super) fn subject(path: &std::path::Path, state: FileId, file: FileId, uid: Uid) -> Subject {
    Subject {
        what: format!("the writers' lock {}", path.display()),
        file,
        state: Some(state),
        // Where the lock file is all there is and somebody has removed it, an owner lives on and answers there.
        control: Some(responder::control_name(state)),
        uid,
        mode: LockMode::Exclusive,
        meaning: Meaning::Writer,
    }
}

/// Locks, and asks who it is about only if somebody is in the way.
async fn lock<O: Os>(
    os: &O,
    file: &Descriptor<O>,
    mode: LockMode,
    path: &std::path::Path,
    subject: &(impl Fn(FileId, LockMode) -> Subject + Sync),
) -> Result<(), Refusal> {
    if diagnose::try_lock(os, file, mode).await.map_err(|busy| busy.refusal("lock", path))? {
        return Ok(());
    }
    let id = os.stat_fd(file).await.map_err(failed("examine the writers' lock", path))?.id;
    diagnose::lock(os, file, &subject(id, mode)).await.map_err(|busy| busy.refusal("lock", path))
}

fn not_enforced(claim: &Claim, path: &std::path::Path) -> Refusal {
    let (state, path) = (claim.state.display(), path.display());
    Refusal {
        reason: Reason::LocksNotEnforced,
        what: format!("the file system of {state} grants locks that exclude nobody"),
        holder: None,
        evidence: vec![
            format!("flock {path}: granted exclusively"),
            format!("flock {path}: granted a second time, while the first was held"),
        ],
        next: format!("df {}", quoted(&state.to_string())),
        do_not: Some("run without a lock: two gateways would write to one state"),
        may_pass: false,
    }
}
