//! Naive locks that belong to the process, not to a descriptor: fcntl(2) locks, bare or as SQLite uses them.
//!
//! POSIX lets go of all locks of a process on a file when the process closes *any* descriptor of that file. So an owner
//! that reads its own lock file, for a status or a backup, has lost it, and is told by nobody.

use std::path::Path;

use gateway::Claim;
use portcullis_os::{ByteRange, Descriptor, Errno, LockMode, Open, Os, RangeOwner};

use super::life::{announce, prepare, refuse, serve};
use super::record::text_of;

/// Which bytes are locked, in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// The whole file at once.
    Whole,
    /// Those of `BEGIN EXCLUSIVE` in SQLite.
    Sqlite,
}

/// Held while somebody waits for readers to leave. These are SQLite's `PENDING_BYTE` and its two neighbours.
const PENDING: ByteRange = ByteRange { start: 0x4000_0000, length: 1 };
/// Held by who wants to write.
const RESERVED: ByteRange = ByteRange { start: 0x4000_0001, length: 1 };
/// Held by readers together, or by a writer alone.
const SHARED: ByteRange = ByteRange { start: 0x4000_0002, length: 510 };

impl Bytes {
    /// The file that is locked.
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Whole => "gateway.lock",
            Self::Sqlite => "gateway.lock.sqlite",
        }
    }

    /// Everything that is asked for, in order.
    fn locks(self) -> Vec<(LockMode, ByteRange)> {
        match self {
            Self::Whole => vec![(LockMode::Exclusive, ByteRange::WHOLE)],
            Self::Sqlite => vec![
                (LockMode::Shared, PENDING),
                (LockMode::Shared, SHARED),
                (LockMode::Unlock, PENDING),
                (LockMode::Exclusive, RESERVED),
                (LockMode::Exclusive, PENDING),
                (LockMode::Exclusive, SHARED),
            ],
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
        match os.lock_range(&file, RangeOwner::Process, mode, range).await {
            Ok(()) => {}
            Err(Errno::WouldBlock) => return Ok(None),
            Err(errno) => return Err(errno),
        }
    }
    announce(os, claim).await?;
    Ok(Some(file))
}
