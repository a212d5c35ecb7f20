//! Each owner has an epoch, larger than every epoch before it, and no number is used twice, whatever crashes when.
//!
//! The epoch is raised under the lock, after all tokens and before the first accept, from everything that is durable: one
//! more than the largest of the epoch file, the names of the journals and what their headers say. The owner claims the
//! number by creating `journal.EPOCH` with `O_EXCL`, which no two processes can both do, even if the lock has failed them.
//! Then it writes its header, which seals the journals of its predecessors, and syncs it. The epoch file, `gateway.epoch`, is
//! another name of the newest journal: it is linked under a temporary name and renamed, and the directory is synced.
//! Everything is done relative to the descriptor of the locked directory: wherever that directory is moved, nothing is
//! written into another one.
//!
//! | crash after | what the next owner finds |
//! | --- | --- |
//! | the journal is created | a number without a header: it is skipped, and its journal sealed as it is |
//! | the header is written, not synced | the header or nothing: nobody has used the number |
//! | `gateway.epoch.EPOCH.tmp` is linked | a leftover, which is removed |
//! | `gateway.epoch` is replaced, the directory not synced | the old file or the new one: the journals know more than the old |
//!
//! A torn or missing epoch file is no evidence, and no obstacle either.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::journal::{
    Entry, FORMAT, Folded, Found, Header, Journal, LARGEST_EPOCH, Ledger, Named, Seal, journal_name, named,
    open_journal, read_header, read_one,
};
use super::{Event, line};
use crate::claim::Claim;
use crate::identity::Identity;
use crate::refusal::{Reason, Refusal, quoted};
use portcullis_os::{Call, Descriptor, Errno, Links, Open, Os};

/// The epoch file, another name of the newest journal. The name is frozen: another version must find the same file.
pub const EPOCH_FILE: &str = "gateway.epoch";
/// What the name of an epoch file ends with before it gets its own: each epoch has one, so that no two owners share it.
const TEMPORARY: &str = ".tmp";
/// How many earlier journals are kept.
const KEPT: usize = 16;

/// What a state directory says about the owners before this one.
#[derive(Debug, Default)]
struct Past {
    /// The largest epoch that there is evidence of.
    largest: u64,
    /// How many bytes count of each journal that is there.
    seals: BTreeMap<u64, u64>,
    folded: Folded,
    /// Journals that were folded and are still there.
    spent: Vec<u64>,
}

/// Why the epoch was not raised.
#[derive(Debug)]
pub(super) struct Unraised {
    pub(super) refusal: Refusal,
    /// The epoch whose journal was made and could not be removed: it is this owner's, and nothing is written under it.
    pub(super) left: Option<u64>,
}

impl From<Refusal> for Unraised {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, left: None }
    }
}

/// Raises the epoch in a state directory that the caller owns, and seals the journals before it. `own` is the epoch that it
/// has already: nobody else can have begun one since, unless the lock was lost.
///
/// # Errors
///
/// Why not. What was begun is then taken back as far as the machine lets it.
pub(super) async fn raise<O: Os>(
    os: &O,
    claim: &Claim,
    state: &Descriptor<O>,
    identity: &Identity,
    own: Option<u64>,
) -> Result<Journal<O>, Unraised> {
    let mut past = examine(os, claim, state).await?;
    if let Some(own) = own.filter(|own| past.largest > *own) {
        return Err(overtaken(
            claim,
            &format!("epoch {} has begun, and this owner has epoch {own}", past.largest),
        )
        .into());
    }
    fold(os, state, &mut past).await.map_err(trouble(claim, "read the journals in"))?;
    let epoch = past.largest + 1;
    let header = Header {
        format: FORMAT,
        epoch,
        instance: identity.instance.clone(),
        pid: identity.pid,
        version: identity.version.clone(),
        seals: past.seals.iter().map(|(epoch, length)| Seal { epoch: *epoch, length: *length }).collect(),
        folded: past.folded,
    };
    let open = Open { append: true, ..Open::create_exclusive() };
    let file = match os.open_at(state, journal_name(epoch), open).await {
        Ok(file) => file,
        Err(Errno::Exists) => {
            return Err(
                overtaken(claim, &format!("{} came into being meanwhile", journal_name(epoch))).into()
            );
        }
        Err(errno) => return Err(trouble(claim, "create a journal in")(errno).into()),
    };
    let mut journal = Journal { file, epoch, is_torn: false };
    let mut is_named = false;
    if let Err(errno) = publish(os, state, &mut journal, &header, &mut is_named).await {
        // Only an owner removes what this one has just made, and only an owner begins an epoch.
        let next = journal_name(epoch + 1);
        if errno == Errno::NotFound || os.stat_at(state, &next, Links::NoFollow).await.is_ok() {
            return Err(overtaken(
                claim,
                &format!("{} or what belongs to it was taken away, or {next} was begun", journal_name(epoch)),
            )
            .into());
        }
        // Whoever comes next may begin with the same number: nothing but this was written under it.
        let _ = unlink(os, state, temporary(epoch)).await;
        let is_left = unlink(os, state, journal_name(epoch)).await.is_err();
        let refusal = trouble(claim, "raise the epoch in")(errno);
        // The epoch file tells the number for good: a name is not taken back to what it was.
        return Err(Unraised { refusal, left: (is_left || is_named).then_some(epoch) });
    }
    for spent in past.spent {
        // What stays is removed by the next one: its sums are in the header all the same.
        let _ = unlink(os, state, journal_name(spent)).await;
    }
    Ok(journal)
}

