//! Names: making directories, renaming and removing. None of it touches what is already open.
//!
//! These calls mean the name itself: what is mounted on it only keeps it from being removed or given to another file.

use std::path::Path;

use portcullis_os::{Errno, Fd, Links, Reply};

use super::inodes::Content;
use super::paths::{Place, WRITE};
use super::{Effect, Kernel, ProcessId};

/// `EBUSY`: `.`, `..`, the root and the roots of mounts keep their names.
const BUSY: Errno = Errno::Busy;

/// A path and what it starts from.
pub(super) type At<'a> = (Option<Fd>, &'a Path);

impl Kernel {
    /// mkdirat(2).
    pub(super) fn make_directory_at(
        &mut self,
        who: ProcessId,
        at: Option<Fd>,
        path: &Path,
        mode: u32,
    ) -> Result<Reply, Errno> {
        let place = self.find(who, at, path, Links::NoFollow)?;
        let name = place.name.as_ref().filter(|_| place.entry.is_none()).ok_or(Errno::Exists)?;
        self.check_vacant(&place)?;
        self.check_add(self.process(who).birth.uid, place.directory)?;
        self.check_inode_left(who, place.directory)?;
        self.check_block_left(who, place.directory)?;
        let content = Content::empty_directory(place.directory);
        let mode = mode & 0o1777 & !self.process(who).umask;
        self.create(who, (place.directory, name), content, mode);
        Ok(Reply::Done)
    }

    /// unlinkat(2) without `AT_REMOVEDIR`.
    pub(super) fn unlink(&mut self, who: ProcessId, at: Option<Fd>, path: &Path) -> Result<Reply, Errno> {
        let place = self.find(who, at, path, Links::NoFollow)?;
        let name = place.name.as_ref().ok_or(Errno::IsDirectory)?;
        self.check_writable(place.parent())?;
        let entry = place.entry.ok_or(Errno::NotFound)?;
        let is_directory = self.inode(entry).is_directory();
        if place.slash {
            return Err(if is_directory { Errno::IsDirectory } else { Errno::NotDirectory });
        }
        self.check_remove(self.process(who).birth.uid, place.directory, entry)?;
        if is_directory {
            return Err(Errno::IsDirectory);
        }
        self.check_unmounted(&place)?;
        self.check_change(place.directory)?;
        self.remove_entry(who, place.directory, name, entry);
        Ok(Reply::Done)
    }

    /// unlinkat(2) with `AT_REMOVEDIR`.
    pub(super) fn remove_directory(
        &mut self,
        who: ProcessId,
        at: Option<Fd>,
        path: &Path,
    ) -> Result<Reply, Errno> {
        let place = self.find(who, at, path, Links::NoFollow)?;
        let name = place.name.as_ref().ok_or_else(|| unnamed(path))?;
        self.check_writable(place.parent())?;
        let entry = place.entry.ok_or(Errno::NotFound)?;
        self.check_remove(self.process(who).birth.uid, place.directory, entry)?;
        let Content::Directory { entries, .. } = &self.inode(entry).content else {
            return Err(Errno::NotDirectory);
        };
        self.check_unmounted(&place)?;
        self.check_change(place.directory)?;
        if !entries.is_empty() {
            return Err(Errno::NotEmpty);
        }
        self.remove_entry(who, place.directory, name, entry);
        Ok(Reply::Done)
    }

    /// Whether nothing is mounted on a name.
    fn check_unmounted(&self, place: &Place) -> Result<(), Errno> {
        match &place.name {
            Some(name) if self.is_mount_point(place.directory, name) => Err(BUSY),
            Some(_) | None => Ok(()),
        }
    }

    fn remove_entry(&mut self, who: ProcessId, directory: u64, name: &[u8], found: u64) {
        let file = self.inode(found).id(found);
        self.unlink_entry(directory, name);
        self.stamp(who, directory);
        self.effects.tell(Effect::Unlinked { by: who, file });
    }

