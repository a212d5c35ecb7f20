//! Whoever writes the log of an owner: one thread, which waits for the disk so that nobody else has to.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;

use super::events::{Event, lock};
#[cfg(target_os = "linux")]
use super::file::{LONGEST, LogFile};
use super::ring::Ring;
use super::stamp::Stamp;
use crate::identity::Identity;

/// What the thread has to do.
pub(super) enum Task {
    /// An owner begins.
    Begin(Box<Beginning>),
    /// A line, and when it was said.
    Write(Duration, Box<Event>),
    /// The owner gives everything up.
    Close,
}

/// An owner, and where its log is.
#[derive(Default)]
pub(super) struct Beginning {
    instance: String,
    pid: u32,
    epoch: Option<u64>,
    #[cfg(target_os = "linux")]
    file: Option<LogFile>,
    /// What is in the file.
    end: Option<Ring>,
    trouble: Option<String>,
}

impl Beginning {
    /// The file is looked for if this is the `first` epoch of the owner; later ones go on with it.
    #[cfg(target_os = "linux")]
    pub(super) fn new(state: &Path, identity: &Identity, first: bool) -> Self {
        let mut beginning =
            Self { instance: identity.instance.clone(), pid: identity.pid, ..Self::default() };
        let found = LogFile::in_state(state, identity.state_id(), LONGEST).and_then(|mut file| {
            beginning.epoch = file.epoch(&identity.instance);
            if first {
                let end = file.end();
                beginning.file = Some(file);
                beginning.end = Some(end?);
            }
            Ok(())
        });
        beginning.trouble = found.err().map(|error| error.to_string());
        beginning
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn new(_: &Path, identity: &Identity, _: bool) -> Self {
        Self { instance: identity.instance.clone(), pid: identity.pid, ..Self::default() }
    }
}

/// What the thread knows that writes.
#[derive(Default)]
pub(super) struct Writer {
    #[cfg(target_os = "linux")]
    file: Option<LogFile>,
    instance: String,
    pid: u32,
    epoch: Option<u64>,
    has_told: bool,
}

impl Writer {
    /// Does it. Answers why it cannot be written, the first time.
    pub(super) fn carry_out(&mut self, task: Task, ring: &Mutex<Ring>) -> Option<String> {
        let done = match task {
            Task::Begin(beginning) => self.begin(*beginning, ring),
            Task::Write(at, event) => self.write(at, &event, ring),
            Task::Close => {
                self.close();
                Ok(())
            }
        };
        let why = done.err()?;
        (!std::mem::replace(&mut self.has_told, true)).then_some(why)
    }

    fn line(&self, at: Duration, event: &Event) -> Vec<u8> {
        let ts = Stamp { at, uptime: Duration::ZERO }.at_text();
        let line = Line { ts, pid: self.pid, instance: &self.instance, epoch: self.epoch, event };
        // A struct of strings and integers always serialises.
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    fn begin(&mut self, beginning: Beginning, ring: &Mutex<Ring>) -> Result<(), String> {
        (self.instance, self.pid, self.epoch) = (beginning.instance, beginning.pid, beginning.epoch);
        #[cfg(target_os = "linux")]
        if beginning.file.is_some() {
            self.file = beginning.file;
        }
        if let Some(end) = beginning.end {
            *lock(ring) = end;
        }
        beginning.trouble.map_or(Ok(()), Err)
    }

    #[cfg(target_os = "linux")]
    fn write(&mut self, at: Duration, event: &Event, ring: &Mutex<Ring>) -> Result<(), String> {
        let line = self.line(at, event);
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file.append(&line);
        let mut ring = lock(ring);
        // What cannot be written can be asked for all the same, until the file is there again.
        if let Ok(before) = &written
            && *before != ring.end()
        {
            *ring = Ring::new(*before, Vec::new());
        }
        ring.push(&line);
        written.map(drop).map_err(|error| error.to_string())
    }

    #[cfg(target_os = "linux")]
    fn close(&mut self) {
        self.file = None;
    }

    #[cfg(not(target_os = "linux"))]
    fn write(&mut self, at: Duration, event: &Event, ring: &Mutex<Ring>) -> Result<(), String> {
        let line = self.line(at, event);
        lock(ring).push(&line);
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn close(&mut self) {}
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    ts: String,
    pid: u32,
    instance: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(flatten)]
    event: &'a Event,
}
