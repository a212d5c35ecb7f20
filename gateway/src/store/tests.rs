//! What survives of a memory: a crash at any byte, a disk that fails at any step, an owner that was paused.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use portcullis_os::{Call, Errno, Fd, Linux, Listener, Open, Os, Port, Reply};
use proptest::prelude::*;
use tokio::sync::watch;

use super::file::{Keep, Trouble, name};
use super::memory::{MOST_BYTES, MOST_DEVICES, MOST_MESSAGES, MOST_SESSIONS, Memory};
use super::outbox::Fate;
use super::reading::{Found, Reading};
use super::record::{FORMAT, Header, Hidden, Record, line};

pub(super) fn text(text: &str) -> String {
    text.to_owned()
}

pub(super) fn session(key: &str) -> Record {
    Record::Session { key: text(key), id: format!("id-{key}"), at_ms: 1 }
}

pub(super) fn said(key: &str, run: &str, words: &str) -> Record {
    Record::Said { session: text(key), run: text(run), text: text(words), at_ms: 2 }
}

fn replied(key: &str, run: &str) -> Record {
    Record::Replied { session: text(key), run: text(run), text: text("r"), at_ms: 3 }
}

pub(super) fn paired(device: &str) -> Record {
    Record::Paired {
        device: text(device),
        public_key: text("k"),
        name: text("n"),
        platform: text("p"),
        role: text("operator"),
        scopes: vec![text("operator.read")],
        at_ms: 4,
    }
}

pub(super) fn issued(device: &str, digest: &str) -> Record {
    let (role, scopes) = (text("operator"), vec![text("operator.read")]);
    Record::Issued { device: text(device), role, digest: Hidden(text(digest)), scopes, at_ms: 5 }
}

pub(super) fn received(bot: &str, update: i64, key: &str) -> Record {
    let (bot, session, run) = (text(bot), text(key), format!("{bot}{update}"));
    Record::Received { bot, update, session, run, chat: 5, text: text("x"), at_ms: 9 }
}

pub(super) fn answered(bot: &str, update: i64, key: &str) -> Record {
    replied(key, &format!("{bot}{update}"))
}

pub(super) fn sending(bot: &str, update: i64, epoch: u64) -> Record {
    Record::Sending { bot: text(bot), update, epoch }
}

pub(super) fn settled(bot: &str, update: i64, fate: Fate) -> Record {
    Record::Settled { bot: text(bot), update, fate, at_ms: 10 }
}

fn begun(job: &str, run: &str, slot_ms: u64) -> Record {
    Record::Begun { job: text(job), run: text(run), slot_ms: Some(slot_ms), at_ms: 6 }
}

pub(super) fn all(records: &[Record]) -> Memory {
    let mut memory = Memory::default();
    for record in records {
        memory.apply(record);
    }
    memory
}

#[test]
fn a_message_is_forgotten_together_with_its_answer_and_none_is_answered_for_ever() {
    let words = "x".repeat(64 * 1024);
    let mut memory = all(&[session("main")]);
    let chat = |memory: &Memory| {
        memory.sessions()["main"].messages.iter().map(|m| m.run.clone()).collect::<Vec<_>>()
    };
    for run in 0..2 * MOST_BYTES / words.len() {
        let run = run.to_string();
        memory.apply(&said("main", &run, &words));
        assert_eq!(memory.open(), 1);
        memory.apply(&Record::Replied {
            session: text("main"),
            run: run.clone(),
            text: words.clone(),
            at_ms: 3,
        });
        assert_eq!(memory.open(), 0);
        let runs = chat(&memory);
        assert!(runs.chunks(2).all(|pair| pair.len() == 2 && pair[0] == pair[1]), "{run}: {runs:?}");
    }
    // An answer whose message is gone: what was answered is not said again.
    let mut memory = all(&[session("main"), replied("main", "1"), said("main", "1", "again")]);
    assert_eq!((memory.open(), memory.sessions()["main"].messages.len()), (0, 1));
    memory.apply(&replied("main", "1"));
    assert_eq!(memory.open(), 0);
}