    /// renameat2(2). Replacing is one step: nobody sees the name without a file.
    pub(super) fn rename_at(
        &mut self,
        who: ProcessId,
        from: At<'_>,
        to: At<'_>,
        replace: bool,
    ) -> Result<Reply, Errno> {
        self.check_call(who, &[from.0, to.0], &[from.1, to.1])?;
        let from = self.find_parent(who, from.0, from.1)?;
        let to = self.find_parent(who, to.0, to.1)?;
        if from.view != to.view {
            return Err(Errno::CrossDevice);
        }
        let Some(old) = &from.name else { return Err(BUSY) };
        let Some(new) = &to.name else { return Err(if replace { BUSY } else { Errno::Exists }) };
        self.check_writable(from.parent())?;
        from.check_name()?;
        let moved = from.entry.ok_or(Errno::NotFound)?;
        if to.entry.is_none() && self.inode(to.directory).names == 0 {
            // Nothing new is looked up in a directory that is removed (`lookup_one_qstr_excl`).
            return Err(Errno::NotFound);
        }
        to.check_name()?;
        if !replace && to.entry.is_some() {
            return Err(Errno::Exists);
        }
        self.check_shape(moved, &from, &to)?;
        if to.entry == Some(moved) {
            return Ok(Reply::Done);
        }
        self.check_rename(who, moved, &from, &to)?;
        self.begin_operation(from.directory);
        if let Some(replaced) = to.entry {
            self.remove_entry(who, to.directory, new, replaced);
        }
        self.link(to.directory, new, moved);
        self.unlink_entry(from.directory, old);
        self.end_operation(from.directory, moved, to.entry);
        self.stamp(who, from.directory);
        self.stamp(who, to.directory);
        let file = self.inode(moved).id(moved);
        self.effects.tell(Effect::Renamed { by: who, file });
        Ok(Reply::Done)
    }

    /// What `do_renameat2` in `fs/namei.c` finds wrong before it asks for permissions.
    fn check_shape(&self, moved: u64, from: &Place, to: &Place) -> Result<(), Errno> {
        if !self.inode(moved).is_directory() && (from.slash || to.slash) {
            return Err(Errno::NotDirectory);
        }
        if self.is_inside(to.directory, moved) {
            return Err(Errno::InvalidArgument);
        }
        match to.entry {
            Some(entry) if entry != moved && self.is_inside(from.directory, entry) => Err(Errno::NotEmpty),
            Some(_) | None => Ok(()),
        }
    }

    /// What `vfs_rename` finds wrong, and then the file system.
    fn check_rename(&self, who: ProcessId, moved: u64, from: &Place, to: &Place) -> Result<(), Errno> {
        let uid = self.process(who).birth.uid;
        let is_directory = self.inode(moved).is_directory();
        self.check_remove(uid, from.directory, moved)?;
        match to.entry {
            None => self.check_add(uid, to.directory)?,
            Some(replaced) => {
                self.check_remove(uid, to.directory, replaced)?;
                match (is_directory, self.inode(replaced).is_directory()) {
                    (true, false) => return Err(Errno::NotDirectory),
                    (false, true) => return Err(Errno::IsDirectory),
                    (true, true) | (false, false) => {}
                }
            }
        }
        if is_directory && from.directory != to.directory {
            self.check(uid, moved, WRITE)?;
        }
        self.check_unmounted(from)?;
        self.check_unmounted(to)?;
        self.check_change(from.directory)?;
        match to.entry.map(|replaced| &self.inode(replaced).content) {
            Some(Content::Directory { entries, .. }) if !entries.is_empty() => Err(Errno::NotEmpty),
            Some(_) | None => Ok(()),
        }
    }
}

/// What rmdir(2) says to a path that ends in no name (`do_rmdir`).
fn unnamed(path: &Path) -> Errno {
    let bytes = path.as_os_str().as_encoded_bytes();
    match bytes.split(|byte| *byte == b'/').rfind(|part| !part.is_empty()) {
        Some(b".") => Errno::InvalidArgument,
        Some(_) => Errno::NotEmpty,
        None => BUSY,
    }
}
