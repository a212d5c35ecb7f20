//! From a path to the directory, the last name and the inode that it means at this moment.
//!
//! See path_resolution(7). Everything after this works on inodes: a name that is rebound later changes nothing for those
//! who have already looked it up.

use std::path::Path;

use portcullis_os::{Errno, Fd, Links, Uid};

use super::inodes::{Content, Inode, ROOT};
use super::mounts::ViewId;
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

/// A file, and the view that it is reached through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spot {
    pub(super) view: ViewId,
    pub(super) inode: u64,
}

impl Spot {
    const ROOT: Self = Self { view: ViewId::FIRST, inode: ROOT };
}

/// Where a path leads.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The view that the directory is reached through.
    pub(super) view: ViewId,
    /// The directory that the last name is looked up in.
    pub(super) directory: u64,
    /// The last name; `None` if the path ends in `.`, `..` or the root, which can be neither made nor removed.
    pub(super) name: Option<Vec<u8>>,
    /// What has that name in that directory, be it covered by a mount or not.
    pub(super) entry: Option<u64>,
    /// What is seen there.
    pub(super) found: Option<u64>,
    /// The view that what is seen there is reached through.
    pub(super) through: ViewId,
    /// It ends in a slash: only a directory will do.
    pub(super) slash: bool,
}

impl Place {
    /// Whether a file system can have such a name. It is asked when the name is looked up, which is after the directory was
    /// found.
    pub(super) fn check_name(&self) -> Result<(), Errno> {
        match &self.name {
            Some(name) if name.len() > NAME_BYTES => Err(Errno::NameTooLong),
            Some(_) | None => Ok(()),
        }
    }

    /// What is there, if something that fits the path is.
    pub(super) fn existing(&self, kernel: &Kernel) -> Result<u64, Errno> {
        let found = self.found.ok_or(Errno::NotFound)?;
        if self.slash && !kernel.inode(found).is_directory() {
            return Err(Errno::NotDirectory);
        }
        Ok(found)
    }

    /// The directory, as it is reached.
    pub(super) const fn parent(&self) -> Spot {
        Spot { view: self.view, inode: self.directory }
    }

    /// A path that ends in a directory without naming it.
    const fn dots(Spot { view, inode }: Spot, slash: bool) -> Self {
        Self {
            view,
            directory: inode,
            name: None,
            entry: Some(inode),
            found: Some(inode),
            through: view,
            slash,
        }
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
        let last = match links {
            Links::Follow => Last::Follow,
            Links::NoFollow => Last::NoFollow,
        };
        let place = self.walk(who, at, path, last)?;
        place.check_name().map(|()| place)
    }

    /// As [`Kernel::find`] without following, for a call that looks two names up: it reaches both directories first, and
    /// asks [`Place::check_name`] of each name in its turn.
    pub(super) fn find_parent(&self, who: ProcessId, at: Option<Fd>, path: &Path) -> Result<Place, Errno> {
        self.walk(who, at, path, Last::NoFollow)
    }

    /// As [`Kernel::find`], for a path that is opened with the wish to create what is missing, through symbolic links.
    pub(super) fn find_or_make(&self, who: ProcessId, at: Option<Fd>, path: &Path) -> Result<Place, Errno> {
        let place = self.walk(who, at, path, Last::FollowToName)?;
        place.check_name().map(|()| place)
    }

    /// What is wrong with a call before any path is looked up: descriptors that the process does not have, since `Linux`
    /// finds those itself, and what no C string can hold. What `getname` refuses is told when that path has its turn.
    pub(super) fn check_call(
        &self,
        who: ProcessId,
        ats: &[Option<Fd>],
        paths: &[&Path],
    ) -> Result<(), Errno> {
        for fd in ats.iter().flatten() {
            self.description_of(who, *fd)?;
        }
        let holds_nul = |path: &&Path| path.as_os_str().as_encoded_bytes().contains(&0);
        if paths.iter().any(holds_nul) { Err(Errno::InvalidArgument) } else { Ok(()) }
    }

