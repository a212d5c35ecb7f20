//! Files through descriptors: open, read, write, truncate, stat.

use std::path::Path;
use std::sync::Arc;

use portcullis_os::{Errno, Fd, FileId, FileKind, FileStatus, FileSystem, Links, Open, Reply, Uid};

use super::descriptions::{Handle, Object};
use super::inodes::Content;
use super::paths::{Place, READ, Spot, WRITE, spelled};
use super::{Effect, Kernel, ProcessId, pidfds};

/// `RLIMIT_FSIZE`: no file that protocols write comes near it, and one mistaken offset does not fill real memory.
const FILE_BYTES: u64 = 16 << 20;

/// What a file grows by on the disk.
const BLOCK_BYTES: usize = 4096;

/// `ESPIPE`: a socket has no offset.
const NO_SEEK: Errno = Errno::NotSeekable;
/// `EFBIG`.
const TOO_BIG: Errno = Errno::FileTooBig;

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
        // `build_open_flags` comes before `getname`, and the descriptor is looked up by `Linux`.
        if let Some(fd) = at {
            self.description_of(who, fd)?;
        }
        if open.create && open.directory {
            return Err(Errno::InvalidArgument);
        }
        let slash = spelled(path)?.ends_with(b"/");
        self.free_fd(who)?;
        // A slash at the end follows a link like any slash, but not when something is to be created there.
        let place = match (open.create, open.no_follow || open.exclusive) {
            (true, false) => self.find_or_make(who, at, path),
            (true, true) => self.find(who, at, path, Links::NoFollow),
            (false, _) if open.no_follow && !slash => self.find(who, at, path, Links::NoFollow),
            (false, _) => self.find(who, at, path, Links::Follow),
        }?;
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
                self.check_vacant(&place)?;
                self.check_add(self.process(who).birth.uid, place.directory)?;
                self.check_inode_left(who, place.directory)?;
                let mode = open.mode & 0o7777 & !self.process(who).umask;
                self.create(who, (place.directory, name), Content::empty_file(), mode)
            }
            (None, _) => return Err(Errno::NotFound),
        };
        self.inode_mut(inode).opened += 1;
        let file = Object::File {
            inode,
            writable: open.write,
            append: open.append,
            view: place.through,
            handle: Handle::Known,
        };
        Ok(Reply::Fd(self.install(who, file)?))
    }

    /// In the order in which Linux finds fault: `do_open` and `may_open` in `fs/namei.c`. A file system that is read-only
    /// says so before anybody is asked for permission, a mount that is says so afterwards, unless the file is emptied.
    fn check_open(&self, who: ProcessId, place: &Place, found: u64, open: Open) -> Result<(), Errno> {
        let writes = open.write || open.truncate;
        if open.create && open.exclusive {
            return Err(Errno::Exists);
        }
        self.check_handle(who, found)?;
        if open.create {
            self.check_sticky(self.process(who).birth.uid, place.directory, found)?;
        }
        let kind = self.inode(found).content.kind();
        match kind {
            FileKind::Directory if open.create || writes => return Err(Errno::IsDirectory),
            FileKind::Directory => return self.check(self.process(who).birth.uid, found, READ),
            FileKind::Regular | FileKind::Symlink | FileKind::Special if open.directory || place.slash => {
                return Err(Errno::NotDirectory);
            }
            FileKind::Symlink => return Err(Errno::SymlinkLoop),
            FileKind::Regular | FileKind::Special => {}
        }
        let writable = self.check_writable(Spot { view: place.through, inode: found });
        if open.truncate || writes && self.mount_of(found).read_only {
            writable?;
        }
        self.check(self.process(who).birth.uid, found, if writes { READ | WRITE } else { READ })?;
        if writes {
            writable?;
            self.check_change(found)?;
        }
        self.check_read(found)?;
        // `sock_no_open`: the file of a socket is a name to connect to.
        if kind == FileKind::Special { Err(Errno::NoDeviceOrAddress) } else { Ok(()) }
    }

    /// `may_create_in_sticky`: who asks to create something in a sticky directory that everybody may write does not want what
    /// somebody else has put there. With `fs.protected_regular` 0 a regular file will do.
    fn check_sticky(&self, uid: Uid, directory: u64, found: u64) -> Result<(), Errno> {
        const STICKY_AND_OPEN: u32 = 0o1002;
        let (directory, inode) = (self.inode(directory), self.inode(found));
        let is_asked = match inode.content.kind() {
            FileKind::Symlink | FileKind::Special => directory.mode & STICKY_AND_OPEN == STICKY_AND_OPEN,
            FileKind::Regular | FileKind::Directory => false,
        };
        if is_asked && inode.uid != directory.uid && inode.uid != uid {
            return Err(Errno::AccessDenied);
        }
        Ok(())
    }

    /// `O_TRUNC` of a file that has something in it is a change; of an empty one it is none.
    fn open_existing(&mut self, who: ProcessId, found: u64, open: Open) {
        if let Content::Regular(bytes) = &self.inode(found).content
            && open.truncate
        {
            if bytes.is_empty() {
                self.stamp(who, found);
            } else {
                self.replace(who, found, Arc::from([]));
            }
        }
    }

    /// Puts other bytes into a regular file.
    pub(super) fn replace(&mut self, who: ProcessId, number: u64, bytes: Arc<[u8]>) {
        self.note_bytes(number, &bytes);
        let inode = self.inode_mut(number);
        inode.content = Content::Regular(bytes);
        let file = inode.id(number);
        self.stamp(who, number);
        self.effects.tell(Effect::Changed { by: who, file });
    }

    /// pread(2).
    pub(super) fn read(&self, who: ProcessId, fd: Fd, offset: u64, length: u32) -> Result<Reply, Errno> {
        self.check_range(who, fd, offset, u64::from(length))?;
        let number = self.positioned_inode(who, fd)?;
        self.check_locks_kept(who, fd)?;
        let bytes = self.bytes(number)?;
        self.check_read(number)?;
        let start = clamp(offset, bytes.len());
        let end = clamp(offset.saturating_add(u64::from(length)), bytes.len());
        Ok(Reply::Bytes(bytes[start..end].to_owned()))
    }

    /// pwrite(2). It takes everything that there is room for: any other short write is a fault that somebody else
    /// injects. A file that was opened for appending is appended to, whatever the offset (pwrite(2), "BUGS").
    pub(super) fn write(
        &mut self,
        who: ProcessId,
        fd: Fd,
        offset: u64,
        bytes: &[u8],
    ) -> Result<Reply, Errno> {
        let count = u32::try_from(bytes.len()).map_err(|_| TOO_BIG)?;
        // A descriptor that is not for writing is told so before a range that goes too far, and after one that starts there.
        self.check_range(who, fd, offset, 0)?;
        let number = self.positioned_inode(who, fd)?;
        if !self.is_writable(who, fd)? {
            return Err(Errno::BadDescriptor);
        }
        self.check_range(who, fd, offset, u64::from(count))?;
        self.check_change(number)?;
        if count == 0 {
            return Ok(Reply::Count(0));
        }
        self.check_locks_kept(who, fd)?;
        let mut content = self.bytes(number)?.to_vec();
        let offset = if self.appends(who, fd)? { content.len() as u64 } else { offset };
        let end = offset.checked_add(u64::from(count)).filter(|end| *end <= FILE_BYTES).ok_or(TOO_BIG)?;
        let (start, mut end) = (clamp(offset, usize::MAX), clamp(end, usize::MAX));
        let room = content.len().next_multiple_of(BLOCK_BYTES);
        if end > room
            && let Err(errno) = self.check_block_left(who, number)
        {
            if start >= room {
                return Err(errno);
            }
            end = room;
        }
        content.resize(content.len().max(end), 0);
        content[start..end].copy_from_slice(&bytes[..end - start]);
        self.replace(who, number, Arc::from(content));
        Ok(Reply::Count((end - start) as u32))
    }

    /// Offsets and ends of ranges are signed 64-bit numbers (`ksys_pwrite64`, `rw_verify_area`).
    fn check_range(&self, who: ProcessId, fd: Fd, offset: u64, length: u64) -> Result<(), Errno> {
        self.object(who, fd)?;
        let end = offset.checked_add(length).ok_or(Errno::InvalidArgument)?;
        i64::try_from(end).map(|_| ()).map_err(|_| Errno::InvalidArgument)
    }

    /// ftruncate(2).
    pub(super) fn truncate(&mut self, who: ProcessId, fd: Fd, length: u64) -> Result<Reply, Errno> {
        self.check_range(who, fd, length, 0)?;
        if !self.is_writable(who, fd)? {
            return Err(Errno::InvalidArgument);
        }
        if let Object::Pidfd { .. } = self.object(who, fd)? {
            return Err(Errno::NotSupported);
        }
        let number = self.opened_inode(who, fd)?.ok_or(Errno::InvalidArgument)?;
        self.check_locks_kept(who, fd)?;
        self.check_change(number)?;
        if length > FILE_BYTES {
            return Err(TOO_BIG);
        }
        let mut content = self.bytes(number)?.to_vec();
        content.resize(clamp(length, usize::MAX), 0);
        self.replace(who, number, Arc::from(content));
        Ok(Reply::Done)
    }

    /// fsync(2), of a file without a name too.
    pub(super) fn sync(&mut self, who: ProcessId, fd: Fd) -> Result<Reply, Errno> {
        let number = self.opened_inode(who, fd)?.ok_or(Errno::InvalidArgument)?;
        self.check_locks_kept(who, fd)?;
        self.check_change(number)?;
        self.note_sync(number);
        Ok(Reply::Done)
    }

    /// fstatat(2).
    pub(super) fn stat(
        &self,
        who: ProcessId,
        at: Option<Fd>,
        path: &Path,
        links: Links,
    ) -> Result<Reply, Errno> {
        self.status_at(who, at, path, links).map(Reply::File)
    }

    pub(super) fn status_at(
        &self,
        who: ProcessId,
        at: Option<Fd>,
        path: &Path,
        links: Links,
    ) -> Result<FileStatus, Errno> {
        let slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        let place = self.find(who, at, path, if slash { Links::Follow } else { links })?;
        let found = place.existing(self)?;
        self.check_handle(who, found)?;
        Ok(self.status(found))
    }

    /// fstat(2).
    pub(super) fn stat_fd(&self, who: ProcessId, fd: Fd) -> Result<Reply, Errno> {
        let status = match self.object(who, fd)? {
            Object::File { inode, .. } => {
                self.opened_inode(who, fd)?;
                self.status(*inode)
            }
            Object::Tcp(tcp) => socket_status(tcp.socket, self.binding_of(tcp).uid),
            Object::UnixListener(listener) => socket_status(listener.socket, listener.uid),
            Object::UnixStream { socket, uid, .. } => socket_status(*socket, *uid),
            Object::Pidfd { process } => pidfds::status(*process),
        };
        Ok(Reply::File(status))
    }

    /// fstatfs(2).
    pub(super) fn file_system(&self, who: ProcessId, fd: Fd) -> Result<Reply, Errno> {
        let magic = match (self.opened_inode(who, fd)?, self.object(who, fd)?) {
            (Some(number), _) => self.mount_of(number).magic,
            (None, Object::Pidfd { .. }) => pidfds::MAGIC,
            (None, _) => SOCKET_MAGIC,
        };
        Ok(Reply::FileSystem(FileSystem { magic }))
    }

    /// The inode that pread(2) and pwrite(2) work on. A pidfd takes an offset, but cannot be read.
    fn positioned_inode(&self, who: ProcessId, fd: Fd) -> Result<u64, Errno> {
        match self.object(who, fd)? {
            Object::Pidfd { .. } => Err(Errno::InvalidArgument),
            Object::File { .. } | Object::Tcp(_) | Object::UnixListener(_) | Object::UnixStream { .. } => {
                self.opened_inode(who, fd)?.ok_or(NO_SEEK)
            }
        }
    }

    pub(super) fn is_writable(&self, who: ProcessId, fd: Fd) -> Result<bool, Errno> {
        match self.object(who, fd)? {
            Object::File { writable, .. } => Ok(*writable),
            Object::Tcp(_) | Object::UnixListener(_) | Object::UnixStream { .. } | Object::Pidfd { .. } => {
                Ok(true)
            }
        }
    }

    fn appends(&self, who: ProcessId, fd: Fd) -> Result<bool, Errno> {
        match self.object(who, fd)? {
            Object::File { append, .. } => Ok(*append),
            Object::Tcp(_) | Object::UnixListener(_) | Object::UnixStream { .. } | Object::Pidfd { .. } => {
                Ok(false)
            }
        }
    }

    /// The bytes of a file that is open.
    pub(super) fn bytes(&self, number: u64) -> Result<&[u8], Errno> {
        match &self.inode(number).content {
            Content::Regular(bytes) => Ok(bytes),
            Content::Directory { .. } => Err(Errno::IsDirectory),
            Content::Symlink(_) => Err(Errno::SymlinkLoop),
            Content::Socket => Err(Errno::NoDeviceOrAddress),
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
        modified_ns: 0,
    }
}
