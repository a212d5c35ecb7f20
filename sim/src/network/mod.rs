//! Whole programs on several hosts: their sockets carry real bytes over a simulated network, in virtual time, and the order of
//! everything follows from a seed.
//!
//! Processes, files, locks, ports and clocks are those of the [`Kernel`], as in an exploration. What the kernel does not
//! carry, the bulk bytes behind [`Os::listener`](portcullis_os::Os::listener) and [`Os::dial`](portcullis_os::Os::dial), goes
//! through the TCP of [`turmoil_net`], a network stack without clock or scheduler. When a packet arrives is decided here: each
//! direction between two hosts has a latency, may lose packets, and may be cut.
//!
//! A process is all its tasks together. One that is stopped is not polled, while the network goes on completing handshakes into
//! its backlog; one that is killed loses its tasks and connections in one instant, as the kernel takes them.
//!
//! Nothing is explored here: one seed is one execution. Time is that of a paused clock of tokio, so an hour in which nothing
//! happens costs nothing.
//!
//! # Invariants
//!
//! - Same programs, same seed, same [`Network::digest`]: no task is polled, no call carried out and no packet delivered in an
//!   order that the seed does not decide.
//! - Whoever is polled next is drawn among all tasks that could go on, and each call lets others go first as often as not.
//! - Packets of one direction arrive in the order in which they were sent, once, as TCP makes of any network. A packet that is lost
//!   comes later; what is cut off waits until it is repaired.

mod links;
mod node;
mod tasks;
mod turns;
mod wires;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_os::{Call, Errno, Signal};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep};

use crate::digest::Lanes;
use crate::kernel::{Effect, HostId, Kernel, ProcessId, Spawn, TooManyOutcomes};
use crate::sample::Random;
pub use links::Link;
pub use node::{Node, NodeListener};
use tasks::Ready;
use turns::Turns;
use wires::Wires;

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Since the beginning, in milliseconds.
    pub at_ms: u64,
    /// What.
    pub effect: Effect,
}

/// What all processes share.
struct Shared {
    state: Mutex<State>,
    ready: Arc<Ready>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A task that panics holds nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that waits for somebody else.
struct Blocked {
    process: ProcessId,
    call: Call,
    waker: std::task::Waker,
}

struct State {
    kernel: Kernel,
    random: Random,
    began: Instant,
    /// How much of the time that has passed the clocks of the kernel show, in milliseconds.
    shown_ms: u64,
    blocked: Vec<Blocked>,
    wires: Wires,
    names: BTreeMap<String, HostId>,
    /// Hosts that do nothing at present.
    asleep: BTreeSet<HostId>,
    happened: Vec<Happened>,
    /// Processes that are no more, whose tasks are still there.
    dead: Vec<ProcessId>,
    /// Tasks that were started and have not had a turn.
    born: Vec<(ProcessId, turns::Body)>,
    digest: Lanes,
}

impl State {
    fn now_ms(&self) -> u64 {
        since(self.began)
    }

    /// Puts the clocks of the kernel forward to the present.
    fn show_time(&mut self) -> u64 {
        let now_ms = self.now_ms();
        self.kernel.advance(now_ms - self.shown_ms);
        self.shown_ms = now_ms;
        now_ms
    }

    /// Remembers what a step has done.
    fn note(&mut self) {
        let at_ms = self.shown_ms;
        for effect in self.kernel.take_effects() {
            if let Effect::Died { process, .. } = &effect {
                self.dead.push(*process);
            }
            self.happened.push(Happened { at_ms, effect });
        }
    }

    /// The same, where somebody may have waited for it or a socket may be gone that took connections.
    fn note_and_wake(&mut self) {
        self.note();
        self.wires.close_what_is_gone(&self.kernel);
        let kernel = &self.kernel;
        self.blocked.retain(|blocked| {
            let goes_on = !node::runs(kernel, blocked.process)
                || kernel.readiness(blocked.process, &blocked.call) == crate::kernel::Readiness::Ready;
            if goes_on {
                blocked.waker.wake_by_ref();
            }
            !goes_on
        });
    }
}

/// Hosts on a network, and the programs that run there.
pub struct Network {
    shared: Arc<Shared>,
    turns: Turns,
    runtime: Runtime,
    guard: turmoil_net::EnterGuard,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("now_ms", &self.now_ms()).finish_non_exhaustive()
    }
}

