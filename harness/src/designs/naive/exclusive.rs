//! Naive locks that make their lock file with `O_EXCL` and write pid and start time into it, and that differ in how they
//! tell a stale one from one in use.
//!
//! Whatever the rule is, what is judged is a text that was read, and what is removed is a name.

use std::path::Path;

use gateway::Claim;
use portcullis_os::{Descriptor, Errno, Os};

use super::life::{announce, prepare, refuse, serve};
use super::record::{Identity, LOCK_FILE, create, is_older, remove, text_of};

/// How often a stale file is removed before giving up.
const ATTEMPTS: u32 = 3;
/// After how long a lock file that says nothing is taken for that of a dead process, in nanoseconds.
const STALE: u64 = 30_000_000_000;

/// Which lock files are stale, besides those whose process is dead or has another start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// None: one that says nothing is in the way for ever.
    Identity,
    /// One that says nothing and is 30 seconds old.
    Age,
    /// None, and a stale one is removed only if it still says the same.
    Unchanged,
}

/// What a lock file is judged to be.
enum Judged {
    Gone,
    InUse,
    Stale,
}

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim, rule: Rule) -> u8 {
    let path = claim.state.join(LOCK_FILE);
    let Ok(Some(_file)) = own(&os, &claim, &path, rule).await else { return refuse(&os).await };
    serve(&os).await;
    let _ = os.unlink(&path).await;
    0
}

async fn own<O: Os>(os: &O, claim: &Claim, path: &Path, rule: Rule) -> Result<Option<Descriptor<O>>, Errno> {
    prepare(os, claim).await?;
    let own = Identity::own(os).await?.text();
    for _ in 0..ATTEMPTS {
        if let Some(file) = create(os, path, &own).await? {
            announce(os, claim).await?;
            return Ok(Some(file));
        }
        match judge(os, path, rule).await? {
            Judged::Gone => {}
            Judged::InUse => return Ok(None),
            Judged::Stale => remove(os, path).await?,
        }
    }
    Ok(None)
}

async fn judge<O: Os>(os: &O, path: &Path, rule: Rule) -> Result<Judged, Errno> {
    let Some(text) = text_of(os, path).await? else { return Ok(Judged::Gone) };
    let is_stale = match Identity::parse(&text) {
        Some(owner) => !owner.lives(os).await,
        None => rule == Rule::Age && is_older(os, path, STALE).await?,
    };
    if is_stale && rule == Rule::Unchanged && text_of(os, path).await? != Some(text) {
        return Ok(Judged::InUse);
    }
    Ok(if is_stale { Judged::Stale } else { Judged::InUse })
}
