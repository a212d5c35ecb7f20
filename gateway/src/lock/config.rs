//! A configuration has at most one user.
//!
//! Editors replace the inode of a file that they save, so what is locked is a companion beside the file, which nobody
//! edits. Where the directory cannot be written, the file itself is locked.

use std::path::Path;

use portcullis_os::{Descriptor, Errno, FileId, Open, Os, Uid};

use super::{diagnose, failed, make_directories};
use crate::claim::Claim;
use crate::refusal::{Reason, Refusal};

/// The lock on a configuration.
#[derive(Debug)]
pub(super) struct ConfigLock<O: Os> {
    _file: Descriptor<O>,
    pub(super) directory_id: FileId,
    pub(super) name: String,
}

/// Locks the configuration.
pub(super) async fn take<O: Os>(os: &O, claim: &Claim, uid: Uid) -> Result<ConfigLock<O>, Refusal> {
    let path = &claim.config;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failed("use as a configuration", path)(Errno::InvalidArgument));
    };
    let name = name.to_string_lossy().into_owned();
    make_directories(os, parent).await?;
    let open = Open { directory: true, ..Open::read() };
    let directory = os.open(parent, open).await.map_err(failed("open", parent))?;
    let directory_id = os.stat_fd(&directory).await.map_err(failed("examine", parent))?.id;
    let file = open_lock(os, path, &directory, &name).await?;
    let file_id = os.stat_fd(&file).await.map_err(failed("examine the lock of", path))?.id;
    let subject = diagnose::Subject {
        what: format!("the configuration {}", path.display()),
        file: file_id,
        control: None,
        uid,
        reason: Some(Reason::ConfigShared),
    };
    match diagnose::lock(os, &file, &subject).await {
        Ok(()) => Ok(ConfigLock { _file: file, directory_id, name }),
        Err(diagnose::Busy::Refused(refusal)) => Err(*refusal),
        Err(diagnose::Busy::Failed(errno)) => Err(failed("lock", path)(errno)),
    }
}

async fn open_lock<O: Os>(
    os: &O,
    path: &Path,
    directory: &Descriptor<O>,
    name: &str,
) -> Result<Descriptor<O>, Refusal> {
    match os.open_at(directory, format!(".{name}.gateway.lock"), Open::read_write_create()).await {
        Ok(file) => Ok(file),
        Err(Errno::AccessDenied | Errno::NotPermitted | Errno::ReadOnly) => {
            os.open_at(directory, name, Open::read()).await.map_err(failed("open", path))
        }
        Err(errno) => Err(failed("open the lock of", path)(errno)),
    }
}
