//! An inode is the file itself: its bytes or entries, its owner and its locks, under any number of names or none.
//!
//! # Invariants
//!
//! - An inode exists while a name, an open file description, a mount or a directory below it refers to it, and not longer.
//! - Its number says who made it and as which of its files, and is used again only where [`Kernel::reuse_inode`] asks
//!   for it; then the machine remembers who made the file that has it.

use std::sync::Arc;

use portcullis_os::{FileId, FileKind, FileStatus, Pid, Uid};

use super::descriptions::DescriptionId;
use super::locks::Owner;
use super::ranges::RangeLocks;
use super::table::Table;
use super::{Effect, Kernel, ProcessId, clocks};
use crate::shared::Shared;

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
    /// When its bytes or entries were last changed, in nanoseconds after 1970.
    pub(super) modified_ns: u64,
    /// Which of them hold a flock on it.
    pub(super) locks: Table<DescriptionId, Held>,
    pub(super) ranges: RangeLocks,
    /// Whose locks on it the file system has lost, ascending.
    pub(super) lost: Vec<Owner>,
}

/// What an inode has in it. Pipes with a name and devices are not modelled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Content {
    Regular(Arc<[u8]>),
    Directory {
        entries: Table<Arc<[u8]>, u64>,
        parent: u64,
    },
    Symlink(Arc<[u8]>),
    /// The name of a Unix socket. Who listens under it is found by the number of the inode.
    Socket,
}

