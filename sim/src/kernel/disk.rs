//! What a loss of power would take: the operations of a file system that are not on its disk yet.
//!
//! The kernel holds what everybody sees. Beside it a [`Disk`] keeps the books of one file system: the changes of
//! directories that are not committed, and for each file the contents that it has had since it was last synced. What
//! is on the disk is what is seen, less any of these. A file system that is [`Persistence::Kept`] has no books.
//!
//! Sources: ext4(5) and `auto_da_alloc` in `Documentation/admin-guide/ext4.rst`; `ext4_fsync_journal`,
//! `ext4_alloc_da_blocks` and `ext4_da_do_write_end` in `fs/ext4`. Each rule was seen on ext4 of Linux 6.18, whose
//! `FS_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH` is a loss of power.
//!
//! # Invariants
//!
//! - What is seen, with the whole log undone, is a legal image; so is what is seen.
//! - An inode that the log can bring back is in the inode table or in [`Disk::gone`].
//! - What [`Persistence::Ext4`] may lose, [`Persistence::Ordered`] may lose, and that [`Persistence::Posix`] may lose.

use std::path::Path;
use std::sync::Arc;

use super::inodes::Inode;
use super::table::Table;
use super::{HostId, Kernel};
use crate::shared::Shared;

/// What a file system promises about a loss of power.
///
/// Of every model but the first: fsync(2) of a file puts its bytes on the disk. A file that was not synced has a content
/// that it once had or a write torn in its middle, with the length that it had then, earlier or later: what is missing
/// are zeros. Blocks of one file are written in the order in which they were changed, which is a simplification: it
/// matters to files of more than 4096 bytes. Modes, owners and times are never lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Persistence {
    /// Nothing is lost, as if every call were synced. No books are kept.
    Kept,
    /// ext4 with its default options. Changes of directories survive in their order (one journal). fsync(2) of anything
    /// commits the transaction that has changed it last, and all before: for a file that was created, linked, renamed,
    /// or whose length has changed, that is everything up to there. A rename over a file puts on the disk what was
    /// written into fresh blocks (`auto_da_alloc`), and comes after it.
    ///
    /// Of a file that is truncated and written again nothing is promised: its blocks are sent off by close(2), but the
    /// truncation may be committed long before.
    Ext4,
    /// Changes of directories survive in their order. fsync(2) of a directory commits its changes and all before; of a
    /// file, its bytes alone.
    Ordered,
    /// What POSIX leaves open: any changes survive, each name's in their order. fsync(2) of a directory commits its
    /// changes and what they rest on; of a file, its bytes alone. A rename survives whole or not at all, and a
    /// directory is not removed before what was in it.
    Posix,
    /// Nothing survives but the empty root.
    Tmpfs,
}

/// The books of one file system.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Disk {
    /// The host that it is in.
    pub(super) host: HostId,
    pub(super) persistence: Persistence,
    /// The changes of directories that are not committed. Oldest first; where order means nothing, in a normal form, so
    /// that changes that commute lead to equal logs.
    pub(super) log: Vec<Operation>,
    /// The change that is under way, if it has several parts.
    pub(super) under_way: Option<Operation>,
    /// The files whose bytes are not on the disk.
    pub(super) unsynced: Table<u64, Unsynced>,
    /// The inodes that nobody sees any more and that the log can bring back.
    pub(super) gone: Table<u64, Shared<Inode>>,
}

/// A change of directories that survives whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Operation {
    pub(super) changes: Vec<Change>,
    /// It comes after this content of a file, by its place in [`Unsynced::history`].
    pub(super) after: Option<(u64, usize)>,
}

/// What one name in one directory stands for, before and after.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Change {
    pub(super) directory: u64,
    pub(super) name: Arc<[u8]>,
    pub(super) old: Option<u64>,
    pub(super) new: Option<u64>,
}

/// The bytes of a file that has changed since it was synced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Unsynced {
    /// First what is on the disk, last what is seen.
    pub(super) history: Vec<Arc<[u8]>>,
    /// How much of the log was written before its length last changed. 0 where nobody asks.
    pub(super) logged: usize,
}

