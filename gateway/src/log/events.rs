//! What happens to a gateway and its clients, one line of JSON each, in a file of its state directory and in memory.
//!
//! Only an owner writes: before it owns the directory and after it has said that it does not any more, nothing is written. What
//! clients do never waits for a disk: a thread writes, and lines that find no room are counted. A disk that is full, or a directory
//! that is gone, is noted once and stops nobody.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::ring::Ring;
use super::stamp::wall;
use super::tail::{Tail, Wanted};
use super::writer::{Beginning, Task, Writer};
use crate::identity::Identity;
use crate::settings::{LOG_DIRECTORY, LOG_NAME};
use crate::text::brief;

/// How many lines can wait.
const WAITING: usize = 1024;
/// How long whoever gives up the directory waits for the last line.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much somebody wants to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// Only if something is to be found out.
    Debug,
    /// In general.
    Info,
    /// In any case.
    Warn,
}

/// Something that has happened. What is not known is left out.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub(crate) level: Level,
    /// What.
    pub(crate) event: &'static str,
    /// The name of a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connection: Option<String>,
    /// Where it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// What kind of client it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<String>,
    /// The code with which it was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

impl Event {
    /// An event of which nothing more is known.
    pub(crate) const fn new(level: Level, event: &'static str) -> Self {
        Self {
            level,
            event,
            connection: None,
            address: None,
            client: None,
            mode: None,
            role: None,
            code: None,
            reason: None,
            message: None,
        }
    }

    /// With a sentence.
    pub(crate) fn saying(self, message: &str) -> Self {
        Self { message: Some(brief(message)), ..self }
    }
}

/// The log of what happens. All clones are one.
#[derive(Clone)]
pub struct Events(Arc<Shared>);

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Events(..)")
    }
}

struct Shared {
    /// Whoever hears that it cannot be written; `None`: nobody ever opens this one.
    trouble: Option<Trouble>,
    queue: Mutex<Queue>,
    changed: Condvar,
    ring: Mutex<Ring>,
    path: Mutex<Option<PathBuf>>,
}

/// Hears that the log cannot be written.
type Trouble = Box<dyn Fn(&str) + Send + Sync>;

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Task>,
    /// Whether it is said what happens: an owner is there.
    is_open: bool,
    has_writer: bool,
    is_writing: bool,
    dropped: u64,
}

impl Events {
    /// A log that keeps nothing.
    pub fn silent() -> Self {
        Self::new(None)
    }

    /// A log that is kept once somebody owns a state directory. `trouble` hears once that it cannot be written.
    pub fn kept(trouble: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self::new(Some(Box::new(trouble)))
    }

    fn new(trouble: Option<Trouble>) -> Self {
        Self(Arc::new(Shared {
            trouble,
            queue: Mutex::default(),
            changed: Condvar::new(),
            ring: Mutex::default(),
            path: Mutex::default(),
        }))
    }

    /// From now on this gateway owns that state directory, in an epoch of its own, and says what happens.
    pub fn begin(&self, state: &Path, identity: &Identity) {
        if self.0.trouble.is_none() {
            return;
        }
        *lock(&self.0.path) = Some(state.join(LOG_DIRECTORY).join(LOG_NAME));
        let mut queue = lock(&self.0.queue);
        if !queue.has_writer {
            let shared = Arc::clone(&self.0);
            let started = thread::Builder::new().name("events".to_owned()).spawn(move || shared.write_all());
            queue.has_writer = started.is_ok();
            if let Err(error) = started {
                drop(queue);
                self.0.tell(&error.to_string());
                return;
            }
        }
        let is_first = !queue.is_open;
        drop(queue);
        // Opened by whoever begins, who has just written to the same disk, and not when a thread comes round to it. Whoever says
        // something meanwhile does not wait for that.
        let beginning = Beginning::new(state, identity, is_first);
        let mut queue = lock(&self.0.queue);
        queue.is_open = true;
        queue.tasks.push_back(Task::Begin(Box::new(beginning)));
        self.0.changed.notify_all();
    }

    /// Something has happened.
    pub(crate) fn say(&self, event: Event) {
        // Nobody reads the clock for a log that is not kept.
        if self.0.trouble.is_some() {
            self.0.leave(event);
        }
    }

    /// From now on this gateway is no owner: what was said is written, and nothing is any more. Waits for that, though only so
    /// long.
    pub fn end(&self) {
        let mut queue = lock(&self.0.queue);
        if !std::mem::take(&mut queue.is_open) {
            return;
        }
        queue.tasks.push_back(Task::Close);
        self.0.changed.notify_all();
        let mut queue = self.0.settled(queue);
        // Whatever still waits would be written by somebody who owns nothing.
        queue.tasks.retain(|task| matches!(task, Task::Close));
    }

    /// Waits until everything is written that was said, though only so long: whoever hears of a gateway that is ready finds its
    /// state at rest.
    pub fn flush(&self) {
        drop(self.0.settled(lock(&self.0.queue)));
    }

