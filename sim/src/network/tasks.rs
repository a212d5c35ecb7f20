//! Which tasks could go on: those that were woken since they were polled last.
//!
//! In which order they were woken makes no difference: tokio's own primitives wake whoever waits in an order that they draw.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use crate::kernel::ProcessId;

/// A task: of which process, and the number of the task there.
pub(super) type TaskId = (ProcessId, u32);

/// The tasks that were woken.
#[derive(Default)]
pub(super) struct Ready {
    list: Mutex<Woken>,
}

#[derive(Default)]
struct Woken {
    tasks: BTreeMap<TaskId, Arc<Alarm>>,
    /// Whoever lets them go on.
    root: Option<Waker>,
}

/// What wakes one task.
pub(super) struct Alarm {
    pub(super) task: TaskId,
    is_listed: AtomicBool,
    ready: Arc<Ready>,
}

impl Alarm {
    pub(super) fn of(task: TaskId, ready: &Arc<Ready>) -> Arc<Self> {
        Arc::new(Self { task, is_listed: AtomicBool::new(false), ready: ready.clone() })
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        if self.is_listed.swap(true, Ordering::Relaxed) {
            return;
        }
        let ready = self.ready.clone();
        let mut woken = ready.woken();
        woken.tasks.insert(self.task, self);
        if let Some(root) = &woken.root {
            root.wake_by_ref();
        }
    }
}

impl Ready {
    fn woken(&self) -> MutexGuard<'_, Woken> {
        // Nothing panics while it is held.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom to tell when a task is woken.
    pub(super) fn watch(&self, root: &Waker) {
        let mut woken = self.woken();
        if !woken.root.as_ref().is_some_and(|known| known.will_wake(root)) {
            woken.root = Some(root.clone());
        }
    }

    /// Takes one of the woken tasks that may go on, the one that `choose` answers of so many.
    pub(super) fn take(
        &self,
        mut may_go_on: impl FnMut(TaskId) -> bool,
        choose: impl FnOnce(usize) -> usize,
    ) -> Option<TaskId> {
        let mut woken = self.woken();
        let able = woken.tasks.keys().filter(|task| may_go_on(**task)).count();
        if able == 0 {
            return None;
        }
        let chosen = choose(able);
        let task = woken.tasks.keys().filter(|task| may_go_on(**task)).nth(chosen).copied()?;
        woken.tasks.remove(&task)?.is_listed.store(false, Ordering::Relaxed);
        Some(task)
    }

    /// Forgets the tasks of a process.
    pub(super) fn forget(&self, process: ProcessId) {
        self.woken().tasks.retain(|task, _| task.0 != process);
    }
}