/// How long a cycle of contents may be to be recognized.
const CYCLE: usize = 4;

impl Persistence {
    const fn has_books(self) -> bool {
        match self {
            Self::Ext4 | Self::Ordered | Self::Posix => true,
            Self::Kept | Self::Tmpfs => false,
        }
    }
}

impl Operation {
    /// Whether it can survive only if an earlier one does, where names alone decide.
    fn rests_on(&self, earlier: &Self) -> bool {
        let removes = |directory: u64| {
            self.changes.iter().any(|change| change.old == Some(directory))
                && self.changes.iter().all(|change| change.new != Some(directory))
        };
        earlier.changes.iter().any(|was| {
            removes(was.directory)
                || self.changes.iter().any(|is| is.directory == was.directory && is.name == was.name)
        })
    }

    /// Whether it gives or takes a name of an inode, or changes it as a directory.
    fn touches(&self, inode: u64) -> bool {
        self.changes
            .iter()
            .any(|change| change.directory == inode || change.old == Some(inode) || change.new == Some(inode))
    }

    /// Makes one change of all that were made of the same name.
    fn merge(&mut self) {
        let mut merged: Vec<Change> = Vec::new();
        for change in self.changes.drain(..) {
            match merged.iter_mut().find(|was| was.directory == change.directory && was.name == change.name) {
                Some(was) => was.new = change.new,
                None => merged.push(change),
            }
        }
        self.changes = merged;
    }
}

impl Unsynced {
    /// The last content that was written into blocks which the file did not have, by its place. 0 if there is none.
    ///
    /// A disk that writes back eagerly has given blocks to all that came before, so only this one is forced by
    /// `ext4_alloc_da_blocks`, which does nothing if no block is missing.
    pub(super) fn last_allocation(&self) -> usize {
        let grows = |place: &usize| blocks(&self.history[*place]) > blocks(&self.history[*place - 1]);
        (1..self.history.len()).rev().find(grows).unwrap_or(0)
    }

    /// Forgets the last round of contents that have gone round twice since `fixed`: no outcome is lost by that, and a
    /// process that writes the same things for ever has a finite number of states.
    fn forget_cycle(&mut self, fixed: usize) {
        let last = self.history.len() - 1;
        for length in 2..=CYCLE {
            if fixed + 2 * length <= last
                && self.history[last - length..] == self.history[last - 2 * length..=last - length]
            {
                self.history.truncate(last - length + 1);
                return;
            }
        }
    }
}

/// The number of blocks that a file of these bytes has.
fn blocks(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(BLOCK)
}

/// The block size of ext4 by default, in bytes.
pub(super) const BLOCK: usize = 4096;

impl Disk {
    /// Books with nothing in them: all is on the disk.
    pub(super) const fn clean(host: HostId, persistence: Persistence) -> Self {
        Self {
            host,
            persistence,
            log: Vec::new(),
            under_way: None,
            unsynced: Table::new(),
            gone: Table::new(),
        }
    }

    /// Whether the `later` entry of the log can survive only if the `earlier` one does.
    pub(super) fn rests_on(&self, later: usize, earlier: usize) -> bool {
        match self.persistence {
            Persistence::Posix => self.log[later].rests_on(&self.log[earlier]),
            Persistence::Ext4 | Persistence::Ordered => true,
            Persistence::Kept | Persistence::Tmpfs => unreachable!("no log is kept"),
        }
    }

    fn change(&mut self, change: Change) {
        match &mut self.under_way {
            Some(operation) => operation.changes.push(change),
            None => self.append(Operation { changes: vec![change], after: None }),
        }
    }

    fn append(&mut self, operation: Operation) {
        self.log.push(operation);
        if self.persistence == Persistence::Posix {
            self.normalize();
        }
    }

