//! Naive locks that belong to the process, not to a descriptor: fcntl(2) locks, bare or as SQLite uses them.
//!
//! POSIX lets go of all locks of a process on a file when the process closes *any* descriptor of that file. So an owner
//! that reads its own lock file, for a status or a backup, has lost it, and is told by nobody.

use std::path::Path;

use gateway::Claim;
use portcullis_os::{ByteRange, Descriptor, Errno, LockMode, Open, Os, RangeOwner};

use super::life::{announce, prepare, refuse, serve};
use super::record::text_of;
use super::sqlite::BEGIN_EXCLUSIVE;

/// Which bytes are locked, in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// The whole file at once.
    Whole,
    /// Those of `BEGIN EXCLUSIVE` in SQLite.
    Sqlite,
}

impl Bytes {
    /// The file that is locked.
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Whole => "gateway.lock",
            Self::Sqlite => "gateway.lock.sqlite",
        }
    }

    /// Everything that is asked for, in order.
    const fn locks(self) -> &'static [(LockMode, ByteRange)] {
        match self {
            Self::Whole => &[(LockMode::Exclusive, ByteRange::WHOLE)],
            Self::Sqlite => &BEGIN_EXCLUSIVE,
        }
    }
}

/// The whole life of a gateway with this lock.
pub(super) async fn run<O: Os>(os: O, claim: Claim, bytes: Bytes) -> u8 {
    let path = claim.state.join(bytes.file());
    let Ok(Some(_file)) = own(&os, &claim, &path, bytes).await else { return refuse(&os).await };
    // Any look will do: a hash for a backup, a line in a diagnosis. It opens, reads and closes.
    let _ = text_of(&os, &path).await;
    serve(&os).await;
    0
}

async fn own<O: Os>(
    os: &O,
    claim: &Claim,
    path: &Path,
    bytes: Bytes,
) -> Result<Option<Descriptor<O>>, Errno> {
    prepare(os, claim).await?;
    let file = os.open(path, Open::read_write_create()).await?;
    for (mode, range) in bytes.locks() {
        match os.lock_range(&file, RangeOwner::Process, *mode, *range).await {
            Ok(()) => {}
            Err(Errno::WouldBlock) => return Ok(None),
            Err(errno) => return Err(errno),
        }
    }
    announce(os, claim).await?;
    Ok(Some(file))
}
