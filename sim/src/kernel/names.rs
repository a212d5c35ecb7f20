//! Names: making directories, renaming and removing. None of it touches what is already open.

use std::path::Path;

use portcullis_os::{Errno, Fd, Links, Reply};

use super::files::UMASK;
use super::inodes::{Content, ROOT};
use super::paths::{Place, WRITE};
use super::{Effect, Kernel, ProcessId};

/// `EBUSY`: `.`, `..`, the root and the roots of mounts keep their names.
const BUSY: Errno = Errno::Other(16);

/// A path and what it starts from.
type At<'a> = (Option<Fd>, &'a Path);

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
        let name = place.name.as_ref().filter(|_| place.found.is_none()).ok_or(Errno::Exists)?;
        self.check_add(self.process(who).birth.uid, place.directory)?;
        let content = Content::empty_directory(place.directory);
        self.create(who, (place.directory, name), content, mode & 0o1777 & !UMASK);
        Ok(Reply::Done)
    }

    /// unlinkat(2) without `AT_REMOVEDIR`.
    pub(super) fn unlink(&mut self, who: ProcessId, at: Option<Fd>, path: &Path) -> Result<Reply, Errno> {
        let place = self.find(who, at, path, Links::NoFollow)?;
        let name = place.name.as_ref().ok_or(Errno::IsDirectory)?;
        let found = place.found.ok_or(Errno::NotFound)?;
        let is_directory = self.inode(found).is_directory();
        if place.slash {
            return Err(if is_directory { Errno::IsDirectory } else { Errno::NotDirectory });
        }
        self.check_remove(self.process(who).birth.uid, place.directory, found)?;
        if is_directory {
            return Err(Errno::IsDirectory);
        }
        self.remove_entry(who, place.directory, name, found);
        Ok(Reply::Done)
    }

    fn remove_entry(&mut self, who: ProcessId, directory: u64, name: &[u8], found: u64) {
        let file = self.inode(found).id(found);
        self.unlink_entry(directory, name);
        self.effects.tell(Effect::Unlinked { by: who, file });
    }

    /// renameat(2). Replacing is one step: nobody sees the name without a file.
    pub(super) fn rename(&mut self, who: ProcessId, from: At<'_>, to: At<'_>) -> Result<Reply, Errno> {
        let from = self.find(who, from.0, from.1, Links::NoFollow)?;
        let to = self.find(who, to.0, to.1, Links::NoFollow)?;
        if self.inode(from.directory).mount != self.inode(to.directory).mount {
            return Err(Errno::CrossDevice);
        }
        let (Some(old), Some(new)) = (&from.name, &to.name) else { return Err(BUSY) };
        let moved = from.found.ok_or(Errno::NotFound)?;
        self.check_shape(moved, &from, &to)?;
        if to.found == Some(moved) {
            return Ok(Reply::Done);
        }
        self.check_rename(who, moved, &from, &to)?;
        if let Some(replaced) = to.found {
            self.remove_entry(who, to.directory, new, replaced);
        }
        self.link(to.directory, new, moved);
        self.unlink_entry(from.directory, old);
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
        match to.found {
            Some(found) if found != moved && self.is_inside(from.directory, found) => Err(Errno::NotEmpty),
            Some(_) | None => Ok(()),
        }
    }

    /// What `vfs_rename` finds wrong.
    fn check_rename(&self, who: ProcessId, moved: u64, from: &Place, to: &Place) -> Result<(), Errno> {
        let uid = self.process(who).birth.uid;
        let is_directory = self.inode(moved).is_directory();
        self.check_remove(uid, from.directory, moved)?;
        match to.found {
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
        for number in [Some(moved), to.found].into_iter().flatten() {
            if self.inode(number).mount != self.inode(from.directory).mount {
                return Err(BUSY);
            }
        }
        match to.found.map(|replaced| &self.inode(replaced).content) {
            Some(Content::Directory { entries, .. }) if !entries.is_empty() => Err(Errno::NotEmpty),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a directory is `above`, or somewhere under it.
    fn is_inside(&self, directory: u64, above: u64) -> bool {
        let mut current = directory;
        while current != above {
            match self.inodes.get(&current).map(|inode| &inode.content) {
                Some(Content::Directory { parent, .. }) if current != ROOT => current = *parent,
                Some(_) | None => return false,
            }
        }
        true
    }
}
