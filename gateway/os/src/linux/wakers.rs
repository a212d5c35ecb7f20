//! Everybody who waits for one thing is woken, not only the last to ask.
//!
//! tokio's polling functions remember one waker each. Several tasks may wait on one descriptor, and closing it must
//! wake them too, so what tokio remembers is this list.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The tasks that wait for one thing.
#[derive(Debug, Default)]
pub(super) struct Wakers(Mutex<Vec<Waker>>);

impl Wakers {
    /// Wakes this task at the next occasion as well. Asking twice is asking once.
    pub(super) fn add(&self, waker: &Waker) {
        let mut list = lock(&self.0);
        if !list.iter().any(|known| known.will_wake(waker)) {
            list.push(waker.clone());
        }
    }

    /// Wakes them all. Who still waits asks again.
    pub(super) fn wake_all(&self) {
        // Woken outside the lock: a waker may run code that adds itself again.
        let list = std::mem::take(&mut *lock(&self.0));
        list.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

/// Locks a mutex whose value no panic can leave half-changed, so a poisoned one is as good as any.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
