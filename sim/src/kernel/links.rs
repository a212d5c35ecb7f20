//! More names for a file, names that point to names, and what is in a directory.
//!
//! A file has no limit of names ([`Errno::TooManyLinks`]): ext4 stops at 65,000, which no protocol comes near.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_os::{Errno, Fd, Links, Reply, Uid};

use super::inodes::{Content, Inode};
use super::names::At;
use super::paths::{READ, WRITE, spelled};
use super::{Effect, Kernel, ProcessId};

/// What a symbolic link can say without a block of its own (`ext4_symlink`).
const FAST_SYMLINK_BYTES: usize = 59;

impl Inode {
    /// The names in a directory, ascending; `None` if it is none.
    pub(super) fn names_inside(&self) -> Option<Vec<OsString>> {
        match &self.content {
            Content::Directory { entries, .. } => {
                Some(entries.keys().map(|name| OsString::from_vec(name.to_vec())).collect())
            }
            Content::Regular(_) | Content::Symlink(_) | Content::Socket => None,
        }
    }
}

impl Kernel {
    /// linkat(2), in the order in which `do_linkat` finds fault. A link to a symbolic link is a name of that link.
    pub(super) fn link_at(&mut self, who: ProcessId, from: At<'_>, to: At<'_>) -> Result<Reply, Errno> {
        self.check_call(who, &[from.0, to.0], &[from.1, to.1])?;
        let from = self.find(who, from.0, from.1, followed(from.1))?;
        let linked = from.existing(self)?;
        self.check_handle(who, linked)?;
        let to = self.find(who, to.0, to.1, Links::NoFollow)?;
        let name = to.name.as_ref().filter(|_| to.entry.is_none()).ok_or(Errno::Exists)?;
        if to.slash {
            return Err(Errno::NotFound);
        }
        self.check_vacant(&to)?;
        if from.through != to.view {
            return Err(Errno::CrossDevice);
        }
        let uid = self.process(who).birth.uid;
        self.check_linkable(uid, linked)?;
        self.check_add(uid, to.directory)?;
        if self.inode(linked).is_directory() {
            return Err(Errno::NotPermitted);
        }
        self.check_change(to.directory)?;
        self.link(to.directory, name, linked);
        self.stamp(who, to.directory);
        let file = self.inode(linked).id(linked);
        self.effects.tell(Effect::Linked { by: who, file });
        Ok(Reply::Done)
    }

    /// `may_linkat` with `fs.protected_hardlinks` 1, which systemd sets everywhere: a file of somebody else must be regular,
    /// without the bits that lend its owner's or group's powers, and open to reading and writing.
    fn check_linkable(&self, uid: Uid, number: u64) -> Result<(), Errno> {
        const SET_UID: u32 = 0o4000;
        const SET_GID_AND_EXECUTE: u32 = 0o2010;
        let inode = self.inode(number);
        let lends = inode.mode & SET_UID != 0 || inode.mode & SET_GID_AND_EXECUTE == SET_GID_AND_EXECUTE;
        let is_regular = match inode.content {
            Content::Regular(_) => true,
            Content::Directory { .. } | Content::Symlink(_) | Content::Socket => false,
        };
        let is_safe = is_regular && !lends && self.check(uid, number, READ | WRITE).is_ok();
        if uid.0 == 0 || uid == inode.uid || is_safe { Ok(()) } else { Err(Errno::NotPermitted) }
    }

    /// symlinkat(2). What the link says need not exist; how it is spelled is looked at first.
    pub(super) fn symlink(
        &mut self,
        who: ProcessId,
        target: &Path,
        at: Option<Fd>,
        path: &Path,
    ) -> Result<Reply, Errno> {
        self.check_call(who, &[at], &[target, path])?;
        let target = spelled(target)?;
        let place = self.find(who, at, path, Links::NoFollow)?;
        let name = place.name.as_ref().filter(|_| place.entry.is_none()).ok_or(Errno::Exists)?;
        if place.slash {
            return Err(Errno::NotFound);
        }
        self.check_vacant(&place)?;
        self.check_add(self.process(who).birth.uid, place.directory)?;
        self.check_inode_left(who, place.directory)?;
        if target.len() > FAST_SYMLINK_BYTES {
            self.check_block_left(who, place.directory)?;
        }
        self.create(who, (place.directory, name), Content::Symlink(Arc::from(target)), 0o777);
        Ok(Reply::Done)
    }

    /// readlinkat(2).
    pub(super) fn read_link(&self, who: ProcessId, at: Option<Fd>, path: &Path) -> Result<Reply, Errno> {
        let found = self.find(who, at, path, followed(path))?.existing(self)?;
        self.check_handle(who, found)?;
        match &self.inode(found).content {
            Content::Symlink(target) => Ok(Reply::Path(PathBuf::from(OsString::from_vec(target.to_vec())))),
            Content::Regular(_) | Content::Directory { .. } | Content::Socket => Err(Errno::InvalidArgument),
        }
    }

    /// getdents64(2) from the beginning. A directory that was removed has no entries any more (`iterate_dir`).
    pub(super) fn read_directory(&self, who: ProcessId, fd: Fd) -> Result<Reply, Errno> {
        let number = self.opened_inode(who, fd)?.ok_or(Errno::NotDirectory)?;
        let inode = self.inode(number);
        let names = inode.names_inside().ok_or(Errno::NotDirectory)?;
        if inode.names == 0 { Err(Errno::NotFound) } else { Ok(Reply::Names(names)) }
    }
}

/// A link itself is meant, unless a slash follows it.
fn followed(path: &Path) -> Links {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") { Links::Follow } else { Links::NoFollow }
}