/// Makes an epoch durable: the header, the epoch file, and the names of both. `is_named` tells whether the epoch file names it,
/// also where that is not durable.
async fn publish<O: Os>(
    os: &O,
    state: &Descriptor<O>,
    journal: &mut Journal<O>,
    header: &Header,
    is_named: &mut bool,
) -> Result<(), Errno> {
    // Structs of strings and integers always serialise; an empty header would be read as none.
    journal.write(os, &line::framed(&serde_json::to_vec(header).unwrap_or_default())).await?;
    os.sync(&journal.file).await?;
    let temporary = temporary(journal.epoch);
    match os.link_at(state, journal_name(journal.epoch), &temporary).await {
        Ok(()) => {
            os.rename_at(state, &temporary, EPOCH_FILE).await?;
            *is_named = true;
        }
        // A file system without hard links has no epoch file: the names of the journals say as much.
        Err(Errno::NotPermitted | Errno::NotSupported) => {}
        Err(errno) => return Err(errno),
    }
    os.sync(state).await
}

fn temporary(epoch: u64) -> String {
    format!("{EPOCH_FILE}.{epoch}{TEMPORARY}")
}

pub(super) fn is_temporary(name: &OsStr) -> bool {
    let rest = name.to_str().and_then(|name| name.strip_prefix(EPOCH_FILE)?.strip_suffix(TEMPORARY));
    rest.and_then(|rest| rest.strip_prefix('.')).is_some_and(|epoch| epoch.parse::<u64>().is_ok())
}

async fn unlink<O: Os>(os: &O, state: &Descriptor<O>, name: impl AsRef<Path>) -> Result<(), Errno> {
    os.done(Call::Unlink { at: Some(state.fd()), path: name.as_ref().to_owned() }).await
}

fn gone_already(errno: Errno) -> Result<(), Errno> {
    if errno == Errno::NotFound { Ok(()) } else { Err(errno) }
}

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// The owner of the directory, who builds on what it reads: it is put on the disk first, because a seal must not count
    /// bytes that a loss of power can take.
    Owner,
    /// Somebody who only wants to know.
    Anybody,
}

/// What a state directory contains that is about epochs.
#[derive(Debug, Default)]
struct Contents {
    /// The numbers in the names of journals, ascending.
    epochs: Vec<u64>,
    /// The newest header.
    newest: Option<Header>,
    /// Epoch files that have not got their name.
    leftovers: Vec<OsString>,
}

/// The header of the owner that began last, for whoever owns nothing. Changes nothing.
///
/// # Errors
///
/// The refusal that an owner would meet here.
pub(super) async fn last_begun<O: Os>(
    os: &O,
    claim: &Claim,
    state: &Descriptor<O>,
) -> Result<Option<Header>, Refusal> {
    read_contents(os, claim, state, Reader::Anybody).await.map(|contents| contents.newest)
}

/// Reads what there is, and changes nothing.
async fn read_contents<O: Os>(
    os: &O,
    claim: &Claim,
    state: &Descriptor<O>,
    reader: Reader,
) -> Result<Contents, Refusal> {
    let (mut contents, mut has_file) = (Contents::default(), false);
    for name in os.read_directory(state).await.map_err(trouble(claim, "read the epoch of"))? {
        match named(&name) {
            Named::Journal(epoch) => contents.epochs.push(epoch),
            Named::TooLarge => return Err(newer(claim, &format!("it has a {}", name.display()))),
            Named::Other if name == EPOCH_FILE => has_file = true,
            Named::Other if is_temporary(&name) => contents.leftovers.push(name),
            Named::Other => {}
        }
    }
    contents.epochs.sort_unstable();
    if has_file {
        contents.newest = begun(os, claim, state, EPOCH_FILE, reader).await?;
    }
    for epoch in contents.epochs.iter().rev() {
        if contents.newest.as_ref().is_some_and(|header| header.epoch >= *epoch) {
            break;
        }
        let found = begun(os, claim, state, &journal_name(*epoch), reader).await?;
        contents.newest = found.filter(|header| header.epoch == *epoch).or(contents.newest);
    }
    let largest = contents.newest.as_ref().map(|header| header.epoch).max(contents.epochs.last().copied());
    match largest {
        Some(largest) if largest >= LARGEST_EPOCH => {
            Err(newer(claim, &format!("its epoch is {largest} or more")))
        }
        Some(_) | None => Ok(contents),
    }
}

