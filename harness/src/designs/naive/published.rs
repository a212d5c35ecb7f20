//! Naive locks whose file appears with its payload in it, so that nobody ever reads half of it: by link(2), or by
//! rename(2) and a look at who has won. How a stale one goes is as unsafe as ever.

use std::path::{Path, PathBuf};

use gateway::Claim;
use portcullis_os::{Call, Errno, Open, Os, Pid};

use super::life::{announce, prepare, refuse, serve};
use super::record::{LOCK_FILE, Recorded, is_taken, recorded, remove};

/// How often a stale file is removed before giving up.
const ATTEMPTS: u32 = 3;

/// How the file appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Publishing {
    /// As a second name of a file of one's own. The name must be free.
    Link,
    /// Over whatever has the name; the last one wins, and whoever looked before thinks that it has won.
    RenameOver,
}

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim, publishing: Publishing) -> u8 {
    let owns = match publishing {
        Publishing::Link => by_link(&os, &claim).await,
        Publishing::RenameOver => by_rename(&os, &claim).await,
    };
    if owns != Ok(true) {
        return refuse(&os).await;
    }
    serve(&os).await;
    let _ = os.unlink(&claim.state.join(LOCK_FILE)).await;
    0
}

async fn by_link<O: Os>(os: &O, claim: &Claim) -> Result<bool, Errno> {
    prepare(os, claim).await?;
    let path = claim.state.join(LOCK_FILE);
    let (_, draft) = draft(os, &path).await?;
    for _ in 0..ATTEMPTS {
        let link = Call::Link { from_at: None, from: draft.clone(), to_at: None, to: path.clone() };
        match os.done(link).await {
            Ok(()) => {
                remove(os, &draft).await?;
                announce(os, claim).await?;
                return Ok(true);
            }
            Err(Errno::Exists) => {}
            Err(errno) => return Err(errno),
        }
        if is_in_use(os, &path).await? {
            break;
        }
        remove(os, &path).await?;
    }
    remove(os, &draft).await?;
    Ok(false)
}

async fn by_rename<O: Os>(os: &O, claim: &Claim) -> Result<bool, Errno> {
    prepare(os, claim).await?;
    let path = claim.state.join(LOCK_FILE);
    if is_in_use(os, &path).await? {
        return Ok(false);
    }
    let (own, draft) = draft(os, &path).await?;
    rename(os, &draft, &path, true).await?;
    let has_won = matches!(recorded(os, &path).await?, Recorded::Pid(pid) if pid == own);
    if has_won {
        announce(os, claim).await?;
    }
    Ok(has_won)
}

/// A file of this process's own with its pid in it, beside the lock file.
async fn draft<O: Os>(os: &O, path: &Path) -> Result<(Pid, PathBuf), Errno> {
    let own = os.own_pid().await?;
    let draft = path.with_extension(format!("draft.{own}"));
    // One of that name was left by a dead process that had the same pid.
    let file = os.open(&draft, Open::create_truncate()).await?;
    os.write(&file, 0, own.to_string().as_bytes()).await?;
    Ok((own, draft))
}

async fn is_in_use<O: Os>(os: &O, path: &Path) -> Result<bool, Errno> {
    match recorded(os, path).await? {
        Recorded::Pid(pid) => Ok(is_taken(os, pid).await),
        // What is published whole is never unreadable, unless somebody else has written it.
        Recorded::Unreadable => Ok(true),
        Recorded::Gone => Ok(false),
    }
}

/// rename(2), or renameat2(2) with `RENAME_NOREPLACE`.
pub(super) async fn rename<O: Os>(os: &O, from: &Path, to: &Path, replace: bool) -> Result<(), Errno> {
    let (from, to) = (from.to_owned(), to.to_owned());
    os.done(Call::Rename { from_at: None, from, to_at: None, to, replace }).await
}
