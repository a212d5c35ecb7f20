//! A naive lock, kept because it is the one that most projects write first. It can have two owners.
//!
//! Create the lock file with `O_EXCL` and write the own pid into it. If it exists, read the pid and ask whether such a
//! process is alive; if not, unlink the file and try again. Between "it is stale" and "unlink" somebody else can have
//! done the same and created a new one, which is then unlinked in its place.

use gateway::Claim;
use portcullis_os::{Descriptor, Errno, Notice, Os, Pid};

use super::life::{announce, prepare, serve};
use super::record::{LOCK_FILE, Recorded, create_with_pid, recorded, remove};

/// How often a stale file is removed before giving up.
const ATTEMPTS: u32 = 3;

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim) -> u8 {
    match own(&os, &claim).await {
        Ok(Ok(_file)) => {
            serve(&os).await;
            // It stays behind when the process dies, which is why others must judge it.
            let _ = os.unlink(&claim.state.join(LOCK_FILE)).await;
            0
        }
        Ok(Err(holder)) => {
            let _ = os.notify(Notice::Refused { code: "held".to_owned(), holder }).await;
            1
        }
        Err(_) => {
            let _ = os.notify(Notice::Refused { code: "error".to_owned(), holder: None }).await;
            1
        }
    }
}

/// The lock file, or the pid that is said to be alive.
async fn own<O: Os>(os: &O, claim: &Claim) -> Result<Result<Descriptor<O>, Option<Pid>>, Errno> {
    prepare(os, claim).await?;
    let path = claim.state.join(LOCK_FILE);
    for _ in 0..ATTEMPTS {
        if let Some(file) = create_with_pid(os, &path).await? {
            announce(os, claim).await?;
            return Ok(Ok(file));
        }
        match recorded(os, &path).await? {
            Recorded::Gone => continue,
            // Somebody is between create and write, or died there: nothing tells the two apart.
            Recorded::Unreadable => return Ok(Err(None)),
            Recorded::Pid(pid) if os.kill(pid, None).await != Err(Errno::NoProcess) => {
                return Ok(Err(Some(pid)));
            }
            Recorded::Pid(_) => {}
        }
        remove(os, &path).await?;
    }
    Ok(Err(None))
}
