//! What waits to be sent to one client. Whoever posts never waits; what a client does not read in time is lost to it, and
//! it can see that in the numbers, or it is sent away.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::protocol::{Failure, Told};
use serde_json::Value;

/// At most so many events wait for one client.
const MOST: usize = 1024;
/// At most so many of its requests are worked on at once.
pub(super) const MOST_REQUESTS: usize = 32;

/// Something that has happened, serialised once for all.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) told: Told,
    /// A client that is slow may do without: the next one says as much.
    pub(crate) may_be_lost: bool,
}

/// What comes out.
#[derive(Debug)]
pub(crate) enum Letter {
    /// An event, and how many before it were lost.
    Event(Arc<Event>, u64),
    /// The answer to the request of that id.
    Answer(String, Box<Result<Value, Failure>>),
    /// One was lost that may not be.
    Overflow,
    /// This client may not stay, for this reason.
    Expelled(&'static str),
}

/// The events for one client.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    letters: VecDeque<(Arc<Event>, u64)>,
    bytes: usize,
    lost: u64,
    overflow: bool,
    expelled: Option<&'static str>,
    /// How many requests are worked on, or have an answer that waits.
    requests: usize,
    answers: VecDeque<(String, Box<Result<Value, Failure>>)>,
    /// Whether something was posted that nobody was told of.
    news: bool,
    /// Whoever waits to be told.
    waker: Option<Waker>,
}

impl Waiting {
    /// Something was posted. Answers whom to wake.
    const fn tell(&mut self) -> Option<Waker> {
        self.news = true;
        self.waker.take()
    }
}

/// Wakes whoever waits, if anybody does.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Mailbox {
    /// Posts an event, unless so much waits already.
    pub(crate) fn post(&self, event: &Arc<Event>, most_bytes: usize) {
        let mut waiting = self.lock();
        let bytes = waiting.bytes.saturating_add(event.told.bytes());
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
        let waker = waiting.tell();
        drop(waiting);
        wake(waker);
    }

    /// Whether one more request of this client may be worked on. Each that may is answered once.
    pub(super) fn admit(&self) -> bool {
        let mut waiting = self.lock();
        let has_room = waiting.requests < MOST_REQUESTS;
        waiting.requests += usize::from(has_room);
        has_room
    }

    /// A request that was admitted is answered in another way.
    pub(super) fn dismiss(&self) {
        self.lock().requests -= 1;
    }

    /// How many requests are worked on, or have an answer that waits.
    pub(super) fn requests(&self) -> usize {
        self.lock().requests
    }

    /// Posts the answer to a request that was admitted. There are never more than were admitted, so it always has room.
    pub(super) fn answer(&self, id: String, outcome: Result<Value, Failure>) {
        let mut waiting = self.lock();
        waiting.answers.push_back((id, Box::new(outcome)));
        let waker = waiting.tell();
        drop(waiting);
        wake(waker);
    }

    /// Sends this client away.
    pub(super) fn expel(&self, why: &'static str) {
        let mut waiting = self.lock();
        waiting.expelled = Some(why);
        let waker = waiting.tell();
        drop(waiting);
        wake(waker);
    }

    /// The next one, if there is any; unless the client `reads`, only that too much waits.
    pub(crate) fn take(&self, reads: bool) -> Option<Letter> {
        let mut waiting = self.lock();
        if let Some(why) = waiting.expelled {
            return Some(Letter::Expelled(why));
        }
        if waiting.overflow {
            return Some(Letter::Overflow);
        }
        if !reads {
            return None;
        }
        if let Some((id, outcome)) = waiting.answers.pop_front() {
            waiting.requests -= 1;
            return Some(Letter::Answer(id, outcome));
        }
        let Some((event, lost)) = waiting.letters.pop_front() else {
            waiting.news = false;
            return None;
        };
        waiting.bytes -= event.told.bytes();
        Some(Letter::Event(event, lost))
    }

    /// Waits until there may be one. One task waits, for one client.
    pub(crate) fn poll_posted(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.lock();
        if std::mem::take(&mut waiting.news) {
            return Poll::Ready(());
        }
        if !waiting.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            waiting.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Waker};

    use super::{Event, Letter, MOST, Mailbox, Told};

    fn event(payload: &str, may_be_lost: bool) -> Arc<Event> {
        Arc::new(Event { told: Told::new("tick", &payload.into(), None), may_be_lost })
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
        let short = event("12345", false);
        mailbox.post(&short, short.told.bytes() + 3);
        mailbox.post(&event("12345", true), short.told.bytes() + 3);
        assert!(matches!(mailbox.take(true), Some(Letter::Event(_, 0))), "the second one may be lost");
        mailbox.post(&event("123456789", false), short.told.bytes() + 3);
        assert!(matches!(mailbox.take(true), Some(Letter::Overflow)));
    }

    #[test]
    fn whoever_waits_is_told_once_of_what_was_posted_before_or_since() {
        let mailbox = Mailbox::default();
        let mut context = Context::from_waker(Waker::noop());
        mailbox.post(&event("1", true), usize::MAX);
        mailbox.post(&event("2", true), usize::MAX);
        // What is left there is no news, and what was taken is none either.
        let mut poll = || mailbox.poll_posted(&mut context).is_ready();
        assert_eq!((poll(), poll()), (true, false));
        mailbox.post(&event("3", true), usize::MAX);
        while mailbox.take(true).is_some() {}
        assert!(!poll());
        mailbox.expel("it has to go");
        assert_eq!((poll(), poll()), (true, false));
    }
}
