//! A mount shows a file system, or a part of one, in the place of a file or directory: one file, several paths.
//!
//! The file system says what its files can do; the view that a file is reached through says what may be done on this
//! path. Linux calls the two superblock and mount. All processes see the same mounts.
//!
//! # Invariants
//!
//! - What a mount covers keeps its name and cannot be removed, however it is reached (`is_local_mountpoint`).
//! - No name leads from one view to another but through a mount point, and none is given to a file of another view.

use std::path::Path;
use std::sync::Arc;

use portcullis_os::Errno;

use super::descriptions::DescriptionId;
use super::environment::Mount;
use super::inodes::{Content, Inode, ROOT};
use super::paths::{Place, Spot};
use super::{Kernel, ProcessId};
use crate::shared::Shared;

/// Which view, in the order in which they were mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ViewId(u16);

impl ViewId {
    /// That of the root.
    pub(super) const FIRST: Self = Self(0);
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct View {
    /// The file or directory that it shows.
    root: u64,
    /// What it covers; `None` for the root.
    covers: Option<Covered>,
    access: Access,
}

/// A name, and what it stood for before something was mounted there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Covered {
    view: ViewId,
    directory: u64,
    name: Arc<[u8]>,
    inode: u64,
}

/// What may be done through a bind mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Whatever the file system allows.
    ReadWrite,
    /// Nothing that changes a file (`mount -o bind,ro`).
    ReadOnly,
}

/// How a file system is doing. Each was brought about on ext4 and compared, but for quotas and stale handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// It does what it is asked.
    Healthy,
    /// No inode is free: files can be written and linked, and none can be made ([`Errno::NoSpace`]).
    NoSpaceAtCreate,
    /// No block is free: an empty file can be made, and what needs one more block of 4096 bytes cannot be written
    /// ([`Errno::NoSpace`]). A block that somebody frees is taken at once by somebody else.
    NoSpaceAtWrite,
    /// As [`Condition::NoSpaceAtCreate`], for all users but root ([`Errno::QuotaExceeded`]).
    QuotaAtCreate,
    /// As [`Condition::NoSpaceAtWrite`], for all users but root ([`Errno::QuotaExceeded`]).
    QuotaAtWrite,
    /// It has met an error and changes nothing more, not even through descriptors that are open for writing
    /// (`errors=remount-ro`): [`Errno::ReadOnly`], of fsync(2) too.
    ReadOnlyAfterError,
    /// The disk is gone: bytes are neither read nor written and nothing is changed ([`Errno::InputOutput`]). Names and
    /// modes are still in memory, and locks are not the disk's business.
    InputOutput,
    /// It is on a server that no longer knows it: every use of a descriptor and of a path on it says
    /// [`Errno::StaleHandle`]. Where only what is open is forgotten, see [`Kernel::forget_handles`].
    Stale,
}

/// What a file system in some condition has to say to those who want something of it.
#[derive(Clone, Copy)]
struct Troubles {
    handle: Option<Errno>,
    read: Option<Errno>,
    change: Option<Errno>,
    inode: Option<Errno>,
    block: Option<Errno>,
}

impl Condition {
    const fn troubles(self) -> Troubles {
        const NONE: Troubles = Troubles { handle: None, read: None, change: None, inode: None, block: None };
        match self {
            Self::Healthy => NONE,
            Self::NoSpaceAtCreate => Troubles { inode: Some(Errno::NoSpace), ..NONE },
            Self::NoSpaceAtWrite => Troubles { block: Some(Errno::NoSpace), ..NONE },
            Self::QuotaAtCreate => Troubles { inode: Some(Errno::QuotaExceeded), ..NONE },
            Self::QuotaAtWrite => Troubles { block: Some(Errno::QuotaExceeded), ..NONE },
            Self::ReadOnlyAfterError => Troubles { change: Some(Errno::ReadOnly), ..NONE },
            Self::InputOutput => {
                Troubles { read: Some(Errno::InputOutput), change: Some(Errno::InputOutput), ..NONE }
            }
            Self::Stale => Troubles { handle: Some(Errno::StaleHandle), ..NONE },
        }
    }
}

impl View {
    pub(super) const fn first() -> Self {
        Self { root: ROOT, covers: None, access: Access::ReadWrite }
    }
}

impl Kernel {
    /// Mounts a new file system on a directory. Its root has the mode and the owner of that directory, and nothing in it.
    ///
    /// # Panics
    ///
    /// If the directory does not exist, is the root, or is a mount point.
    pub fn mount(&mut self, path: &Path, mount: Mount) {
        let place = self.mount_point(path);
        let covered = self.inode(self.number(path));
        assert!(covered.is_directory(), "{} is no directory", path.display());
        let (mode, uid) = (covered.mode, covered.uid);
        let file_system = self.mounts.len();
        Arc::make_mut(&mut self.mounts).push(mount);
        let root = self.new_root(file_system, mode, uid);
        self.cover(place, root, Access::ReadWrite);
    }

