//! Files through descriptors: open, read, write, truncate, stat.

use std::path::Path;
use std::sync::Arc;

use portcullis_os::{Errno, Fd, FileId, FileKind, FileStatus, FileSystem, Links, Open, Reply, Uid};

use super::descriptions::Object;
use super::inodes::Content;
use super::paths::{Place, READ, WRITE};
use super::{Effect, Kernel, ProcessId};

/// The bits that every process takes from the mode of what it creates (umask(2)).
pub(super) const UMASK: u32 = 0o022;

/// `RLIMIT_FSIZE`: no file that protocols write comes near it, and one mistaken offset does not fill real memory.
const FILE_BYTES: u64 = 16 << 20;

/// `ESPIPE`: a socket has no offset.
const NO_SEEK: Errno = Errno::Other(29);
/// `EFBIG`.
const TOO_BIG: Errno = Errno::Other(27);

/// The device that sockets are on. It differs from boot to boot.
const SOCKET_DEVICE: u64 = 9;
/// `SOCKFS_MAGIC`, from `linux/magic.h`.
const SOCKET_MAGIC: u64 = 0x534f_434b;

impl Kernel {
    /// openat(2). With `create`, an existing directory is refused, and `directory` is not allowed (since Linux 6.4).
    pub(super) fn open(
        &mut self,
        who: ProcessId,
        at: Option<Fd>,
        path: &Path,
        open: Open,
    ) -> Result<Reply, Errno> {
        if open.create && open.directory {
            return Err(Errno::InvalidArgument);
        }
        if path.as_os_str().is_empty() {
            return Err(Errno::NotFound);
        }
        self.free_fd(who)?;
        let slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        // A slash at the end follows a link like any slash, but not when something is to be created there.
        let links = match (open.create, slash, open.no_follow) {
            (true, true, _) | (_, false, true) => Links::NoFollow,
            (true, false, false) if open.exclusive => Links::NoFollow,
            (true, false, false) | (false, true, _) | (false, false, false) => Links::Follow,
        };
        let place = self.find(who, at, path, links)?;
        if open.create && place.slash {
            return Err(Errno::IsDirectory);
        }
        let inode = match (place.found, &place.name) {
            (Some(found), _) => {
                self.check_open(who, &place, found, open)?;
                self.open_existing(who, found, open);
                found
            }
            (None, Some(name)) if open.create => {
                self.check_add(self.process(who).birth.uid, place.directory)?;
                self.create(who, (place.directory, name), Content::empty_file(), open.mode & 0o7777 & !UMASK)
            }
            (None, _) => return Err(Errno::NotFound),
        };
        self.inode_mut(inode).opened += 1;
        Ok(Reply::Fd(self.install(who, Object::File { inode, writable: open.write })?))
    }

    /// In the order in which Linux finds fault: `do_open` and `may_open` in `fs/namei.c`.
    fn check_open(&self, who: ProcessId, place: &Place, found: u64, open: Open) -> Result<(), Errno> {
        let writes = open.write || open.truncate;
        let kind = self.inode(found).content.kind();
        if open.create && open.exclusive {
            return Err(Errno::Exists);
        }
        match kind {
            FileKind::Directory if open.create || writes => return Err(Errno::IsDirectory),
            FileKind::Directory => {}
            FileKind::Regular | FileKind::Symlink | FileKind::Special if open.directory || place.slash => {
                return Err(Errno::NotDirectory);
            }
            FileKind::Symlink => return Err(Errno::SymlinkLoop),
            FileKind::Regular | FileKind::Special => {}
        }
        let wanted = if writes { READ | WRITE } else { READ };
        self.check(self.process(who).birth.uid, found, wanted)
    }

    /// `O_TRUNC` of a file that has something in it is a change; of an empty one it is none.
    fn open_existing(&mut self, who: ProcessId, found: u64, open: Open) {
        if let Content::Regular(bytes) = &self.inode(found).content
            && open.truncate
            && !bytes.is_empty()
        {
            self.replace(who, found, Arc::from([]));
        }
    }

    /// Puts other bytes into a regular file.
    pub(super) fn replace(&mut self, who: ProcessId, number: u64, bytes: Arc<[u8]>) {
        let inode = self.inode_mut(number);
        inode.content = Content::Regular(bytes);
        let file = inode.id(number);
        self.effects.tell(Effect::Changed { by: who, file });
    }

    /// pread(2).
    pub(super) fn read(&self, who: ProcessId, fd: Fd, offset: u64, length: u32) -> Result<Reply, Errno> {
        let number = self.opened_inode(who, fd)?.ok_or(NO_SEEK)?;
        let bytes = self.bytes(number)?;
        let start = clamp(offset, bytes.len());
        let end = clamp(offset.saturating_add(u64::from(length)), bytes.len());
        Ok(Reply::Bytes(bytes[start..end].to_owned()))
    }

