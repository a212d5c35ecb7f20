//! The reference lock with one slip in how it raises the epoch, seals, syncs, hands over or looks after what it owns.
//!
//! The shipped code runs unchanged; what slips is the operating system under it, or the reader of what it has written.

use std::ffi::OsString;
use std::path::Path;

use gateway::lock::journal::{JOURNAL_PREFIX, LARGEST_EPOCH};
use gateway::lock::{EPOCH_FILE, HAVE, TAKE};
use portcullis_os::{Call, Errno, FileStatus, Notice, Open, Reply};
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
    /// It never says that it is no owner any more.
    NeverReleases,
    /// It gives everything away without waiting for what its successor says.
    HandsOverUnheard,
}

impl Slip {
    /// Every slip.
    pub const ALL: [Self; 8] = [
        Self::SealNotRecorded,
        Self::EpochNotRaised,
        Self::EpochFromFileOnly,
        Self::NothingSynced,
        Self::NeverLooks,
        Self::ReaderIgnoresSeal,
        Self::NeverReleases,
        Self::HandsOverUnheard,
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
            Self::NeverReleases => "never-releases",
            Self::HandsOverUnheard => "hands-over-unheard",
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
            Self::NeverReleases => "which never says that it is no owner any more",
            Self::HandsOverUnheard => "which hands over without waiting for what its successor says",
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
        let is_left_out = match self {
            Self::NothingSynced => matches!(call, Call::Sync { .. }),
            Self::NeverReleases => matches!(call, Call::Notify(Notice::Released)),
            Self::SealNotRecorded
            | Self::EpochNotRaised
            | Self::EpochFromFileOnly
            | Self::NeverLooks
            | Self::ReaderIgnoresSeal => false,
            Self::HandsOverUnheard => {
                let Call::Receive { length, .. } = call else { return None };
                let is_meant = |word: &&[u8]| u32::try_from(word.len()) == Ok(*length);
                return [TAKE, HAVE].into_iter().find(is_meant).map(|word| Ok(Reply::Bytes(word.to_owned())));
            }
        };
        is_left_out.then_some(Ok(Reply::Done))
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
