//! Calls about files, their names and their locks.

use std::path::PathBuf;

use portcullis_os::{ByteRange, Call, Fd, Leads, Links, LockMode, Open, RangeOwner, Watched};
use proptest::prelude::*;
use proptest::sample::select;

use super::verbs::{Theme, Verb};
use super::{Generator, Kind, one};
use crate::sequence::Who;

/// The names that processes compete for.
pub(super) const SHARED: [&str; 7] = ["a", "b", "d", "d/a", "d/e", "l", "s"];
/// Other ways to spell them, and what there never is.
const ODD: [&str; 7] = ["a/", "d/", "absent/x", ".", "d/..", "d/.", "l/x"];
const NO_NAMES: [&str; 2] = ["", "a\0b"];

fn path_within() -> impl Strategy<Value = String> {
    prop_oneof![
        30 => select(&SHARED[..2]),
        24 => select(&SHARED[2..6]),
        6 => select(ODD.as_slice()),
    ]
    .prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = PathBuf> {
    prop_oneof![
        120 => path_within().prop_map(|path| PathBuf::from(format!("$/{path}"))),
        1 => one(NO_NAMES).prop_map(PathBuf::from),
        1 => Just(PathBuf::from(format!("$/{}", "n".repeat(256)))),
    ]
}

fn open() -> impl Strategy<Value = Open> {
    let usual = one([
        Open::read(),
        Open::directory(),
        Open::read_write_create(),
        Open::read_write_create(),
        Open::create_exclusive(),
        Open::create_truncate(),
    ]);
    prop_oneof![3 => usual, 2 => any_open()]
}

fn any_open() -> impl Strategy<Value = Open> {
    let often = || prop::bool::weighted(0.5);
    let rarely = || prop::bool::weighted(0.12);
    let mode = one([0o600, 0o644, 0o666, 0o400, 0o200, 0o000, 0o1777]);
    (often(), rarely(), often(), rarely(), rarely(), rarely(), rarely(), mode).prop_map(
        |(write, append, create, exclusive, truncate, directory, no_follow, mode)| Open {
            write,
            append,
            create,
            exclusive,
            truncate,
            directory,
            no_follow,
            mode,
        },
    )
}

fn lock_mode() -> impl Strategy<Value = LockMode> {
    prop_oneof![5 => Just(LockMode::Exclusive), 3 => Just(LockMode::Shared), 2 => Just(LockMode::Unlock)]
}

fn range() -> impl Strategy<Value = ByteRange> {
    let some = (0..6_u64, 0..4_u64).prop_map(|(start, length)| ByteRange { start, length });
    let odd = one([
        ByteRange { start: i64::MAX as u64, length: 1 },
        ByteRange { start: i64::MAX as u64, length: 2 },
        ByteRange { start: u64::MAX, length: 1 },
        ByteRange { start: 1, length: i64::MAX as u64 },
        ByteRange { start: 0, length: u64::MAX },
    ]);
    prop_oneof![8 => Just(ByteRange::WHOLE), 16 => some, 1 => odd]
}

fn owner() -> impl Strategy<Value = RangeOwner> {
    one([RangeOwner::Process, RangeOwner::Description])
}

impl Generator<'_> {
    /// The call that a verb becomes, if it is about files and there is something that it could be done to.
    pub(super) fn file_call(&mut self, who: Who, verb: Verb) -> Option<Call> {
        Some(match verb {
            Verb::Open => {
                let directory = if self.once_in(5) { self.existing_directory() } else { None };
                if let Some(path) = directory {
                    return Some(Call::Open { at: None, path, open: Open::directory() });
                }
                let (at, path) = self.place(who);
                Call::Open { at, path, open: self.pick(open()) }
            }
            Verb::Stat => {
                let (at, path) = self.existing_place(who);
                Call::Stat { at, path, links: self.pick(one([Links::Follow, Links::NoFollow])) }
            }
            Verb::Watch => {
                let count = self.pick(1..3_usize);
                let mut place = |_| {
                    let (at, path) = self.existing_place(who);
                    let file = if self.once_in(3) { None } else { self.file() };
                    Watched { at, path, leads: file.map_or(Leads::Nowhere, Leads::To) }
                };
                let places = (0..count).map(&mut place).collect();
                Call::Watch { places, period_ms: 1 }
            }
            Verb::MakeDirectory => {
                let (at, path) = self.place(who);
                // Somewhere to put things must be found.
                let path = if self.once_in(3) { PathBuf::from("$/d") } else { path };
                let at = at.filter(|_| !path.starts_with("$"));
                let mode = self.pick(one([0o700, 0o755, 0o777, 0o1777, 0o500, 0o000]));
                Call::MakeDirectory { at, path, mode }
            }
            Verb::Rename => {
                let ((from_at, from), (to_at, to)) = (self.existing_place(who), self.place(who));
                let replace = !self.once_in(4);
                Call::Rename { from_at, from, to_at, to, replace }
            }
            Verb::Link => {
                let ((from_at, from), (to_at, to)) = (self.existing_place(who), self.place(who));
                Call::Link { from_at, from, to_at, to }
            }
            Verb::Symlink => {
                let (at, path) = self.place(who);
                let targets = ["a", "b", "d", "l", "absent", "d/a", "d/../a", ""];
                let target = PathBuf::from(self.pick(one(targets)));
                // The others look for links under this name.
                let path = if self.once_in(3) { path } else { PathBuf::from("$/l") };
                Call::Symlink { target, at, path }
            }
            Verb::ReadLink => {
                let (at, path) = self.place(who);
                let path = if self.once_in(3) { path } else { PathBuf::from("$/l") };
                Call::ReadLink { at, path }
            }
            Verb::RemoveDirectory => {
                let (at, path) = self.existing_place(who);
                let path = if self.once_in(3) { PathBuf::from("$/d") } else { path };
                let at = at.filter(|_| !path.starts_with("$"));
                Call::RemoveDirectory { at, path }
            }
            Verb::Unlink => {
                let (at, path) = self.existing_place(who);
                Call::Unlink { at, path }
            }
            _ => return self.open_file_call(who, verb),
        })
    }

    fn open_file_call(&mut self, who: Who, verb: Verb) -> Option<Call> {
        let any = [Kind::File, Kind::Directory, Kind::Bound, Kind::Listener, Kind::Stream, Kind::Pidfd];
        let kinds = match verb {
            Verb::StatFd | Verb::Close | Verb::FileSystem | Verb::Duplicate | Verb::SetInherit => &any[..],
            Verb::ReadDirectory => &any[1..2],
            Verb::SetMode | Verb::SetModified | Verb::Flock | Verb::Sync => &any[..2],
            _ => &any[..1],
        };
        let fd = match verb {
            Verb::HoldsLock | Verb::LockTakers | Verb::SetUmask => None,
            _ => self.fd(who, kinds),
        };
        Some(match verb {
            Verb::Close => Call::Close { fd: fd? },
            Verb::Read => {
                Call::Read { fd: fd?, offset: self.pick(0..6_u64), length: self.pick(one([0, 1, 8_u32])) }
            }
            Verb::Write => {
                let bytes = vec![b'w'; self.pick(0..4_usize)];
                Call::Write { fd: fd?, offset: self.pick(0..6_u64), bytes }
            }
            Verb::Truncate => Call::Truncate { fd: fd?, length: self.pick(0..6_u64) },
            Verb::Sync => Call::Sync { fd: fd? },
            Verb::StatFd => Call::StatFd { fd: fd? },
            Verb::FileSystem => Call::FileSystem { fd: fd? },
            Verb::ReadDirectory => Call::ReadDirectory { fd: fd? },
            Verb::SetMode => {
                let modes = [0o600, 0o644, 0o666, 0o700, 0o755, 0o777, 0o000, 0o400, 0o1777];
                Call::SetMode { fd: fd?, mode: self.pick(one(modes)) }
            }
            Verb::SetModified => {
                let times = [1, 2_000_000_000, 1_000_000_007, 1_700_000_000_123_456_789_u64];
                Call::SetModified { fd: fd?, modified_ns: self.pick(one(times)) }
            }
            Verb::SetUmask => Call::SetUmask { mask: self.pick(one([0, 0o022, 0o077, 0o777, 0o7777])) },
            Verb::Flock => Call::Flock { fd: fd?, mode: self.pick(lock_mode()) },
            Verb::LockRange => Call::LockRange {
                fd: fd?,
                owner: self.pick(owner()),
                mode: self.pick(lock_mode()),
                range: self.pick(range()),
            },
            Verb::RangeHolder => {
                let mode = self.pick(one([LockMode::Exclusive, LockMode::Shared]));
                Call::RangeHolder { fd: fd?, owner: self.pick(owner()), mode, range: self.pick(range()) }
            }
            Verb::Duplicate => Call::Duplicate { fd: fd? },
            Verb::SetInherit => Call::SetInherit { fd: fd?, inherit: !self.once_in(3) },
            Verb::HoldsLock => Call::HoldsLock { pid: self.pid(), file: self.file()? },
            Verb::LockTakers => Call::LockTakers { file: self.file()? },
            _ => return None,
        })
    }

    fn file(&mut self) -> Option<portcullis_os::FileId> {
        let statuses = self.statuses.clone();
        self.one_of(&statuses).map(crate::symbols::file)
    }

    /// A path that mostly leads somewhere.
    fn existing_place(&mut self, who: Who) -> (Option<Fd>, PathBuf) {
        match self.existing_path() {
            Some(path) if !self.once_in(3) => (None, path),
            Some(_) | None => self.place(who),
        }
    }

    /// A path and what it starts from. Those who compete for locks must open one file.
    fn place(&mut self, who: Who) -> (Option<Fd>, PathBuf) {
        if self.once_in(8)
            && let Some(at) = self.fd(who, &[Kind::Directory])
        {
            return (Some(at), PathBuf::from(self.pick(path_within())));
        }
        let is_crowded = matches!(self.theme, Theme::Locks | Theme::Processes | Theme::Unix);
        if is_crowded && !self.once_in(6) {
            return (None, PathBuf::from("$/a"));
        }
        (None, self.pick(path()))
    }
}
