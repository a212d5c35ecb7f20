//! What may be put right around a lock without anybody being harmed: the permissions of a directory of this user, and files
//! that an interrupted write has left in a state directory that nobody owns.
//!
//! A leftover is removed only while this process holds the locks of the state, so it is nobody's.

use std::ffi::OsString;

use portcullis_os::{Call, Descriptor, Errno, FileKind, FileStatus, Links, Open, Os, Uid};

use super::journal::{Named, named};
use super::{LOCK_FILE, epoch, record, state};
use crate::claim::Claim;
use crate::refusal::Refusal;

/// The sticky bit: a directory that many users share.
const SHARED: u32 = 0o1000;

/// Something that can be put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Others may enter or change the state directory, and hold its locks.
    OpenDirectory {
        /// Its permission bits.
        mode: u32,
    },
    /// Files that an interrupted write has left, by name.
    Leftovers(Vec<OsString>),
}

/// What became of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// It is put right.
    Done,
    /// Somebody stands in the way.
    Refused(Box<Refusal>),
    /// The machine did not let it happen.
    Failed(Errno),
}

/// Looks what could be put right in the state directory. Nothing, if there is none or it belongs to somebody else.
///
/// # Errors
///
/// Why it cannot be looked at.
pub async fn inspect<O: Os>(os: &O, claim: &Claim) -> Result<Vec<Finding>, Errno> {
    let Some((directory, status)) = open(os, claim).await? else { return Ok(Vec::new()) };
    let names = os.read_directory(&directory).await?;
    let mut findings = Vec::new();
    if status.mode & 0o077 != 0 && status.mode & SHARED == 0 && is_of_a_gateway(&names) {
        findings.push(Finding::OpenDirectory { mode: status.mode });
    }
    let leftovers = leftovers(os, &directory, names, status.uid).await;
    if !leftovers.is_empty() {
        findings.push(Finding::Leftovers(leftovers));
    }
    Ok(findings)
}

/// Puts one finding right, if that is safe at this moment.
pub async fn mend<O: Os>(os: &O, claim: &Claim, finding: &Finding) -> Fixed {
    let outcome = match finding {
        Finding::OpenDirectory { .. } => close_directory(os, claim).await,
        Finding::Leftovers(_) => match remove_leftovers(os, claim).await {
            Ok(outcome) => outcome,
            Err(refusal) => return Fixed::Refused(Box::new(refusal)),
        },
    };
    match outcome {
        Ok(()) => Fixed::Done,
        Err(errno) => Fixed::Failed(errno),
    }
}

/// The state directory, if it is there and this user's own.
async fn open<O: Os>(os: &O, claim: &Claim) -> Result<Option<(Descriptor<O>, FileStatus)>, Errno> {
    let open = Open { directory: true, ..Open::read() };
    let directory = match os.open(&claim.state, open).await {
        Ok(directory) => directory,
        Err(Errno::NotFound) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let status = os.stat_fd(&directory).await?;
    Ok((status.uid == os.own_uid().await?).then_some((directory, status)))
}

/// Whether a directory with these names was the state directory of a gateway. What never was one is nobody's to change.
fn is_of_a_gateway(names: &[OsString]) -> bool {
    names.iter().any(|name| name == LOCK_FILE || name == epoch::EPOCH_FILE || named(name) != Named::Other)
}

async fn close_directory<O: Os>(os: &O, claim: &Claim) -> Result<(), Errno> {
    match open(os, claim).await? {
        Some((directory, _)) => os.set_mode(&directory, 0o700).await,
        None => Err(Errno::NotFound),
    }
}

/// Removes every leftover there is once nobody else can own the state.
async fn remove_leftovers<O: Os>(os: &O, claim: &Claim) -> Result<Result<(), Errno>, Refusal> {
    let told = |errno| Refusal::from_errno("ask for", "the own user id", errno);
    let uid = os.own_uid().await.map_err(told)?;
    let locked = state::take(os, claim, uid).await?;
    // What a later version leaves may mean something to it.
    epoch::last_begun(os, claim, &locked.directory).await?;
    Ok(remove_all(os, &locked.directory, uid).await)
}

async fn remove_all<O: Os>(os: &O, directory: &Descriptor<O>, uid: Uid) -> Result<(), Errno> {
    let names = os.read_directory(directory).await?;
    for name in leftovers(os, directory, names, uid).await {
        os.done(Call::Unlink { at: Some(directory.fd()), path: name.into() }).await?;
    }
    Ok(())
}

/// Which of the names in a directory are what an interrupted write of this user has left.
async fn leftovers<O: Os>(
    os: &O,
    directory: &Descriptor<O>,
    names: Vec<OsString>,
    uid: Uid,
) -> Vec<OsString> {
    let mut found = Vec::new();
    for name in names {
        if (name == record::TEMPORARY || epoch::is_temporary(&name))
            && let Ok(status) = os.stat_at(directory, &name, Links::NoFollow).await
            && status.kind == FileKind::Regular
            && status.uid == uid
        {
            found.push(name);
        }
    }
    found
}
