//! One function for each kind of reply, which takes it apart, or gives it back if it is of another kind.

use std::ffi::OsString;

use crate::{
    Ending, Fd, FileStatus, FileSystem, Namespaces, PeerCredentials, Pid, ProcessStatus, Reply, Signal,
    TcpRow, Uid,
};

macro_rules! takes {
    ($($name:ident: $variant:ident($value:ty),)*) => {
        $(
            pub(crate) fn $name(reply: Reply) -> Result<$value, Reply> {
                if let Reply::$variant(value) = reply { Ok(value) } else { Err(reply) }
            }
        )*
    };
}

takes! {
    fd: Fd(Fd),
    count: Count(u32),
    bytes: Bytes(Vec<u8>),
    file: File(FileStatus),
    file_system: FileSystem(FileSystem),
    pid: Pid(Pid),
    uid: Uid(Uid),
    signal: Signal(Signal),
    pids: Pids(Vec<Pid>),
    process: Process(ProcessStatus),
    text: Text(String),
    truth: Truth(bool),
    tcp: Tcp(Vec<TcpRow>),
    peer: Peer(PeerCredentials),
    nanoseconds: Nanoseconds(u64),
    random: Random([u8; 16]),
    word: Word(u64),
    names: Names(Vec<OsString>),
    ended: Ended(Ending),
    namespaces: Namespaces(Namespaces),
}

pub(crate) fn done(reply: Reply) -> Result<(), Reply> {
    if reply == Reply::Done { Ok(()) } else { Err(reply) }
}

/// On which listening socket, and the connection.
pub(crate) fn accepted(reply: Reply) -> Result<(Fd, Fd), Reply> {
    if let Reply::Accepted { on, stream } = reply { Ok((on, stream)) } else { Err(reply) }
}