    /// The end of the log.
    pub(crate) fn tail(&self, wanted: &Wanted) -> Tail {
        let path = lock(&self.0.path).clone().unwrap_or_else(|| PathBuf::from(LOG_NAME));
        lock(&self.0.ring).tail(path.display().to_string(), wanted)
    }
}

impl Shared {
    fn leave(&self, event: Event) {
        let at = wall();
        let mut queue = lock(&self.queue);
        if !queue.is_open {
            return;
        }
        if queue.tasks.len() >= WAITING {
            queue.dropped = queue.dropped.saturating_add(1);
            return;
        }
        if queue.dropped > 0 {
            let gap = format!(
                "events dropped here because the disk is slow: {}",
                std::mem::take(&mut queue.dropped)
            );
            queue.tasks.push_back(Task::Write(at, Box::new(Event::new(Level::Warn, "gap").saying(&gap))));
        }
        queue.tasks.push_back(Task::Write(at, Box::new(event)));
        self.changed.notify_all();
    }

    /// Waits until nothing is left to be written, though only so long.
    fn settled<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        let is_busy = |queue: &mut Queue| queue.has_writer && (queue.is_writing || !queue.tasks.is_empty());
        let waited = self.changed.wait_timeout_while(queue, PATIENCE, is_busy);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn tell(&self, why: &str) {
        if let Some(trouble) = &self.trouble {
            trouble(why);
        }
    }

    /// Writes as long as anybody can say anything.
    fn write_all(self: Arc<Self>) {
        let mut writer = Writer::default();
        loop {
            let task = self.next();
            let troubled = writer.carry_out(task, &self.ring);
            if let Some(why) = troubled {
                self.tell(&why);
            }
        }
    }

    fn next(&self) -> Task {
        let mut queue = lock(&self.queue);
        queue.is_writing = false;
        loop {
            if let Some(task) = queue.tasks.pop_front() {
                queue.is_writing = true;
                return task;
            }
            self.changed.notify_all();
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Locks a mutex whose value no panic can leave half-changed, so a poisoned one is as good as any.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "a test sets its stage")]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, channel};

    use serde_json::Value;

    use super::{Event, Events, Level};
    use crate::identity::Identity;
    use crate::log::tail::{Wanted, read};

    fn events() -> (Events, Receiver<String>) {
        let (send, receive) = channel();
        let kept = Events::kept(move |why| {
            let _ = send.send(why.to_owned());
        });
        (kept, receive)
    }

    fn identity(state: &Path) -> Identity {
        let status = std::fs::metadata(state).unwrap();
        Identity {
            schema: 1,
            instance: "0a".repeat(16),
            pid: 7,
            phase: None,
            state: state.display().to_string(),
            state_device: status.dev(),
            state_inode: status.ino(),
            config: "/c".to_owned(),
            base: 20_000,
            span: 110,
            pinned: vec![],
            version: "9".to_owned(),
        }
    }

    fn names(lines: &[String]) -> Vec<Value> {
        lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone()).collect()
    }

    #[test]
    fn only_what_an_owner_says_is_written_and_memory_and_file_are_one() {
        let state = tempfile::tempdir().unwrap();
        let (events, troubles) = events();
        events.say(Event::new(Level::Info, "early"));
        events.begin(state.path(), &identity(state.path()));
        events.say(Event::new(Level::Info, "one").saying("x\ny"));
        events.end();
        events.say(Event::new(Level::Info, "late"));
        events.begin(state.path(), &identity(state.path()));
        events.say(Event::new(Level::Debug, "two"));
        events.end();
        let told = events.tail(&Wanted::default());
        assert_eq!(names(&told.lines), ["one", "two"]);
        assert_eq!(read(&state.path().join("logs/gateway.jsonl"), &Wanted::default()).unwrap(), told);
        let line: Value = serde_json::from_str(&told.lines[0]).unwrap();
        assert_eq!(
            (&line["pid"], &line["level"], &line["message"]),
            (&7.into(), &"info".into(), &"x\ny".into())
        );
        assert!(line["ts"].as_str().is_some_and(|ts| ts.ends_with('Z')) && line["epoch"].is_null());
        assert!(troubles.try_recv().is_err());
    }

    #[test]
    fn what_cannot_be_written_is_noted_once_and_can_be_asked_for() {
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(state.path().join("logs/gateway.jsonl")).unwrap();
        let (events, troubles) = events();
        events.begin(state.path(), &identity(state.path()));
        for name in ["one", "two"] {
            events.say(Event::new(Level::Info, name));
        }
        assert_eq!(troubles.recv().as_deref(), Ok("it is not a regular file"));
        events.end();
        assert_eq!(names(&events.tail(&Wanted::default()).lines), ["one", "two"]);
        assert!(troubles.try_recv().is_err());
    }

    #[test]
    fn a_silent_log_keeps_nothing() {
        let state = tempfile::tempdir().unwrap();
        let events = Events::silent();
        events.begin(state.path(), &identity(state.path()));
        events.say(Event::new(Level::Info, "one"));
        events.end();
        assert_eq!(
            (events.tail(&Wanted::default()).size, std::fs::read_dir(state.path()).unwrap().count()),
            (0, 0)
        );
    }
}
