//! Epochs of real processes: they only grow, whenever their owner is killed, and who has lost its state stops by itself.

#![expect(clippy::expect_used, reason = "a test that cannot set its stage has failed")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use gateway::lock::EPOCH_FILE;
use gateway::lock::journal::{Entry, Event, Folded, Named, named, read_journal};
use portcullis_os::{Linux, Open, Os as _, Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

/// A gateway that runs, killed when the test is over.
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    /// Starts one on the first block of ports that nobody has, and returns when it owns its state.
    fn owner(home: &Path) -> Self {
        // Tests that run at once start their search at different places.
        let name = home.file_name().map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default();
        let start =
            name.iter().fold(7_u16, |hash, byte| hash.wrapping_mul(31).wrapping_add(u16::from(*byte)));
        for attempt in 0..100 {
            let base = 20_000 + (start % 300 + attempt) % 300 * 120;
            let mut child = Command::new(env!("CARGO_BIN_EXE_refgate"))
                .args(["gateway", "--json", "--port", &base.to_string()])
                .env_clear()
                .env("HOME", home)
                .stdout(Stdio::piped())
                .spawn()
                .expect("it starts");
            let lines = BufReader::new(child.stdout.take().expect("a pipe"));
            let mut running = Self { child, lines };
            let first = running.next();
            if first["event"] == "owner" {
                return running;
            }
            assert!(first["code"].as_str().is_some_and(|code| code.starts_with("port-")), "{first}");
        }
        panic!("no block of ports is free");
    }

    fn ready(home: &Path) -> Self {
        let mut running = Self::owner(home);
        let second = running.next();
        assert_eq!(second["event"], "ready", "{second}");
        running
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or(Value::Null)
    }

    async fn signal(&self, signal: Signal) {
        let pid = Pid::new(self.child.id()).expect("a pid");
        Linux::new(|_| ()).kill(pid, Some(signal)).await.expect("it is there");
    }

    async fn end(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal).await;
        self.child.wait().expect("it ends")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("a temporary directory");
    let state = home.path().join(".refgate");
    (home, state)
}

fn epochs(state: &Path) -> Vec<u64> {
    let mut epochs: Vec<u64> = std::fs::read_dir(state)
        .expect("a directory")
        .filter_map(|entry| match named(&entry.expect("an entry").file_name()) {
            Named::Journal(epoch) => Some(epoch),
            Named::TooLarge | Named::Other => None,
        })
        .collect();
    epochs.sort_unstable();
    epochs
}

/// The inode of a file in a state directory, if there is one.
fn inode(state: &Path, name: &str) -> Option<u64> {
    std::fs::metadata(state.join(name)).ok().map(|metadata| metadata.ino())
}

async fn history(state: &Path) -> Vec<Entry> {
    let os = Linux::new(|_| ());
    let directory = os.open(state, Open::directory()).await.expect("a directory");
    let mut entries = Vec::new();
    read_journal(&os, &directory, |entry| entries.push(entry)).await.expect("it can be read");
    entries
}

#[tokio::test]
async fn whenever_an_owner_is_killed_the_next_one_has_a_larger_epoch_and_seals_what_was_there() {
    let (home, state) = home();
    let mut largest = 0;
    for round in 0..24 {
        let mut running = Running::owner(home.path());
        // From the first moment as an owner to the last before it is ready, and after.
        let next = format!("journal.{}", largest + 1);
        while match round % 4 {
            0 => false,
            1 => inode(&state, &next).is_none(),
            2 => inode(&state, EPOCH_FILE)
                .is_none_or(|inode_of_file| Some(inode_of_file) != inode(&state, &next)),
            _ => running.next()["event"] != "ready",
        } {
            assert!(running.child.try_wait().expect("it can be asked").is_none(), "it has ended by itself");
        }
        assert_eq!(running.end(Signal::Kill).await.signal(), Some(9));
        let now = epochs(&state).last().copied().unwrap_or_default();
        assert!(now == largest + 1 || now == largest && round % 4 == 0, "{largest} is followed by {now}");
        largest = now;
    }
    let last = Running::ready(home.path());
    assert_eq!(last.end(Signal::Terminate).await.code(), Some(0));
    let begun: Vec<_> = history(&state)
        .await
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Began(header) => Some(header),
            Entry::Folded(_) | Entry::Wrote(..) => None,
        })
        .collect();
    assert!(begun.is_sorted_by(|one, other| one.epoch < other.epoch && one.instance != other.instance));
    let header = begun.last().expect("somebody began");
    assert_eq!(header.epoch, largest + 1);
    let kept = epochs(&state);
    let sealed: Vec<u64> = header.seals.iter().map(|seal| seal.epoch).collect();
    assert_eq!(sealed, kept[..kept.len() - 1], "every earlier journal that is kept is sealed");
}

