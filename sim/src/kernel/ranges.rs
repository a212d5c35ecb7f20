//! Byte range locks of fcntl(2), which belong to a process (`F_SETLK`) or to an open file description (`F_OFD_SETLK`).
//!
//! The two kinds are in each other's way, even in one process. `posix_lock_inode` in `fs/locks.c` decides.
//!
//! # Invariants
//!
//! - The locks of one owner never overlap: the latest decides, byte by byte. Neighbours of one mode are one lock.
//! - A lock that is refused leaves what the owner had.

use portcullis_os::{ByteRange, Errno, Fd, LockMode, Pid, RangeHolder, RangeOwner, Reply};

use super::descriptions::{DescriptionId, Object};
use super::inodes::Inode;
use super::locks::{LockRules, Owner};
use super::{Kernel, ProcessId};

/// `OFFSET_MAX`: the last byte that a file can have.
const LAST_BYTE: u64 = i64::MAX.cast_unsigned();

/// The byte range locks on one file.
///
/// Owners stand in the order in which they came, each with his locks in ascending order. That is the order of the
/// kernel, and it is no accident of history: `F_GETLK` names the first lock that is in the way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RangeLocks(Vec<(Owner, Vec<Span>)>);

/// Bytes that are locked in one mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Span {
    bytes: Bytes,
    exclusive: bool,
}

/// At least one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bytes {
    first: u64,
    last: u64,
}

impl Bytes {
    /// What a flock would lock if it locked bytes.
    const WHOLE: Self = Self { first: 0, last: LAST_BYTE };

    /// `flock64_to_posix_lock`. What would be negative there is refused: a range starts at its start.
    fn new(range: ByteRange) -> Result<Self, Errno> {
        let ByteRange { start: first, length } = range;
        if first > LAST_BYTE || length > LAST_BYTE {
            return Err(Errno::InvalidArgument);
        }
        match length.checked_sub(1) {
            None => Ok(Self { first, last: LAST_BYTE }),
            Some(more) if more > LAST_BYTE - first => Err(Errno::Overflow),
            Some(more) => Ok(Self { first, last: first + more }),
        }
    }

    /// A range that reaches the last byte shows as one without an end, however it was asked for.
    const fn range(self) -> ByteRange {
        let length = if self.last == LAST_BYTE { 0 } else { self.last - self.first + 1 };
        ByteRange { start: self.first, length }
    }

    const fn overlap(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl RangeLocks {
    pub(super) const NONE: Self = Self(Vec::new());

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = Owner> {
        self.0.iter().map(|(owner, _)| *owner)
    }

    pub(super) fn are_held_by(&self, owner: Owner) -> bool {
        self.owners().any(|other| other == owner)
    }

    pub(super) fn remove(&mut self, owner: Owner) {
        self.0.retain(|(other, _)| *other != owner);
    }

    fn iter(&self) -> impl Iterator<Item = (Owner, Span)> {
        self.0.iter().flat_map(|(owner, spans)| spans.iter().map(|span| (*owner, *span)))
    }

    /// Locks bytes in a mode, whatever their owner has on them.
    fn lock(&mut self, owner: Owner, span: Span) {
        let index = self.0.iter().position(|(other, _)| *other == owner).unwrap_or_else(|| {
            self.0.push((owner, Vec::new()));
            self.0.len() - 1
        });
        let spans = &mut self.0[index].1;
        carve(spans, span.bytes);
        spans.push(span);
        spans.sort_unstable_by_key(|span| span.bytes.first);
        spans.dedup_by(|next, span| {
            let joins = span.exclusive == next.exclusive && span.bytes.last + 1 == next.bytes.first;
            if joins {
                span.bytes.last = next.bytes.last;
            }
            joins
        });
    }

    fn unlock(&mut self, owner: Owner, bytes: Bytes) {
        for (_, spans) in self.0.iter_mut().filter(|(other, _)| *other == owner) {
            carve(spans, bytes);
        }
        self.0.retain(|(_, spans)| !spans.is_empty());
    }
}

/// Takes bytes out of the locks of one owner: one in the middle of which they are becomes two.
fn carve(spans: &mut Vec<Span>, hole: Bytes) {
    for span in std::mem::take(spans) {
        if !span.bytes.overlap(hole) {
            spans.push(span);
            continue;
        }
        if span.bytes.first < hole.first {
            spans.push(Span { bytes: Bytes { last: hole.first - 1, ..span.bytes }, ..span });
        }
        if span.bytes.last > hole.last {
            spans.push(Span { bytes: Bytes { first: hole.last + 1, ..span.bytes }, ..span });
        }
    }
}

/// What byte range locks are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// An inode.
    File(u64),
    /// What is no file has an inode of its own, and one description as long as it lives.
    Other(DescriptionId),
}

impl Kernel {
    /// `F_SETLK` and `F_OFD_SETLK`. A range that cannot be comes first, then a descriptor that is not open for writing
    /// (`fcntl_setlk`).
    pub(super) fn lock_range(
        &mut self,
        who: ProcessId,
        fd: Fd,
        owner: RangeOwner,
        mode: LockMode,
        range: ByteRange,
    ) -> Result<Reply, Errno> {
        let owner = self.range_owner(who, fd, owner)?;
        let bytes = Bytes::new(range)?;
        if mode == LockMode::Exclusive && !self.is_writable(who, fd)? {
            return Err(Errno::BadDescriptor);
        }
        let (target, rules) = self.range_target(who, fd)?;
        let exclusive = match mode {
            LockMode::Exclusive => true,
            LockMode::Shared => false,
            LockMode::Unlock => {
                if self.ranges_on(target).are_held_by(owner) {
                    self.edit_ranges(target, |ranges| ranges.unlock(owner, bytes));
                }
                self.forgive(target, owner);
                return Ok(Reply::Done);
            }
        };
        let span = Span { bytes, exclusive };
        if self.first_in_the_way(target, rules, owner, span).is_some() {
            return Err(Errno::WouldBlock);
        }
        self.edit_ranges(target, |ranges| ranges.lock(owner, span));
        Ok(Reply::Done)
    }

