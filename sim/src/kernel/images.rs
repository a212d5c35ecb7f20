//! A loss of power, and every machine that may stand there after it.
//!
//! An image of a disk is what is seen, with all changes of the log undone and some of them done again, and for each file
//! that can still be reached one of the contents that it may have. What no name leads to is gone.
//!
//! # Invariants
//!
//! - Inodes keep their numbers: what survives is the same file.
//! - The order of the outcomes is a function of the machine alone. The first is the one that has lost the most changes
//!   of directories.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::disk::{BLOCK, Disk, Operation, Persistence, Unsynced};
use super::inodes::{Content, Inode};
use super::table::Table;
use super::{HostId, Kernel};
use crate::digest::digest;
use crate::shared::Shared;

/// A write to a file of at most so many bytes may be torn after any byte.
const TORN_BYTES: usize = 64;

/// A write to a longer file is torn at multiples of this. No disk tears a sector.
const SECTOR: usize = 512;

/// A loss of power has more outcomes than anybody would go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {limit} ways in which a loss of power may end")]
pub struct TooManyOutcomes {
    /// How many ways are looked at.
    pub limit: usize,
}

/// So many ways are looked at, and no more. Several may lead to the same machine.
const MOST_WAYS: usize = 10_000;

/// Entries of the log that may survive together.
type Survivors = Vec<bool>;

impl Kernel {
    /// Every machine that may stand there when the power of a host has failed and come back. Each is different from the
    /// others, and they are always in the same order.
    ///
    /// What [`Kernel::reboot`] says is so here too. Of the file systems on its disks survives what
    /// [`Kernel::set_persistence`] allows, and what was mounted is mounted again. A write is torn after any byte if the file
    /// has at most 64 of them then, else at multiples of 512.
    ///
    /// # Errors
    ///
    /// If there are more than 10,000 ways to get to one.
    pub fn power_loss_outcomes(&self, host: HostId) -> Result<Vec<Self>, TooManyOutcomes> {
        let mut dark = self.clone();
        dark.reboot(host);
        let mut outcomes = vec![dark];
        let mounts: Vec<usize> = self.disks.keys().copied().collect();
        for mount in mounts {
            let mut next = Outcomes::new();
            for outcome in &outcomes {
                outcome.lose_disk(host, mount, &mut next)?;
            }
            outcomes = next.all;
        }
        Ok(outcomes)
    }

    /// Adds what may become of one file system.
    fn lose_disk(&self, host: HostId, mount: usize, outcomes: &mut Outcomes) -> Result<(), TooManyOutcomes> {
        let Some(disk) = self.disks.get(&mount).filter(|disk| disk.host == host) else {
            return outcomes.add(self.clone());
        };
        if disk.persistence == Persistence::Tmpfs {
            let mut empty = self.clone();
            empty.empty_root(mount);
            empty.fsck();
            return outcomes.add(empty);
        }
        let mut old = self.clone();
        old.forget_books(mount);
        for (number, inode) in disk.gone.iter() {
            old.inodes.insert(*number, inode.clone());
        }
        for operation in disk.log.iter().rev() {
            old.apply(operation, Direction::Back);
        }
        each_survivors(disk, &mut Vec::new(), &mut |survivors| {
            let mut image = old.clone();
            for (operation, _) in disk.log.iter().zip(survivors).filter(|(_, survives)| **survives) {
                image.apply(operation, Direction::Forth);
            }
            image.fsck();
            let contents: Vec<(u64, Vec<Arc<[u8]>>)> = disk
                .unsynced
                .iter()
                .filter(|(number, _)| image.inodes.get(*number).is_some())
                .map(|(number, unsynced)| {
                    (*number, unsynced.contents(least_content(disk, survivors, *number)))
                })
                .collect();
            image.each_content(&contents, outcomes)
        })
    }

    /// Adds this machine with every combination of the contents of some files.
    fn each_content(
        &self,
        files: &[(u64, Vec<Arc<[u8]>>)],
        outcomes: &mut Outcomes,
    ) -> Result<(), TooManyOutcomes> {
        let Some(((number, contents), rest)) = files.split_first() else { return outcomes.add(self.clone()) };
        for content in contents {
            let mut image = self.clone();
            image.inode_mut(*number).content = Content::Regular(Arc::clone(content));
            image.each_content(rest, outcomes)?;
        }
        Ok(())
    }