/// Any record about few devices, sessions and jobs, so that they meet.
pub(super) fn any_record() -> impl Strategy<Value = Record> {
    let word = || prop_oneof![Just("a"), Just("b"), Just("c")];
    prop_oneof![
        word().prop_map(session),
        (word(), "[a-d]", "[ -~äß\n]{0,12}").prop_map(|(key, run, words)| said(key, &run, &words)),
        (word(), "[a-d]").prop_map(|(key, run)| replied(key, &run)),
        word().prop_map(paired),
        (word(), "[a-f]").prop_map(|(device, digest)| issued(device, &digest)),
        word().prop_map(|device| Record::Removed { device: text(device) }),
        word().prop_map(|device| Record::Revoked { device: text(device), role: text("operator") }),
        (word(), "[a-d]", 0..9_u64).prop_map(|(job, run, slot_ms)| begun(job, &run, slot_ms)),
        (word(), "[a-d]").prop_map(|(job, run)| Record::Ended {
            job: text(job),
            run,
            duration_ms: 7,
            error: None,
            at_ms: 8,
        }),
        Just(Record::Key { seed: Hidden(text("s")) }),
        any_of_bots(),
    ]
}

/// Any record about few bots and updates.
fn any_of_bots() -> impl Strategy<Value = Record> {
    let bot = || prop_oneof![Just("p"), Just("q")];
    let fate = prop_oneof![Just(Fate::Sent), Just(Fate::Unsent), Just(Fate::Refused), Just(Fate::Unknown)];
    prop_oneof![
        (bot(), 0..5_i64, "[ab]").prop_map(|(bot, update, key)| received(bot, update, &key)),
        (bot(), 0..5_i64, "[ab]").prop_map(|(bot, update, key)| answered(bot, update, &key)),
        (bot(), 0..5_i64, 1..3_u64).prop_map(|(bot, update, epoch)| sending(bot, update, epoch)),
        (bot(), 0..5_i64, fate).prop_map(|(bot, update, fate)| settled(bot, update, fate)),
        (bot(), 0..5_i64).prop_map(|(bot, update)| Record::Passed { bot: text(bot), update }),
    ]
}

proptest! {
    /// Whatever beginning of a file survives, what is read is what the first records make, and all of those that were
    /// written whole before it.
    #[test]
    fn whatever_beginning_of_a_file_survives_a_beginning_of_what_was_said_is_remembered(
        records in proptest::collection::vec(any_record(), 0..20),
        cut in 0..4096_usize,
        size in 1..50_usize,
    ) {
        let header = Header { format: FORMAT, epoch: 3, instance: text("i") };
        let mut bytes = line(&header);
        let mut ends = vec![bytes.len()];
        for record in &records {
            bytes.extend(record.line());
            ends.push(bytes.len());
        }
        bytes.truncate(cut);
        let mut reading = Reading::new(3);
        for piece in bytes.chunks(size) {
            reading.take(piece);
        }
        let whole = ends.iter().filter(|end| **end <= bytes.len()).count();
        let expected = match whole {
            0 => Found::Damaged(None),
            _ => Found::Whole(all(&records[..whole - 1])),
        };
        prop_assert_eq!(reading.end(), Ok(expected));
    }

    /// What is written at the beginning of a file makes the memory that it was written for.
    #[test]
    fn a_memory_is_what_its_records_make(records in proptest::collection::vec(any_record(), 0..40)) {
        let memory = all(&records);
        let again = all(&memory.records());
        prop_assert_eq!(again.records(), memory.records());
        prop_assert_eq!(again.open(), memory.open());
    }
}

