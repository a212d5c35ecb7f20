//! In which ways each call can end for what is generated, and which ways there are that it cannot.
//!
//! A run is judged by this table: an ending that is not declared is a surprise, and one that is declared and was not seen
//! in a long run is a hole. The lists are those of the man pages and of the kernel (6.18), less what the reasons at the
//! end exclude.

use std::fmt;

use crate::run::Summary;

/// A run that is shorter need not show everything.
pub const LONG: u32 = 10_000;

/// What a long run must show.
const EXPECTED: &[(&str, &[&str])] = &[
    ("Accept", &["Accepted", "EBADF", "EINVAL", "EMFILE", "ENOTSOCK", "waits"]),
    ("BindTcp", &["EACCES", "EADDRINUSE", "EADDRNOTAVAIL", "EINVAL", "EMFILE", "Fd"]),
    ("BootId", &["EMFILE", "Text"]),
    ("CatchSignals", &["Done"]),
    ("Close", &["Done", "EBADF"]),
    (
        "ConnectTcp",
        &["EACCES", "EADDRINUSE", "EAFNOSUPPORT", "ECONNREFUSED", "EINVAL", "EMFILE", "ETIMEDOUT", "Fd"],
    ),
    ("ConnectUnix", &["EACCES", "EAGAIN", "ECONNREFUSED", "ELOOP", "EMFILE", "ENAMETOOLONG", "ENOENT", "Fd"]),
    ("Duplicate", &["EBADF", "EMFILE", "Fd"]),
    ("FileSystem", &["EBADF", "FileSystem"]),
    ("Flock", &["Done", "EAGAIN", "EBADF"]),
    ("HoldsLock", &["EACCES", "EMFILE", "ENOENT", "no", "yes"]),
    ("HoldsSocket", &["EACCES", "EMFILE", "ENOENT", "no", "yes"]),
    ("Kill", &["Done", "EPERM", "ESRCH"]),
    (
        "Link",
        &[
            "Done",
            "EACCES",
            "EBADF",
            "EEXIST",
            "EINVAL",
            "ELOOP",
            "ENAMETOOLONG",
            "ENOENT",
            "ENOTDIR",
            "EPERM",
        ],
    ),
    ("Listen", &["Done", "EADDRINUSE", "EBADF", "EINVAL", "ENOTSOCK"]),
    ("ListenUnix", &["EACCES", "EADDRINUSE", "EMFILE", "ENAMETOOLONG", "ENOENT", "Fd"]),
    ("Load", &["Word"]),
    ("LocalAddress", &["Address", "EAFNOSUPPORT", "EBADF", "ENOTSOCK"]),
    ("LockRange", &["Done", "EAGAIN", "EBADF", "EINVAL", "EOVERFLOW"]),
    ("LockTakers", &["EMFILE", "Pids", "Pids none"]),
    (
        "MakeDirectory",
        &["Done", "EACCES", "EBADF", "EEXIST", "EINVAL", "ELOOP", "ENAMETOOLONG", "ENOENT", "ENOTDIR"],
    ),
    ("NextSignal", &["EINVAL", "Signal", "waits"]),
    (
        "Open",
        &[
            "EACCES",
            "EBADF",
            "EEXIST",
            "EINVAL",
            "EISDIR",
            "ELOOP",
            "EMFILE",
            "ENAMETOOLONG",
            "ENOENT",
            "ENOTDIR",
            "ENXIO",
            "Fd",
        ],
    ),
    ("OpenPidfd", &["EMFILE", "ENOENT", "ESRCH", "Fd"]),
    ("OwnNamespaces", &["Namespaces"]),
    ("OwnPid", &["Pid"]),
    ("OwnUid", &["Uid"]),
    ("PeerCredentials", &["EBADF", "ENOTCONN", "ENOTSOCK", "Peer"]),
    ("ProcessCommand", &["EMFILE", "ENOENT", "Text"]),
    ("ProcessStatus", &["EMFILE", "ENOENT", "Process"]),
    ("Processes", &["EMFILE", "Pids"]),
    ("Random", &["Random"]),
    ("RangeHolder", &["EBADF", "EINVAL", "EOVERFLOW", "Range", "nobody"]),
    ("Read", &["Bytes", "Bytes none", "EBADF", "EISDIR", "ESPIPE"]),
    ("ReadClock", &["Nanoseconds"]),
    ("ReadDirectory", &["EBADF", "ENOENT", "ENOTDIR", "Names", "Names none"]),
    ("ReadLink", &["EACCES", "EBADF", "EINVAL", "ENOENT", "ENOTDIR", "Path"]),
    ("Reap", &["EAGAIN", "ECHILD", "Ended"]),
    (
        "Receive",
        &["Bytes", "Bytes none", "EBADF", "ECONNRESET", "EINVAL", "ENOTCONN", "ENOTSOCK", "ETIMEDOUT"],
    ),
    ("ReceiveFd", &["EBADF", "ECONNRESET", "EINVAL", "ENOENT", "ENOTSOCK", "ETIMEDOUT", "Fd"]),
    (
        "RemoveDirectory",
        &["Done", "EACCES", "EINVAL", "ENAMETOOLONG", "ENOENT", "ENOTDIR", "ENOTEMPTY", "EPERM"],
    ),
    (
        "Rename",
        &[
            "Done",
            "EACCES",
            "EBADF",
            "EBUSY",
            "EEXIST",
            "EINVAL",
            "EISDIR",
            "ELOOP",
            "ENAMETOOLONG",
            "ENOENT",
            "ENOTDIR",
            "ENOTEMPTY",
            "EPERM",
        ],
    ),
    ("Send", &["Count", "EBADF", "ECONNRESET", "ENOTCONN", "ENOTSOCK", "EPIPE"]),
    ("SendFd", &["Done", "EBADF", "ENOTCONN", "ENOTSOCK", "EPIPE"]),
    ("SetInherit", &["Done", "EBADF"]),
    ("SetMode", &["Done", "EBADF", "EPERM"]),
    ("SetModified", &["Done", "EBADF", "EPERM"]),
    ("SetUmask", &["Word"]),
    ("SignalPidfd", &["Done", "EBADF", "EPERM", "ESRCH"]),
    ("Sleep", &["Done"]),
    ("Spawn", &["EINVAL", "Pid"]),
    ("Stat", &["EACCES", "EBADF", "EINVAL", "ELOOP", "ENAMETOOLONG", "ENOENT", "ENOTDIR", "File"]),
    ("StatFd", &["EBADF", "File"]),
    ("Store", &["Done"]),
    ("Symlink", &["Done", "EACCES", "EBADF", "EEXIST", "ENAMETOOLONG", "ENOENT", "ENOTDIR"]),
    ("Sync", &["Done", "EBADF", "EINVAL"]),
    ("TcpListeners", &["EMFILE", "Tcp", "Tcp none"]),
    ("TcpSockets", &["EMFILE", "Tcp", "Tcp none"]),
    ("Truncate", &["Done", "EBADF", "EINVAL"]),
    (
        "Unlink",
        &[
            "Done",
            "EACCES",
            "EBADF",
            "EINVAL",
            "EISDIR",
            "ELOOP",
            "ENAMETOOLONG",
            "ENOENT",
            "ENOTDIR",
            "EPERM",
        ],
    ),
    ("WaitPidfd", &["Done", "EBADF", "ETIMEDOUT"]),
    ("Watch", &["EBADF", "EINVAL", "ESTALE", "Signal", "waits"]),
    ("Write", &["Count", "EBADF", "ESPIPE"]),
];

