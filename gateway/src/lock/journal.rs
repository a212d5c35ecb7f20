//! One journal for each epoch, sealed by its successors: what is written after the seal is read by nobody.
//!
//! A plain file cannot be told to take a write only from the present owner. So each owner writes a file of its own,
//! `journal.EPOCH`, which it has created with `O_EXCL`. Its first line, the header, says how long every earlier journal
//! was when that owner came: its seal. A reader goes by the header of the newest journal and reads no further. An owner that was
//! paused, or whose lock was taken from it, goes on writing into its own file, behind the seal.
//!
//! Journals are only appended to (`O_APPEND`), each record by one write of one whole line. A torn line is ignored, and so is
//! what a process writes into a file before it has written a header.
//!
//! # Invariants
//!
//! - `single-writer`: what readers see of a journal never changes once a later owner has become ready.
//! - Names are never used again: an epoch is one more than every epoch that there is evidence of.
//! - Journals are removed only when they are sealed and their sums are in a later header ([`Folded`]).

use std::collections::BTreeMap;
use std::ffi::OsStr;

use portcullis_os::{Descriptor, Errno, Open, Os};
use serde::{Deserialize, Serialize};

use super::line::{self, Lines};

/// What the name of every journal begins with. Frozen: another version must find the same files.
pub const JOURNAL_PREFIX: &str = "journal.";
/// The largest epoch: every reader of JSON keeps it exactly.
pub const LARGEST_EPOCH: u64 = (1 << 53) - 1;
/// The version of the formats that are written here.
pub(super) const FORMAT: u32 = 1;
/// The longest header or record, in bytes.
const LONGEST: u32 = 16 << 10;
/// How much is read at once, in bytes.
const PIECE: u32 = 64 << 10;

/// What an owner has said first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// The version of this format: 1.
    pub(super) format: u32,
    /// Its epoch, which is also in the name of the file.
    pub epoch: u64,
    /// The instance that [`Identity`](crate::identity::Identity) tells.
    pub instance: String,
    /// Its process id in its own pid namespace.
    pub pid: u32,
    /// The version of the program.
    pub version: String,
    /// How many bytes count of each earlier journal, ascending by epoch.
    pub seals: Vec<Seal>,
    /// What was in the journals that are no longer kept.
    pub folded: Folded,
}

/// How many bytes count of one journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Whose journal.
    pub epoch: u64,
    /// Its length in bytes when it was sealed.
    pub length: u64,
}

/// The sums of journals that are no longer kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folded {
    /// The last epoch in these sums; 0 if there is none.
    pub through: u64,
    /// How many owners began.
    pub starts: u64,
    /// How many of them stopped as they were told to.
    pub stops: u64,
}

/// What an owner writes after its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// It serves clients from here on.
    Ready,
    /// It stopped because it was told to.
    Stop,
    /// It was asked to look, and still owned everything.
    Checked,
    /// Something that only a later version knows.
    #[serde(other)]
    Unknown,
}

/// One line of the history, as [`read_journal`] hands it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// What was in the journals that are no longer kept. First, if there is any such.
    Folded(Folded),
    /// An owner began.
    Began(Header),
    /// The owner of that epoch wrote this.
    Wrote(u64, Event),
}

/// What a header turned out to be.
#[derive(Debug)]
pub(super) enum Found {
    /// One of this version.
    Header(Header),
    /// One of a later version.
    Newer(u32),
    /// None that is whole.
    Nothing,
}

/// Just enough of any version.
#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

/// What the name of a file says of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// It is the journal of that epoch.
    Journal(u64),
    /// It is called after an epoch that no gateway of this version can have raised.
    TooLarge,
    /// It is something else.
    Other,
}

/// Reads the name of a file in a state directory.
pub fn named(name: &OsStr) -> Named {
    let digits = name.to_str().and_then(|name| name.strip_prefix(JOURNAL_PREFIX)).unwrap_or_default();
    let is_number =
        !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(epoch) if is_number && epoch <= LARGEST_EPOCH => Named::Journal(epoch),
        Ok(_) | Err(_) if is_number => Named::TooLarge,
        Ok(_) | Err(_) => Named::Other,
    }
}

/// The name of a journal.
pub fn journal_name(epoch: u64) -> String {
    format!("{JOURNAL_PREFIX}{epoch}")
}

/// The header that the bytes of a journal begin with. What is whole was written by a gateway, so what is whole and not
/// understood was written by a later one.
fn header(bytes: &[u8]) -> Found {
    let Some(text) = line::first(bytes) else { return Found::Nothing };
    match serde_json::from_slice::<Header>(text) {
        Ok(header) if header.format == FORMAT => Found::Header(header),
        Ok(_) | Err(_) => match serde_json::from_slice::<AnyFormat>(text) {
            Ok(any) => Found::Newer(any.format),
            Err(_) => Found::Nothing,
        },
    }
}

