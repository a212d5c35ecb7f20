//! The hands of those who are no process: whoever sets the scene, and the operators who walk into it.
//!
//! They are root and need no descriptor. What they do shows in the effects like anything else, by
//! [`ProcessId::ENVIRONMENT`].

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use portcullis_os::{Errno, Links, Uid};

use super::descriptions::{Object, TcpSocket};
use super::inodes::Content;
use super::tcp::check_address;
use super::{Kernel, ProcessId};

/// A file system that is mounted somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mount {
    /// Its magic number, as in statfs(2).
    pub magic: u64,
    /// What flock(2) does on it.
    pub locks: LockSupport,
}

/// What flock(2) does on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockSupport {
    /// It locks files and directories.
    Everything,
    /// It locks files; of a directory it says [`Errno::BadDescriptor`], as NFS does.
    FilesOnly,
    /// It says [`Errno::NoLocks`] to everything.
    Nothing,
    /// It says yes to everything and excludes nobody, as mounts do whose locks stay on one machine.
    Unenforced,
}

impl Mount {
    /// A local disk: ext4.
    pub const fn local() -> Self {
        Self { magic: 0xef53, locks: LockSupport::Everything }
    }
}

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
    /// If the directory does not exist, or the path is that of a directory.
    pub fn write_file(&mut self, path: &Path, bytes: &[u8]) {
        match self.found(path) {
            Some(number) => {
                assert!(self.bytes(number).is_ok(), "{} is a directory", path.display());
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
        check_address(address)?;
        self.free_fd(process)?;
        if self.is_listened_on(address, None) {
            return Err(Errno::AddressInUse);
        }
        let uid = self.process(process).birth.uid;
        let socket = self.new_socket(process);
        let tcp = TcpSocket { socket, uid, address, listening: true };
        self.install(process, Object::Tcp(tcp)).map(|_| ())
    }

    /// Mounts a file system on a directory that has nothing in it. Whatever comes to be under it is on that file system.
    ///
    /// # Panics
    ///
    /// If the directory does not exist or has something in it.
    pub fn mount(&mut self, path: &Path, mount: Mount) {
        let number = self.number(path);
        let Content::Directory { entries, .. } = &self.inode(number).content else {
            panic!("{} is no directory", path.display())
        };
        assert!(entries.is_empty(), "{} is not empty", path.display());
        self.inode_mut(number).mount = self.mounts.len();
        Arc::make_mut(&mut self.mounts).push(mount);
    }

    /// The inode of a path, as root and through symbolic links.
    pub(super) fn found(&self, path: &Path) -> Option<u64> {
        self.find(ENVIRONMENT, None, path, Links::Follow).ok()?.existing(self).ok()
    }

    fn number(&self, path: &Path) -> u64 {
        self.found(path).unwrap_or_else(|| panic!("{} does not exist", path.display()))
    }

    /// The directory and the free name that a path stands for.
    fn vacancy(&self, path: &Path) -> (u64, Vec<u8>) {
        match self.find(ENVIRONMENT, None, path, Links::Follow) {
            Ok(place) if place.found.is_none() => match place.name {
                Some(name) => (place.directory, name),
                None => unreachable!("`.` and `..` are always found"),
            },
            Ok(_) => panic!("{} exists", path.display()),
            Err(errno) => panic!("{}: {errno}", path.display()),
        }
    }
}
