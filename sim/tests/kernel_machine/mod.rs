//! A machine with one state directory, and short names for what tests do with it.

use std::path::{Path, PathBuf};

use portcullis_os::{Call, Errno, Fd, LockMode, Open, Reply, Uid};
use sim::Kernel;
use sim::kernel::{Completion, Place, ProcessId, Readiness, Spawn};

/// Whose processes are started where nothing else is said.
pub(crate) const USER: Uid = Uid(1000);

/// `/state` belongs to [`USER`], and so does every process.
pub(crate) fn machine() -> Kernel {
    let mut kernel = Kernel::new();
    kernel.make_directory(Path::new("/state"), 0o700, USER);
    kernel.take_effects();
    kernel
}

/// Starts a process that nobody waits for.
pub(crate) fn start(kernel: &mut Kernel, name: &str) -> ProcessId {
    let spawn = Spawn {
        name: name.to_owned(),
        command: format!("/usr/bin/{name} --serve"),
        uid: USER,
        parent: None,
        pid: None,
        place: Place::default(),
    };
    match kernel.spawn(&spawn) {
        Ok(process) => process,
        Err(errno) => panic!("{name} is not started: {errno}"),
    }
}

/// Carries out a call that is ready.
pub(crate) fn ask(kernel: &mut Kernel, who: ProcessId, call: Call) -> Result<Reply, Errno> {
    assert_eq!(kernel.readiness(who, &call), Readiness::Ready, "{call}");
    kernel.perform(who, &call, Completion::Normal)
}

/// The descriptor that a call answers with.
pub(crate) fn fd(reply: Result<Reply, Errno>) -> Fd {
    match reply {
        Ok(Reply::Fd(fd)) => fd,
        other => panic!("no descriptor but {other:?}"),
    }
}

pub(crate) fn open(path: &str, open: Open) -> Call {
    Call::Open { at: None, path: PathBuf::from(path), open }
}

pub(crate) fn flock(fd: Fd) -> Call {
    Call::Flock { fd, mode: LockMode::Exclusive }
}
