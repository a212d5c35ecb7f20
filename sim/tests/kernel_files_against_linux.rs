//! Files, names and links of the simulated kernel beside those of the real one: every reply is compared.
//!
//! Eight short stories tell where published simulations of file systems go wrong for lock files; generated calls look for
//! whatever else differs. Inodes are compared by when they were first seen, times by whether they were set or happened.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portcullis_os::{Call, Errno, Fd, FileId, FileKind, Links, Linux, Open, Os, Reply};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use sim::Kernel;
use sim::kernel::{Completion, Place, ProcessId, Readiness, Spawn};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The same ones each time, so that a test that passed cannot fail for a call that nobody has changed.
const CASES: u32 = 1500;

/// Times that a test sets are before this, and times that happen after it.
const LONG_AGO_NS: u64 = 1_000_000_000_000_000_000;

/// A process on both machines, with an empty directory of the same path.
struct Pair {
    runtime: Runtime,
    linux: Linux,
    kernel: Kernel,
    who: ProcessId,
    /// Where the directory is, which goes with it.
    _above: TempDir,
    directory: PathBuf,
    /// The descriptors in the order in which they were opened: the simulated one and the real one.
    open: Vec<(Fd, Fd)>,
    /// Inodes of the simulated machine and what they are called on the real one.
    inodes: BTreeMap<FileId, FileId>,
}

impl Pair {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let linux = Linux::new(|_| {});
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("x");
        let uid = runtime.block_on(linux.own_uid()).unwrap();
        let mut kernel = Kernel::new();
        kernel.make_directory(&directory, 0o700, uid);
        runtime.block_on(linux.make_directory(&directory, 0o700)).unwrap();
        let spawn = Spawn {
            name: "refgate".to_owned(),
            command: String::new(),
            uid,
            parent: None,
            pid: None,
            place: Place::default(),
        };
        let who = kernel.spawn(&spawn).unwrap();
        let (open, inodes) = (Vec::new(), BTreeMap::new());
        Self { runtime, linux, kernel, who, _above: above, directory, open, inodes }
    }

    /// Makes the same call on both machines: `call` is told how to name the descriptors of one of them.
    fn ask(&mut self, call: impl Fn(&dyn Fn(usize) -> Fd) -> Call) -> Result<Reply, Errno> {
        let simulated = call(&|slot| self.open[slot].0);
        let real = call(&|slot| self.open[slot].1);
        assert_eq!(self.kernel.readiness(self.who, &simulated), Readiness::Ready);
        let expected = self.kernel.perform(self.who, &simulated, Completion::Normal);
        let answer = self.runtime.block_on(self.linux.call(real));
        match (&expected, &answer) {
            (Ok(Reply::Fd(one)), Ok(Reply::Fd(other))) => self.open.push((*one, *other)),
            (expected, answer) => {
                let expected = self.translated(expected.clone(), answer);
                assert_eq!(plain(expected), plain(answer.clone()), "{simulated:?}");
            }
        }
        plain(expected)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn open(&mut self, name: &str, open: Open) -> Result<Reply, Errno> {
        let path = self.path(name);
        self.ask(|_| Call::Open { at: None, path: path.clone(), open })
    }

    fn write(&mut self, slot: usize, bytes: &[u8]) {
        let count = bytes.len() as u32;
        let written = self.ask(|fd| Call::Write { fd: fd(slot), offset: 0, bytes: bytes.to_vec() });
        assert_eq!(written, Ok(Reply::Count(count)));
    }

    fn read(&mut self, slot: usize) -> String {
        match self.ask(|fd| Call::Read { fd: fd(slot), offset: 0, length: 64 }) {
            Ok(Reply::Bytes(bytes)) => String::from_utf8(bytes).unwrap(),
            other => panic!("no bytes but {other:?}"),
        }
    }

    fn unlink(&mut self, name: &str) -> Result<Reply, Errno> {
        let path = self.path(name);
        self.ask(|_| Call::Unlink { at: None, path: path.clone() })
    }

    fn make_directory(&mut self, name: &str) -> Result<Reply, Errno> {
        let path = self.path(name);
        self.ask(|_| Call::MakeDirectory { at: None, path: path.clone(), mode: 0o700 })
    }

    fn link(&mut self, from: &str, to: &str) -> Result<Reply, Errno> {
        let (from, to) = (self.path(from), self.path(to));
        self.ask(|_| Call::Link { from_at: None, from: from.clone(), to_at: None, to: to.clone() })
    }

    fn rename(&mut self, from: &str, to: &str, replace: bool) -> Result<Reply, Errno> {
        let (from, to) = (self.path(from), self.path(to));
        self.ask(|_| Call::Rename { from_at: None, from: from.clone(), to_at: None, to: to.clone(), replace })
    }

    fn symlink(&mut self, target: &str, name: &str) -> Result<Reply, Errno> {
        let path = self.path(name);
        self.ask(|_| Call::Symlink { target: PathBuf::from(target), at: None, path: path.clone() })
    }

    /// A simulated reply with the inode numbers of the real machine, as far as they are known.
    fn translated(
        &mut self,
        simulated: Result<Reply, Errno>,
        real: &Result<Reply, Errno>,
    ) -> Result<Reply, Errno> {
        let (Ok(Reply::File(mut status)), Ok(Reply::File(seen))) = (simulated.clone(), real) else {
            return simulated;
        };
        status.id = *self.inodes.entry(status.id).or_insert(seen.id);
        Ok(Reply::File(status))
    }
}

