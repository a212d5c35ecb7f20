//! The locks of `BEGIN EXCLUSIVE` in SQLite, as its rollback journal takes them: shared by way of pending, then reserved,
//! pending and exclusive.

use portcullis_os::{ByteRange, LockMode};

/// Held while somebody waits for readers to leave.
const PENDING: ByteRange = ByteRange { start: 0x4000_0000, length: 1 };
/// Held by who wants to write.
const RESERVED: ByteRange = ByteRange { start: 0x4000_0001, length: 1 };
/// Held by readers together, or by a writer alone.
const SHARED: ByteRange = ByteRange { start: 0x4000_0002, length: 510 };

/// Everything that is asked for, in order.
pub(in crate::designs) const BEGIN_EXCLUSIVE: [(LockMode, ByteRange); 6] = [
    (LockMode::Shared, PENDING),
    (LockMode::Shared, SHARED),
    (LockMode::Unlock, PENDING),
    (LockMode::Exclusive, RESERVED),
    (LockMode::Exclusive, PENDING),
    (LockMode::Exclusive, SHARED),
];
