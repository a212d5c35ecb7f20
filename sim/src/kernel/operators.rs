//! What people do by hand to the files of a machine that runs: they are root, they meet the same mounts as everybody, and
//! what they do shows in the effects by [`ProcessId::ENVIRONMENT`].

use std::path::Path;
use std::sync::Arc;

use portcullis_os::{Errno, FileKind, Links, Uid};

use super::paths::Spot;
use super::{Kernel, ProcessId};

const ENVIRONMENT: ProcessId = ProcessId::ENVIRONMENT;

impl Kernel {
    /// chmod(1), through symbolic links.
    ///
    /// # Errors
    ///
    /// What chmod(2) says, for instance [`Errno::ReadOnly`].
    pub fn chmod(&mut self, path: &Path, mode: u32) -> Result<(), Errno> {
        let number = self.changeable(path)?;
        self.change(ENVIRONMENT, number, |inode| inode.mode = mode & 0o7777);
        Ok(())
    }

    /// chown(1) of the user, through symbolic links. The bits that lend the owner's powers stay, unlike on Linux.
    ///
    /// # Errors
    ///
    /// What chown(2) says, for instance [`Errno::ReadOnly`].
    pub fn chown(&mut self, path: &Path, uid: Uid) -> Result<(), Errno> {
        let number = self.changeable(path)?;
        self.change(ENVIRONMENT, number, |inode| inode.uid = uid);
        Ok(())
    }

    /// touch(1): what exists has been changed just now, and an empty file of mode 0600 comes to be where nothing is, of the
    /// owner of the directory.
    ///
    /// # Errors
    ///
    /// What open(2) or utimensat(2) say, for instance [`Errno::NotFound`] if there is no such directory.
    pub fn touch(&mut self, path: &Path) -> Result<(), Errno> {
        let place = self.find(ENVIRONMENT, None, path, Links::Follow)?;
        if place.found.is_some() {
            let number = self.changeable(path)?;
            self.stamp(ENVIRONMENT, number);
            self.change(ENVIRONMENT, number, |_| {});
            return Ok(());
        }
        if place.slash {
            return Err(Errno::IsDirectory);
        }
        self.check_vacant(&place)?;
        self.check_inode_left(ENVIRONMENT, place.directory)?;
        self.write_file(path, b"");
        Ok(())
    }

    /// `> file` and the like: what is there has other bytes in the same inode from now on, for which there is room.
    ///
    /// # Errors
    ///
    /// What open(2) says, for instance [`Errno::NotFound`] or [`Errno::ReadOnly`].
    pub fn overwrite(&mut self, path: &Path, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<(), Errno> {
        let number = self.changeable(path)?;
        let bytes = change(self.bytes(number)?);
        self.replace(ENVIRONMENT, number, Arc::from(bytes));
        Ok(())
    }

    /// mv(1) on one file system: rename(2).
    ///
    /// # Errors
    ///
    /// What rename(2) says, for instance [`Errno::CrossDevice`].
    pub fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Errno> {
        self.rename_at(ENVIRONMENT, (None, from), (None, to), true).map(|_| ())
    }

    /// ln(1): one more name for a file.
    ///
    /// # Errors
    ///
    /// What link(2) says, for instance [`Errno::Exists`].
    pub fn hard_link(&mut self, from: &Path, to: &Path) -> Result<(), Errno> {
        self.link_at(ENVIRONMENT, (None, from), (None, to)).map(|_| ())
    }

    /// `rm -rf`: removes a name and all that is under it, through mounts but not through symbolic links. A name that does
    /// not exist is no error. It goes on after what it cannot remove.
    ///
    /// # Errors
    ///
    /// What unlink(2) or rmdir(2) said first, for instance [`Errno::Busy`] of a mount point.
    pub fn remove_tree(&mut self, path: &Path) -> Result<(), Errno> {
        let place = match self.find(ENVIRONMENT, None, path, Links::NoFollow) {
            Ok(place) => place,
            Err(Errno::NotFound) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let Some(found) = place.found else { return Ok(()) };
        if self.inode(found).content.kind() != FileKind::Directory {
            return self.remove(path);
        }
        let names = self.inode(found).names_inside().unwrap_or_default();
        let inside = names.iter().map(|name| self.remove_tree(&path.join(name)));
        // Each of them is removed, whatever came of those before it.
        let inside: Vec<Result<(), Errno>> = inside.collect();
        inside.into_iter().collect::<Result<(), Errno>>()?;
        self.remove_directory(ENVIRONMENT, None, path).map(|_| ())
    }

    /// The file that a path means, if it can be changed through that path.
    fn changeable(&self, path: &Path) -> Result<u64, Errno> {
        let place = self.find(ENVIRONMENT, None, path, Links::Follow)?;
        let number = place.existing(self)?;
        self.check_writable(Spot { view: place.through, inode: number })?;
        self.check_change(number)?;
        Ok(number)
    }
}
