//! The hands of those who are no process: whoever sets the scene, and the operators who walk into it.
//!
//! They are root and need no descriptor. What they do shows in the effects like anything else, by
//! [`ProcessId::ENVIRONMENT`]. Whoever sets the scene meets no mount that is read-only and no disk that is full; an operator
//! does, see [`operators`](super::operators).

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use portcullis_os::{BindOptions, Errno, Links, Uid};

use super::bindings::Binding;
use super::inodes::Content;
use super::locks::LockSupport;
use super::mounts::Condition;
use super::paths::Place;
use super::tcp::Role;
use super::{Kernel, ProcessId};

/// A file system that is mounted somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mount {
    /// Its magic number, as in statfs(2).
    pub magic: u64,
    /// What locks do on it.
    pub locks: LockSupport,
    /// Nothing on it can be changed, through whichever path (`mount -o ro`).
    pub read_only: bool,
    /// How it is doing.
    pub condition: Condition,
    /// How far the clock that stamps its files is ahead of that of the machine, in milliseconds: that of a file server may
    /// be wrong.
    pub clock_offset_ms: i64,
}

impl Mount {
    /// A local disk: ext4.
    pub const fn local() -> Self {
        Self {
            magic: 0xef53,
            locks: LockSupport::Everything,
            read_only: false,
            condition: Condition::Healthy,
            clock_offset_ms: 0,
        }
    }
}

/// How many connections may wait where a port is held by [`Kernel::hold_port`]. What most programs ask for.
const HELD_BACKLOG: u16 = 128;

const ENVIRONMENT: ProcessId = ProcessId::ENVIRONMENT;

impl Kernel {
    /// Makes a directory with exactly this mode and owner (mkdir, chmod, chown), and with mode 0755 and root's whatever
    /// is missing above it.
    ///
    /// # Panics
    ///
    /// If something else than a directory is in the way, or the path is not absolute.
    pub fn make_directory(&mut self, path: &Path, mode: u32, uid: Uid) {
        assert!(path.is_absolute(), "{} is not absolute", path.display());
        let mut above = PathBuf::new();
        for component in path.components() {
            above.push(component);
            if component == Component::RootDir || self.lookup(&above).is_some() {
                continue;
            }
            let (directory, name) = self.vacancy(&above);
            self.create(ENVIRONMENT, (directory, &name), Content::empty_directory(directory), 0o755);
        }
        let number = self.number(path);
        let inode = self.inode_mut(number);
        assert!(inode.is_directory(), "{} is no directory", path.display());
        inode.mode = mode;
        inode.uid = uid;
    }

    /// Gives a file this content: the same inode if it exists, else a new one of mode 0600 that belongs to the owner of
    /// the directory.
    ///
    /// # Panics
    ///
    /// If the directory does not exist, or the path is that of something else than a regular file.
    pub fn write_file(&mut self, path: &Path, bytes: &[u8]) {
        match self.found(path) {
            Some(number) => {
                assert!(self.bytes(number).is_ok(), "{} is no regular file", path.display());
                self.replace(ENVIRONMENT, number, Arc::from(bytes));
            }
            None => {
                let (directory, name) = self.vacancy(path);
                let owner = self.inode(directory).uid;
                let content = Content::Regular(Arc::from(bytes));
                let number = self.create(ENVIRONMENT, (directory, &name), content, 0o600);
                self.inode_mut(number).uid = owner;
            }
        }
    }

    /// Makes a symbolic link, of the owner of the directory.
    ///
    /// # Panics
    ///
    /// If the directory does not exist or the name is taken.
    pub fn make_symlink(&mut self, path: &Path, target: &Path) {
        let (directory, name) = self.vacancy(path);
        let owner = self.inode(directory).uid;
        let content = Content::Symlink(Arc::from(target.as_os_str().as_encoded_bytes()));
        let number = self.create(ENVIRONMENT, (directory, &name), content, 0o777);
        self.inode_mut(number).uid = owner;
    }

    /// Removes one name, as `rm -f` does: a name that does not exist is no error.
    ///
    /// # Errors
    ///
    /// What unlink(2) says, for instance [`Errno::IsDirectory`].
    pub fn remove(&mut self, path: &Path) -> Result<(), Errno> {
        match self.unlink(ENVIRONMENT, None, path) {
            Ok(_) | Err(Errno::NotFound) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Lets a process listen on a port as if it had called bind(2) and listen(2), low ports included.
    ///
    /// # Errors
    ///
    /// What bind(2) says, for instance [`Errno::AddressInUse`].
    ///
    /// # Panics
    ///
    /// If the process is dead.
    pub fn hold_port(&mut self, process: ProcessId, address: SocketAddr) -> Result<(), Errno> {
        assert!(self.process(process).is_alive(), "process {} is dead", process.0);
        if address.port() == 0 {
            return Err(Errno::InvalidArgument);
        }
        let birth = &self.process(process).birth;
        let (network, uid) = (birth.place.network, birth.uid);
        self.check_family(network, address)?;
        self.check_address(network, address.ip())?;
        self.free_fd(process)?;
        let binding = Binding::new(network, address, BindOptions::SERVER, uid);
        if self.is_excluded(&binding, None) {
            return Err(Errno::AddressInUse);
        }
        self.remember(&binding);
        let role = Role::Listening { binding, backlog: HELD_BACKLOG, pending: Vec::new() };
        self.install_tcp(process, role).map(|_| ())
    }

    /// The inode of a path, as root and through symbolic links.
    pub(super) fn found(&self, path: &Path) -> Option<u64> {
        self.find(ENVIRONMENT, None, path, Links::Follow).ok()?.existing(self).ok()
    }

    /// # Panics
    ///
    /// If nothing is there.
    pub(super) fn number(&self, path: &Path) -> u64 {
        self.found(path).unwrap_or_else(|| panic!("{} does not exist", path.display()))
    }

    /// Where a path leads, as root and through symbolic links.
    ///
    /// # Panics
    ///
    /// If it leads nowhere.
    pub(super) fn led_to(&self, path: &Path) -> Place {
        self.find(ENVIRONMENT, None, path, Links::Follow)
            .unwrap_or_else(|errno| panic!("{}: {errno}", path.display()))
    }

    /// The directory and the free name that a path stands for.
    fn vacancy(&self, path: &Path) -> (u64, Vec<u8>) {
        let place = self.led_to(path);
        assert!(place.found.is_none(), "{} exists", path.display());
        match place.name {
            Some(name) => (place.directory, name),
            None => unreachable!("`.` and `..` are always found"),
        }
    }
}