/// A reply without what differs between file systems and between moments.
fn plain(reply: Result<Reply, Errno>) -> Result<Reply, Errno> {
    let Ok(Reply::File(mut status)) = reply else { return reply };
    if status.kind == FileKind::Directory {
        // Some file systems count subdirectories as links and some do not; the size is theirs as well.
        (status.links, status.size) = (status.links.min(1), 0);
    }
    status.modified_ns = status.modified_ns.min(LONG_AGO_NS);
    Ok(Reply::File(status))
}

#[test]
fn an_unlinked_file_that_is_open_keeps_its_bytes_and_the_new_one_its_own() {
    let mut pair = Pair::new();
    pair.open("lock", Open::create_exclusive()).unwrap();
    pair.write(0, b"1");
    pair.unlink("lock").unwrap();
    pair.open("lock", Open::create_exclusive()).unwrap();
    pair.write(1, b"2");
    assert_eq!(pair.read(0), "1");
    assert_eq!(pair.read(1), "2");
}

#[test]
fn a_write_through_an_old_descriptor_does_not_touch_the_new_file() {
    let mut pair = Pair::new();
    pair.open("lock", Open::create_exclusive()).unwrap();
    pair.open("tmp", Open::create_exclusive()).unwrap();
    pair.write(1, b"2");
    pair.rename("tmp", "lock", true).unwrap();
    pair.write(0, b"X");
    pair.open("lock", Open::read()).unwrap();
    assert_eq!(pair.read(2), "2");
}

#[test]
fn a_file_without_a_name_can_be_synced() {
    let mut pair = Pair::new();
    pair.open("lock", Open::create_exclusive()).unwrap();
    pair.write(0, b"1");
    pair.unlink("lock").unwrap();
    assert_eq!(pair.ask(|fd| Call::Sync { fd: fd(0) }), Ok(Reply::Done));
}

#[test]
fn what_is_taken_or_missing_has_its_own_errno() {
    let mut pair = Pair::new();
    pair.make_directory("d").unwrap();
    pair.open("a", Open::create_exclusive()).unwrap();
    pair.open("b", Open::create_exclusive()).unwrap();
    assert_eq!(pair.make_directory("d"), Err(Errno::Exists));
    assert_eq!(pair.link("a", "b"), Err(Errno::Exists));
    assert_eq!(pair.rename("missing", "b", true), Err(Errno::NotFound));
    assert_eq!(pair.rename("a", "b", false), Err(Errno::Exists));
}

#[test]
fn nothing_is_created_through_a_dangling_symbolic_link_that_must_not_exist() {
    let mut pair = Pair::new();
    pair.symlink("target", "lock").unwrap();
    let exclusive = Open { no_follow: false, ..Open::create_exclusive() };
    assert_eq!(pair.open("lock", exclusive), Err(Errno::Exists));
    assert_eq!(pair.open("target", Open::read()), Err(Errno::NotFound));
}

