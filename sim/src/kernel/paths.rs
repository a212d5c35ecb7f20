//! From a path to the directory, the last name and the inode that it means at this moment.
//!
//! See path_resolution(7). Everything after this works on inodes: a name that is rebound later changes nothing for those
//! who have already looked it up.

use std::path::Path;

use portcullis_os::{Errno, Fd, Links, Uid};

use super::inodes::{Content, Inode, ROOT};
use super::{Kernel, ProcessId};

/// `NAME_MAX`.
const NAME_BYTES: usize = 255;
/// `PATH_MAX`, which counts the final NUL.
const PATH_BYTES: usize = 4096;
/// `MAXSYMLINKS`.
const LINKS_FOLLOWED: u32 = 40;

/// May search a directory.
const SEARCH: u32 = 1;
/// May write.
pub(super) const WRITE: u32 = 2;
/// May read.
pub(super) const READ: u32 = 4;

/// Where a path leads.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The directory that the last name is looked up in.
    pub(super) directory: u64,
    /// The last name; `None` if the path ends in `.`, `..` or the root, which can be neither made nor removed.
    pub(super) name: Option<Vec<u8>>,
    /// What is there.
    pub(super) found: Option<u64>,
    /// It ends in a slash: only a directory will do.
    pub(super) slash: bool,
}

impl Place {
    /// What is there, if something that fits the path is.
    pub(super) fn existing(&self, kernel: &Kernel) -> Result<u64, Errno> {
        let found = self.found.ok_or(Errno::NotFound)?;
        if self.slash && !kernel.inode(found).is_directory() {
            return Err(Errno::NotDirectory);
        }
        Ok(found)
    }
}

impl Kernel {
    /// Looks a path up for a process, as the `*at` calls do. Every process is in `/`.
    pub(super) fn find(
        &self,
        who: ProcessId,
        at: Option<Fd>,
        path: &Path,
        links: Links,
    ) -> Result<Place, Errno> {
        let path = spelled(path)?;
        let start = match at {
            Some(fd) if !path.starts_with(b"/") => self.opened_inode(who, fd)?.ok_or(Errno::NotDirectory)?,
            Some(_) | None => ROOT,
        };
        let mut walk = Walk { kernel: self, uid: self.process(who).birth.uid, budget: LINKS_FOLLOWED };
        walk.to(start, path, links)
    }

    /// Whether the mode bits of an inode let a user do something. Root may do anything; groups are not modelled.
    pub(super) fn check(&self, uid: Uid, inode: u64, wanted: u32) -> Result<(), Errno> {
        let inode = self.inode(inode);
        let granted = if uid == inode.uid { inode.mode >> 6 } else { inode.mode };
        if uid.0 == 0 || granted & wanted == wanted { Ok(()) } else { Err(Errno::AccessDenied) }
    }

    /// Whether a user may add names to a directory. Nobody may once it is unlinked itself.
    pub(super) fn check_add(&self, uid: Uid, directory: u64) -> Result<(), Errno> {
        if self.inode(directory).names == 0 {
            return Err(Errno::NotFound);
        }
        self.check(uid, directory, WRITE | SEARCH)
    }

    /// Whether a user may take a name from a directory: in a sticky one only that of his own file.
    pub(super) fn check_remove(&self, uid: Uid, directory: u64, found: u64) -> Result<(), Errno> {
        const STICKY: u32 = 0o1000;
        self.check(uid, directory, WRITE | SEARCH)?;
        let inode = self.inode(directory);
        let owns = uid == inode.uid || uid == self.inode(found).uid;
        if uid.0 != 0 && inode.mode & STICKY != 0 && !owns { Err(Errno::NotPermitted) } else { Ok(()) }
    }
}

/// One look-up, with what is left of the patience for symbolic links.
struct Walk<'a> {
    kernel: &'a Kernel,
    uid: Uid,
    budget: u32,
}

impl Walk<'_> {
    fn to(&mut self, start: u64, path: &[u8], links: Links) -> Result<Place, Errno> {
        let mut current = if path.starts_with(b"/") { ROOT } else { start };
        let slash = path.ends_with(b"/");
        let mut parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).peekable();
        let mut dots = Place { directory: current, name: None, found: Some(current), slash };
        while let Some(part) = parts.next() {
            let directory = self.enter(current)?;
            let is_last = parts.peek().is_none();
            current = match part {
                b"." => current,
                b".." => parent(directory)
                    .filter(|up| self.kernel.inodes.get(up).is_some())
                    .ok_or(Errno::NotFound)?,
                name if name.len() > NAME_BYTES => return Err(Errno::NameTooLong),
                name => {
                    let found = directory.entry(name);
                    let followed = found.and_then(|found| target(self.kernel.inode(found)));
                    match (followed, is_last) {
                        (Some(target), true) if links == Links::Follow => {
                            let mut place = self.follow(current, target)?;
                            place.slash |= slash;
                            return Ok(place);
                        }
                        (Some(target), false) => self.follow(current, target)?.existing(self.kernel)?,
                        (_, true) => {
                            return Ok(Place {
                                directory: current,
                                name: Some(name.to_owned()),
                                found,
                                slash,
                            });
                        }
                        (None, false) => found.ok_or(Errno::NotFound)?,
                    }
                }
            };
            dots = Place { directory: current, name: None, found: Some(current), slash };
        }
        Ok(dots)
    }

    fn enter(&self, directory: u64) -> Result<&Inode, Errno> {
        let inode = self.kernel.inode(directory);
        if !inode.is_directory() {
            return Err(Errno::NotDirectory);
        }
        self.kernel.check(self.uid, directory, SEARCH)?;
        Ok(inode)
    }

    fn follow(&mut self, directory: u64, target: &[u8]) -> Result<Place, Errno> {
        self.budget = self.budget.checked_sub(1).ok_or(Errno::SymlinkLoop)?;
        self.to(directory, target, Links::Follow)
    }
}

/// The bytes of a path that the kernel would accept.
fn spelled(path: &Path) -> Result<&[u8], Errno> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() {
        Err(Errno::NotFound)
    } else if bytes.contains(&0) {
        Err(Errno::InvalidArgument)
    } else if bytes.len() >= PATH_BYTES {
        Err(Errno::NameTooLong)
    } else {
        Ok(bytes)
    }
}

const fn parent(inode: &Inode) -> Option<u64> {
    match inode.content {
        Content::Directory { parent, .. } => Some(parent),
        Content::Regular(_) | Content::Symlink(_) => None,
    }
}

fn target(inode: &Inode) -> Option<&[u8]> {
    match &inode.content {
        Content::Symlink(target) => Some(target),
        Content::Regular(_) | Content::Directory { .. } => None,
    }
}