#[tokio::test]
async fn the_history_is_one_line_an_owner_and_can_be_read_while_one_runs() {
    let (home, state) = home();
    let history = || {
        let output = Command::new(env!("CARGO_BIN_EXE_refgate"))
            .arg("history")
            .env_clear()
            .env("HOME", home.path())
            .output()
            .expect("it runs");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let first = Running::ready(home.path());
    let first_pid = first.child.id();
    assert_eq!(first.end(Signal::Terminate).await.code(), Some(0));
    let second = Running::ready(home.path());
    let (second_pid, version) = (second.child.id(), env!("CARGO_PKG_VERSION"));
    let expected = format!(
        "epoch 1: pid {first_pid}, version {version}: stopped\n\
         epoch 2: pid {second_pid}, version {version}: ready, has not said that it stopped\n"
    );
    assert_eq!(history(), expected);
    assert_eq!(second.end(Signal::Kill).await.signal(), Some(9));
    assert_eq!(history(), expected, "who was killed has said nothing more");
    assert_eq!(epochs(&state), [1, 2], "reading changes nothing");
}

#[tokio::test]
async fn what_old_journals_said_is_summed_up_and_few_are_kept() {
    let (home, state) = home();
    for _ in 0..20 {
        assert_eq!(Running::ready(home.path()).end(Signal::Terminate).await.code(), Some(0));
    }
    assert_eq!(epochs(&state), (4..=20).collect::<Vec<u64>>());
    let entries = history(&state).await;
    assert_eq!(entries[0], Entry::Folded(Folded { through: 3, starts: 3, stops: 3 }));
    let stops = entries.iter().filter(|entry| matches!(entry, Entry::Wrote(_, Event::Stop))).count();
    assert_eq!(stops, 17);
    assert_eq!(entries.last(), Some(&Entry::Wrote(20, Event::Stop)));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test does what an operator does")]
async fn an_owner_whose_directory_was_replaced_while_it_was_stopped_exits_with_70_when_it_wakes_up() {
    let (home, state) = home();
    let mut first = Running::ready(home.path());
    first.signal(Signal::Stop).await;
    std::fs::rename(&state, home.path().join("moved")).expect("it is moved");
    let second = Running::ready(home.path());
    let before = history(&state).await;
    first.signal(Signal::Continue).await;
    let said = first.next();
    assert_eq!((&said["event"], &said["code"]), (&"refused".into(), &"fenced".into()), "{said}");
    assert!(
        said["message"].as_str().is_some_and(|message| message.contains("is another directory by now")),
        "{said}"
    );
    assert_eq!(first.child.wait().expect("it ends").code(), Some(70));
    assert_eq!(history(&state).await, before, "nothing was written into the directory of the second");
    assert_eq!(second.end(Signal::Terminate).await.code(), Some(0));
    assert_eq!(epochs(&home.path().join("moved")), [1]);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test does what an operator does")]
async fn an_owner_whose_lock_file_or_directory_is_removed_says_so_and_exits_with_70() {
    for (remove_all, says) in [(false, "the lock file"), (true, "was removed under this gateway")] {
        let (home, state) = home();
        let mut running = Running::ready(home.path());
        if remove_all {
            std::fs::remove_dir_all(&state).expect("it is removed");
        } else {
            std::fs::remove_file(state.join("gateway.lock")).expect("it is removed");
        }
        let said = running.next();
        assert_eq!((&said["code"], &said["exit"]), (&"fenced".into(), &70.into()), "{said}");
        assert!(said["message"].as_str().is_some_and(|message| message.contains(says)), "{said}");
        assert_eq!(running.child.wait().expect("it ends").code(), Some(70));
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test does what an operator does")]
async fn a_torn_epoch_file_is_no_obstacle_and_one_of_a_later_version_is_refused() {
    let (home, state) = home();
    assert_eq!(Running::ready(home.path()).end(Signal::Terminate).await.code(), Some(0));
    for torn in ["", "0000", "a3a6bf43 {", "\0\0\0\0"] {
        std::fs::remove_file(state.join(EPOCH_FILE)).expect("it is removed");
        std::fs::write(state.join(EPOCH_FILE), torn).expect("it is written");
        let before = epochs(&state).len();
        assert_eq!(Running::ready(home.path()).end(Signal::Terminate).await.code(), Some(0));
        assert_eq!(epochs(&state).len(), before + 1, "{torn:?}");
    }
    std::fs::write(state.join("journal.18446744073709551615"), "").expect("it is written");
    let mut late = Running::owner(home.path());
    let said =
        std::iter::repeat_with(|| late.next()).find(|line| line["event"] == "refused").expect("it says why");
    assert_eq!((&said["code"], &said["exit"]), (&"newer-epoch".into(), &78.into()), "{said}");
}
