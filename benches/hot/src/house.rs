//! The tasks of a server, polled whenever they are woken and never otherwise: an executor that costs next to nothing.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use gateway::control::Now;
use gateway::server::Host;
use tokio::runtime::{Builder, Runtime};

type Body = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where the tasks of a server live. All clones are one.
#[derive(Clone, Default)]
pub struct House {
    /// Tasks that nobody has polled yet.
    new: Arc<Mutex<Vec<Body>>>,
    draws: Arc<AtomicU8>,
}

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("House").finish_non_exhaustive()
    }
}

impl Host for House {
    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(body));
    }

    async fn now(&self) -> Now {
        // A clock that stands still: nothing becomes due, and no two runs differ.
        Now { wall_ms: 1_800_000_000_000, monotonic_ms: 1 }
    }

    async fn random(&self) -> Option<[u8; 16]> {
        Some([self.draws.fetch_add(1, Ordering::Relaxed); 16])
    }

    async fn file(&self, _: &Path, _: &[String], _: u32) -> Option<Vec<u8>> {
        None
    }
}

/// Whether a task is to be polled.
#[derive(Debug)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

struct Task {
    body: Body,
    woken: Arc<Woken>,
    waker: Waker,
}

/// Whoever polls the tasks of a house.
pub(crate) struct Keeper {
    house: House,
    tasks: Vec<Task>,
    /// Timers are kept by a runtime. Nothing else is, and none of them ever fires.
    runtime: Runtime,
}

impl Keeper {
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        Self { house: House::default(), tasks: Vec::new(), runtime }
    }

    pub(crate) const fn house(&self) -> &House {
        &self.house
    }

    /// Does something where timers can be made.
    pub(crate) fn within<T>(&self, does: impl FnOnce() -> T) -> T {
        let _entered = self.runtime.enter();
        does()
    }

    /// Polls until no task wants to be polled.
    pub(crate) fn turn(&mut self) {
        let _entered = self.runtime.enter();
        loop {
            for body in std::mem::take(&mut *self.house.new.lock().unwrap_or_else(PoisonError::into_inner)) {
                let woken = Arc::new(Woken(AtomicBool::new(true)));
                let waker = Waker::from(woken.clone());
                self.tasks.push(Task { body, woken, waker });
            }
            let mut polled = false;
            self.tasks.retain_mut(|task| {
                if !task.woken.0.swap(false, Ordering::Acquire) {
                    return true;
                }
                polled = true;
                task.body.as_mut().poll(&mut Context::from_waker(&task.waker)).is_pending()
            });
            if !polled {
                return;
            }
        }
    }
}
