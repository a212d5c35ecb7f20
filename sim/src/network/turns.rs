//! Who goes on next: one of the tasks that could, drawn; and when none can, time goes on to whatever comes next.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use tokio::time::{Instant, Sleep, sleep_until};
use turmoil_net::EnterGuard;

use super::tasks::{Alarm, TaskId};
use super::{Happened, Restless, Shared, milliseconds, node, since};
use crate::kernel::{Kernel, Life, ProcessId};

/// What a task does.
pub(super) type Body = Pin<Box<dyn Future<Output = ()> + Send>>;
/// What the main task of a process does.
pub(super) type Main = Pin<Box<dyn Future<Output = u8> + Send>>;

/// So many tasks go on in one instant at most.
const MOST_TURNS: u32 = 2_000_000;
/// The status of a process that has panicked, as a shell reports `SIGABRT`.
const ABORTED: u8 = 134;

enum Running {
    Main(Main),
    Child(Body),
}

struct Task {
    running: Running,
    waker: Waker,
}

/// All tasks of all processes.
pub(super) struct Turns {
    shared: Arc<Shared>,
    began: Instant,
    tasks: BTreeMap<TaskId, Task>,
    next: u32,
    pub(super) panics: Vec<(ProcessId, String)>,
}

impl Turns {
    pub(super) const fn new(shared: Arc<Shared>, began: Instant) -> Self {
        Self { shared, began, tasks: BTreeMap::new(), next: 0, panics: Vec::new() }
    }

    pub(super) fn now_ms(&self) -> u64 {
        since(self.began)
    }

    /// Adds the main task of a process.
    pub(super) fn begin(&mut self, process: ProcessId, main: Main) {
        self.add(process, Running::Main(main));
    }

    fn add(&mut self, process: ProcessId, running: Running) {
        let id = (process, self.next);
        self.next += 1;
        let alarm = Alarm::of(id, &self.shared.ready);
        let waker = Waker::from(alarm.clone());
        self.tasks.insert(id, Task { running, waker });
        alarm.wake();
    }

    /// Lets everything go on until that moment, or until `until` says so.
    pub(super) async fn go(
        &mut self,
        guard: &EnterGuard,
        until_ms: u64,
        mut until: impl FnMut(&Kernel, &[Happened]) -> bool,
    ) -> Result<(), Restless> {
        let mut alarm = Box::pin(sleep_until(self.began + milliseconds(until_ms)));
        let mut instant = (self.now_ms(), 0);
        // Nobody is to be interrupted because somebody else in the same process has done much.
        tokio::task::coop::unconstrained(poll_fn(|cx| {
            self.shared.ready.watch(cx.waker());
            loop {
                self.everybody(&mut instant, guard)?;
                let now_ms = self.now_ms();
                {
                    let state = self.shared.state();
                    if now_ms >= until_ms || until(&state.kernel, &state.happened) {
                        return Poll::Ready(Ok(()));
                    }
                }
                if self.rests(alarm.as_mut(), until_ms, cx) {
                    return Poll::Pending;
                }
            }
        }))
        .await
    }

    /// Whether nothing can happen before time has gone on. It is told when it has.
    fn rests(&self, mut alarm: Pin<&mut Sleep>, until_ms: u64, cx: &mut Context<'_>) -> bool {
        let next_ms = self.shared.state().wires.links.next_ms().map_or(until_ms, |next| next.min(until_ms));
        alarm.as_mut().reset(self.began + milliseconds(next_ms));
        alarm.poll(cx).is_pending()
    }

    /// Lets everybody go on until nobody can in this instant.
    fn everybody(&mut self, instant: &mut (u64, u32), guard: &EnterGuard) -> Result<(), Restless> {
        loop {
            self.bury();
            self.adopt();
            while let Some(id) = self.draw() {
                self.take_turn(id);
                self.bury();
                self.adopt();
                let now_ms = self.now_ms();
                *instant = if instant.0 == now_ms { (now_ms, instant.1 + 1) } else { (now_ms, 0) };
                if instant.1 > MOST_TURNS {
                    return Err(Restless { at_ms: now_ms });
                }
            }
            let mut state = self.shared.state();
            let state = &mut *state;
            let now_ms = state.now_ms();
            if !state.wires.carry(guard, now_ms, &mut state.random) {
                return Ok(());
            }
        }
    }

    /// Takes in the tasks that were started.
    fn adopt(&mut self) {
        let born = std::mem::take(&mut self.shared.state().born);
        for (process, body) in born {
            self.add(process, Running::Child(body));
        }
    }

    /// Whose turn it is.
    fn draw(&self) -> Option<TaskId> {
        let mut state = self.shared.state();
        let state = &mut *state;
        let (kernel, asleep) = (&state.kernel, &state.asleep);
        let may_go_on = |(process, _): TaskId| {
            node::runs(kernel, process) && !asleep.contains(&kernel.place(process).host)
        };
        let id = self.shared.ready.take(may_go_on, |count| state.random.place(count))?;
        (state.shown_ms, id).hash(&mut state.digest);
        state.wires.enter(kernel.place(id.0).host);
        Some(id)
    }

    fn take_turn(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let mut cx = Context::from_waker(&task.waker);
        let polled = catch_unwind(AssertUnwindSafe(|| match &mut task.running {
            Running::Main(main) => main.as_mut().poll(&mut cx).map(Some),
            Running::Child(body) => body.as_mut().poll(&mut cx).map(|()| None),
        }));
        let status = match polled {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(status)) => status,
            Err(said) => {
                self.panics.push((id.0, words(said.as_ref())));
                Some(ABORTED)
            }
        };
        self.tasks.remove(&id);
        let mut state = self.shared.state();
        if let Some(status) = status
            && matches!(state.kernel.life(id.0), Life::Running | Life::Stopped)
        {
            state.show_time();
            state.kernel.exit(id.0, status);
            state.note_and_wake();
        }
    }

    /// Drops the tasks of processes that are no more.
    pub(super) fn bury(&mut self) {
        let dead = std::mem::take(&mut self.shared.state().dead);
        for process in dead {
            self.drop_tasks(process);
        }
    }

    fn drop_tasks(&mut self, process: ProcessId) {
        {
            let state = self.shared.state();
            state.wires.enter(state.kernel.place(process).host);
        }
        self.shared.ready.forget(process);
        self.shared.state().blocked.retain(|blocked| blocked.process != process);
        let of = self.tasks.range((process, 0)..=(process, u32::MAX)).map(|(id, _)| *id);
        for id in of.collect::<Vec<_>>() {
            // What it drops may ask for the state, so that must be free.
            drop(self.tasks.remove(&id));
        }
        self.shared.state().born.retain(|(of, _)| *of != process);
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        while let Some((process, _)) = self.tasks.keys().next().copied() {
            self.drop_tasks(process);
        }
    }
}

/// What a panic said.
fn words(said: &(dyn Any + Send)) -> String {
    let text = said.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| said.downcast_ref::<String>().cloned()).unwrap_or_else(|| "something".to_owned())
}
