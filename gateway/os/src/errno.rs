//! The error numbers that protocols branch on, by name, with no number of any platform in them.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! errnos {
    ($($variant:ident $name:literal $text:literal,)*) => {
        /// Why the kernel refused a call. Names and meanings are those of errno(3).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Errno {
            $(#[doc = concat!("`", $name, "`: ", $text, ".")] $variant,)*
            /// Any other error, by its number on this platform.
            Other(i32),
        }

        impl Errno {
            /// Every named error, in the order of declaration.
            pub const NAMED: &'static [Self] = &[$(Self::$variant,)*];

            /// The name as in the manual, for instance `EEXIST`.
            pub fn name(self) -> String {
                match self {
                    $(Self::$variant => $name.to_owned(),)*
                    Self::Other(number) => format!("errno {number}"),
                }
            }

            /// What it means, as a fragment of a sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(_) => "an error without a name here",
                }
            }
        }

        #[cfg(target_os = "linux")]
        impl Errno {
            /// The same error as the kernel of this machine numbers it.
            pub fn from_raw(number: i32) -> Self {
                let known = rustix::io::Errno::from_raw_os_error(number);
                $(if known == linux::$variant { return Self::$variant; })*
                Self::Other(number)
            }
        }
    };
}

errnos! {
    AccessDenied "EACCES" "permission denied",
    AddressInUse "EADDRINUSE" "address already in use",
    AddressNotAvailable "EADDRNOTAVAIL" "address not available",
    AddressFamilyNotSupported "EAFNOSUPPORT" "address family not supported",
    WouldBlock "EAGAIN" "it would have to wait",
    BadDescriptor "EBADF" "bad file descriptor",
    Busy "EBUSY" "it is in use",
    NoChild "ECHILD" "no such child",
    ConnectionRefused "ECONNREFUSED" "connection refused",
    ConnectionReset "ECONNRESET" "connection reset by peer",
    Exists "EEXIST" "file exists",
    FileTooBig "EFBIG" "file too large",
    Interrupted "EINTR" "interrupted by a signal",
    InvalidArgument "EINVAL" "invalid argument",
    InputOutput "EIO" "input/output error",
    IsDirectory "EISDIR" "is a directory",
    IsConnected "EISCONN" "it is connected already",
    SymlinkLoop "ELOOP" "is a symbolic link, or too many of them",
    TooManyFiles "EMFILE" "too many open files in this process",
    TooManyFilesOnHost "ENFILE" "too many open files on this machine",
    TooManyLinks "EMLINK" "too many links",
    NameTooLong "ENAMETOOLONG" "name too long",
    NotFound "ENOENT" "no such file or directory",
    NoLocks "ENOLCK" "no locks available",
    NoSpace "ENOSPC" "no space left on device",
    NotImplemented "ENOSYS" "the machine does not know this call",
    NotConnected "ENOTCONN" "it is not connected",
    NotDirectory "ENOTDIR" "not a directory",
    NotEmpty "ENOTEMPTY" "directory not empty",
    NotSocket "ENOTSOCK" "it is no socket",
    Overflow "EOVERFLOW" "value too large",
    NotSupported "EOPNOTSUPP" "operation not supported",
    NotPermitted "EPERM" "operation not permitted",
    BrokenPipe "EPIPE" "the other end is closed",
    ReadOnly "EROFS" "read-only file system",
    NotSeekable "ESPIPE" "it has no position",
    NoProcess "ESRCH" "no such process",
    StaleHandle "ESTALE" "stale file handle",
    TimedOut "ETIMEDOUT" "no answer in time",
    QuotaExceeded "EDQUOT" "disk quota exceeded",
    CrossDevice "EXDEV" "not on the same file system",
    NoDeviceOrAddress "ENXIO" "no such device or address",
}

#[cfg(target_os = "linux")]
#[expect(non_upper_case_globals, reason = "the constants carry the names of the variants they stand for")]
mod linux {
    use rustix::io::Errno;

