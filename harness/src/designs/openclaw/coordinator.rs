//! `BEGIN EXCLUSIVE` of SQLite on a file that holds nothing, kept open: byte range locks of the process.
//!
//! The first look for a hot journal, which takes the shared lock and gives it back, is left out: it decides nothing here.
//! Any close of any descriptor of that file would drop the locks; nothing else here opens it.

use std::path::{Path, PathBuf};

use portcullis_os::{Descriptor, Errno, Open, Os, RangeOwner};

use super::place;
use crate::designs::naive::sqlite::BEGIN_EXCLUSIVE;

/// The locks that stand in for the lock of another file.
#[derive(Debug)]
pub(super) struct Coordinator<O: Os> {
    pub(super) file: Descriptor<O>,
}

/// The file whose locks serialise what is done to a lock file.
pub(super) fn beside(lock: &Path) -> PathBuf {
    let mut name = lock.as_os_str().to_owned();
    name.push(".sqlite");
    PathBuf::from(name)
}

impl<O: Os> Coordinator<O> {
    /// Takes the locks, or says that somebody else has one of them (`SQLITE_BUSY`).
    pub(super) async fn try_begin(os: &O, path: &Path) -> Result<Option<Self>, Errno> {
        let file = match os.open(path, Open::read_write_create()).await {
            Err(Errno::NotFound) => {
                place::make_directory_of(os, path).await?;
                os.open(path, Open::read_write_create()).await?
            }
            other => other?,
        };
        let Err(errno) = begin(os, &file).await else { return Ok(Some(Self { file })) };
        let _ = file.close().await;
        // SQLite takes both for `SQLITE_BUSY`.
        if matches!(errno, Errno::WouldBlock | Errno::AccessDenied) { Ok(None) } else { Err(errno) }
    }

    /// `ROLLBACK` and close.
    pub(super) async fn release(self) {
        let _ = self.file.close().await;
    }
}

async fn begin<O: Os>(os: &O, file: &Descriptor<O>) -> Result<(), Errno> {
    for (mode, range) in BEGIN_EXCLUSIVE {
        os.lock_range(file, RangeOwner::Process, mode, range).await?;
    }
    Ok(())
}