#[test]
fn a_memory_never_outgrows_its_bounds_and_what_is_oldest_goes_first() {
    let mut memory = Memory::default();
    for number in 0..MOST_SESSIONS + 3 {
        memory.apply(&session(&format!("s{number}")));
    }
    assert_eq!(memory.sessions().len(), MOST_SESSIONS);
    assert!(!memory.sessions().contains_key("s2") && memory.sessions().contains_key("s3"));
    for number in 0..MOST_MESSAGES + 2 {
        memory.apply(&said("s9", &number.to_string(), "m"));
    }
    let chat = memory.sessions().get("s9").expect("it was spoken in last");
    assert_eq!((chat.messages.len(), chat.messages[0].run.as_str()), (MOST_MESSAGES, "2"));
    assert_eq!(memory.open(), MOST_MESSAGES, "what is gone is not answered");
    // One session alone may not outgrow them either.
    let long = "x".repeat(MOST_BYTES / 4);
    for number in 0..6 {
        memory.apply(&said("s9", &format!("long{number}"), &long));
    }
    assert_eq!(memory.sessions().len(), 1, "the silent ones have made room");
    assert_eq!(memory.sessions()["s9"].messages.len(), 3);
    for number in 0..MOST_DEVICES + 1 {
        memory.apply(&paired(&format!("d{number}")));
    }
    assert!(memory.device("d0").is_none() && memory.device("d1").is_some());
    for digest in ["1", "2", "3", "4", "5"] {
        memory.apply(&issued("d1", digest));
    }
    let digests: Vec<_> = memory.devices()["d1"].tokens.iter().map(|token| token.digest.0.clone()).collect();
    assert_eq!(digests, ["2", "3", "4", "5"]);
}

#[test]
fn the_same_key_is_the_same_message_and_the_slot_of_a_job_never_goes_back() {
    let memory =
        all(&[session("a"), said("a", "1", "x"), said("a", "1", "x"), replied("a", "1"), replied("a", "1")]);
    assert_eq!(memory.sessions()["a"].messages.len(), 2);
    let memory = all(&[begun("j", "1", 700), begun("j", "2", 500)]);
    assert_eq!(memory.last_slot("j"), Some(700));
    assert_eq!(all(&[said("nowhere", "1", "x"), issued("nobody", "1")]).records(), []);
}

/// Linux, with a disk that refuses one kind of call for as long as it is told to.
#[derive(Clone)]
pub(crate) struct Faulty {
    linux: Linux,
    fault: Arc<Mutex<Option<Fault>>>,
    /// How often a call was held up, and how many of those may go on.
    held: Arc<watch::Sender<[u32; 2]>>,
    /// How often the disk was full, and how often a clock was read.
    counts: Arc<watch::Sender<[u32; 2]>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is written.
    Full,
    /// So many bytes of what is to be written are.
    FullAfter(usize),
    /// The same, and what was written cannot be cut off.
    FullForGood(usize),
    Sync,
    Rename,
    Create,
    /// The next sync is not over before it is told to go on.
    SlowSync,
    /// The same, of what is in the directory.
    SlowList,
}

impl Faulty {
    pub(crate) fn new() -> Self {
        Self {
            linux: Linux::new(|_| ()),
            fault: Arc::default(),
            held: Arc::default(),
            counts: Arc::default(),
        }
    }

    /// Waits until a call is held up.
    pub(crate) async fn hangs(&self) {
        self.held.subscribe().wait_for(|[held, freed]| held > freed).await.expect("it is there");
    }

    /// What is held up goes on.
    pub(crate) fn go_on(&self) {
        self.held.send_modify(|[held, freed]| *freed = *held);
    }

    /// How often a clock is read until the disk was full so many times.
    pub(crate) async fn looks_until_refused(&self, times: u32) -> u32 {
        let [before, looks] = *self.counts.borrow();
        let mut counts = self.counts.subscribe();
        let after = counts.wait_for(|[refused, _]| refused - before >= times).await.expect("it is there");
        after[1] - looks
    }

    async fn hold(&self) {
        self.set(None);
        let mut number = 0;
        self.held.send_modify(|[held, _]| {
            *held += 1;
            number = *held;
        });
        self.held.subscribe().wait_for(|[_, freed]| *freed >= number).await.expect("it is there");
    }

    pub(crate) fn set(&self, fault: Option<Fault>) {
        *self.fault.lock().expect("nobody panics") = fault;
    }
}

impl Os for Faulty {
    type Listener = <Linux as Os>::Listener;

