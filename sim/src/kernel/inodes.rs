//! An inode is the file itself: its bytes or entries, its owner and its locks, under any number of names or none.
//!
//! # Invariants
//!
//! - An inode exists while it has a name or an open file description, and not longer.
//! - Its number says who made it and as which of its files, and is never used again.

use std::sync::Arc;

use portcullis_os::{FileId, FileKind, FileStatus, Pid, Uid};

use super::descriptions::DescriptionId;
use super::shared::Shared;
use super::table::Table;
use super::{Effect, Kernel, ProcessId};

/// The root directory's number, as on ext4.
pub(super) const ROOT: u64 = 2;

/// The device of the root file system, 8:1. Other mounts follow it.
const FIRST_DEVICE: u64 = 0x801;

/// Bits of an id below the bits that say who asked for it.
const REQUEST_BITS: u32 = 20;

/// A file of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Inode {
    pub(super) content: Content,
    pub(super) uid: Uid,
    pub(super) mode: u32,
    /// Which mount it is on, by index.
    pub(super) mount: usize,
    /// How many names it has.
    pub(super) names: u32,
    /// How many open file descriptions refer to it.
    pub(super) opened: u32,
    /// Which of them hold a flock on it.
    pub(super) locks: Table<DescriptionId, Held>,
}

/// What an inode has in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Content {
    Regular(Arc<[u8]>),
    Directory { entries: Table<Arc<[u8]>, u64>, parent: u64 },
    Symlink(Arc<[u8]>),
}

/// A flock that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Held {
    pub(super) exclusive: bool,
    /// The pid that called flock(2), which `/proc/locks` repeats for as long as the lock is held.
    pub(super) taken_by: Pid,
}

impl Content {
    pub(super) fn empty_file() -> Self {
        Self::Regular(Arc::from([]))
    }

    pub(super) const fn empty_directory(parent: u64) -> Self {
        Self::Directory { entries: Table::new(), parent }
    }

    pub(super) const fn kind(&self) -> FileKind {
        match self {
            Self::Regular(_) => FileKind::Regular,
            Self::Directory { .. } => FileKind::Directory,
            Self::Symlink(_) => FileKind::Symlink,
        }
    }
}

impl Inode {
    pub(super) fn root() -> Self {
        Self {
            content: Content::empty_directory(ROOT),
            uid: Uid(0),
            mode: 0o755,
            mount: 0,
            names: 1,
            opened: 0,
            locks: Table::new(),
        }
    }

    pub(super) fn id(&self, number: u64) -> FileId {
        FileId { device: FIRST_DEVICE + self.mount as u64, inode: number }
    }

    pub(super) const fn is_directory(&self) -> bool {
        match self.content {
            Content::Directory { .. } => true,
            Content::Regular(_) | Content::Symlink(_) => false,
        }
    }

    /// The number of an entry, if this is a directory that has it.
    pub(super) fn entry(&self, name: &[u8]) -> Option<u64> {
        match &self.content {
            Content::Directory { entries, .. } => entries.get(name).copied(),
            Content::Regular(_) | Content::Symlink(_) => None,
        }
    }
}

impl Kernel {
    /// Adds a file to a directory.
    pub(super) fn create(
        &mut self,
        who: ProcessId,
        (directory, name): (u64, &[u8]),
        content: Content,
        mode: u32,
    ) -> u64 {
        let asked = &mut self.process_mut(who).asked.inodes;
        let number = numbered(who, *asked);
        *asked += 1;
        let kind = content.kind();
        let inode = Inode {
            content,
            uid: self.process(who).birth.uid,
            mode,
            mount: self.inode(directory).mount,
            names: 0,
            opened: 0,
            locks: Table::new(),
        };
        let file = inode.id(number);
        self.inodes.insert(number, Shared::new(inode));
        self.link(directory, name, number);
        self.effects.tell(Effect::Created { by: who, file, kind });
        number
    }

    /// The number of a new socket.
    pub(super) fn new_socket(&mut self, who: ProcessId) -> u64 {
        let asked = &mut self.process_mut(who).asked.sockets;
        let number = numbered(who, *asked);
        *asked += 1;
        number
    }

    /// Gives a file a name that is free.
    pub(super) fn link(&mut self, directory: u64, name: &[u8], number: u64) {
        let inode = self.inode_mut(number);
        inode.names += 1;
        if let Content::Directory { parent, .. } = &mut inode.content {
            *parent = directory;
        }
        let taken = self.entries_mut(directory).insert(Arc::from(name), number);
        assert_eq!(taken, None, "a name is given twice");
    }

    /// Takes a name from a file, and drops the file if that was its last reference.
    pub(super) fn unlink_entry(&mut self, directory: u64, name: &[u8]) {
        if let Some(number) = self.entries_mut(directory).remove(name) {
            self.inode_mut(number).names -= 1;
            self.drop_unreferenced(number);
        }
    }

    /// Frees an inode that neither a name nor a description refers to.
    pub(super) fn drop_unreferenced(&mut self, number: u64) {
        let inode = self.inode(number);
        if inode.names == 0 && inode.opened == 0 {
            self.inodes.remove(&number);
        }
    }

    /// stat(2). A directory has its own name, its `.` and the `..` of each directory in it.
    pub(super) fn status(&self, number: u64) -> FileStatus {
        let inode = self.inode(number);
        let (links, size) = match &inode.content {
            Content::Regular(bytes) => (inode.names, bytes.len() as u64),
            Content::Symlink(target) => (inode.names, target.len() as u64),
            Content::Directory { entries, .. } if inode.names > 0 => {
                let inside = entries.values().filter(|entry| self.inode(**entry).is_directory());
                (2 + inside.map(|_| 1).sum::<u32>(), 4096)
            }
            Content::Directory { .. } => (0, 4096),
        };
        FileStatus {
            id: inode.id(number),
            kind: inode.content.kind(),
            mode: inode.mode,
            uid: inode.uid,
            links,
            size,
        }
    }

    pub(super) fn inode(&self, number: u64) -> &Inode {
        match self.inodes.get(&number) {
            Some(inode) => inode,
            None => unreachable!("inode {number} is referred to and does not exist"),
        }
    }

    pub(super) fn inode_mut(&mut self, number: u64) -> &mut Inode {
        match self.inodes.get_mut(&number) {
            Some(inode) => inode.edit(),
            None => unreachable!("inode {number} is referred to and does not exist"),
        }
    }

    fn entries_mut(&mut self, directory: u64) -> &mut Table<Arc<[u8]>, u64> {
        match &mut self.inode_mut(directory).content {
            Content::Directory { entries, .. } => entries,
            Content::Regular(_) | Content::Symlink(_) => unreachable!("inode {directory} is no directory"),
        }
    }
}

/// The `request`-th id of one kind that a process asks for. Not a counter of the whole machine, on purpose.
fn numbered(who: ProcessId, request: u32) -> u64 {
    assert!(request < 1 << REQUEST_BITS, "process {} asks for too many ids", who.0);
    (u64::from(who.0) + 1) << REQUEST_BITS | u64::from(request)
}

/// Who asked for an id of [`numbered`]. The root directory was there before anybody asked.
pub(super) fn asker(number: u64) -> ProcessId {
    let process = (number >> REQUEST_BITS).saturating_sub(1);
    ProcessId(u16::try_from(process).unwrap_or(u16::MAX))
}
