//! What waits to be sent to one client. Whoever posts never waits; what a client does not read in time is lost to it, and
//! it can see that in the numbers, or it is sent away.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::protocol::StateVersion;

/// At most so many events wait for one client.
const MOST: usize = 1024;

/// Something that has happened, serialised once for all.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) payload: String,
    pub(crate) version: Option<StateVersion>,
    /// A client that is slow may do without: the next one says as much.
    pub(crate) may_be_lost: bool,
}

/// What comes out.
#[derive(Debug)]
pub(crate) enum Letter {
    /// An event, and how many before it were lost.
    Event(Arc<Event>, u64),
    /// One was lost that may not be.
    Overflow,
}

/// The events for one client.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    letters: VecDeque<(Arc<Event>, u64)>,
    bytes: usize,
    lost: u64,
    overflow: bool,
}

impl Mailbox {
    /// Posts an event, unless so much waits already.
    pub(crate) fn post(&self, event: &Arc<Event>, most_bytes: usize) {
        let mut waiting = self.lock();
        let bytes = waiting.bytes.saturating_add(event.payload.len());
        if waiting.overflow {
            return;
        }
        if waiting.letters.len() >= MOST || bytes > most_bytes {
            waiting.lost += 1;
            waiting.overflow = !event.may_be_lost;
        } else {
            let lost = std::mem::take(&mut waiting.lost);
            waiting.bytes = bytes;
            waiting.letters.push_back((event.clone(), lost));
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// The next one, if there is any; unless the client `reads`, only that too much waits.
    pub(crate) fn take(&self, reads: bool) -> Option<Letter> {
        let mut waiting = self.lock();
        if waiting.overflow {
            return Some(Letter::Overflow);
        }
        if !reads {
            return None;
        }
        let (event, lost) = waiting.letters.pop_front()?;
        waiting.bytes -= event.payload.len();
        Some(Letter::Event(event, lost))
    }

    /// Waits until there may be one.
    pub(crate) async fn posted(&self) {
        self.wake.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Event, Letter, MOST, Mailbox};

    fn event(payload: &str, may_be_lost: bool) -> Arc<Event> {
        Arc::new(Event { name: "tick", payload: payload.to_owned(), version: None, may_be_lost })
    }

    #[test]
    fn what_has_no_room_is_counted_with_the_next_that_has() {
        let mailbox = Mailbox::default();
        for _ in 0..MOST + 3 {
            mailbox.post(&event("1", true), usize::MAX);
        }
        for _ in 0..MOST {
            assert!(matches!(mailbox.take(true), Some(Letter::Event(_, 0))));
        }
        assert!(mailbox.take(true).is_none());
        mailbox.post(&event("2", true), usize::MAX);
        assert!(matches!(mailbox.take(true), Some(Letter::Event(_, 3))));
    }

    #[test]
    fn what_must_not_be_lost_ends_it() {
        let mailbox = Mailbox::default();
        mailbox.post(&event("12345", false), 8);
        mailbox.post(&event("12345", true), 8);
        assert!(matches!(mailbox.take(true), Some(Letter::Event(_, 0))), "the second one may be lost");
        mailbox.post(&event("123456789", false), 8);
        assert!(matches!(mailbox.take(true), Some(Letter::Overflow)));
    }
}
