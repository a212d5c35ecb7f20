//! The reference lock with one slip in how it raises the epoch, seals, syncs or looks after what it owns.
//!
//! The shipped code runs unchanged; what slips is the operating system under it, or the reader of what it has written.

use std::ffi::OsString;
use std::path::Path;

use gateway::lock::EPOCH_FILE;
use gateway::lock::journal::{JOURNAL_PREFIX, LARGEST_EPOCH};
use portcullis_os::{Call, Errno, FileStatus, Open, Reply};
use sim::Rule;

/// One slip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slip {
    /// The journal of a predecessor is sealed at a length that it never reaches.
    SealNotRecorded,
    /// It finds no trace of a predecessor, and takes over the journal of the first epoch.
    EpochNotRaised,
    /// It goes by the epoch file and does not see the journals.
    EpochFromFileOnly,
    /// Nothing is ever put on the disk.
    NothingSynced,
    /// It does not look after what it owns while it waits.
    NeverLooks,
    /// Whoever reads the journals reads all that is in them.
    ReaderIgnoresSeal,
}

impl Slip {
    /// Every slip.
    pub const ALL: [Self; 6] = [
        Self::SealNotRecorded,
        Self::EpochNotRaised,
        Self::EpochFromFileOnly,
        Self::NothingSynced,
        Self::NeverLooks,
        Self::ReaderIgnoresSeal,
    ];

    /// Its name in the name of a design.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SealNotRecorded => "seal-not-recorded",
            Self::EpochNotRaised => "epoch-not-raised",
            Self::EpochFromFileOnly => "epoch-from-file-only",
            Self::NothingSynced => "nothing-synced",
            Self::NeverLooks => "never-looks",
            Self::ReaderIgnoresSeal => "reader-ignores-seal",
        }
    }

    /// What is wrong with it, as the end of a sentence.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::SealNotRecorded => "whose seals cut nothing off",
            Self::EpochNotRaised => "which always begins with the first epoch",
            Self::EpochFromFileOnly => "which raises the epoch from its file and overlooks the journals",
            Self::NothingSynced => "which never syncs",
            Self::NeverLooks => "which does not look after what it owns while it waits",
            Self::ReaderIgnoresSeal => "whose journals are read beyond their seals",
        }
    }
}

impl Rule for Slip {
    fn rewrite(&mut self, call: Call) -> Call {
        match (*self, call) {
            (Self::EpochNotRaised, Call::Open { at, path, open }) if is_journal(&path) => {
                Call::Open { at, path, open: Open { exclusive: false, ..open } }
            }
            (Self::NeverLooks, Call::Watch { period_ms, .. }) => {
                Call::Watch { places: Vec::new(), period_ms }
            }
            (_, call) => call,
        }
    }

    fn instead(&mut self, call: &Call) -> Option<Result<Reply, Errno>> {
        (*self == Self::NothingSynced && matches!(call, Call::Sync { .. })).then_some(Ok(Reply::Done))
    }

    fn saw(&mut self, _: &Call, _: &Result<Reply, Errno>) {}

    fn distort(&mut self, call: &Call, reply: Reply) -> Reply {
        match (*self, call, reply) {
            (Self::SealNotRecorded, Call::Stat { path, .. }, Reply::File(status)) if is_journal(path) => {
                Reply::File(FileStatus { size: LARGEST_EPOCH, ..status })
            }
            (Self::EpochFromFileOnly, _, Reply::Names(names)) => {
                Reply::Names(names.into_iter().filter(|name| !is_journal(Path::new(name))).collect())
            }
            (Self::EpochNotRaised, _, Reply::Names(names)) => {
                let is_left = |name: &OsString| !is_journal(Path::new(name)) && name != EPOCH_FILE;
                Reply::Names(names.into_iter().filter(is_left).collect())
            }
            (_, _, reply) => reply,
        }
    }
}

fn is_journal(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.starts_with(JOURNAL_PREFIX))
}