#[test]
fn what_is_written_under_one_name_is_read_under_every_other() {
    let mut pair = Pair::new();
    pair.open("a", Open::create_exclusive()).unwrap();
    pair.write(0, b"old");
    pair.link("a", "h").unwrap();
    pair.open("h", Open { write: true, ..Open::read() }).unwrap();
    pair.write(1, b"via-h");
    for name in ["a", "h"] {
        pair.open(name, Open::read()).unwrap();
        assert_eq!(pair.read(pair.open.len() - 1), "via-h");
    }
    let Ok(Reply::File(status)) = pair.ask(|fd| Call::StatFd { fd: fd(0) }) else { panic!("no status") };
    assert_eq!(status.links, 2);
}

#[test]
fn the_death_of_a_process_loses_nothing_that_it_has_written() {
    let mut pair = Pair::new();
    pair.open("record", Open::create_exclusive()).unwrap();
    pair.write(0, b"unsynced");
    pair.kernel.exit(pair.who, 1);
    assert_eq!(pair.kernel.contents(&pair.path("record")), Some(b"unsynced".to_vec()));
}

#[test]
fn the_way_up_from_a_directory_that_was_removed_is_still_there() {
    let mut pair = Pair::new();
    for name in ["d", "d/s"] {
        pair.make_directory(name).unwrap();
        pair.open(name, Open::directory()).unwrap();
    }
    let remove =
        |path: PathBuf| move |_: &dyn Fn(usize) -> Fd| Call::RemoveDirectory { at: None, path: path.clone() };
    assert_eq!(pair.ask(remove(pair.path("d"))), Err(Errno::NotEmpty));
    pair.ask(remove(pair.path("d/s"))).unwrap();
    pair.ask(remove(pair.path("d"))).unwrap();
    let mut links = |at: usize, path: &str| {
        let stat = |fd: &dyn Fn(usize) -> Fd| Call::Stat {
            at: Some(fd(at)),
            path: PathBuf::from(path),
            links: Links::Follow,
        };
        match pair.ask(stat) {
            Ok(Reply::File(status)) => Ok(status.links),
            other => Err(other),
        }
    };
    assert_eq!(links(1, "."), Ok(0));
    assert_eq!(links(1, ".."), Ok(0));
    assert_eq!(links(1, "../.."), Ok(1));
    assert_eq!(links(1, "../s"), Err(Err(Errno::NotFound)));
    pair.ask(|fd| Call::Close { fd: fd(0) }).unwrap();
    let up =
        |fd: &dyn Fn(usize) -> Fd| Call::Open { at: Some(fd(1)), path: "..".into(), open: Open::directory() };
    pair.ask(up).unwrap();
    assert_eq!(pair.ask(|fd| Call::ReadDirectory { fd: fd(2) }), Err(Errno::NotFound));
    let inside =
        |fd: &dyn Fn(usize) -> Fd| Call::MakeDirectory { at: Some(fd(2)), path: "s".into(), mode: 0o700 };
    assert_eq!(pair.ask(inside), Err(Errno::NotFound));
}

#[test]
fn appending_goes_to_the_end_whatever_the_offset() {
    let mut pair = Pair::new();
    pair.open("log", Open { append: true, ..Open::create_exclusive() }).unwrap();
    pair.write(0, b"one ");
    pair.write(0, b"two ");
    let far = pair.ask(|fd| Call::Write { fd: fd(0), offset: 1 << 40, bytes: b"three".to_vec() });
    assert_eq!(far, Ok(Reply::Count(5)));
    assert_eq!(pair.read(0), "one two three");
    let beyond = pair.ask(|fd| Call::Write { fd: fd(0), offset: u64::MAX, bytes: b"x".to_vec() });
    assert_eq!(beyond, Err(Errno::InvalidArgument));
}

