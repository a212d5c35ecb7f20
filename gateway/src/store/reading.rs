//! A file of records is read piece by piece, and told apart: nothing, whole, or damaged.
//!
//! Whatever a crash leaves of a file is whole but for its end. Where a line in the middle is not what was written, what it said
//! is lost, and what follows is still read.

use portcullis_os::{Descriptor, Errno, Open, Os};

use super::file::{Trouble, name};
use super::memory::Memory;
use super::record::{AnyFormat, FORMAT, Header, Record, WITHOUT_SUMS, checked};

/// How much is read at once, in bytes.
const PIECE: u32 = 64 << 10;
/// The longest line, in bytes: the longest message with every byte escaped, and the rest.
const LONGEST_LINE: usize = 512 << 10;

/// What is found in the place of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is none.
    Nothing,
    /// One that is as it was written, but for a torn end.
    Whole(Memory),
    /// One that is not; with what it still says, if it is one of that epoch at all.
    Damaged(Option<Memory>),
}

/// What the file of an epoch remembers.
pub(super) async fn read<O: Os>(os: &O, at: &Descriptor<O>, epoch: u64) -> Result<Found, Trouble> {
    let file = match os.open_at(at, name(epoch), Open { no_follow: true, ..Open::read() }).await {
        Ok(file) => file,
        Err(Errno::NotFound) => return Ok(Found::Nothing),
        Err(Errno::SymlinkLoop | Errno::NoDeviceOrAddress) => return Ok(Found::Damaged(None)),
        Err(errno) => return Err(errno.into()),
    };
    let (mut reading, mut offset) = (Reading::new(epoch), 0);
    while !reading.is_over {
        let piece = os.read(&file, offset, PIECE).await?;
        if piece.is_empty() {
            break;
        }
        offset += piece.len() as u64;
        reading.take(&piece);
    }
    reading.end()
}

/// How far a file was read.
#[derive(Debug)]
pub(super) struct Reading {
    epoch: u64,
    rest: Vec<u8>,
    /// `None`: the header was not read yet, or is none.
    memory: Option<Memory>,
    has_sums: bool,
    is_newer: bool,
    /// It is not as it was written.
    is_damaged: bool,
    /// It is no file of this epoch.
    is_over: bool,
    /// The line is too long, and passed over.
    is_too_long: bool,
}

impl Reading {
    pub(super) const fn new(epoch: u64) -> Self {
        Self {
            epoch,
            rest: Vec::new(),
            memory: None,
            has_sums: true,
            is_newer: false,
            is_damaged: false,
            is_over: false,
            is_too_long: false,
        }
    }

    pub(super) fn take(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.is_over {
                return;
            }
            let is_end = part.ends_with(b"\n");
            if self.is_too_long || self.rest.len() + part.len() > LONGEST_LINE {
                self.rest.clear();
                (self.is_too_long, self.is_damaged) = (!is_end, true);
                // Whatever begins like that has no header.
                self.is_over = self.memory.is_none();
                continue;
            }
            self.rest.extend_from_slice(part);
            if is_end {
                let line = std::mem::take(&mut self.rest);
                self.line(line.strip_suffix(b"\n").unwrap_or(&line));
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        if self.memory.is_none() {
            return self.header(line);
        }
        let record = self.text(line).and_then(|text| serde_json::from_slice::<Record>(&text).ok());
        match (record, &mut self.memory) {
            (Some(record), Some(memory)) => memory.apply(&record),
            (None, _) | (_, None) => self.is_damaged = true,
        }
    }

    fn header(&mut self, line: &[u8]) {
        let format = serde_json::from_slice::<AnyFormat>(line).map_or(FORMAT, |any| any.format);
        self.is_newer = format > FORMAT;
        self.has_sums = format != WITHOUT_SUMS;
        let header = self.text(line).and_then(|text| serde_json::from_slice::<Header>(&text).ok());
        self.is_over = header.is_none_or(|header| header.epoch != self.epoch) || self.is_newer;
        self.memory = (!self.is_over).then(Memory::default);
    }

    /// What a line says, if it is what was written.
    fn text(&self, line: &[u8]) -> Option<Vec<u8>> {
        if self.has_sums { checked(line) } else { Some(line.to_vec()) }
    }

    /// The file ends here.
    pub(super) fn end(self) -> Result<Found, Trouble> {
        // A crash leaves the beginning of a line. A whole one that ends in another way has been changed.
        let is_changed =
            self.rest.split_last().is_some_and(|(_, line)| self.has_sums && checked(line).is_some());
        match self.memory {
            _ if self.is_newer => Err(Trouble::Newer),
            Some(memory) if !self.is_damaged && !is_changed => Ok(Found::Whole(memory)),
            memory => Ok(Found::Damaged(memory)),
        }
    }
}
