//! Anybody's lock in a few lines: a machine, processes that contend, what happens to them, and what must be true.
//!
//! A [`Lab`] is built step by step and then searched ([`Lab::explore`]), sampled ([`Lab::sample`]) or taken along one way
//! that a property test has drawn ([`Lab::walk`]). What it finds can be printed: the execution as lanes, one column a process.
//!
//! A program says where it holds the lock with [`hold`], between taking it and giving it back.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_os::{Errno, FileId, Notice, Os, Ownership, Port, Uid};

use crate::explore::{Bounds, Evidence, Exploration, Found, Policy, explore};
use crate::kernel::{Ending, Kernel, Life, Place, Spawn};
use crate::lanes::Lanes;
use crate::process::Process;
use crate::program::Program;
use crate::replay::{Trace, Walk, replay, walk};
use crate::sample::{Sampled, Sampling, sample};
use crate::script::{Action, Condition, Script};
use crate::variation::Variation;
use crate::world::{Checker, Setup, Slot, Step, View, Violation};

/// Who every process of a lab runs as, and whom its directories belong to.
const USER: Uid = Uid(1000);

/// A promise, as a function of the state after a step. Answers how it is broken, as a fragment of a sentence.
type Promise = Arc<dyn Fn(&View<'_>) -> Result<(), String> + Send + Sync>;

/// Tells the lab that this process holds the lock, takes one step in which others may come, and tells that it holds it no more.
///
/// # Errors
///
/// What the machine answers, which in a lab is nothing but success.
pub async fn hold(os: &impl Os) -> Result<(), Errno> {
    let state = FileId { device: 0, inode: 0 };
    // What a lock is for is no matter here, but a notice names a port.
    let Some(base) = Port::new(1) else { return Err(Errno::InvalidArgument) };
    os.notify(Notice::Owner(Ownership { state, config: None, base, span: 0 })).await?;
    os.sleep(1).await?;
    os.notify(Notice::Released).await
}

/// A machine, processes on it, what happens to them, and what must be true.
#[derive(Clone)]
pub struct Lab {
    kernel: Kernel,
    slots: Vec<Slot>,
    setup: Vec<Action>,
    steps: Vec<Action>,
    /// Whether the processes are started in the order in which they were named, as nothing else was said.
    starts_all: bool,
    bounds: Bounds,
    promises: Vec<(String, Promise)>,
    ends: Vec<(String, Promise)>,
    probe: Option<usize>,
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Lab {
    /// A machine with nothing on it but a root directory, every schedule, no fault, and a million states at most.
    pub fn new() -> Self {
        Self {
            kernel: Kernel::new(),
            slots: Vec::new(),
            setup: Vec::new(),
            steps: Vec::new(),
            starts_all: true,
            bounds: Bounds { policy: Policy::Exhaustive, kills: 0, power_losses: 0, states: 1_000_000 },
            promises: Vec::new(),
            ends: Vec::new(),
            probe: None,
        }
    }

    /// A directory that the processes may write to.
    ///
    /// # Panics
    ///
    /// If its parent is no directory or the name is taken.
    #[must_use]
    pub fn directory(mut self, path: impl AsRef<Path>) -> Self {
        self.kernel.make_directory(path.as_ref(), 0o700, USER);
        self
    }

    /// A file that is there before anything happens, for instance what a dead owner has left.
    ///
    /// # Panics
    ///
    /// If its parent is no directory.
    #[must_use]
    pub fn file(mut self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Self {
        self.kernel.write_file(path.as_ref(), bytes.as_ref());
        self
    }

    /// One more process, by a name of its own.
    ///
    /// # Panics
    ///
    /// If the name is taken.
    #[must_use]
    pub fn process<F>(self, name: &str, body: impl Fn(Process) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = u8> + Send + 'static,
    {
        self.add(name, &Program::new(name, body))
    }

    /// So many processes that do the same, called `a`, `b` and so on.
    ///
    /// # Panics
    ///
    /// If there are more than 26, or such a name is taken.
    #[must_use]
    pub fn contenders<F>(mut self, count: usize, body: impl Fn(Process) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = u8> + Send + 'static,
    {
        assert!(count <= 26, "{count} contenders, and 26 letters");
        let program = Program::new("contender", body);
        for name in ('a'..='z').take(count) {
            self = self.add(&name.to_string(), &program);
        }
        self
    }

    fn add(mut self, name: &str, program: &Program) -> Self {
        assert!(self.slots.iter().all(|slot| slot.name != name), "two processes are called {name}");
        self.slots.push(Slot {
            name: name.to_owned(),
            spawn: Spawn {
                name: name.to_owned(),
                command: name.to_owned(),
                uid: USER,
                parent: None,
                pid: None,
                place: Place::default(),
            },
            program: Some(program.clone()),
            listens: Vec::new(),
            connections: Vec::new(),
            supervisor: None,
            spawned_as: None,
            open_files: None,
        });
        self
    }

    /// Starts a process before anything else happens, and waits until it has ended or waits for something itself.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    #[must_use]
    pub fn first(mut self, name: &str) -> Self {
        let slot = self.slot(name);
        self.setup.extend([Action::Start(slot), Action::Wait(Condition::Settled(slot))]);
        self
    }

    /// What is done to the machine, in this order. Without it all processes are started that [`Lab::first`] has not started;
    /// a script starts only whom it names.
    #[must_use]
    pub fn script(mut self, steps: impl IntoIterator<Item = Action>) -> Self {
        self.steps = steps.into_iter().collect();
        self.starts_all = false;
        self
    }

    /// An operator removes a file, at any time after the processes were started.
    #[must_use]
    pub fn removal(mut self, path: impl Into<PathBuf>) -> Self {
        self.steps.push(Action::Remove(vec![path.into()]));
        self
    }

    /// So many processes are killed at most, each at any step.
    #[must_use]
    pub const fn kills(mut self, most: u8) -> Self {
        self.bounds.kills = most;
        self
    }

    /// The power fails so many times at most, each time at any step and with any of its outcomes.
    #[must_use]
    pub const fn power_losses(mut self, most: u8) -> Self {
        self.bounds.power_losses = most;
        self
    }

    /// Only schedules with at most so many preemptions.
    #[must_use]
    pub const fn preemptions(mut self, most: u16) -> Self {
        self.bounds.policy = Policy::Preemptions(most);
        self
    }

    /// After so many states a search is given up.
    #[must_use]
    pub const fn states(mut self, most: usize) -> Self {
        self.bounds.states = most;
        self
    }

    /// At most one live process holds the lock, see [`hold`].
    #[must_use]
    pub fn one_holder(self) -> Self {
        self.always("one-holder", |view| match view.owners().len() {
            0 | 1 => Ok(()),
            more => Err(format!("{more} hold the lock at once")),
        })
    }

    /// Something is true after every step. The promise answers how it is broken, as a fragment of a sentence.
    #[must_use]
    pub fn always(
        mut self,
        name: &str,
        promise: impl Fn(&View<'_>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.promises.push((name.to_owned(), Arc::new(promise)));
        self
    }

    /// Something is true wherever nothing happens by itself any more.
    #[must_use]
    pub fn finally(
        mut self,
        name: &str,
        promise: impl Fn(&View<'_>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.ends.push((name.to_owned(), Arc::new(promise)));
        self
    }

    /// Wherever no process is alive, one more that runs alone ends with status 0: nothing that the dead have left is in its
    /// way.
    ///
    /// # Panics
    ///
    /// If this was said before.
    #[must_use]
    pub fn no_wedge<F>(mut self, body: impl Fn(Process) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = u8> + Send + 'static,
    {
        assert!(self.probe.is_none(), "one process is enough to see whether one can start");
        self = self.add("another", &Program::new("another", body));
        self.probe = Some(self.slots.len() - 1);
        self
    }

    /// The lab as a property test has drawn it: so many of the contenders are started in its order, with its kills and with
    /// its removals of a file between the starts.
    ///
    /// # Panics
    ///
    /// If it has fewer processes than the variation asks for.
    #[must_use]
    pub fn vary(self, variation: &Variation, removed: impl Into<PathBuf>) -> Self {
        assert!(
            variation.order().iter().all(|slot| *slot < self.slots.len()),
            "{variation:?} needs more than {} processes",
            self.slots.len()
        );
        let kills = variation.kills();
        let steps = variation.script(&removed.into());
        self.script(steps).kills(kills)
    }

    fn slot(&self, name: &str) -> usize {
        let slot = self.slots.iter().position(|slot| slot.name == name);
        assert!(slot.is_some(), "no process is called {name}");
        slot.unwrap_or_default()
    }

    pub(crate) fn setup(&self) -> Setup {
        let mut steps = Vec::new();
        if self.starts_all {
            let is_started = |slot: &usize| self.setup.contains(&Action::Start(*slot));
            let others = (0..self.slots.len()).filter(|slot| self.probe != Some(*slot) && !is_started(slot));
            steps.extend(others.map(Action::Start));
        }
        steps.extend(self.steps.iter().cloned());
        let mut kernel = self.kernel.clone();
        // What came before the first step is no news.
        kernel.take_effects();
        Setup { kernel, slots: self.slots.clone(), script: Script { setup: self.setup.clone(), steps } }
    }

    pub(crate) fn judge(&self) -> Judge<'_> {
        Judge { lab: self, probes: self.probe.into_iter().collect() }
    }

    fn names(&self) -> Vec<String> {
        self.slots.iter().map(|slot| slot.name.clone()).collect()
    }

    /// Visits every state.
    pub fn explore(&self) -> Explored {
        let (setup, judge) = (self.setup(), self.judge());
        let exploration = explore(&setup, &judge, &self.bounds);
        let trace = exploration.found.as_ref().map(|found| self.replay(found));
        Explored { exploration, trace, names: self.names() }
    }

    /// Takes random executions.
    pub fn sample(&self, sampling: &Sampling) -> (Sampled, Option<Shown>) {
        let sampled = sample(&self.setup(), &self.judge(), &self.bounds, sampling);
        let trace = sampled.found.as_ref().map(|found| self.replay(found));
        (sampled, trace.map(|trace| Shown { trace, names: self.names() }))
    }

    fn replay(&self, found: &Found) -> Trace {
        replay(&self.setup(), &self.judge(), &self.bounds, &found.schedule)
    }

    /// Takes one execution to its end by any numbers, for instance those that a property test draws and shrinks. See
    /// [`walk`](crate::walk()).
    pub fn walk(&self, picks: &[u8]) -> Shown {
        let Walk { trace, .. } = walk(&self.setup(), &self.judge(), &self.bounds, picks);
        Shown { trace, names: self.names() }
    }
}

/// What a search of a lab has shown. `Display` says it in words, with the counterexample.
#[derive(Clone, Debug)]
pub struct Explored {
    /// All of it.
    pub exploration: Exploration,
    /// The counterexample.
    pub trace: Option<Trace>,
    names: Vec<String>,
}

impl Explored {
    /// Whether every schedule within the bounds was covered and nothing is broken.
    pub fn holds(&self) -> bool {
        self.exploration.found.is_none() && self.exploration.evidence != Evidence::Cut
    }

    /// What is broken.
    pub fn violation(&self) -> Option<&Violation> {
        self.exploration.found.as_ref().map(|found| &found.violation)
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exploration { states, transitions, evidence, found, .. } = &self.exploration;
        if let (Some(found), Some(trace)) = (found, &self.trace) {
            let least = if found.is_shortest { ", and nothing less breaks anything" } else { "" };
            let (faults, preemptions, steps) = trace.cost();
            writeln!(f, "{}", found.violation)?;
            writeln!(f, "faults {faults}, preemptions {preemptions}, steps {steps}{least}")?;
            return write!(f, "{}", Lanes { trace, names: &self.names });
        }
        let word = match evidence {
            Evidence::Complete => "holds on every schedule",
            Evidence::Bounded => "holds on every schedule within the bounds",
            Evidence::Cut => "undecided: the budget of states ran out",
        };
        writeln!(f, "{word}: {states} states, {transitions} steps")
    }
}

/// One execution of a lab. `Display` shows it as lanes, one column a process.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The execution.
    pub trace: Trace,
    names: Vec<String>,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(violation) = &self.trace.violation {
            writeln!(f, "{violation}")?;
        }
        write!(f, "{}", Lanes { trace: &self.trace, names: &self.names })
    }
}

/// What a lab checks. The outcome of an end is how many processes have ended with status 0.
pub(crate) struct Judge<'a> {
    lab: &'a Lab,
    probes: Vec<usize>,
}

impl Judge<'_> {
    fn check(promises: &[(String, Promise)], view: &View<'_>) -> Result<(), Violation> {
        promises.iter().try_for_each(|(name, promise)| {
            promise(view).map_err(|says| Violation { check: name.clone(), says })
        })
    }
}

fn has_succeeded(view: &View<'_>, slot: usize) -> bool {
    view.slots[slot].process.is_some_and(|process| view.kernel.life(process) == Life::Dead(Ending::Exited(0)))
}

impl Checker for Judge<'_> {
    type Memory = ();

    fn start(&self) {}

    fn step(&self, (): &mut (), view: &View<'_>, _: &Step<'_>) -> Result<(), Violation> {
        Self::check(&self.lab.promises, view)
    }

    fn end(&self, (): &(), view: &View<'_>) -> Result<usize, Violation> {
        Self::check(&self.lab.ends, view)?;
        Ok((0..view.slots.len()).filter(|slot| has_succeeded(view, *slot)).count())
    }

    fn probes(&self) -> &[usize] {
        &self.probes
    }

    fn probed(&self, probe: usize, view: &View<'_>) -> Result<(), Violation> {
        if has_succeeded(view, probe) {
            return Ok(());
        }
        let says = "nobody is alive, and one more cannot start".to_owned();
        Err(Violation { check: "no-wedge".to_owned(), says })
    }
}
