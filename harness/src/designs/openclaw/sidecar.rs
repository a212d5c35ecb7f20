//! A lock file of the fifth generation: made with `O_EXCL`, removed when stale, both under locks of SQLite beside it.
//!
//! The removal has a guard besides, a directory: who dies before it is removed again leaves it behind for ever. What
//! is looked at several times is told apart by the 128 random bits in it, so lstat(2) and fstat(2) around are left out.

use std::path::{Path, PathBuf};

use portcullis_os::{Call, Descriptor, Errno, Links, Open, Os};

use super::coordinator::{self, Coordinator};
use super::record::{self, Record, Status};
use super::{ATTEMPTS, Generation, Refused, pause};

/// How long to wait between two looks, in milliseconds.
const POLL_MS: u32 = 100;

/// A lock file that this process has made, and the locks that go with it.
#[derive(Debug)]
pub(super) struct Sidecar<O: Os> {
    coordinator: Coordinator<O>,
    file: Descriptor<O>,
    path: PathBuf,
    record: Record,
}

impl<O: Os> Sidecar<O> {
    pub(super) async fn acquire(os: &O, generation: Generation, path: PathBuf) -> Result<Self, Refused> {
        let beside = coordinator::beside(&path);
        for look in 1..=ATTEMPTS {
            if let Some(coordinator) = Coordinator::try_begin(os, &beside).await? {
                match make(os, generation, &path).await {
                    Ok(Some((file, record))) => return Ok(Self { coordinator, file, path, record }),
                    Ok(None) => coordinator.release().await,
                    Err(errno) => {
                        coordinator.release().await;
                        return Err(errno.into());
                    }
                }
            }
            pause(os, look, POLL_MS).await?;
        }
        let holder = record::read(os, &path).await.map(|record| record.pid);
        Err(Refused::Held(holder))
    }

    /// The locks first, then the file, if it still is the one that this process has made.
    pub(super) async fn release(self, os: &O) {
        let Self { coordinator, file, path, record } = self;
        coordinator.release().await;
        let _ = file.close().await;
        if record::read(os, &path).await.as_ref() == Some(&record) {
            let _ = os.unlink(&path).await;
        }
    }
}

/// Makes the lock file, in the place of a stale one if need be. `None`: somebody else's is there, or the guard is.
async fn make<O: Os>(
    os: &O,
    generation: Generation,
    path: &Path,
) -> Result<Option<(Descriptor<O>, Record)>, Errno> {
    let guard = guard(path);
    if os.stat(&guard, Links::NoFollow).await.is_ok() {
        return Ok(None);
    }
    if let Some(made) = create(os, generation, path).await? {
        return Ok(Some(made));
    }
    let before = record::read(os, path).await;
    if !is_stale(os, generation, path, before.as_ref()).await? || record::read(os, path).await != before {
        return Ok(None);
    }
    match os.make_directory(&guard, 0o700).await {
        Ok(()) => {}
        Err(Errno::Exists) => return Ok(None),
        Err(errno) => return Err(errno),
    }
    let mut made = None;
    if record::read(os, path).await == before && is_stale(os, generation, path, before.as_ref()).await? {
        match os.unlink(path).await {
            Ok(()) | Err(Errno::NotFound) => {}
            Err(errno) => return Err(errno),
        }
        made = create(os, generation, path).await?;
    }
    os.done(Call::RemoveDirectory { at: None, path: guard }).await?;
    Ok(made)
}

/// Makes the lock file where there is none, and writes who owns it.
async fn create<O: Os>(
    os: &O,
    generation: Generation,
    path: &Path,
) -> Result<Option<(Descriptor<O>, Record)>, Errno> {
    let file = match os.open(path, Open::create_exclusive()).await {
        Ok(file) => file,
        Err(Errno::Exists) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let record = Record::own(os, generation).await?;
    if let Err(errno) = os.write(&file, 0, record.text().as_bytes()).await {
        let _ = file.close().await;
        let _ = os.unlink(path).await;
        return Err(errno);
    }
    Ok(Some((file, record)))
}

/// Whether nobody owns what a lock file says: its owner is dead, or it names none and is old.
async fn is_stale<O: Os>(
    os: &O,
    generation: Generation,
    path: &Path,
    record: Option<&Record>,
) -> Result<bool, Errno> {
    match record {
        Some(record) => Ok(record::status(os, generation, record.pid, record.start).await == Status::Dead),
        None => record::is_old(os, generation, path, None).await,
    }
}

/// The directory that guards the removal of a lock file.
fn guard(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".reclaim");
    PathBuf::from(name)
}