    pub(super) const AccessDenied: Errno = Errno::ACCESS;
    pub(super) const AddressInUse: Errno = Errno::ADDRINUSE;
    pub(super) const AddressNotAvailable: Errno = Errno::ADDRNOTAVAIL;
    pub(super) const AddressFamilyNotSupported: Errno = Errno::AFNOSUPPORT;
    pub(super) const WouldBlock: Errno = Errno::AGAIN;
    pub(super) const BadDescriptor: Errno = Errno::BADF;
    pub(super) const ConnectionRefused: Errno = Errno::CONNREFUSED;
    pub(super) const ConnectionReset: Errno = Errno::CONNRESET;
    pub(super) const Busy: Errno = Errno::BUSY;
    pub(super) const NoChild: Errno = Errno::CHILD;
    pub(super) const FileTooBig: Errno = Errno::FBIG;
    pub(super) const IsConnected: Errno = Errno::ISCONN;
    pub(super) const TooManyLinks: Errno = Errno::MLINK;
    pub(super) const NotImplemented: Errno = Errno::NOSYS;
    pub(super) const NotConnected: Errno = Errno::NOTCONN;
    pub(super) const NotSocket: Errno = Errno::NOTSOCK;
    pub(super) const NotSeekable: Errno = Errno::SPIPE;
    pub(super) const Exists: Errno = Errno::EXIST;
    pub(super) const Interrupted: Errno = Errno::INTR;
    pub(super) const InvalidArgument: Errno = Errno::INVAL;
    pub(super) const InputOutput: Errno = Errno::IO;
    pub(super) const IsDirectory: Errno = Errno::ISDIR;
    pub(super) const SymlinkLoop: Errno = Errno::LOOP;
    pub(super) const TooManyFiles: Errno = Errno::MFILE;
    pub(super) const TooManyFilesOnHost: Errno = Errno::NFILE;
    pub(super) const NameTooLong: Errno = Errno::NAMETOOLONG;
    pub(super) const NotFound: Errno = Errno::NOENT;
    pub(super) const NoLocks: Errno = Errno::NOLCK;
    pub(super) const NoSpace: Errno = Errno::NOSPC;
    pub(super) const NoDeviceOrAddress: Errno = Errno::NXIO;
    pub(super) const NotDirectory: Errno = Errno::NOTDIR;
    pub(super) const NotEmpty: Errno = Errno::NOTEMPTY;
    pub(super) const NotSupported: Errno = Errno::OPNOTSUPP;
    pub(super) const NotPermitted: Errno = Errno::PERM;
    pub(super) const BrokenPipe: Errno = Errno::PIPE;
    pub(super) const ReadOnly: Errno = Errno::ROFS;
    pub(super) const NoProcess: Errno = Errno::SRCH;
    pub(super) const StaleHandle: Errno = Errno::STALE;
    pub(super) const TimedOut: Errno = Errno::TIMEDOUT;
    pub(super) const Overflow: Errno = Errno::OVERFLOW;
    pub(super) const QuotaExceeded: Errno = Errno::DQUOT;
    pub(super) const CrossDevice: Errno = Errno::XDEV;
}

#[cfg(target_os = "linux")]
impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::from_raw(errno.raw_os_error())
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.meaning())
    }
}

impl std::error::Error for Errno {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::Errno;

    #[test]
    fn a_number_of_this_kernel_comes_back_by_name() {
        assert_eq!(Errno::from(rustix::io::Errno::EXIST), Errno::Exists);
        assert_eq!(Errno::from(rustix::io::Errno::WOULDBLOCK), Errno::WouldBlock);
        assert_eq!(Errno::from_raw(4095), Errno::Other(4095));
    }

    #[test]
    fn every_name_is_used_once() {
        let mut names: Vec<String> = Errno::NAMED.iter().map(|errno| errno.name()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), Errno::NAMED.len());
    }
}
