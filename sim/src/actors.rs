//! Programs that are no gateways and get in the way of one: what restart scripts, backups, cleaners and editors do.
//!
//! They are processes like any other: each of their calls is a step, others get between, and they can do what their user
//! can do. What they cannot do they leave.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use portcullis_os::{
    ByteRange, Clock, Errno, FileKind, Links, LockMode, Open, Os, Port, RangeOwner, Signal, TcpState,
};

use crate::program::Program;

/// What a reader does before it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadLock {
    /// Nothing.
    None,
    /// A shared flock(2). If it is refused it reads all the same.
    Flock,
    /// A shared lock of the process on the whole file (`F_SETLK`), which it loses with its first close of that file.
    Process,
}

/// Signals whoever listens on a port, as `fuser -k` and `lsof -t -i | xargs kill` do. Its exit status is how many it has
/// signalled.
///
/// A pid that was read is only a number by the time it is signalled.
pub fn kill_by_port(port: Port, signal: Signal) -> Program {
    Program::new("kill-by-port", move |os| async move {
        let signalled = signal_holders(&os, port, signal).await.unwrap_or_default();
        u8::try_from(signalled).unwrap_or(u8::MAX)
    })
}

async fn signal_holders(os: &impl Os, port: Port, signal: Signal) -> Result<usize, Errno> {
    let rows = os.tcp_sockets(port).await?.into_iter();
    let listening: Vec<u64> =
        rows.filter(|row| row.state == TcpState::Listen).map(|row| row.socket).collect();
    let own = os.own_pid().await?;
    let mut signalled = 0;
    for pid in os.processes().await? {
        if pid == own {
            continue;
        }
        for socket in &listening {
            if os.holds_socket(pid, *socket).await == Ok(true) {
                signalled += usize::from(os.kill(pid, Some(signal)).await.is_ok());
                break;
            }
        }
    }
    Ok(signalled)
}

/// Reads every file of a directory from its beginning, as a backup does, one after the other.
pub fn read_all(directory: PathBuf, lock: ReadLock) -> Program {
    Program::new("read-all", move |os| {
        let directory = directory.clone();
        async move {
            for path in files_in(&os, &directory).await.unwrap_or_default() {
                // What has gone meanwhile, or is not for this user, is not in the backup.
                let _ = read_one(&os, &path, lock).await;
            }
            0
        }
    })
}

async fn read_one(os: &impl Os, path: &Path, lock: ReadLock) -> Result<(), Errno> {
    let file = os.open(path, Open::read()).await?;
    let _ = match lock {
        ReadLock::None => Ok(()),
        ReadLock::Flock => os.flock(&file, LockMode::Shared).await,
        ReadLock::Process => {
            os.lock_range(&file, RangeOwner::Process, LockMode::Shared, ByteRange::WHOLE).await
        }
    };
    os.read(&file, 0, 4096).await.map(|_| ())
}

/// Removes every file of a directory that was not changed for so many milliseconds of the wall clock, as tmpreaper(8) and
/// systemd-tmpfiles(8) do. The latter spares what it cannot lock; this one does not ask.
pub fn clean(directory: PathBuf, older_than_ms: u64) -> Program {
    Program::new("clean", move |os| {
        let directory = directory.clone();
        async move {
            let now_ns = os.read_clock(Clock::Wall).await.unwrap_or_default();
            for path in files_in(&os, &directory).await.unwrap_or_default() {
                let Ok(status) = os.stat(&path, Links::NoFollow).await else { continue };
                if now_ns.saturating_sub(status.modified_ns) >= older_than_ms.saturating_mul(1_000_000) {
                    let _ = os.unlink(&path).await;
                }
            }
            0
        }
    })
}

/// Holds a lock file shared until it is told to stop, as a child does that writes what belongs to its parent. Its exit
/// status is 0 if it could.
pub fn write_on(lock_file: PathBuf) -> Program {
    Program::new("write-on", move |os| {
        let lock_file = lock_file.clone();
        async move { u8::from(hold_shared(&os, &lock_file).await.is_err()) }
    })
}

async fn hold_shared(os: &impl Os, lock_file: &Path) -> Result<(), Errno> {
    os.catch_signals().await?;
    let file = os.open(lock_file, Open::read_write_create()).await?;
    os.flock(&file, LockMode::Shared).await?;
    os.next_signal().await.map(|_| ())
}

/// Writes a file anew beside the old one and renames it into its place, as editors do.
pub fn rewrite(path: PathBuf, bytes: Vec<u8>) -> Program {
    Program::new("rewrite", move |os| {
        let (path, bytes) = (path.clone(), bytes.clone());
        async move { u8::from(replace(&os, &path, &bytes).await.is_err()) }
    })
}

async fn replace(os: &impl Os, path: &Path, bytes: &[u8]) -> Result<(), Errno> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::InvalidArgument);
    };
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".tmp");
    let directory = os.open(directory, Open::directory()).await?;
    let file = os.open_at(&directory, &beside, Open::create_exclusive()).await?;
    os.write(&file, 0, bytes).await?;
    os.sync(&file).await?;
    os.rename_at(&directory, &beside, name).await
}

/// The regular files of a directory, by their paths, in the order of their names.
async fn files_in(os: &impl Os, directory: &Path) -> Result<Vec<PathBuf>, Errno> {
    let names = {
        let opened = os.open(directory, Open::directory()).await?;
        os.read_directory(&opened).await?
    };
    let mut files = Vec::new();
    for name in names {
        let path = directory.join(name);
        if os.stat(&path, Links::NoFollow).await.is_ok_and(|status| status.kind == FileKind::Regular) {
            files.push(path);
        }
    }
    Ok(files)
}