    /// pwrite(2). It takes everything: a short write is a fault that somebody else injects.
    pub(super) fn write(
        &mut self,
        who: ProcessId,
        fd: Fd,
        offset: u64,
        bytes: &[u8],
    ) -> Result<Reply, Errno> {
        let number = self.opened_inode(who, fd)?.ok_or(NO_SEEK)?;
        if !self.is_writable(who, fd)? {
            return Err(Errno::BadDescriptor);
        }
        let count = u32::try_from(bytes.len()).map_err(|_| TOO_BIG)?;
        if count == 0 {
            return Ok(Reply::Count(0));
        }
        let end = offset.checked_add(u64::from(count)).filter(|end| *end <= FILE_BYTES).ok_or(TOO_BIG)?;
        let (start, end) = (clamp(offset, usize::MAX), clamp(end, usize::MAX));
        let mut content = self.bytes(number)?.to_vec();
        content.resize(content.len().max(end), 0);
        content[start..end].copy_from_slice(bytes);
        self.replace(who, number, Arc::from(content));
        Ok(Reply::Count(count))
    }

    /// ftruncate(2).
    pub(super) fn truncate(&mut self, who: ProcessId, fd: Fd, length: u64) -> Result<Reply, Errno> {
        if !self.is_writable(who, fd)? {
            return Err(Errno::InvalidArgument);
        }
        let number = self.opened_inode(who, fd)?.ok_or(Errno::InvalidArgument)?;
        if length > FILE_BYTES {
            return Err(TOO_BIG);
        }
        let mut content = self.bytes(number)?.to_vec();
        content.resize(clamp(length, usize::MAX), 0);
        self.replace(who, number, Arc::from(content));
        Ok(Reply::Done)
    }

    /// fsync(2). The disk loses nothing yet, so there is nothing to do.
    pub(super) fn sync(&self, who: ProcessId, fd: Fd) -> Result<Reply, Errno> {
        self.opened_inode(who, fd)?.map(|_| Reply::Done).ok_or(Errno::InvalidArgument)
    }

    /// fstatat(2).
    pub(super) fn stat(
        &self,
        who: ProcessId,
        at: Option<Fd>,
        path: &Path,
        links: Links,
    ) -> Result<Reply, Errno> {
        let slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        let place = self.find(who, at, path, if slash { Links::Follow } else { links })?;
        Ok(Reply::File(self.status(place.existing(self)?)))
    }

    /// fstat(2).
    pub(super) fn stat_fd(&self, who: ProcessId, fd: Fd) -> Result<Reply, Errno> {
        let status = match self.object(who, fd)? {
            Object::File { inode, .. } => self.status(*inode),
            Object::Tcp(tcp) => socket_status(tcp.socket, tcp.uid),
            Object::UnixListener(listener) => socket_status(listener.socket, listener.uid),
            Object::UnixStream { socket, uid, .. } => socket_status(*socket, *uid),
        };
        Ok(Reply::File(status))
    }

    /// fstatfs(2).
    pub(super) fn file_system(&self, who: ProcessId, fd: Fd) -> Result<Reply, Errno> {
        let magic = match self.opened_inode(who, fd)? {
            Some(number) => self.mounts[self.inode(number).mount].magic,
            None => SOCKET_MAGIC,
        };
        Ok(Reply::FileSystem(FileSystem { magic }))
    }

    fn is_writable(&self, who: ProcessId, fd: Fd) -> Result<bool, Errno> {
        match self.object(who, fd)? {
            Object::File { writable, .. } => Ok(*writable),
            Object::Tcp(_) | Object::UnixListener(_) | Object::UnixStream { .. } => Ok(true),
        }
    }

    /// The bytes of a file that is open.
    pub(super) fn bytes(&self, number: u64) -> Result<&[u8], Errno> {
        match &self.inode(number).content {
            Content::Regular(bytes) => Ok(bytes),
            Content::Directory { .. } => Err(Errno::IsDirectory),
            Content::Symlink(_) => Err(Errno::SymlinkLoop),
        }
    }
}

/// An offset as an index that is at most `limit`.
fn clamp(offset: u64, limit: usize) -> usize {
    usize::try_from(offset).unwrap_or(limit).min(limit)
}

const fn socket_status(socket: u64, uid: Uid) -> FileStatus {
    FileStatus {
        id: FileId { device: SOCKET_DEVICE, inode: socket },
        kind: FileKind::Special,
        mode: 0o777,
        uid,
        links: 1,
        size: 0,
    }
}