    async fn call(&self, call: Call) -> Result<Reply, Errno> {
        let fault = *self.fault.lock().expect("nobody panics");
        if matches!(call, Call::ReadClock { .. }) {
            self.counts.send_modify(|[_, looks]| *looks += 1);
        }
        match (fault, call) {
            (Some(Fault::Full), Call::Write { .. }) => {
                self.counts.send_modify(|[refused, _]| *refused += 1);
                Err(Errno::NoSpace)
            }
            (Some(Fault::FullAfter(most) | Fault::FullForGood(most)), Call::Write { fd, offset, bytes }) => {
                let bytes = bytes[..most.min(bytes.len())].to_vec();
                self.linux.call(Call::Write { fd, offset, bytes }).await
            }
            (Some(Fault::FullForGood(_)), Call::Truncate { .. }) => Err(Errno::InputOutput),
            (Some(Fault::Sync), Call::Sync { .. }) => Err(Errno::InputOutput),
            (Some(Fault::Rename), Call::Rename { .. }) => Err(Errno::NoSpace),
            (Some(Fault::Create), Call::Open { open, .. }) if open.exclusive => Err(Errno::NoSpace),
            (Some(Fault::SlowSync), call @ Call::Sync { .. })
            | (Some(Fault::SlowList), call @ Call::ReadDirectory { .. }) => {
                let outcome = self.linux.call(call).await;
                self.hold().await;
                outcome
            }
            (_, call) => self.linux.call(call).await,
        }
    }

    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        Os::task(&self.linux, body);
    }

    fn discard(&self, fd: Fd) {
        self.linux.discard(fd);
    }

    fn listener(&self, fd: Fd) -> Result<Self::Listener, Errno> {
        self.linux.listener(fd)
    }

    async fn dial(&self, host: &str, port: Port) -> io::Result<<Self::Listener as Listener>::Stream> {
        self.linux.dial(host, port).await
    }
}

/// Where a gateway remembers.
pub(super) struct Place {
    pub(super) directory: tempfile::TempDir,
    os: Faulty,
    state: Fd,
}

impl Place {
    pub(super) async fn new() -> Self {
        let (directory, os) = (tempfile::tempdir().expect("a directory"), Faulty::new());
        let open = Open { directory: true, ..Open::read() };
        let state = os.open(directory.path(), open).await.expect("it is there").leak();
        Self { directory, os, state }
    }

    pub(super) async fn load(&self, epoch: u64) -> Result<(Keep<Faulty>, Memory), Trouble> {
        Keep::load(&self.os, self.state, epoch, "i").await
    }

    /// What an owner of that epoch would remember.
    pub(super) async fn remembered(&self, epoch: u64) -> Memory {
        self.load(epoch).await.expect("it is read").1
    }

    pub(super) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).expect("it is there");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[expect(clippy::disallowed_methods, reason = "a test looks at what was written")]
    pub(super) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).expect("it is there")
    }

    #[expect(clippy::disallowed_methods, reason = "a test sets its stage")]
    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.directory.path().join(name), bytes).expect("it is written");
    }
}

#[tokio::test]
async fn an_owner_remembers_what_the_one_before_it_did_and_removes_what_that_has_left() {
    let place = Place::new().await;
    place.put("control.1.jsonl.tmp", b"half");
    let (mut first, memory) = place.load(2).await.expect("it is read");
    assert_eq!(memory, Memory::default());
    assert_eq!(place.names(), ["control.1.jsonl.tmp"], "to read changes nothing");
    first.rewrite(&memory).await.expect("it is written");
    assert_eq!(place.names(), ["control.2.jsonl"]);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(place.directory.path().join("control.2.jsonl"))
            .expect("it is there")
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    first.append(&[session("a"), said("a", "1", "x")]).await.expect("it is kept");
    let (mut second, memory) = place.load(5).await.expect("it is read");
    assert_eq!(memory, all(&[session("a"), said("a", "1", "x")]));
    second.rewrite(&memory).await.expect("it is written");
    assert_eq!(place.names(), ["control.5.jsonl"]);
    // The first one was paused meanwhile: it goes on into a file that has no name.
    first.append(&[said("a", "2", "late")]).await.expect("it does not know");
    assert_eq!(place.remembered(6).await.records(), memory.records());
    assert_eq!(place.load(2).await.map(|_| ()), Err(Trouble::Succeeded));
}