/// What can happen and seldom does: about once in as many sequences as a long run has.
const SELDOM: &[(&str, &str, &str)] = &[
    (
        "ConnectTcp",
        "EADDRNOTAVAIL",
        "two connections between the same two ports, the first of them still there",
    ),
    ("Read", "EINVAL", "of a descriptor of a process"),
    ("Write", "EINVAL", "to a descriptor of a process"),
    ("Truncate", "EOPNOTSUPP", "of a descriptor of a process"),
    ("ReadLink", "ELOOP", "through a link that leads to itself"),
    ("RemoveDirectory", "ELOOP", "through a link that leads to itself"),
    ("Symlink", "ELOOP", "through a link that leads to itself"),
    ("ReadLink", "ENAMETOOLONG", "of a name that is too long"),
    ("RemoveDirectory", "EBADF", "from a descriptor that is closed"),
    ("Symlink", "EINVAL", "under a name with a NUL"),
    ("ReceiveFd", "ENOTCONN", "from a TCP socket that is bound"),
    ("ReceiveFd", "EMFILE", "with no descriptor left for the one that comes"),
    ("SendFd", "ECONNRESET", "over a TCP connection that was reset"),
];

/// Endings that Linux knows and nothing generated can have, each with the reason; `*` stands for every call.
pub const EXCLUDED: &[(&str, &str, &str)] = &[
    ("*", "EIO", "the file system of a sequence is memory, which does not fail"),
    ("*", "ENOSPC", "it has room"),
    ("*", "EDQUOT", "it has no quotas"),
    ("*", "EROFS", "it can be written"),
    ("*", "EXDEV", "a sequence has one file system, mounted once"),
    ("*", "ESTALE", "it is on this machine"),
    ("*", "ENOLCK", "it locks everything, and the kernel has room for locks"),
    ("*", "EFBIG", "files stay small"),
    ("*", "EMLINK", "files have few names"),
    ("*", "ENFILE", "the whole machine is far from its limit"),
    ("*", "ENOMEM", "there is memory"),
    ("*", "EINTR", "`Linux` repeats what a signal has interrupted"),
    ("*", "ENOSYS", "both executors know every call; the report says so if not"),
    ("Open", "ETXTBSY", "no program is opened"),
    ("Open", "EWOULDBLOCK", "there are no leases"),
    ("Flock", "EINVAL", "every operation is one that there is"),
    ("LockRange", "EDEADLK", "no locking call waits"),
    (
        "Send",
        "EAGAIN",
        "too little is sent to fill a buffer, whose size depends on the memory of the machine",
    ),
    ("SendFd", "EAGAIN", "too little is sent to fill a buffer"),
    ("SendFd", "ETOOMANYREFS", "few descriptors are under way"),
    ("ConnectTcp", "ENETUNREACH", "only addresses of the loopback device are connected to"),
    ("ConnectTcp", "EISCONN", "each call makes a socket of its own"),
    ("ConnectUnix", "EPROTOTYPE", "all Unix sockets are streams"),
    ("Accept", "ECONNABORTED", "a connection that was reset is accepted all the same"),
    ("Kill", "EINVAL", "every signal is one that there is"),
    ("Spawn", "ENOENT", "in the simulated kernel every program exists"),
    (
        "Spawn",
        "EMFILE",
        "`Linux` needs descriptors of its own to start a program, so nobody does who has few",
    ),
    ("Reap", "EINVAL", "every option is one that there is"),
    ("Notify", "Done", "is no system call"),
];

