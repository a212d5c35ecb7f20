//! What a lock file says of its owner, and what the system says of that process.
//!
//! Each look is a step of its own: by the time that a lock acts on the answer, it may be true no more.

use std::path::Path;

use portcullis_os::{Clock, Descriptor, Errno, FileStatus, Links, Open, Os, Pid, Tick};

/// The lock file of the locks that judge one.
pub(super) const LOCK_FILE: &str = "gateway.pid";

/// What a lock file with a pid says.
pub(super) enum Recorded {
    Pid(Pid),
    Unreadable,
    Gone,
}

pub(super) async fn recorded<O: Os>(os: &O, path: &Path) -> Result<Recorded, Errno> {
    let Some(text) = text_of(os, path).await? else { return Ok(Recorded::Gone) };
    let pid = text.trim().parse().ok().and_then(Pid::new);
    Ok(pid.map_or(Recorded::Unreadable, Recorded::Pid))
}

/// Whether kill(2) finds a process of that number.
pub(super) async fn is_taken<O: Os>(os: &O, pid: Pid) -> bool {
    os.kill(pid, None).await != Err(Errno::NoProcess)
}

/// A process by its pid and its start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pid: Pid,
    start: Tick,
}

impl Identity {
    /// This process.
    pub(super) async fn own<O: Os>(os: &O) -> Result<Self, Errno> {
        let pid = os.own_pid().await?;
        Ok(Self { pid, start: os.process_status(pid).await?.start })
    }

    /// Whether a process that has this pid also has this start.
    pub(super) async fn lives<O: Os>(self, os: &O) -> bool {
        is_taken(os, self.pid).await
            && os.process_status(self.pid).await.is_ok_and(|status| status.start == self.start)
    }

    /// As it stands in a lock file.
    pub(super) fn text(self) -> String {
        format!("{} {}", self.pid, self.start)
    }

    /// What stands in a lock file.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (pid, start) = text.split_once(' ')?;
        Some(Self { pid: pid.parse().ok().and_then(Pid::new)?, start: Tick(start.parse().ok()?) })
    }
}

/// The text of a lock file; `None` if there is no file of that name.
pub(super) async fn text_of<O: Os>(os: &O, path: &Path) -> Result<Option<String>, Errno> {
    let file = match os.open(path, Open::read()).await {
        Ok(file) => file,
        Err(Errno::NotFound) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let bytes = os.read(&file, 0, 32).await?;
    Ok(Some(String::from_utf8(bytes).unwrap_or_default()))
}

/// Whether a file was not changed for longer than that, by the wall clock. One that is gone was not.
pub(super) async fn is_older<O: Os>(os: &O, path: &Path, than_ns: u64) -> Result<bool, Errno> {
    let FileStatus { modified_ns, .. } = match os.stat(path, Links::NoFollow).await {
        Ok(status) => status,
        Err(Errno::NotFound) => return Ok(false),
        Err(errno) => return Err(errno),
    };
    let now_ns = os.read_clock(Clock::Wall).await?;
    Ok(now_ns.saturating_sub(modified_ns) > than_ns)
}

/// Makes a file that must not exist yet and writes into it; `None` if it exists.
pub(super) async fn create<O: Os>(os: &O, path: &Path, text: &str) -> Result<Option<Descriptor<O>>, Errno> {
    let Some(file) = create_empty(os, path).await? else { return Ok(None) };
    os.write(&file, 0, text.as_bytes()).await?;
    Ok(Some(file))
}

/// Makes a file that must not exist yet and writes the own pid into it; `None` if it exists.
pub(super) async fn create_with_pid<O: Os>(os: &O, path: &Path) -> Result<Option<Descriptor<O>>, Errno> {
    let Some(file) = create_empty(os, path).await? else { return Ok(None) };
    let pid = os.own_pid().await?;
    os.write(&file, 0, pid.to_string().as_bytes()).await?;
    Ok(Some(file))
}

async fn create_empty<O: Os>(os: &O, path: &Path) -> Result<Option<Descriptor<O>>, Errno> {
    match os.open(path, Open::create_exclusive()).await {
        Ok(file) => Ok(Some(file)),
        Err(Errno::Exists) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Removes a file, if it is there.
pub(super) async fn remove<O: Os>(os: &O, path: &Path) -> Result<(), Errno> {
    match os.unlink(path).await {
        Ok(()) | Err(Errno::NotFound) => Ok(()),
        Err(errno) => Err(errno),
    }
}