/// A flock that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Held {
    pub(super) exclusive: bool,
    /// The pid that called flock(2), on its host, which `/proc/locks` repeats for as long as the lock is held.
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
            Self::Socket => FileKind::Special,
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
            modified_ns: clocks::START_NS,
            locks: Table::new(),
            ranges: RangeLocks::NONE,
            lost: Vec::new(),
        }
    }

    pub(super) fn id(&self, number: u64) -> FileId {
        FileId { device: device(self.mount), inode: number }
    }

    pub(super) const fn is_directory(&self) -> bool {
        match self.content {
            Content::Directory { .. } => true,
            Content::Regular(_) | Content::Symlink(_) | Content::Socket => false,
        }
    }

    /// The number of an entry, if this is a directory that has it.
    pub(super) fn entry(&self, name: &[u8]) -> Option<u64> {
        match &self.content {
            Content::Directory { entries, .. } => entries.get(name).copied(),
            Content::Regular(_) | Content::Symlink(_) | Content::Socket => None,
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
        let mount = self.inode(directory).mount;
        let number = self.reused(who, mount).unwrap_or_else(|| self.new_number(who));
        let kind = content.kind();
        let inode = Inode {
            content,
            uid: self.process(who).birth.uid,
            mode,
            mount,
            names: 0,
            opened: 0,
            modified_ns: 0,
            locks: Table::new(),
            ranges: RangeLocks::NONE,
            lost: Vec::new(),
        };
        let file = inode.id(number);
        self.inodes.insert(number, Shared::new(inode));
        self.link(directory, name, number);
        self.stamp(who, number);
        self.stamp(who, directory);
        self.effects.tell(Effect::Created { by: who, file, kind });
        number
    }

    /// The root directory of a new file system. It is no file that anybody has created.
    pub(super) fn new_root(&mut self, mount: usize, mode: u32, uid: Uid) -> u64 {
        let number = self.new_number(ProcessId::ENVIRONMENT);
        let content = Content::empty_directory(number);
        self.inodes.insert(number, Shared::new(Inode { content, uid, mode, mount, ..Inode::root() }));
        self.stamp(ProcessId::ENVIRONMENT, number);
        number
    }

    fn new_number(&mut self, who: ProcessId) -> u64 {
        let asked = &mut self.process_mut(who).asked.inodes;
        let number = numbered(who, *asked);
        *asked += 1;
        number
    }

    /// Lets the next file that a process makes on the same file system have the number of a file that is gone, as ext4
    /// does whenever it can. Of several numbers the lowest is taken first. What the environment makes takes none.
    ///
    /// # Panics
    ///
    /// If the file still exists, if a loss of power could bring it back, or if there is no such file system.
    pub fn reuse_inode(&mut self, file: FileId) {
        assert!(self.inodes.get(&file.inode).is_none(), "inode {file} still exists");
        assert!(!self.may_come_back(file.inode), "inode {file} is still on a disk");
        let known = (0..self.mounts.len()).any(|mount| device(mount) == file.device);
        assert!(known, "there is no device {:x}", file.device);
        let creator = self.creator(file);
        self.recycled.insert(file, Recycled { creator, free: true });
    }

    /// The number that [`Kernel::reuse_inode`] has set free, if this process may take one.
    fn reused(&mut self, who: ProcessId, mount: usize) -> Option<u64> {
        if who == ProcessId::ENVIRONMENT {
            return None;
        }
        let is_free = |(file, recycled): &(&FileId, &Recycled)| recycled.free && file.device == device(mount);
        let file = self.recycled.iter().find(is_free).map(|(file, _)| *file)?;
        self.recycled.insert(file, Recycled { creator: who, free: false });
        Some(file.inode)
    }

    /// Who made a file, be it gone or not: its number says who asked for it, unless it is a number that was used before.
    pub fn creator(&self, file: FileId) -> ProcessId {
        self.recycled.get(&file).map_or_else(|| asker(file.inode), |recycled| recycled.creator)
    }

    /// The bytes or entries of a file have changed just now.
    pub(super) fn stamp(&mut self, who: ProcessId, number: u64) {
        self.inode_mut(number).modified_ns = self.file_time(who, number);
    }

    /// What the clock of the file system of a file says. It is that of the machine unless the mount says otherwise, as
    /// that of a file server may.
    fn file_time(&self, who: ProcessId, number: u64) -> u64 {
        let offset_ns = self.mount_of(number).clock_offset_ms.saturating_mul(1_000_000);
        self.wall_ns(who).saturating_add_signed(offset_ns)
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
        self.note_entry(directory, name, None, Some(number));
    }

    /// Takes a name from a file, and drops the file if that was its last reference.
    pub(super) fn unlink_entry(&mut self, directory: u64, name: &[u8]) {
        if let Some(number) = self.entries_mut(directory).remove(name) {
            self.inode_mut(number).names -= 1;
            self.note_entry(directory, name, Some(number), None);
            self.drop_unreferenced(number);
        }
    }

    /// Frees an inode that nothing refers to, and with it the directory that it was the last to keep: `..` of a directory
    /// that was removed leads to where it was, as long as somebody is in it.
    pub(super) fn drop_unreferenced(&mut self, number: u64) {
        let inode = self.inode(number);
        if inode.names > 0 || inode.opened > 0 || self.is_mounted(number) {
            return;
        }
        let Content::Directory { parent, .. } = inode.content else {
            self.free(number);
            return;
        };
        let is_below =
            |inode: &Inode| matches!(inode.content, Content::Directory { parent, .. } if parent == number);
        if !self.inodes.values().any(|inode| is_below(inode)) {
            self.free(number);
            self.drop_unreferenced(parent);
        }
    }

    fn free(&mut self, number: u64) {
        if let Some(inode) = self.inodes.remove(&number) {
            self.note_freed(number, inode);
        }
    }

    /// stat(2). A directory has its own name, its `.` and the `..` of each directory in it.
    pub(super) fn status(&self, number: u64) -> FileStatus {
        let inode = self.inode(number);
        let (links, size) = match &inode.content {
            Content::Regular(bytes) => (inode.names, bytes.len() as u64),
            Content::Symlink(target) => (inode.names, target.len() as u64),
            Content::Socket => (inode.names, 0),
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
            modified_ns: inode.modified_ns,
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

    pub(super) fn entries_mut(&mut self, directory: u64) -> &mut Table<Arc<[u8]>, u64> {
        match &mut self.inode_mut(directory).content {
            Content::Directory { entries, .. } => entries,
            Content::Regular(_) | Content::Symlink(_) | Content::Socket => {
                unreachable!("inode {directory} is no directory")
            }
        }
    }
}

/// A number of a file that is gone, for another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Recycled {
    /// Who made the last file that had it.
    creator: ProcessId,
    /// No file has it, and the next one gets it.
    free: bool,
}

/// The device of a mount.
const fn device(mount: usize) -> u64 {
    FIRST_DEVICE + mount as u64
}

/// The `request`-th id of one kind that a process asks for. Not a counter of the whole machine, on purpose.
fn numbered(who: ProcessId, request: u32) -> u64 {
    assert!(request < 1 << REQUEST_BITS, "process {} asks for too many ids", who.0);
    (u64::from(who.0) + 1) << REQUEST_BITS | u64::from(request)
}

/// Who asked for an id of [`numbered`]. The root directory was there before anybody asked.
fn asker(number: u64) -> ProcessId {
    let process = (number >> REQUEST_BITS).saturating_sub(1);
    ProcessId(u16::try_from(process).unwrap_or(u16::MAX))
}