/// Which bytes of which journal are history: what the newest whole header says, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    newest: u64,
    seals: BTreeMap<u64, u64>,
    folded: u64,
}

impl Ledger {
    /// Goes by the newest of some journals, each with the bytes that it begins with.
    pub fn of<'a>(journals: impl IntoIterator<Item = (u64, &'a [u8])>) -> Self {
        let mut ledger = Self::default();
        for (epoch, bytes) in journals {
            if epoch > ledger.newest
                && let Found::Header(header) = header(bytes)
                && header.epoch == epoch
            {
                ledger = Self::by(&header);
            }
        }
        ledger
    }

    fn by(header: &Header) -> Self {
        Self {
            newest: header.epoch,
            seals: header.seals.iter().map(|seal| (seal.epoch, seal.length)).collect(),
            folded: header.folded.through,
        }
    }

    /// That so many bytes count of one journal.
    pub(super) fn sealing(epoch: u64, length: u64) -> Self {
        Self { newest: epoch, seals: BTreeMap::from([(epoch, length)]), folded: 0 }
    }

    /// Whether the journal of an epoch counts no more, because its sums are in the newest header.
    pub const fn has_folded(&self, epoch: u64) -> bool {
        epoch <= self.folded
    }

    /// How many bytes count of the journal of an epoch that has so many.
    pub fn counted(&self, epoch: u64, length: u64) -> u64 {
        if epoch > self.newest || self.has_folded(epoch) {
            return 0;
        }
        self.seals.get(&epoch).map_or(length, |seal| length.min(*seal))
    }
}

/// Hands out the history of a state directory, across epochs and oldest first, as it is when it is read. Changes nothing
/// and needs no lock. Keeps one line at a time.
///
/// # Errors
///
/// What the machine says. A journal that is removed meanwhile is left out.
pub async fn read_journal<O: Os>(
    os: &O,
    state: &Descriptor<O>,
    mut each: impl FnMut(Entry) + Send,
) -> Result<(), Errno> {
    let mut epochs = Vec::new();
    for name in os.read_directory(state).await? {
        if let Named::Journal(epoch) = named(&name) {
            epochs.push(epoch);
        }
    }
    epochs.sort_unstable();
    let mut newest = None;
    for epoch in epochs.iter().rev() {
        let Some(file) = open_journal(os, state, &journal_name(*epoch)).await? else { continue };
        let found = read_header(os, &file).await?;
        file.close().await?;
        if let Found::Header(header) = found
            && header.epoch == *epoch
        {
            newest = Some(header);
            break;
        }
    }
    let Some(newest) = newest else { return Ok(()) };
    if newest.folded != Folded::default() {
        each(Entry::Folded(newest.folded));
    }
    let ledger = Ledger::by(&newest);
    for epoch in epochs {
        read_one(os, state, &ledger, epoch, &mut each).await?;
    }
    Ok(())
}