    fn walk(&self, who: ProcessId, at: Option<Fd>, path: &Path, last: Last) -> Result<Place, Errno> {
        self.check_call(who, &[at], &[path])?;
        let path = spelled(path)?;
        let start = match at {
            Some(fd) if !path.starts_with(b"/") => self.opened_spot(who, fd)?.ok_or(Errno::NotDirectory)?,
            Some(_) | None => Spot::ROOT,
        };
        let uid = self.process(who).birth.uid;
        let mut walk = Walk { kernel: self, who, uid, budget: LINKS_FOLLOWED };
        walk.to(start, path, last)
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

    /// Whether a name that is free can be given, as far as the directory and the mount are concerned. The directory is asked
    /// before the mount, and the mount before anybody's permissions.
    pub(super) fn check_vacant(&self, place: &Place) -> Result<(), Errno> {
        if self.inode(place.directory).names == 0 {
            return Err(Errno::NotFound);
        }
        self.check_writable(place.parent())
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

/// What becomes of a symbolic link at the end of a path.
#[derive(Clone, Copy)]
enum Last {
    Follow,
    NoFollow,
    /// It is followed unless a slash comes after it: nothing is created there (`open_last_lookups`).
    FollowToName,
}

/// One look-up, with what is left of the patience for symbolic links.
struct Walk<'a> {
    kernel: &'a Kernel,
    who: ProcessId,
    uid: Uid,
    budget: u32,
}

impl Walk<'_> {
    fn to(&mut self, start: Spot, path: &[u8], last: Last) -> Result<Place, Errno> {
        let mut current = if path.starts_with(b"/") { Spot::ROOT } else { start };
        let slash = path.ends_with(b"/");
        let follows = match last {
            Last::Follow => true,
            Last::NoFollow => false,
            Last::FollowToName => !slash,
        };
        let mut parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            let directory = self.enter(current.inode)?;
            let is_last = parts.peek().is_none();
            current = match part {
                b"." => current,
                b".." => self.kernel.above(current)?,
                name if !is_last && name.len() > NAME_BYTES => return Err(Errno::NameTooLong),
                name => {
                    let entry = directory.entry(name);
                    let seen = entry.map(|entry| self.kernel.seen(current, name, entry));
                    let followed = seen.and_then(|seen| target(self.kernel.inode(seen.inode)));
                    match (followed, is_last) {
                        (Some(target), true) if follows => {
                            let mut place = self.follow(current, target, last)?;
                            place.slash |= slash;
                            return Ok(place);
                        }
                        (Some(target), false) => {
                            let place = self.follow(current, target, Last::Follow)?;
                            place.check_name()?;
                            Spot { inode: place.existing(self.kernel)?, view: place.through }
                        }
                        (_, true) => {
                            return Ok(Place {
                                view: current.view,
                                directory: current.inode,
                                name: Some(name.to_owned()),
                                entry,
                                found: seen.map(|seen| seen.inode),
                                through: seen.map_or(current.view, |seen| seen.view),
                                slash,
                            });
                        }
                        (None, false) => seen.ok_or(Errno::NotFound)?,
                    }
                }
            };
        }
        Ok(Place::dots(current, slash))
    }

    fn enter(&self, directory: u64) -> Result<&Inode, Errno> {
        let inode = self.kernel.inode(directory);
        if !inode.is_directory() {
            return Err(Errno::NotDirectory);
        }
        self.kernel.check_server(self.who, inode)?;
        self.kernel.check(self.uid, directory, SEARCH)?;
        Ok(inode)
    }

    fn follow(&mut self, directory: Spot, target: &[u8], last: Last) -> Result<Place, Errno> {
        self.budget = self.budget.checked_sub(1).ok_or(Errno::SymlinkLoop)?;
        self.to(directory, target, last)
    }
}

/// The bytes of a path that the kernel would accept.
pub(super) fn spelled(path: &Path) -> Result<&[u8], Errno> {
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

fn target(inode: &Inode) -> Option<&[u8]> {
    match &inode.content {
        Content::Symlink(target) => Some(target),
        Content::Regular(_) | Content::Directory { .. } | Content::Socket => None,
    }
}
