//! What a call can be told: how a file is opened, which clock is read, whose a lock is.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Errno, Fd, FileId};

/// How a file is opened, as in open(2). Every descriptor is opened close-on-exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Open {
    /// Allow writing. Reading is always allowed.
    pub write: bool,
    /// `O_APPEND`: every write goes to the end of the file, whatever offset it names.
    pub append: bool,
    /// `O_CREAT`: create the file if the name is free.
    pub create: bool,
    /// `O_EXCL`: with `create`, fail with [`Errno::Exists`](crate::Errno::Exists) if the name is taken.
    pub exclusive: bool,
    /// `O_TRUNC`: empty the file.
    pub truncate: bool,
    /// `O_DIRECTORY`: fail unless it is a directory.
    pub directory: bool,
    /// `O_NOFOLLOW`: fail with [`Errno::SymlinkLoop`](crate::Errno::SymlinkLoop) if the last part is a symbolic link.
    pub no_follow: bool,
    /// The permission bits of a file that is created, before the umask.
    pub mode: u32,
}

impl Open {
    /// An existing file, for reading.
    pub const fn read() -> Self {
        Self {
            write: false,
            append: false,
            create: false,
            exclusive: false,
            truncate: false,
            directory: false,
            no_follow: false,
            mode: 0o600,
        }
    }

    /// An existing directory, not through a symbolic link.
    pub const fn directory() -> Self {
        Self { directory: true, no_follow: true, ..Self::read() }
    }

    /// A file of mode 0600 for reading and writing, created if absent, not through a symbolic link.
    pub const fn read_write_create() -> Self {
        Self { write: true, create: true, no_follow: true, ..Self::read() }
    }

    /// A file of mode 0600 that must not exist yet.
    pub const fn create_exclusive() -> Self {
        Self { exclusive: true, ..Self::read_write_create() }
    }

    /// A file of mode 0600, emptied if it exists.
    pub const fn create_truncate() -> Self {
        Self { truncate: true, ..Self::read_write_create() }
    }
}

/// The deadline of a wait that has none, where a call says so.
pub const FOREVER_MS: u32 = u32::MAX;

/// A path, and what it is expected to lead to. Symbolic links are followed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Watched {
    /// The directory that a relative path starts from.
    pub at: Option<Fd>,
    /// The path.
    pub path: PathBuf,
    /// What there is.
    pub leads: Leads,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Leads {
    /// There is nothing.
    Nowhere,
    /// There is something, whatever it is.
    Somewhere,
    /// There is this file.
    To(FileId),
}

impl Watched {
    /// Whether what [`Call::Stat`](crate::Call::Stat) says of the path contradicts what is expected. An error that leaves
    /// open where the path leads does not.
    pub fn is_refuted_by(&self, found: Result<FileId, Errno>) -> bool {
        match found {
            Ok(file) => match self.leads {
                Leads::Nowhere => true,
                Leads::Somewhere => false,
                Leads::To(expected) => expected != file,
            },
            Err(Errno::NotFound | Errno::NotDirectory) => self.leads != Leads::Nowhere,
            Err(_) => false,
        }
    }
}

/// What happens to a symbolic link at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Links {
    /// The file that it names is meant.
    Follow,
    /// The link itself is meant.
    NoFollow,
}

/// What is done to a lock. None of the locking calls waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LockMode {
    /// `LOCK_EX | LOCK_NB`, or `F_WRLCK`.
    Exclusive,
    /// `LOCK_SH | LOCK_NB`, or `F_RDLCK`.
    Shared,
    /// `LOCK_UN`, or `F_UNLCK`.
    Unlock,
}

/// Whom a byte range lock of fcntl(2) belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RangeOwner {
    /// `F_SETLK`: the process. Any close of any descriptor of the file drops it.
    Process,
    /// `F_OFD_SETLK`: the open file description, as with flock(2).
    Description,
}

/// Bytes of a file, in it or beyond its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// How many; 0 means all that follow.
    pub length: u64,
}

impl ByteRange {
    /// The whole file, however long it becomes.
    pub const WHOLE: Self = Self { start: 0, length: 0 };
}

/// What a Unix socket is bound to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum UnixName {
    /// A name in the abstract namespace, without the leading NUL. It goes with its socket.
    Abstract(String),
    /// A file, which stays when its socket is gone.
    Path(PathBuf),
}

/// How a TCP socket is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BindOptions {
    /// `SO_REUSEADDR`.
    pub reuse_address: bool,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// `IPV6_V6ONLY`. Without meaning for IPv4.
    pub v6_only: bool,
}

impl BindOptions {
    /// What a server uses: `SO_REUSEADDR`, no `SO_REUSEPORT`, IPv6 sockets for IPv6 only.
    pub const SERVER: Self = Self { reuse_address: true, reuse_port: false, v6_only: true };
}

/// The signals that the project sends or catches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Signal {
    /// `SIGTERM`: please stop.
    Terminate,
    /// `SIGINT`: please stop, from a terminal.
    Interrupt,
    /// `SIGKILL`: the kernel ends the process.
    Kill,
    /// `SIGSTOP`: the kernel stops scheduling the process.
    Stop,
    /// `SIGCONT`: the kernel schedules it again.
    Continue,
    /// `SIGUSR1`: please begin anew, and keep what you own.
    User1,
    /// `SIGUSR2`: please look whether you still own what you own, and write that down.
    User2,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Terminate, Self::Interrupt, Self::Kill, Self::Stop, Self::Continue, Self::User1, Self::User2];
}

/// The clocks of clock_gettime(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Clock {
    /// `CLOCK_REALTIME`: nanoseconds after 1970 that anybody may set forwards or back. For display only.
    Wall,
    /// `CLOCK_MONOTONIC`: nanoseconds that never go back and pause in suspend.
    Monotonic,
    /// `CLOCK_BOOTTIME`: nanoseconds after boot, suspend included.
    Boot,
}

/// A word of memory that the tasks of one process share, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell(pub u8);

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Kill => "SIGKILL",
            Self::Stop => "SIGSTOP",
            Self::Continue => "SIGCONT",
            Self::User1 => "SIGUSR1",
            Self::User2 => "SIGUSR2",
        })
    }
}

impl fmt::Display for UnixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abstract(name) => write!(f, "@{name}"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl From<String> for UnixName {
    fn from(name: String) -> Self {
        Self::Abstract(name)
    }
}

impl From<&str> for UnixName {
    fn from(name: &str) -> Self {
        Self::Abstract(name.to_owned())
    }
}