    /// Does or undoes a change of directories, without counting names.
    fn apply(&mut self, operation: &Operation, direction: Direction) {
        for change in &operation.changes {
            let bound = match direction {
                Direction::Forth => change.new,
                Direction::Back => change.old,
            };
            let entries = self.entries_mut(change.directory);
            match bound {
                Some(number) => entries.insert(Arc::clone(&change.name), number),
                None => entries.remove(&change.name),
            };
        }
    }

    /// Takes everything out of the root of a file system.
    fn empty_root(&mut self, mount: usize) {
        let root = self.roots().into_iter().find(|root| self.inode(*root).mount == mount);
        if let Some(root) = root {
            *self.entries_mut(root) = Table::new();
        }
    }

    /// The root directory of every file system: the only ones that are in themselves.
    fn roots(&self) -> Vec<u64> {
        let is_root = |number: u64, inode: &Inode| matches!(inode.content, Content::Directory { parent, .. } if parent == number);
        self.inodes
            .iter()
            .filter(|(number, inode)| is_root(**number, inode))
            .map(|(number, _)| *number)
            .collect()
    }

    fn forget_books(&mut self, mount: usize) {
        if let Some(disk) = self.disks.get_mut(&mount) {
            *disk = Shared::new(Disk::clean(disk.host, disk.persistence));
        }
    }

    /// Counts the names of every inode, tells directories where they are, and frees what nothing refers to.
    fn fsck(&mut self) {
        let roots = self.roots();
        let mut names: BTreeMap<u64, u32> = roots.iter().map(|root| (*root, 1)).collect();
        self.count_names(roots, &mut names);
        // What somebody on another host has open, or a mount shows, lives on without a name, and so do what is in it and
        // the directories that it was in.
        let used = |number: &u64, inode: &Inode| inode.opened > 0 || self.is_mounted(*number);
        let orphans: Vec<u64> = self
            .inodes
            .iter()
            .filter(|(number, inode)| used(number, inode))
            .map(|(number, _)| *number)
            .collect();
        for orphan in orphans {
            let mut current = orphan;
            while let Entry::Vacant(unnamed) = names.entry(current) {
                unnamed.insert(0);
                self.count_names(vec![current], &mut names);
                let Content::Directory { parent, .. } = self.inode(current).content else { break };
                current = parent;
            }
        }
        let numbers: Vec<u64> = self.inodes.keys().copied().collect();
        for number in numbers {
            match names.get(&number) {
                Some(count) if *count == self.inode(number).names => {}
                Some(count) => self.inode_mut(number).names = *count,
                None => drop(self.inodes.remove(&number)),
            }
        }
    }

    /// Counts the names that lead on from some directories.
    fn count_names(&mut self, mut waiting: Vec<u64>, names: &mut BTreeMap<u64, u32>) {
        while let Some(directory) = waiting.pop() {
            let Content::Directory { entries, .. } = &self.inode(directory).content else { continue };
            let inside: Vec<u64> = entries.values().copied().collect();
            for number in inside {
                let count = names.entry(number).or_default();
                *count += 1;
                if *count > 1 {
                    continue;
                }
                waiting.push(number);
                if matches!(self.inode(number).content, Content::Directory { parent, .. } if parent != directory)
                    && let Content::Directory { parent, .. } = &mut self.inode_mut(number).content
                {
                    *parent = directory;
                }
            }
        }
    }
}

/// Whether a change is done or undone.
#[derive(Clone, Copy)]
enum Direction {
    Forth,
    Back,
}

/// Machines that are all different.
struct Outcomes {
    all: Vec<Kernel>,
    seen: BTreeSet<u128>,
    ways: usize,
}

impl Outcomes {
    const fn new() -> Self {
        Self { all: Vec::new(), seen: BTreeSet::new(), ways: 0 }
    }

    fn add(&mut self, outcome: Kernel) -> Result<(), TooManyOutcomes> {
        if self.seen.insert(digest(&outcome)) {
            self.all.push(outcome);
        }
        self.ways += 1;
        if self.ways > MOST_WAYS { Err(TooManyOutcomes { limit: MOST_WAYS }) } else { Ok(()) }
    }
}