/// Reads what there is, and tidies up. The lengths are measured before this owner has claimed a number, so what is written
/// after its header can only be cut off.
async fn examine<O: Os>(os: &O, claim: &Claim, state: &Descriptor<O>) -> Result<Past, Refusal> {
    let cannot = trouble(claim, "read the epoch of");
    let Contents { epochs, newest, leftovers } = read_contents(os, claim, state, Reader::Owner).await?;
    for name in leftovers {
        unlink(os, state, &name).await.or_else(gone_already).map_err(&cannot)?;
    }
    let mut past = Past { largest: epochs.last().copied().unwrap_or_default(), ..Past::default() };
    let mut known = BTreeMap::new();
    if let Some(header) = newest {
        past.largest = past.largest.max(header.epoch);
        past.folded = header.folded;
        known.extend(header.seals.iter().map(|seal| (seal.epoch, seal.length)));
    }
    for epoch in epochs {
        if epoch <= past.folded.through {
            past.spent.push(epoch);
            continue;
        }
        let length = match known.get(&epoch) {
            Some(length) => Some(*length),
            None => match os.stat_at(state, journal_name(epoch), Links::NoFollow).await {
                Ok(status) => Some(status.size),
                Err(Errno::NotFound) => None,
                Err(errno) => return Err(cannot(errno)),
            },
        };
        past.seals.extend(length.map(|length| (epoch, length)));
    }
    Ok(past)
}

/// The header in the journal of that name, if there is one.
async fn begun<O: Os>(
    os: &O,
    claim: &Claim,
    state: &Descriptor<O>,
    name: &str,
    reader: Reader,
) -> Result<Option<Header>, Refusal> {
    let cannot = trouble(claim, "read the epoch of");
    let Some(file) = open_journal(os, state, name).await.map_err(&cannot)? else { return Ok(None) };
    let found = read_header(os, &file).await.map_err(&cannot)?;
    if let Found::Header(_) = found
        && reader == Reader::Owner
    {
        os.sync(&file).await.map_err(&cannot)?;
    }
    file.close().await.map_err(&cannot)?;
    match found {
        Found::Header(header) => Ok(Some(header)),
        Found::Nothing => Ok(None),
        Found::Newer(format) => Err(newer(claim, &format!("its {name} has format {format}"))),
    }
}

/// Takes the oldest journals into the sums, until few enough are left.
async fn fold<O: Os>(os: &O, state: &Descriptor<O>, past: &mut Past) -> Result<(), Errno> {
    while past.seals.len() > KEPT
        && let Some((epoch, length)) = past.seals.pop_first()
    {
        let ledger = Ledger::sealing(epoch, length);
        let (folded, mut has_stopped) = (&mut past.folded, false);
        read_one(os, state, &ledger, epoch, &mut |entry| match entry {
            Entry::Began(_) => folded.starts += 1,
            Entry::Wrote(_, Event::Stop) => has_stopped = true,
            Entry::Wrote(_, Event::Ready) => has_stopped = false,
            Entry::Wrote(_, Event::Checked | Event::Unknown) | Entry::Folded(_) => {}
        })
        .await?;
        folded.stops += u64::from(has_stopped);
        past.folded.through = epoch;
        past.spent.push(epoch);
    }
    Ok(())
}

fn trouble(claim: &Claim, doing: &'static str) -> impl Fn(Errno) -> Refusal + use<> {
    let path = claim.state.display().to_string();
    move |errno| Refusal::from_errno(doing, &path, errno)
}

fn newer(claim: &Claim, why: &str) -> Refusal {
    let state = claim.state.display();
    Refusal {
        reason: Reason::NewerEpoch,
        what: format!("the state directory {state} was used by a later version of this gateway: {why}"),
        holder: None,
        evidence: vec![format!(
            "{state}: {why}, this version knows format {FORMAT} and epochs below {LARGEST_EPOCH}"
        )],
        next: format!("head -c 300 {}/{EPOCH_FILE} {0}/journal.*", quoted(&state.to_string())),
        do_not: Some("delete the files to get in: an earlier version would take up epochs that were used"),
        may_pass: false,
    }
}

/// Only who owns the directory raises its epoch, so the lock does not exclude.
fn overtaken(claim: &Claim, evidence: &str) -> Refusal {
    let state = claim.state.display();
    Refusal {
        reason: Reason::Fenced,
        what: format!(
            "another gateway raises the epoch of {state} as well, although this one holds its lock"
        ),
        holder: None,
        evidence: vec![evidence.to_owned()],
        next: format!("ls -lid {} {0}/journal.*", quoted(&state.to_string())),
        do_not: Some("run two gateways on a file system whose locks do not exclude"),
        may_pass: false,
    }
}
