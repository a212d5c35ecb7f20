//! Whoever says something never waits for whoever reads it: a pipe that nobody empties cannot stop a gateway.
//!
//! A thread writes; the others leave their lines with it, in order. When too many wait, further ones are dropped, and
//! how many is said in their place as soon as there is room. Whoever is about to exit waits for the thread, though
//! only so long.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How many lines can wait.
const WAITING: usize = 256;

/// How long an exit waits for a reader. One who reads at all is much quicker.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where lines go.
pub(super) struct Sink {
    shared: Arc<Shared>,
    /// Without it, for want of a thread, lines are written by whoever says them.
    has_writer: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    out: Mutex<Box<dyn Write + Send>>,
    /// The line that says how many were dropped.
    gap: Box<dyn Fn(u64) -> String + Send + Sync>,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<String>,
    dropped: u64,
    is_writing: bool,
    is_closed: bool,
}

impl Sink {
    /// Starts to write to `out`. `gap` is the line that says how many lines were dropped.
    pub(super) fn new(
        out: Box<dyn Write + Send>,
        gap: impl Fn(u64) -> String + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            out: Mutex::new(out),
            gap: Box::new(gap),
        });
        let writer = shared.clone();
        let started = thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_all());
        Self { shared, has_writer: started.is_ok() }
    }

    /// Leaves a line, or several that belong together, to be written.
    pub(super) fn say(&self, line: String) {
        if !self.has_writer {
            return self.shared.write(&line);
        }
        let mut queue = lock(&self.shared.queue);
        if queue.lines.len() >= WAITING {
            queue.dropped = queue.dropped.saturating_add(1);
            return;
        }
        if queue.dropped > 0 {
            let gap = (self.shared.gap)(std::mem::take(&mut queue.dropped));
            queue.lines.push_back(gap);
        }
        queue.lines.push_back(line);
        self.shared.changed.notify_all();
    }

    /// Waits until everything is written, though only so long.
    pub(super) fn flush(&self) {
        if self.has_writer {
            let queue = lock(&self.shared.queue);
            // Whether it is written or the time is up: there is nothing more to do.
            let _ = self.shared.changed.wait_timeout_while(queue, PATIENCE, |queue| !queue.is_done());
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        lock(&self.shared.queue).is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Queue {
    fn is_done(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0 && !self.is_writing
    }
}

impl Shared {
    /// Writes until nobody can say anything any more.
    fn write_all(&self) {
        while let Some(line) = self.next() {
            self.write(&line);
        }
    }

    /// Waits for the next line.
    fn next(&self) -> Option<String> {
        let mut queue = lock(&self.queue);
        queue.is_writing = false;
        loop {
            let line = queue.lines.pop_front().or_else(|| {
                let dropped = std::mem::take(&mut queue.dropped);
                (dropped > 0).then(|| (self.gap)(dropped))
            });
            queue.is_writing = line.is_some();
            if line.is_some() || queue.is_closed {
                return line;
            }
            self.changed.notify_all();
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// One write for the whole text, so that two processes on one terminal do not mix their lines.
    fn write(&self, line: &str) {
        let mut out = lock(&self.out);
        // A reader who is gone is no reason to stop a gateway.
        let _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
    }
}

/// Locks a mutex whose value no panic can leave half-changed, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::{Sink, WAITING};

    /// A pipe whose reader lets one write through for each word of permission.
    struct Gate {
        permission: Receiver<()>,
        read: Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // A reader who is gone no longer holds anybody up.
            let _ = self.permission.recv();
            let _ = self.read.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sink() -> (Sink, Sender<()>, Receiver<String>) {
        let ((permit, permission), (read, reader)) = (channel(), channel());
        let sink = Sink::new(Box::new(Gate { permission, read }), |dropped| format!("{dropped} dropped"));
        (sink, permit, reader)
    }

    #[test]
    fn a_reader_who_stops_reading_holds_nobody_up_and_learns_how_much_was_missed() {
        let (sink, permit, reader) = sink();
        for number in 0..WAITING + 100 {
            sink.say(number.to_string());
        }
        // The reader reads one line, so there is room for one.
        permit.send(()).unwrap();
        assert_eq!(reader.recv().unwrap(), "0\n");
        permit.send(()).unwrap();
        assert_eq!(reader.recv().unwrap(), "1\n");
        sink.say("late".to_owned());
        drop(permit);
        sink.flush();
        drop(sink);
        let lines: Vec<String> = reader.iter().collect();
        let (gap, told) = lines.iter().enumerate().find(|(_, line)| line.ends_with("dropped\n")).unwrap();
        // One line may have been on its way out already when the others came.
        assert!(["100 dropped\n", "99 dropped\n"].contains(&told.as_str()), "{told}");
        let numbers: Vec<String> = (2..2 + gap).map(|number| format!("{number}\n")).collect();
        assert_eq!(lines.get(..gap), Some(numbers.as_slice()));
        assert_eq!(lines.get(gap + 1..), Some(["late\n".to_owned()].as_slice()));
    }

    #[test]
    fn a_flush_waits_for_everything_that_was_said() {
        let (sink, permit, reader) = sink();
        drop(permit);
        for number in 0..WAITING {
            sink.say(number.to_string());
        }
        sink.flush();
        assert_eq!(reader.try_iter().count(), WAITING);
    }

    #[test]
    fn a_flush_gives_up_on_a_reader_who_does_not_read() {
        let (sink, _permit, reader) = sink();
        sink.say("unread".to_owned());
        sink.flush();
        assert_eq!(reader.try_iter().count(), 0);
    }
}