    /// Shows a file or directory in a second place (`mount --bind`): the same inodes of the same device under two paths.
    /// What is mounted below `source` is not shown.
    ///
    /// # Panics
    ///
    /// If one of the two does not exist, if one is a directory and the other is not, or if `target` is the root or a mount
    /// point.
    pub fn bind(&mut self, source: &Path, target: &Path, access: Access) {
        let place = self.mount_point(target);
        let (root, covered) = (self.number(source), self.number(target));
        let kinds = [root, covered].map(|number| self.inode(number).is_directory());
        assert_eq!(kinds[0], kinds[1], "{} and {} are of two kinds", source.display(), target.display());
        self.cover(place, root, access);
    }

    /// The file system that a path is on.
    ///
    /// # Panics
    ///
    /// If the path does not exist.
    pub fn mount_at(&self, path: &Path) -> Mount {
        *self.mount_of(self.number(path))
    }

    /// Changes the file system that a path is on, wherever else it is seen. Descriptors of its files stay open.
    ///
    /// # Panics
    ///
    /// If the path does not exist, or if the file system becomes read-only while a file on it is open for writing: Linux
    /// says [`Errno::Busy`] then. A file system that gives up is [`Condition::ReadOnlyAfterError`].
    pub fn set_mount(&mut self, path: &Path, mount: Mount) {
        let file_system = self.inode(self.number(path)).mount;
        let written = mount.read_only && self.is_open_for_writing(file_system);
        assert!(!written, "a file on {} is open for writing", path.display());
        Arc::make_mut(&mut self.mounts)[file_system] = mount;
    }

    /// Lets the server of a file system forget every file that is open on it, as one does that is set up anew: each use of
    /// such a descriptor is [`Errno::StaleHandle`] from then on, and the flocks that they hold are gone. Paths lead to the
    /// same files as before.
    ///
    /// # Panics
    ///
    /// If the path does not exist.
    pub fn forget_handles(&mut self, path: &Path) {
        let file_system = self.inode(self.number(path)).mount;
        let open: Vec<(DescriptionId, u64)> = self
            .descriptions()
            .filter_map(|(id, description)| Some((id, description.object.opened_inode()?)))
            .filter(|(_, inode)| self.inode(*inode).mount == file_system)
            .collect();
        for (id, inode) in open {
            self.description_mut(id).object.forget();
            self.inode_mut(inode).locks.remove(&id);
        }
    }

    fn is_open_for_writing(&self, file_system: usize) -> bool {
        self.descriptions()
            .filter_map(|(_, description)| description.object.written_inode())
            .any(|inode| self.inode(inode).mount == file_system)
    }

    fn mount_point(&self, path: &Path) -> Place {
        let place = self.led_to(path);
        let is_covered = place.through != place.view;
        assert!(place.name.is_some() && !is_covered, "{} is a mount point or the root", path.display());
        place
    }

    fn cover(&mut self, place: Place, root: u64, access: Access) {
        let (Some(name), Some(inode)) = (place.name, place.entry) else {
            unreachable!("a mount point has a name and exists")
        };
        let covered = Covered { view: place.view, directory: place.directory, name: Arc::from(name), inode };
        let view = View { root, covers: Some(covered), access };
        assert!(self.views.len() < usize::from(u16::MAX), "there are too many mounts");
        self.views.edit().push(view);
    }

    /// The view that covers what is chosen, and is reached through `view`.
    fn covering(&self, view: ViewId, chosen: impl Fn(&Covered) -> bool) -> Option<Spot> {
        let mut views = self.views.iter().zip(0..).skip(1);
        views.find_map(|(mounted, number)| {
            let covers = mounted.covers.as_ref().filter(|covers| covers.view == view && chosen(covers));
            covers.map(|_| Spot { view: ViewId(number), inode: mounted.root })
        })
    }

    /// What is seen under a name: the entry itself, or what is mounted on it.
    pub(super) fn seen(&self, directory: Spot, name: &[u8], entry: u64) -> Spot {
        let Spot { view, inode } = directory;
        if self.views.len() == 1 {
            return Spot { view, inode: entry };
        }
        self.covering(view, |covers| covers.directory == inode && *covers.name == *name)
            .unwrap_or(Spot { view, inode: entry })
    }

    /// `..`: from the root of a mount it leads out of what the mount covers (`choose_mountpoint`), and from a directory
    /// that was moved out of a bind mount nowhere (`path_connected`).
    pub(super) fn above(&self, current: Spot) -> Result<Spot, Errno> {
        let view = self.view(current.view);
        let (view, directory) = match &view.covers {
            Some(covers) if view.root == current.inode => (covers.view, covers.directory),
            Some(_) | None => (current.view, self.directory_above(current.inode)),
        };
        if !self.is_inside(directory, self.view(view).root) {
            return Err(Errno::NotFound);
        }
        let up = Spot { view, inode: directory };
        let over = self.covering(view, |covers| covers.inode == directory);
        Ok(over.unwrap_or(up))
    }