/// A fault of a run in what it has shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hole {
    /// Nobody has declared that a call can end so.
    Surprise {
        /// The call.
        call: String,
        /// How it has ended.
        ending: String,
    },
    /// It was to be seen in a run of this length.
    Unseen {
        /// The call.
        call: &'static str,
        /// How it should have ended at least once.
        ending: &'static str,
    },
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Surprise { call, ending } => {
                write!(f, "{call} has ended with {ending}, which is not declared")
            }
            Self::Unseen { call, ending } => {
                write!(f, "{call} has never ended with {ending}, which is declared")
            }
        }
    }
}

/// What a run has shown that it should not, and has not shown that it should.
pub fn holes(summary: &Summary) -> Vec<Hole> {
    let declared = |call: &str, ending: &str| {
        EXPECTED.iter().any(|(name, endings)| *name == call && endings.contains(&ending))
            || SELDOM.iter().any(|(name, other, _)| *name == call && *other == ending)
    };
    let mut holes: Vec<Hole> = summary
        .coverage
        .pairs()
        .filter(|((call, ending), _)| !declared(call, ending))
        .map(|((call, ending), _)| Hole::Surprise { call: (*call).to_owned(), ending: ending.clone() })
        .collect();
    if summary.sequences >= LONG {
        let pairs =
            EXPECTED.iter().flat_map(|(call, endings)| endings.iter().map(move |ending| (*call, *ending)));
        let unseen = pairs.filter(|(call, ending)| {
            summary.coverage.hits(call, ending) == 0 && (summary.users.len() > 1 || !is_permission(ending))
        });
        holes.extend(unseen.map(|(call, ending)| Hole::Unseen { call, ending }));
    }
    holes
}

/// Whether only one of several users is told so.
fn is_permission(ending: &str) -> bool {
    ["EACCES", "EPERM"].contains(&ending)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{EXCLUDED, EXPECTED, SELDOM};

    #[test]
    fn no_ending_is_declared_twice_or_excluded_as_well() {
        let expected =
            EXPECTED.iter().flat_map(|(call, endings)| endings.iter().map(move |end| (*call, *end)));
        let seldom = SELDOM.iter().map(|(call, ending, _)| (*call, *ending));
        let excluded = EXCLUDED.iter().map(|(call, ending, _)| (*call, *ending));
        let all: Vec<(&str, &str)> = expected.chain(seldom).chain(excluded).collect();
        let different: BTreeSet<(&str, &str)> = all.iter().copied().collect();
        assert_eq!(all.len(), different.len());
    }

    #[test]
    fn every_call_is_declared() {
        let declared: BTreeSet<&str> = EXPECTED.iter().map(|(call, _)| *call).collect();
        let probed: BTreeSet<&str> =
            crate::generate::probes().map(|call| crate::parts::name(&call)).collect();
        assert_eq!(declared, probed);
    }
}