impl Network {
    /// A network of the hosts of a machine, which are called by these names, in the order of their numbers.
    ///
    /// # Errors
    ///
    /// What the system says when there is no room for a timer.
    ///
    /// # Panics
    ///
    /// If this thread has a network already.
    pub fn new(mut kernel: Kernel, names: &[&str], seed: u64) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        kernel.take_effects();
        let (wires, guard) = Wires::between(names.len());
        let began = {
            let _inside = runtime.enter();
            // The present, by the clock of that runtime, which nothing else moves.
            sleep(Duration::ZERO).deadline()
        };
        let names = names.iter().zip(0..).map(|(name, number)| ((*name).to_owned(), HostId(number)));
        let state = State {
            kernel,
            random: Random::of(seed, 0),
            began,
            shown_ms: 0,
            blocked: Vec::new(),
            wires,
            names: names.collect(),
            asleep: BTreeSet::new(),
            happened: Vec::new(),
            dead: Vec::new(),
            born: Vec::new(),
            digest: Lanes::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), ready: Arc::default() });
        Ok(Self { turns: Turns::new(shared.clone(), began), shared, runtime, guard })
    }

    /// How much time has passed since the beginning, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        let _inside = self.runtime.enter();
        self.shared.state().now_ms()
    }

    /// When everything began, by the clock that [`tokio::time`] shows here.
    pub fn began(&self) -> Instant {
        self.shared.state().began
    }

    /// Starts a program as a process of its own. The process ends with the status that the program returns.
    ///
    /// # Errors
    ///
    /// As [`Kernel::spawn`].
    pub fn spawn<F>(&mut self, spawn: &Spawn, program: impl FnOnce(Node) -> F) -> Result<ProcessId, Errno>
    where
        F: Future<Output = u8> + Send + 'static,
    {
        let process = self.change(|kernel| kernel.spawn(spawn))?;
        let node = Node::new(self.shared.clone(), process);
        let main = program(node);
        self.turns.begin(process, Box::pin(main));
        Ok(process)
    }

    /// Sends a signal from outside.
    ///
    /// # Panics
    ///
    /// As [`Kernel::signal`].
    pub fn signal(&mut self, target: ProcessId, signal: Signal) {
        self.change(|kernel| kernel.signal(ProcessId::ENVIRONMENT, target, signal));
    }

    /// Does something to the machine at once.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Kernel) -> T) -> T {
        let _inside = self.runtime.enter();
        let mut state = self.shared.state();
        state.show_time();
        let answer = change(&mut state.kernel);
        state.note_and_wake();
        answer
    }

    /// Looks at the machine.
    pub fn look<T>(&self, look: impl FnOnce(&Kernel) -> T) -> T {
        look(&self.shared.state().kernel)
    }

    /// How packets travel from one host to another from now on. What is on its way already is not concerned, unless it was cut off.
    /// Answers how many packets that were cut off go on now.
    pub fn set_link(&mut self, from: HostId, to: HostId, link: Link) -> usize {
        let _inside = self.runtime.enter();
        let mut state = self.shared.state();
        let now_ms = state.now_ms();
        let State { wires, random, .. } = &mut *state;
        wires.links.set([from, to], link, now_ms, random)
    }

    /// Lets a host do nothing, as a machine that is suspended, or go on.
    pub fn set_asleep(&mut self, host: HostId, asleep: bool) {
        let mut state = self.shared.state();
        if asleep {
            state.asleep.insert(host);
        } else {
            state.asleep.remove(&host);
        }
    }

    /// The power of a host fails: its processes are gone and say goodbye to nobody, and its disks hold one of the things that they
    /// may ([`Kernel::power_loss_outcomes`]), drawn. What others send to it waits until it has power again, and is answered then
    /// as by a machine that knows of no connection.
    ///
    /// # Errors
    ///
    /// If its disks may hold more than anybody would go through.
    pub fn lose_power(&mut self, host: HostId) -> Result<(), TooManyOutcomes> {
        let _inside = self.runtime.enter();
        {
            let mut state = self.shared.state();
            let state = &mut *state;
            state.show_time();
            let mut outcomes = state.kernel.power_loss_outcomes(host)?;
            let drawn = state.random.place(outcomes.len());
            state.kernel = outcomes.swap_remove(drawn);
            state.wires.darken(&self.guard, host);
            state.note_and_wake();
        }
        // What they say when they are dropped, nobody hears.
        self.turns.bury();
        let mut state = self.shared.state();
        let state = &mut *state;
        let now_ms = state.now_ms();
        state.wires.collect(&self.guard, now_ms, &mut state.random);
        Ok(())
    }

    /// A host has power again. Nobody runs there yet.
    pub fn restore_power(&mut self, host: HostId) {
        let _inside = self.runtime.enter();
        let mut state = self.shared.state();
        let now_ms = state.now_ms();
        let State { wires, random, .. } = &mut *state;
        wires.links.lighten(host, now_ms, random);
    }

    /// Lets everything go on for so many milliseconds, or until something is so.
    ///
    /// # Errors
    ///
    /// [`Restless`] if so much happens in one instant that time does not go on.
    pub fn run(
        &mut self,
        most_ms: u64,
        until: impl FnMut(&Kernel, &[Happened]) -> bool,
    ) -> Result<(), Restless> {
        let Self { turns, runtime, guard, .. } = self;
        let until_ms = {
            let _inside = runtime.enter();
            turns.now_ms().saturating_add(most_ms)
        };
        runtime.block_on(turns.go(guard, until_ms, until))
    }

    /// What has happened since it was asked last, in order.
    pub fn take_happened(&mut self) -> Vec<Happened> {
        std::mem::take(&mut self.shared.state().happened)
    }

    /// The processes that have panicked, and what they said.
    pub fn panics(&self) -> &[(ProcessId, String)] {
        &self.turns.panics
    }

    /// A digest of everything that has happened so far, in order: two executions with the same digest were the same.
    pub fn digest(&self) -> u128 {
        self.shared.state().digest.digest()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // What tasks own of the network must be given back while there is one, and a clock.
        let _inside = self.runtime.enter();
        self.turns.clear();
        self.shared.state().wires.clear();
    }
}

/// So much happened in one instant that time does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at {at_ms} ms so much happens at once that time does not go on")]
pub struct Restless {
    /// When, in milliseconds since the beginning.
    pub at_ms: u64,
}

/// How long ago that was, in milliseconds.
fn since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// So many milliseconds.
const fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}