/// Opens the journal of that name; `None` if there is none. A link or a socket of that name is none.
pub(super) async fn open_journal<O: Os>(
    os: &O,
    state: &Descriptor<O>,
    name: &str,
) -> Result<Option<Descriptor<O>>, Errno> {
    let open = Open { no_follow: true, ..Open::read() };
    match os.open_at(state, name, open).await {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NotFound | Errno::SymlinkLoop | Errno::NoDeviceOrAddress) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Reads the header of a journal.
pub(super) async fn read_header<O: Os>(os: &O, file: &Descriptor<O>) -> Result<Found, Errno> {
    match os.read(file, 0, LONGEST).await {
        Ok(bytes) => Ok(header(&bytes)),
        Err(Errno::IsDirectory) => Ok(Found::Nothing),
        Err(errno) => Err(errno),
    }
}

/// What the owner has said first whose journal begins with these bytes; `None`: nothing that can be read.
pub fn begun(bytes: &[u8]) -> Option<Header> {
    match header(bytes) {
        Found::Header(header) => Some(header),
        Found::Nothing | Found::Newer(_) => None,
    }
}

/// Hands out what counts of one journal.
pub(super) async fn read_one<O: Os>(
    os: &O,
    state: &Descriptor<O>,
    ledger: &Ledger,
    epoch: u64,
    each: &mut (impl FnMut(Entry) + Send),
) -> Result<(), Errno> {
    let most = ledger.counted(epoch, u64::MAX);
    if most == 0 {
        return Ok(());
    }
    let Some(file) = open_journal(os, state, &journal_name(epoch)).await? else { return Ok(()) };
    let (mut lines, mut offset, mut has_begun, mut is_over) = (Lines::default(), 0, false, false);
    while offset < most && !is_over {
        let length = u32::try_from(most - offset).unwrap_or(PIECE).min(PIECE);
        let piece = os.read(&file, offset, length).await?;
        if piece.is_empty() {
            break;
        }
        offset += piece.len() as u64;
        lines.take(&piece, LONGEST as usize, |text| {
            if has_begun {
                each(Entry::Wrote(epoch, serde_json::from_slice(text).unwrap_or(Event::Unknown)));
                return;
            }
            match serde_json::from_slice::<Header>(text) {
                Ok(header) if header.epoch == epoch => {
                    has_begun = true;
                    each(Entry::Began(header));
                }
                Ok(_) | Err(_) => is_over = true,
            }
        });
    }
    file.close().await
}

/// The journal of this owner, open for appending.
#[derive(Debug)]
pub(super) struct Journal<O: Os> {
    pub(super) file: Descriptor<O>,
    pub(super) epoch: u64,
    /// Something was written that has no end, for want of room perhaps.
    pub(super) is_torn: bool,
}

impl<O: Os> Journal<O> {
    /// Appends one event by one write.
    ///
    /// # Errors
    ///
    /// What the machine says. Nobody then sees a part of it.
    pub(super) async fn append(&mut self, os: &O, event: Event) -> Result<(), Errno> {
        // A value without strings and maps always serialises.
        let line = line::framed(&serde_json::to_vec(&event).unwrap_or_default());
        self.write(os, &line).await
    }

    pub(super) async fn write(&mut self, os: &O, line: &[u8]) -> Result<(), Errno> {
        let mut bytes = Vec::with_capacity(line.len() + 1);
        if self.is_torn {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(line);
        self.is_torn = true;
        // The offset counts for nothing: the file was opened for appending.
        let count = os.write(&self.file, 0, &bytes).await?;
        if count as usize != bytes.len() {
            return Err(Errno::NoSpace);
        }
        self.is_torn = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::{Folded, Found, Header, LARGEST_EPOCH, Ledger, Named, Seal, header, named};
    use crate::lock::line::framed;

    fn opening(epoch: u64, seals: &[(u64, u64)], through: u64) -> Vec<u8> {
        let header = Header {
            format: 1,
            epoch,
            instance: "00".to_owned(),
            pid: 7,
            version: "0".to_owned(),
            seals: seals.iter().map(|(epoch, length)| Seal { epoch: *epoch, length: *length }).collect(),
            folded: Folded { through, starts: through, stops: 0 },
        };
        framed(&serde_json::to_vec(&header).expect("it serialises"))
    }

    #[test]
    fn only_plain_numbers_are_epochs_and_one_that_is_too_large_is_not_overlooked() {
        let cases = [
            ("journal.1", Named::Journal(1)),
            ("journal.9007199254740991", Named::Journal(LARGEST_EPOCH)),
            ("journal.9007199254740992", Named::TooLarge),
            ("journal.18446744073709551616", Named::TooLarge),
            ("journal.0", Named::Other),
            ("journal.01", Named::Other),
            ("journal.+1", Named::Other),
            ("journal.", Named::Other),
            ("journal.1.old", Named::Other),
            ("gateway.lock", Named::Other),
        ];
        for (name, expected) in cases {
            assert_eq!(named(OsStr::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn a_header_counts_only_if_it_is_whole_and_one_that_is_whole_and_strange_is_not_overlooked() {
        let bytes = opening(3, &[], 0);
        assert!(matches!(header(&bytes), Found::Header(_)));
        assert!(matches!(header(&bytes[..bytes.len() - 1]), Found::Nothing));
        assert!(matches!(header(b""), Found::Nothing));
        assert!(matches!(header(b"gone\n"), Found::Nothing));
        assert!(matches!(header(&framed(b"{\"format\":2,\"era\":3}")), Found::Newer(2)));
        let huge =
            String::from_utf8_lossy(&bytes[9..]).replace("\"epoch\":3", "\"epoch\":99999999999999999999");
        assert!(matches!(header(&framed(huge.trim_end().as_bytes())), Found::Newer(1)));
    }

    #[test]
    fn the_newest_whole_header_says_what_counts() {
        let (first, second, torn) = (opening(1, &[], 0), opening(2, &[(1, 40)], 0), &b"1234"[..]);
        let ledger = Ledger::of([(1, &first[..]), (2, &second[..]), (3, torn)]);
        assert_eq!((ledger.counted(1, 30), ledger.counted(1, 90)), (30, 40));
        assert_eq!(ledger.counted(2, 90), 90, "nobody has sealed it");
        assert_eq!(ledger.counted(3, 90), 0, "it has not begun");
        assert_eq!(Ledger::of([(1, &first[..]), (9, &second[..])]).counted(9, 90), 0, "a copy has no epoch");
        let third = opening(3, &[(2, 50)], 1);
        let ledger = Ledger::of([(1, &first[..]), (2, &second[..]), (3, &third[..])]);
        assert_eq!(ledger.counted(1, 30), 0, "it is folded");
        assert_eq!(ledger.counted(2, 90), 50);
        assert_eq!(Ledger::of([]).counted(1, 30), 0);
    }
}