#[tokio::test]
async fn what_could_not_be_written_has_not_happened_and_what_comes_next_is_kept() {
    for fault in [
        Fault::Full,
        Fault::FullAfter(0),
        Fault::FullAfter(30),
        Fault::FullForGood(30),
        Fault::Sync,
        Fault::Rename,
        Fault::Create,
    ] {
        let place = Place::new().await;
        let (mut keep, mut memory) = place.load(1).await.expect("it is read");
        keep.rewrite(&memory).await.expect("it is written");
        let kept = [session("a"), said("a", "1", "x")];
        keep.append(&kept).await.expect("it is kept");
        kept.iter().for_each(|record| memory.apply(record));
        place.os.set(Some(fault));
        let mut failed = keep.append(&[said("a", "2", "lost")]).await;
        if failed.is_ok() {
            // This one shows only where everything is written anew.
            memory.apply(&said("a", "2", "lost"));
            failed = keep.rewrite(&memory).await.map(drop);
        }
        assert!(failed.is_err(), "{fault:?}");
        if keep.wants_all() {
            assert!(keep.rewrite(&memory).await.is_err(), "{fault:?}");
        }
        place.os.set(None);
        if fault != Fault::Sync {
            assert_eq!(place.remembered(2).await.records(), memory.records(), "after {fault:?}");
        }
        if keep.wants_all() {
            keep.rewrite(&memory).await.expect("there is room again");
        }
        let next = said("a", "3", "kept");
        keep.append(std::slice::from_ref(&next)).await.expect("it is kept");
        memory.apply(&next);
        assert_eq!(place.remembered(2).await.records(), memory.records(), "after {fault:?}");
        assert_eq!(place.names(), ["control.1.jsonl"], "after {fault:?}");
    }
}

#[tokio::test]
async fn a_file_of_a_later_version_is_neither_read_nor_removed_and_one_that_is_none_is_passed_over() {
    let place = Place::new().await;
    let (mut keep, memory) = place.load(1).await.expect("it is read");
    keep.rewrite(&memory).await.expect("it is written");
    keep.append(&[session("a")]).await.expect("it is kept");
    place.put(&name(2), b"");
    place.put(&name(3), &line(&Header { format: FORMAT, epoch: 9, instance: text("a copy") }));
    std::os::unix::fs::symlink("/etc/passwd", place.directory.path().join(name(4))).expect("a link");
    place.put("control.05.jsonl", b"no epoch");
    assert_eq!(place.remembered(7).await, all(&[session("a")]));
    place.put(&name(6), b"{\"format\":3,\"epoch\":6,\"era\":1}\n");
    assert_eq!(place.load(7).await.map(|_| ()), Err(Trouble::Newer));
    assert!(Path::new(&place.directory.path().join(name(6))).exists());
}

#[tokio::test]
async fn a_file_that_has_grown_is_written_anew_with_what_is_still_remembered() {
    let place = Place::new().await;
    let (mut keep, mut memory) = place.load(1).await.expect("it is read");
    keep.rewrite(&memory).await.expect("it is written");
    let long = "x".repeat(64 * 1024);
    let mut records = vec![session("a")];
    while !keep.wants_all() {
        let run = (records.len() % 7).to_string();
        records.push(said("a", &run, &long));
        keep.append(&records[records.len() - 1..]).await.expect("it is kept");
    }
    records.iter().for_each(|record| memory.apply(record));
    keep.rewrite(&memory).await.expect("it is written");
    assert!(!keep.wants_all());
    let length = std::fs::metadata(place.directory.path().join(name(1))).expect("it is there").len();
    assert!(length < 8 * 64 * 1024 + 4096, "{length}");
    assert_eq!(place.remembered(2).await.records(), memory.records());
}

/// A record as a line, for tests that write one down themselves.
pub(crate) fn written(record: &Record) -> String {
    String::from_utf8(record.line()).expect("it is text")
}