    /// `F_GETLK` and `F_OFD_GETLK`. To ask for an unlock is no question for the one (`EINVAL`), and for the other means the
    /// first lock of its own description (`posix_test_locks_conflict`, since Linux 6.6).
    pub(super) fn range_holder(
        &self,
        who: ProcessId,
        fd: Fd,
        owner: RangeOwner,
        mode: LockMode,
        range: ByteRange,
    ) -> Result<Reply, Errno> {
        let kind = owner;
        let owner = self.range_owner(who, fd, kind)?;
        let exclusive = match (mode, kind) {
            (LockMode::Unlock, RangeOwner::Process) => return Err(Errno::InvalidArgument),
            (LockMode::Unlock, RangeOwner::Description) => None,
            (LockMode::Shared, _) => Some(false),
            (LockMode::Exclusive, _) => Some(true),
        };
        let bytes = Bytes::new(range)?;
        let (target, rules) = self.range_target(who, fd)?;
        let found = match exclusive {
            Some(exclusive) => self.first_in_the_way(target, rules, owner, Span { bytes, exclusive }),
            None => {
                let mut locks = self.ranges_on(target).iter();
                locks.find(|(other, span)| *other == owner && span.bytes.overlap(bytes))
            }
        };
        Ok(Reply::Range(found.map(|(owner, span)| RangeHolder {
            mode: if span.exclusive { LockMode::Exclusive } else { LockMode::Shared },
            range: span.bytes.range(),
            pid: match owner {
                Owner::Process(process) => self.owner_seen_by(who, process),
                Owner::Description(_) => None,
            },
        })))
    }

    /// `locks_translate_pid`: only who is visible from the asker's pid namespace has a number.
    fn owner_seen_by(&self, asker: ProcessId, owner: ProcessId) -> Option<Pid> {
        self.pid_in(self.process(asker).birth.place.pids, owner)
    }

    fn range_owner(&self, who: ProcessId, fd: Fd, owner: RangeOwner) -> Result<Owner, Errno> {
        let id = self.description_of(who, fd)?;
        Ok(match owner {
            RangeOwner::Process => Owner::Process(who),
            RangeOwner::Description => Owner::Description(id),
        })
    }

    fn range_target(&self, who: ProcessId, fd: Fd) -> Result<(Target, LockRules), Errno> {
        if let Object::Pidfd { .. } = self.object(who, fd)? {
            return Err(Errno::NotImplemented);
        }
        Ok(match self.opened_inode(who, fd)? {
            Some(number) => (Target::File(number), self.lock_rules(number)?),
            None => (Target::Other(self.description_of(who, fd)?), LockRules::LOCAL),
        })
    }

    /// The first lock that is in the way of a byte range lock. Where flocks are, they come last.
    fn first_in_the_way(
        &self,
        target: Target,
        rules: LockRules,
        owner: Owner,
        span: Span,
    ) -> Option<(Owner, Span)> {
        let range = self.ranges_on(target).iter().find(|(other, held)| {
            (span.exclusive || held.exclusive)
                && span.bytes.overlap(held.bytes)
                && self.are_rivals(rules, owner, *other)
        });
        match target {
            Target::File(number) if rules.kinds_meet => range.or_else(|| {
                let (id, held) = self.flock_in_the_way(number, rules, owner, span.exclusive)?;
                Some((Owner::Description(id), Span { bytes: Bytes::WHOLE, exclusive: held.exclusive }))
            }),
            Target::File(_) | Target::Other(_) => range,
        }
    }

    /// Whether a flock that is a lock on all bytes is refused.
    pub(super) fn keeps_whole_out(
        &self,
        number: u64,
        rules: LockRules,
        owner: Owner,
        exclusive: bool,
    ) -> bool {
        let whole = Span { bytes: Bytes::WHOLE, exclusive };
        self.first_in_the_way(Target::File(number), rules, owner, whole).is_some()
    }

    /// Drops what an owner has locked.
    pub(super) fn drop_ranges(&mut self, target: Target, owner: Owner) {
        if self.ranges_on(target).are_held_by(owner) {
            self.edit_ranges(target, |ranges| ranges.remove(owner));
        }
        self.forgive(target, owner);
    }

    fn ranges_on(&self, target: Target) -> &RangeLocks {
        static NONE: RangeLocks = RangeLocks::NONE;
        match target {
            Target::File(number) => &self.inode(number).ranges,
            Target::Other(id) => self.other_ranges.get(&id).unwrap_or(&NONE),
        }
    }

    /// What nobody has locked anything of is not in the table.
    fn edit_ranges(&mut self, target: Target, edit: impl FnOnce(&mut RangeLocks)) {
        match target {
            Target::File(number) => edit(&mut self.inode_mut(number).ranges),
            Target::Other(id) => {
                let mut ranges = self.other_ranges.remove(&id).unwrap_or(RangeLocks::NONE);
                edit(&mut ranges);
                if !ranges.is_empty() {
                    self.other_ranges.insert(id, ranges);
                }
            }
        }
    }
}

impl Inode {
    pub(super) fn is_locked(&self) -> bool {
        !self.locks.is_empty() || !self.ranges.is_empty()
    }
}