    /// Sorts the log as far as its entries may change places: always the least one of those that rest on nothing left.
    fn normalize(&mut self) {
        let mut rest = std::mem::take(&mut self.log);
        while !rest.is_empty() {
            let free = |at: &usize| !rest[..*at].iter().any(|earlier| rest[*at].rests_on(earlier));
            let least = (0..rest.len()).filter(free).min_by_key(|at| &rest[*at]).unwrap_or(0);
            self.log.push(rest.remove(least));
        }
    }

    /// Writes down what the bytes of a file were and are.
    fn write(&mut self, inode: u64, old: &Arc<[u8]>, new: Arc<[u8]>) {
        let resized = old.len() != new.len();
        let fixed = self.fixed_contents(inode).max().unwrap_or(0);
        let logged = self.log.len();
        let is_journaled = self.persistence == Persistence::Ext4;
        if self.unsynced.get(&inode).is_none() {
            self.unsynced.insert(inode, Unsynced { history: vec![Arc::clone(old)], logged: 0 });
        }
        if let Some(unsynced) = self.unsynced.get_mut(&inode) {
            unsynced.history.push(new);
            unsynced.forget_cycle(fixed);
            if resized && is_journaled {
                unsynced.logged = logged;
            }
        }
    }

    /// The contents of a file that entries of the log come after.
    fn fixed_contents(&self, inode: u64) -> impl Iterator<Item = usize> {
        let after = self.log.iter().filter_map(|operation| operation.after);
        after.filter(move |(of, _)| *of == inode).map(|(_, content)| content)
    }

    /// fsync(2).
    fn sync(&mut self, inode: u64) {
        let in_it = |operation: &Operation| operation.changes.iter().any(|change| change.directory == inode);
        let last = |wanted: &dyn Fn(&Operation) -> bool| {
            self.log.iter().rposition(wanted).map_or(0, |last| last + 1)
        };
        let committed: Vec<bool> = match self.persistence {
            Persistence::Kept | Persistence::Tmpfs => return,
            Persistence::Ext4 => {
                let logged = self.unsynced.get(&inode).map_or(0, |unsynced| unsynced.logged);
                let through = last(&|operation| operation.touches(inode)).max(logged);
                (0..self.log.len()).map(|at| at < through).collect()
            }
            Persistence::Ordered => {
                let through = last(&in_it);
                (0..self.log.len()).map(|at| at < through).collect()
            }
            Persistence::Posix => {
                let mut committed: Vec<bool> = self.log.iter().map(in_it).collect();
                for later in (0..self.log.len()).rev() {
                    for earlier in 0..later {
                        committed[earlier] |= committed[later] && self.rests_on(later, earlier);
                    }
                }
                committed
            }
        };
        self.forget_contents(inode, usize::MAX);
        self.commit(&committed);
    }

    /// Takes entries from the log that are on the disk for good.
    fn commit(&mut self, committed: &[bool]) {
        let before = |at: usize| committed[..at].iter().filter(|done| **done).count();
        let numbers: Vec<u64> = self.unsynced.keys().copied().collect();
        for number in numbers {
            if let Some(unsynced) = self.unsynced.get_mut(&number) {
                unsynced.logged -= before(unsynced.logged);
            }
        }
        for (at, done) in committed.iter().enumerate() {
            // Contents are numbered anew each time, so what the entry says now is looked up here and not before.
            if let (true, Some((inode, content))) = (*done, self.log[at].after) {
                self.forget_contents(inode, content);
            }
        }
        let mut done = committed.iter();
        self.log.retain(|_| !done.next().copied().unwrap_or_default());
        let gone: Vec<u64> = self.gone.keys().copied().collect();
        for number in gone {
            if !self.remembers(number) {
                self.gone.remove(&number);
                self.unsynced.remove(&number);
            }
        }
    }

    /// Forgets the contents of a file that came before one that is on the disk.
    fn forget_contents(&mut self, inode: u64, content: usize) {
        let Some(unsynced) = self.unsynced.get_mut(&inode) else { return };
        let forgotten = content.min(unsynced.history.len() - 1);
        unsynced.history.drain(..forgotten);
        if unsynced.history.len() == 1 {
            self.unsynced.remove(&inode);
        }
        for operation in &mut self.log {
            operation.after = match operation.after {
                Some((of, content)) if of == inode => {
                    content.checked_sub(forgotten).filter(|left| *left > 0).map(|left| (of, left))
                }
                other => other,
            };
        }
    }

