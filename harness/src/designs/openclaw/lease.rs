//! The lease of the sixth generation: a row with pid, host, start and end, in a database of the state directory.
//!
//! The row is what is in the file, and a transaction is [`Coordinator::try_begin`]. A container has a name of its own, so a
//! successor in another one cannot tell that the owner is dead.

use portcullis_os::{Clock, Errno, Open, Os, Pid, Tick};

use super::coordinator::Coordinator;
use super::place::Place;
use super::record::{self, Status};
use super::{ATTEMPTS, Generation, Refused, pause};

/// How long a lease is, in nanoseconds.
const TERM_NS: u64 = 300_000_000_000;
/// How long to wait for a transaction of somebody else, in milliseconds.
const POLL_MS: u32 = 100;
/// More bytes than a row has.
const LONGEST: u32 = 128;

struct Row {
    host: String,
    pid: Pid,
    start: Tick,
    until_ns: u64,
}

impl Row {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (host, numbers) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
        let mut words = numbers.split(' ').map(str::parse::<u64>);
        let mut next = || words.next()?.ok();
        Some(Self {
            host: host.to_owned(),
            pid: Pid::new(u32::try_from(next()?).ok()?)?,
            start: Tick(next()?),
            until_ns: next()?,
        })
    }

    fn text(&self) -> String {
        format!("{} {} {} {}", self.host, self.pid, self.start, self.until_ns)
    }
}

/// Takes the lease, unless somebody has one that may be good.
pub(super) async fn take<O: Os>(os: &O, place: &Place) -> Result<(), Refused> {
    let database = begin(os, place).await?;
    let pid = os.own_pid().await?;
    let start = os.process_status(pid).await?.start;
    let now_ns = os.read_clock(Clock::Wall).await?;
    let found = Row::parse(&os.read(&database.file, 0, LONGEST).await?);
    let is_free = match &found {
        None => true,
        Some(row) if row.until_ns <= now_ns => true,
        Some(row) if row.host != place.host_name() => false,
        Some(row) => record::status(os, Generation::G6, row.pid, row.start).await == Status::Dead,
    };
    let own =
        Row { host: place.host_name().to_owned(), pid, start, until_ns: now_ns.saturating_add(TERM_NS) };
    if is_free {
        os.truncate(&database.file, 0).await?;
        os.write(&database.file, 0, own.text().as_bytes()).await?;
    }
    database.release().await;
    if is_free { Ok(()) } else { Err(Refused::Held(found.map(|row| row.pid))) }
}

/// Gives it back.
pub(super) async fn give_back<O: Os>(os: &O, place: &Place) {
    if let Ok(database) = begin(os, place).await {
        let _ = os.truncate(&database.file, 0).await;
        database.release().await;
    }
}

async fn begin<O: Os>(os: &O, place: &Place) -> Result<Coordinator<O>, Refused> {
    for look in 1..=ATTEMPTS {
        if let Some(database) = Coordinator::try_begin(os, place.database()).await? {
            return Ok(database);
        }
        pause(os, look, POLL_MS).await?;
    }
    Err(Errno::Busy.into())
}

/// Whether the state directory has a lease of anybody, dead or alive. Before the sixth generation it has none.
pub(super) async fn is_known<O: Os>(os: &O, generation: Generation, place: &Place) -> bool {
    if generation < Generation::G6 {
        return false;
    }
    let Ok(file) = os.open(place.database(), Open::read()).await else { return false };
    os.read(&file, 0, LONGEST).await.is_ok_and(|bytes| !bytes.is_empty())
}