#[test]
fn a_mask_is_taken_from_what_is_created_and_from_nothing_else() {
    let mut pair = Pair::new();
    let usual = pair.runtime.block_on(pair.linux.call(Call::SetUmask { mask: 0o022 })).unwrap();
    assert_eq!(pair.ask(|_| Call::SetUmask { mask: 0o7027 }), Ok(Reply::Word(0o022)));
    assert_eq!(pair.ask(|_| Call::SetUmask { mask: 0o027 }), Ok(Reply::Word(0o027)));
    pair.open("f", Open { mode: 0o666, ..Open::create_exclusive() }).unwrap();
    assert_eq!(pair.mode(0), 0o640);
    pair.ask(|fd| Call::SetMode { fd: fd(0), mode: 0o10_4777 }).unwrap();
    assert_eq!(pair.mode(0), 0o4777);
    let path = pair.path("d");
    pair.ask(|_| Call::MakeDirectory { at: None, path: path.clone(), mode: 0o7777 }).unwrap();
    pair.open("d", Open::directory()).unwrap();
    assert_eq!(pair.mode(1), 0o1750);
    let Reply::Word(usual) = usual else { panic!("no mask but {usual}") };
    let restored = pair.runtime.block_on(pair.linux.call(Call::SetUmask { mask: usual as u32 }));
    assert_eq!(restored, Ok(Reply::Word(0o027)));
}

#[test]
fn a_time_is_set_or_happens_when_bytes_or_entries_change() {
    let mut pair = Pair::new();
    pair.open("", Open::directory()).unwrap();
    pair.open("f", Open::create_exclusive()).unwrap();
    let write = |bytes: &[u8]| {
        let bytes = bytes.to_vec();
        move |fd: &dyn Fn(usize) -> Fd| Call::Write { fd: fd(1), offset: 0, bytes: bytes.clone() }
    };
    assert_eq!(pair.times_after(write(b"")), [5, 5]);
    assert_eq!(pair.times_after(write(b"x")), [5, LONG_AGO_NS]);
    assert_eq!(pair.times_after(|fd| Call::Truncate { fd: fd(1), length: 1 }), [5, LONG_AGO_NS]);
    assert_eq!(pair.times_after(|fd| Call::SetMode { fd: fd(1), mode: 0o600 }), [5, 5]);
    assert_eq!(pair.times_after(|fd| Call::Sync { fd: fd(1) }), [5, 5]);
    let [f, h, g] = ["f", "h", "g"].map(|name| pair.path(name));
    let open = |path: &Path, open| {
        let path = path.to_owned();
        move |_: &dyn Fn(usize) -> Fd| Call::Open { at: None, path: path.clone(), open }
    };
    let rename = |from: &Path, to: &Path| {
        let (from, to) = (from.to_owned(), to.to_owned());
        move |_: &dyn Fn(usize) -> Fd| Call::Rename {
            from_at: None,
            from: from.clone(),
            to_at: None,
            to: to.clone(),
            replace: true,
        }
    };
    let link =
        |_: &dyn Fn(usize) -> Fd| Call::Link { from_at: None, from: f.clone(), to_at: None, to: h.clone() };
    pair.ask(|fd| Call::Truncate { fd: fd(1), length: 0 }).unwrap();
    assert_eq!(pair.times_after(open(&f, Open::create_truncate())), [5, LONG_AGO_NS], "empty before");
    assert_eq!(pair.times_after(open(&f, Open::read_write_create())), [5, 5]);
    assert_eq!(pair.times_after(link), [LONG_AGO_NS, 5]);
    assert_eq!(pair.times_after(rename(&f, &h)), [5, 5], "two names of one file stay as they are");
    assert_eq!(pair.times_after(rename(&h, &g)), [LONG_AGO_NS, 5]);
    assert_eq!(pair.times_after(|_| Call::Unlink { at: None, path: g.clone() }), [LONG_AGO_NS, 5]);
    assert_eq!(pair.times_after(|_| Call::Unlink { at: None, path: g.clone() }), [5, 5], "nothing was there");
}

/// One generated call: numbers that [`Pair::generated`] reads as it needs them.
#[derive(Clone, Copy, Debug)]
struct Draw {
    kind: u8,
    slot: usize,
    name: usize,
    other: usize,
    flags: u8,
}

/// None of them leads out of the directory, from whichever directory below it they start.
const NAMES: [&str; 17] = [
    "a", "b", "a", "b", "c", "a/", "sub", "sub/", "sub/c", "sub/deep", ".", "sub/..", "link", "link/",
    "absent/x", "sub/.", "link/c",
];

fn draw() -> impl Strategy<Value = Draw> {
    (0..27_u8, 0..6_usize, 0..NAMES.len(), 0..NAMES.len(), any::<u8>())
        .prop_map(|(kind, slot, name, other, flags)| Draw { kind, slot, name, other, flags })
}