    /// Whether the log can bring an inode back, or take it away.
    fn remembers(&self, inode: u64) -> bool {
        self.log.iter().chain(&self.under_way).any(|operation| operation.touches(inode))
    }
}

impl Kernel {
    /// From now on a loss of power takes from the file system that a path is on what it may. What is there at this
    /// moment is on the disk, which is in `host`: a loss of power elsewhere does nothing to it. With
    /// [`Persistence::Kept`] the books are closed, and all is on the disk.
    ///
    /// # Panics
    ///
    /// If the path does not exist.
    pub fn set_persistence(&mut self, path: &Path, host: HostId, persistence: Persistence) {
        let Some(number) = self.found(path) else { panic!("{} does not exist", path.display()) };
        let mount = self.inode(number).mount;
        if persistence == Persistence::Kept {
            self.disks.remove(&mount);
            return;
        }
        self.disks.insert(mount, Shared::new(Disk::clean(host, persistence)));
    }

    /// The books of the file system that an inode is on.
    fn books(&mut self, inode: u64) -> Option<&mut Disk> {
        if self.disks.is_empty() {
            return None;
        }
        let mount = self.inode(inode).mount;
        let disk = self.disks.get_mut(&mount)?;
        disk.persistence.has_books().then(|| disk.edit())
    }

    /// Whether a file that is gone may be there again after a loss of power.
    pub(super) fn may_come_back(&self, number: u64) -> bool {
        self.disks.values().any(|disk| disk.gone.get(&number).is_some())
    }

    /// A name was given to a file, or taken from one.
    pub(super) fn note_entry(&mut self, directory: u64, name: &[u8], old: Option<u64>, new: Option<u64>) {
        if let Some(disk) = self.books(directory) {
            disk.change(Change { directory, name: Arc::from(name), old, new });
        }
    }

    /// All changes until [`Kernel::end_operation`] are one.
    pub(super) fn begin_operation(&mut self, directory: u64) {
        if let Some(disk) = self.books(directory) {
            disk.under_way = Some(Operation { changes: Vec::new(), after: None });
        }
    }

    /// The end of a rename of one file, perhaps over another one.
    pub(super) fn end_operation(&mut self, directory: u64, moved: u64, replaced: Option<u64>) {
        let Some(disk) = self.books(directory) else { return };
        let Some(mut operation) = disk.under_way.take() else { return };
        operation.merge();
        if disk.persistence == Persistence::Ext4 && replaced.is_some() {
            let allocated = disk.unsynced.get(&moved).map_or(0, Unsynced::last_allocation);
            operation.after = Some((moved, allocated)).filter(|_| allocated > 0);
        }
        disk.append(operation);
    }

    /// The bytes of a file are about to change.
    pub(super) fn note_bytes(&mut self, number: u64, new: &Arc<[u8]>) {
        if self.disks.is_empty() {
            return;
        }
        let super::inodes::Content::Regular(old) = &self.inode(number).content else { return };
        if old != new {
            let old = Arc::clone(old);
            if let Some(disk) = self.books(number) {
                disk.write(number, &old, Arc::clone(new));
            }
        }
    }

    /// fsync(2) was called.
    pub(super) fn note_sync(&mut self, number: u64) {
        if let Some(disk) = self.books(number) {
            disk.sync(number);
        }
    }

    /// An inode has lost its last reference and left the inode table.
    pub(super) fn note_freed(&mut self, number: u64, inode: Shared<Inode>) {
        let Some(disk) = self.disks.get_mut(&inode.mount) else { return };
        if !disk.persistence.has_books() {
            return;
        }
        let disk = disk.edit();
        if disk.remembers(number) {
            disk.gone.insert(number, inode);
        } else {
            disk.unsynced.remove(&number);
        }
    }
}