/// Calls `each` with every set of entries of the log that may survive, the empty one first.
fn each_survivors<E>(
    disk: &Disk,
    chosen: &mut Survivors,
    each: &mut impl FnMut(&[bool]) -> Result<(), E>,
) -> Result<(), E> {
    let next = chosen.len();
    if next == disk.log.len() {
        return each(chosen);
    }
    let stands = (0..next).all(|earlier| chosen[earlier] || !disk.rests_on(next, earlier));
    for survives in [false, true] {
        if survives && !stands {
            continue;
        }
        chosen.push(survives);
        each_survivors(disk, chosen, each)?;
        chosen.pop();
    }
    Ok(())
}

/// The first content that a file may have if these entries survive, by its place in the history.
fn least_content(disk: &Disk, survivors: &[bool], number: u64) -> usize {
    let after = disk.log.iter().zip(survivors).filter(|(_, survives)| **survives);
    after
        .filter_map(|(operation, _)| operation.after)
        .filter(|(of, _)| *of == number)
        .map(|(_, at)| at)
        .max()
        .unwrap_or(0)
}

impl Unsynced {
    /// What may be in the file, from one of its contents on.
    fn contents(&self, first: usize) -> Vec<Arc<[u8]>> {
        let history = &self.history[first..];
        let mut contents = Vec::new();
        for (at, content) in history.iter().enumerate() {
            if at > 0 {
                contents.extend(torn(&history[at - 1], content));
            }
            contents.push(Arc::clone(content));
            contents.extend(resized(content, &history[at + 1..]));
            contents.extend(of_old_lengths(content, &history[..at]));
        }
        let mut seen = BTreeSet::new();
        contents.retain(|content| seen.insert(Arc::clone(content)));
        contents
    }
}

/// A write that came as far as some byte. A file that gets shorter does so in one step.
fn torn(old: &[u8], new: &[u8]) -> Vec<Arc<[u8]>> {
    if new.len() < old.len() {
        return Vec::new();
    }
    let step = if new.len() <= TORN_BYTES { 1 } else { SECTOR };
    let until = |byte: usize| {
        let kept = old.get(byte..).unwrap_or_default();
        [&new[..byte], kept].concat().into()
    };
    (1..).map(|times| times * step).take_while(|byte| *byte < new.len()).map(until).collect()
}

/// Bytes that were written into the block which the file has, while the journal has an earlier length of it.
fn of_old_lengths(content: &Arc<[u8]>, earlier: &[Arc<[u8]>]) -> Vec<Arc<[u8]>> {
    let is_one_block = |content: &&Arc<[u8]>| (1..=BLOCK).contains(&content.len());
    if !is_one_block(&content) {
        return Vec::new();
    }
    let with_length = |length: usize| {
        let mut bytes = content.to_vec();
        bytes.resize(length, 0);
        bytes.into()
    };
    earlier.iter().rev().take_while(is_one_block).map(|before| with_length(before.len())).collect()
}

/// What becomes of bytes on the disk if what was written later is lost and the lengths are not: the journal has them.
///
/// A truncation is in it at once (`ext4_setattr`), and so is a file that grows in a block that it has, up to the end of the
/// block (`ext4_da_do_write_end`).
fn resized(content: &Arc<[u8]>, later: &[Arc<[u8]>]) -> Vec<Arc<[u8]>> {
    let mut bytes = content.to_vec();
    let mut blocks = bytes.len().div_ceil(BLOCK);
    let mut all = Vec::new();
    let mut before = content;
    for next in later {
        let is_truncation = match next.split_at_checked(before.len()) {
            None => true,
            Some((kept, added)) => *kept == **before && added.iter().all(|byte| *byte == 0),
        };
        let end = if is_truncation {
            next.len()
        } else {
            let room = if bytes.len() < blocks * BLOCK { bytes.len().next_multiple_of(BLOCK) } else { 0 };
            next.len().min(room).max(bytes.len())
        };
        blocks = blocks.min(end.div_ceil(BLOCK));
        if end != bytes.len() {
            bytes.resize(end, 0);
            all.push(bytes.as_slice().into());
        }
        before = next;
    }
    all
}