impl Pair {
    fn mode(&mut self, slot: usize) -> u32 {
        match self.ask(|fd| Call::StatFd { fd: fd(slot) }) {
            Ok(Reply::File(status)) => status.mode,
            other => panic!("no status but {other:?}"),
        }
    }

    /// Sets the times of the first two files that are open to 5 ns, makes a call, and looks what has become of them.
    fn times_after(&mut self, call: impl Fn(&dyn Fn(usize) -> Fd) -> Call) -> [u64; 2] {
        for slot in [0, 1] {
            let set = self.ask(|fd| Call::SetModified { fd: fd(slot), modified_ns: 5 });
            assert_eq!(set, Ok(Reply::Done));
        }
        // An error is compared like any answer.
        let _ = self.ask(call);
        [0, 1].map(|slot| match self.ask(|fd| Call::StatFd { fd: fd(slot) }) {
            Ok(Reply::File(status)) => status.modified_ns,
            other => panic!("no status but {other:?}"),
        })
    }

    fn generated(&mut self, draw: Draw) {
        let flag = |bit: u8| draw.flags >> bit & 1 == 1;
        let slot = draw.slot % self.open.len().max(1);
        let kind = if self.open.is_empty() { draw.kind % 12 } else { draw.kind };
        // Half of the paths start at a descriptor, be it one of a directory or not.
        let relative = flag(7) && !self.open.is_empty();
        let directory = self.directory.clone();
        let path = |name: usize| if relative { NAMES[name].into() } else { directory.join(NAMES[name]) };
        let (one, two) = (path(draw.name), path(draw.other));
        let target = PathBuf::from(NAMES[draw.other]);
        let answer = self.ask(|fd| {
            let at = relative.then(|| fd(slot));
            match kind {
                0..3 => Call::Open {
                    at,
                    path: one.clone(),
                    open: Open {
                        write: flag(0),
                        append: flag(5) && flag(0),
                        create: flag(1),
                        exclusive: flag(2) && flag(3),
                        truncate: flag(4),
                        directory: flag(5) && flag(6),
                        no_follow: flag(6),
                        mode: 0o600,
                    },
                },
                3 | 4 => Call::MakeDirectory { at, path: one.clone(), mode: 0o700 },
                5 => Call::Symlink { target: target.clone(), at, path: one.clone() },
                6 | 7 => Call::Link { from_at: at, from: one.clone(), to_at: at, to: two.clone() },
                8 => Call::ReadLink { at, path: one.clone() },
                9 | 10 => Call::RemoveDirectory { at, path: one.clone() },
                11 | 12 => Call::Unlink { at, path: one.clone() },
                13..17 => Call::Rename {
                    from_at: at,
                    from: one.clone(),
                    to_at: at,
                    to: two.clone(),
                    replace: flag(0),
                },
                17 => Call::Stat {
                    at,
                    path: one.clone(),
                    links: if flag(0) { Links::Follow } else { Links::NoFollow },
                },
                18 => Call::Close { fd: fd(slot) },
                19 | 20 => Call::ReadDirectory { fd: fd(slot) },
                21 => Call::SetMode { fd: fd(slot), mode: 0o600 | u32::from(draw.flags) },
                22 => Call::SetModified { fd: fd(slot), modified_ns: 1_000_000_007 * u64::from(draw.flags) },
                23 => Call::Write {
                    fd: fd(slot),
                    offset: u64::from(draw.flags % 5),
                    bytes: vec![b'w'; draw.other % 4],
                },
                24 => {
                    Call::Read { fd: fd(slot), offset: u64::from(draw.flags % 3), length: draw.other as u32 }
                }
                25 => Call::Truncate { fd: fd(slot), length: u64::from(draw.flags % 4) },
                _ => Call::StatFd { fd: fd(slot) },
            }
        });
        if kind == 18 && answer.is_ok() {
            self.open.remove(slot);
        }
    }
}

#[test]
fn generated_calls_about_names_and_links_have_the_same_replies_on_both_kernels() {
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&prop::collection::vec(draw(), 1..80), |script| {
        let mut pair = Pair::new();
        pair.make_directory("sub").unwrap();
        pair.symlink("sub", "link").unwrap();
        for draw in script {
            pair.generated(draw);
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
