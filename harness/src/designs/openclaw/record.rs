//! What stands in a lock file, and what is made of it: whether its owner lives.
//!
//! A record without a pid, torn or not written yet, is judged by its age on the wall clock.

use std::path::Path;

use portcullis_os::{Clock, Errno, Links, Open, Os, Pid, Port, ProcessState, Tick};

use super::{Generation, port};

/// How old something that names no owner must be to be taken for left behind, in nanoseconds.
const STALE_NS: u64 = 30_000_000_000;
/// More bytes than a record has.
const LONGEST: u32 = 256;

/// What an owner writes about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) pid: Pid,
    pub(super) start: Tick,
    created_ns: u64,
    /// 128 bits that no other record has, since the fifth generation.
    token: Option<u128>,
}

impl Record {
    /// That of this process.
    pub(super) async fn own<O: Os>(os: &O, generation: Generation) -> Result<Self, Errno> {
        let pid = os.own_pid().await?;
        let start = os.process_status(pid).await?.start;
        let created_ns = os.read_clock(Clock::Wall).await?;
        let token =
            if generation < Generation::G5 { None } else { Some(u128::from_be_bytes(os.random().await?)) };
        Ok(Self { pid, start, created_ns, token })
    }

    pub(super) fn text(&self) -> String {
        let Self { pid, start, created_ns, token } = self;
        let token = token.map_or_else(String::new, |token| format!(" {token:032x}"));
        format!("{pid} {start} {created_ns}{token}")
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(bytes).ok()?.split(' ');
        let pid = Pid::new(words.next()?.parse().ok()?)?;
        let start = Tick(words.next()?.parse().ok()?);
        let created_ns = words.next()?.parse().ok()?;
        let token = words.next().and_then(|word| u128::from_str_radix(word, 16).ok());
        Some(Self { pid, start, created_ns, token })
    }
}

/// What a lock file holds; `None` if it is gone, or holds nothing that can be read.
pub(super) async fn read<O: Os>(os: &O, path: &Path) -> Option<Record> {
    let file = os.open(path, Open::read()).await.ok()?;
    let bytes = os.read(&file, 0, LONGEST).await;
    let _ = file.close().await;
    Record::parse(&bytes.ok()?)
}

/// What is made of the owner that a lock file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Alive,
    Dead,
    Unknown,
}

/// Judges an owner on behalf of a gateway that wants to listen on `own_port`.
pub(super) async fn status_for<O: Os>(
    os: &O,
    generation: Generation,
    record: &Record,
    own_port: Port,
) -> Status {
    // The owner may listen elsewhere, or not yet.
    if matches!(generation, Generation::G3 | Generation::G4) && port::is_free(os, own_port).await {
        return Status::Dead;
    }
    status(os, generation, record.pid, record.start).await
}

/// Judges a process that started at a certain tick.
pub(super) async fn status<O: Os>(os: &O, generation: Generation, pid: Pid, start: Tick) -> Status {
    match os.kill(pid, None).await {
        Ok(()) => {}
        // It may be another user's process.
        Err(Errno::NotPermitted) if generation >= Generation::G5 => {}
        Err(_) => return Status::Dead,
    }
    match os.process_status(pid).await {
        Err(_) => Status::Unknown,
        Ok(found) if found.state == ProcessState::Zombie && generation >= Generation::G3 => Status::Dead,
        Ok(found) if found.start == start => Status::Alive,
        Ok(_) => Status::Dead,
    }
}

/// Whether a lock file whose owner is unknown is old enough to be taken for left behind.
pub(super) async fn is_old<O: Os>(
    os: &O,
    generation: Generation,
    path: &Path,
    record: Option<&Record>,
) -> Result<bool, Errno> {
    let now_ns = os.read_clock(Clock::Wall).await?;
    let is_old = |since_ns: u64| now_ns.saturating_sub(since_ns) > STALE_NS;
    if record.is_some_and(|record| is_old(record.created_ns)) {
        return Ok(true);
    }
    Ok(match os.stat(path, Links::Follow).await {
        Ok(status) => is_old(status.modified_ns),
        // What cannot be looked at was old, to the second generation.
        Err(_) => generation == Generation::G2,
    })
}