    fn directory_above(&self, directory: u64) -> u64 {
        match &self.inode(directory).content {
            Content::Directory { parent, .. } => *parent,
            Content::Regular(_) | Content::Symlink(_) | Content::Socket => {
                unreachable!("inode {directory} is no directory")
            }
        }
    }

    /// Whether a directory is `above`, or somewhere under it.
    pub(super) fn is_inside(&self, directory: u64, above: u64) -> bool {
        let mut current = directory;
        while current != above {
            match self.inode(current).content {
                Content::Directory { parent, .. } if parent != current => current = parent,
                Content::Directory { .. } | Content::Regular(_) | Content::Symlink(_) | Content::Socket => {
                    return false;
                }
            }
        }
        true
    }

    /// Whether something is mounted on a name, through whichever view.
    pub(super) fn is_mount_point(&self, directory: u64, name: &[u8]) -> bool {
        let mut covered = self.views.iter().filter_map(|view| view.covers.as_ref());
        covered.any(|covers| covers.directory == directory && *covers.name == *name)
    }

    /// Every name that something is mounted on: its directory, the name, and the inode that is shown there.
    pub(super) fn mount_points(&self) -> impl Iterator<Item = (u64, &[u8], u64)> {
        let covered = self.views.iter().filter_map(|view| Some((view.covers.as_ref()?, view.root)));
        covered.map(|(covers, root)| (covers.directory, &*covers.name, root))
    }

    /// Whether a mount shows this very inode, so that it lives without a name.
    pub(super) fn is_mounted(&self, number: u64) -> bool {
        self.views.iter().any(|view| view.root == number)
    }

    fn view(&self, view: ViewId) -> &View {
        &self.views[usize::from(view.0)]
    }

    /// The file system that a file is on.
    pub(super) fn mount_of(&self, number: u64) -> &Mount {
        &self.mounts[self.inode(number).mount]
    }

    /// `mnt_want_write`: both the view and the file system must allow changes.
    pub(super) fn check_writable(&self, Spot { view, inode }: Spot) -> Result<(), Errno> {
        match self.view(view).access {
            Access::ReadWrite if !self.mount_of(inode).read_only => Ok(()),
            Access::ReadWrite | Access::ReadOnly => Err(Errno::ReadOnly),
        }
    }

    /// What a server says that no longer knows a file which it is asked about. The environment works on the server itself.
    pub(super) fn check_handle(&self, who: ProcessId, number: u64) -> Result<(), Errno> {
        self.check_server(who, self.inode(number))
    }

    /// As [`Kernel::check_handle`], for an inode that has been looked up.
    pub(super) fn check_server(&self, who: ProcessId, inode: &Inode) -> Result<(), Errno> {
        let condition = self.mounts[inode.mount].condition;
        // Every part of every path comes by here.
        if condition == Condition::Healthy || who == ProcessId::ENVIRONMENT {
            return Ok(());
        }
        refused(condition.troubles().handle)
    }

    /// Whether the file system itself lets a file be read (`ext4_file_open`, `ext4_file_read_iter`).
    pub(super) fn check_read(&self, number: u64) -> Result<(), Errno> {
        refused(self.troubles(number).read)
    }

    /// Whether the file system itself lets anything be changed (`ext4_emergency_state`). It is asked last, when the kernel
    /// has found nothing wrong, and before what is on the disk is looked at.
    pub(super) fn check_change(&self, number: u64) -> Result<(), Errno> {
        refused(self.troubles(number).change)
    }

    /// Whether the file system of a directory has one more inode.
    pub(super) fn check_inode_left(&self, who: ProcessId, directory: u64) -> Result<(), Errno> {
        self.check_change(directory)?;
        self.check_quota(who, self.troubles(directory).inode)
    }

    /// Whether the file system of a file has one more block.
    pub(super) fn check_block_left(&self, who: ProcessId, number: u64) -> Result<(), Errno> {
        self.check_quota(who, self.troubles(number).block)
    }

    /// Root has no quota (`ignore_hardlimit` in `fs/quota/dquot.c`).
    fn check_quota(&self, who: ProcessId, trouble: Option<Errno>) -> Result<(), Errno> {
        let exempt = trouble == Some(Errno::QuotaExceeded) && self.process(who).birth.uid.0 == 0;
        if exempt { Ok(()) } else { refused(trouble) }
    }

    fn troubles(&self, number: u64) -> Troubles {
        self.mount_of(number).condition.troubles()
    }
}

fn refused(trouble: Option<Errno>) -> Result<(), Errno> {
    trouble.map_or(Ok(()), Err)
}

/// The mounts of a machine that has only its root.
pub(super) fn only_root() -> Shared<Vec<View>> {
    Shared::new(vec![View::first()])
}
