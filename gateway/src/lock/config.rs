//! A configuration has at most one user.
//!
//! Two locks, because each covers what the other cannot. Editors replace the inode of a file that they save, so a
//! companion beside the file is locked, which nobody edits. A file can be reached under several names, through links and
//! mounts, and a companion can be deleted, so the file itself is locked too where it exists.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use portcullis_os::{ConfigKey, Descriptor, Errno, FileId, Links, LockMode, Open, Os, Uid};

use super::{PATH_ATTEMPTS, diagnose, failed, make_directories};
use crate::claim::Claim;
use crate::refusal::{Reason, Refusal};

/// The locks on a configuration.
#[derive(Debug)]
pub(super) struct ConfigLock<O: Os> {
    pub(super) file: Option<Descriptor<O>>,
    pub(super) companion: Option<Descriptor<O>>,
    pub(super) key: ConfigKey,
}

/// The file that is locked beside a configuration. The name is frozen: another version must find the same file.
pub fn companion_name(name: &OsStr) -> OsString {
    let mut companion = OsString::from(".");
    companion.push(name);
    companion.push(".gateway.lock");
    companion
}

/// Locks the configuration.
pub(super) async fn take<O: Os>(os: &O, claim: &Claim, uid: Uid) -> Result<ConfigLock<O>, Refusal> {
    let path = &claim.config;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failed("use as a configuration", path)(Errno::InvalidArgument));
    };
    make_directories(os, parent).await?;
    let open = Open { directory: true, ..Open::read() };
    let directory = os.open(parent, open).await.map_err(failed("open", parent))?;
    let directory_id = os.stat_fd(&directory).await.map_err(failed("examine", parent))?.id;
    let subject = |file| subject(path, file, uid);
    let companion = lock_companion(os, path, &directory, name, &subject).await?;
    let file = match os.open_at(&directory, name, Open::read()).await {
        Ok(file) => Some(file),
        Err(Errno::NotFound) => match companion {
            Ok(_) => None,
            // Neither can be locked: what keeps the companion from being made is the reason.
            Err(errno) => return Err(failed("create the lock of", path)(errno)),
        },
        Err(errno) => return Err(failed("open", path)(errno)),
    };
    if let Some(file) = &file {
        let id = os.stat_fd(file).await.map_err(failed("examine", path))?.id;
        diagnose::lock(os, file, &subject(id)).await.map_err(|busy| busy.refusal("lock", path))?;
    }
    let key = ConfigKey { directory: directory_id, name: name.to_owned() };
    Ok(ConfigLock { file, companion: companion.ok(), key })
}

/// What a configuration is known by, as long as its directory is the same.
pub(super) async fn key<O: Os>(os: &O, claim: &Claim) -> Result<ConfigKey, Errno> {
    let (Some(parent), Some(name)) = (claim.config.parent(), claim.config.file_name()) else {
        return Err(Errno::InvalidArgument);
    };
    let directory = os.stat(parent, Links::Follow).await?.id;
    Ok(ConfigKey { directory, name: name.to_owned() })
}

/// A lock on a configuration, for the report.
pub(super) fn subject(path: &Path, file: FileId, uid: Uid) -> diagnose::Subject {
    diagnose::Subject {
        what: format!("the configuration {}", path.display()),
        file,
        state: None,
        control: None,
        uid,
        mode: LockMode::Exclusive,
        meaning: diagnose::Meaning::Always(Reason::ConfigShared),
    }
}

/// Locks the companion. The inner error is why there cannot be one here: the file itself must then do.
async fn lock_companion<O: Os>(
    os: &O,
    path: &Path,
    directory: &Descriptor<O>,
    name: &OsStr,
    subject: &(impl Fn(FileId) -> diagnose::Subject + Sync),
) -> Result<Result<Descriptor<O>, Errno>, Refusal> {
    let companion = companion_name(name);
    for _ in 0..PATH_ATTEMPTS {
        let file = match os.open_at(directory, &companion, Open::read_write_create()).await {
            Ok(file) => file,
            Err(errno @ (Errno::AccessDenied | Errno::NotPermitted | Errno::ReadOnly)) => {
                return Ok(Err(errno));
            }
            Err(errno) => return Err(failed("create the lock of", path)(errno)),
        };
        let id = os.stat_fd(&file).await.map_err(failed("examine the lock of", path))?.id;
        diagnose::lock(os, &file, &subject(id)).await.map_err(|busy| busy.refusal("lock", path))?;
        // The name may have been removed and taken by another file between open and lock.
        match os.stat_at(directory, &companion, Links::NoFollow).await {
            Ok(now) if now.id == id => return Ok(Ok(file)),
            Ok(_) | Err(Errno::NotFound) => {}
            Err(errno) => return Err(failed("examine the lock of", path)(errno)),
        }
    }
    Err(super::path_unstable(path))
}
