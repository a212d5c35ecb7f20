//! Sequences that are worth comparing: drawn at random, but with an eye on what the simulated machine has come to.
//!
//! Most calls name something that exists, and most of what exists is shared: a few names, ports and processes, so that
//! processes get into each other's way. Each sequence has a theme that says which calls are frequent in it.
//!
//! # Invariants
//!
//! - A sequence is a function of the seed and its number.
//! - Each step of it can be taken on the simulated machine, and at least [`SHORTEST`] of them are calls.

mod choices;
mod files;
mod processes;
mod rules;
mod sockets;
mod verbs;

use std::collections::{BTreeMap, BTreeSet};

use portcullis_os::{Call, Errno, Fd, Pid, Reply};
use proptest::prelude::*;
use proptest::sample::{Select, select};
use proptest::strategy::{Union, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sim::Kernel;
use sim::kernel::{Life, Readiness};

use crate::machine::Machine;
use crate::outcome::Outcome;
use crate::sequence::{Label, Op, Sequence, Step, Who};
use crate::simulation::{Scenery, Simulation, Taken};
use crate::symbols;
use rules::Rules;
use verbs::{Theme, Verb};

pub use verbs::probes;

/// The fewest calls of a sequence.
pub const SHORTEST: usize = 20;
/// How many calls more a sequence can have.
const SPREAD: usize = 16;
/// The most processes that live at once.
const MOST_PROCESSES: usize = 4;
/// One of so many calls that would have to wait is made.
const WAITS_RARELY: u32 = 8;

/// What sequences are drawn for.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The same seed, the same sequences.
    pub seed: u64,
    /// The users that processes can have.
    pub users: Vec<u32>,
    /// The calls that one of the machines does not know.
    pub unknown: BTreeSet<&'static str>,
    /// Where the sequences will be run.
    pub scenery: Scenery,
}

/// A sequence, and what was not taken into it.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The sequence.
    pub sequence: Sequence,
    /// The calls that the simulated kernel says it does not model, by name.
    pub unmodelled: BTreeSet<&'static str>,
}

/// The sequence of this number.
pub fn sequence(terms: &Terms, number: u32) -> Generated {
    let mut runner = runner(terms.seed, number);
    let theme = draw(&mut runner, &one(Theme::ALL));
    let users = users(&mut runner, &terms.users);
    let mode = draw(&mut runner, &one([0o777, 0o777, 0o777, 0o1777, 0o755]));
    // 0, 1 and 2 are taken.
    let limit = draw(&mut runner, &prop::option::weighted(0.15, 4..8_u32));
    let empty = Sequence { users, mode, limit, steps: Vec::new() };
    let simulation = Simulation::new(Kernel::new(), &empty, &terms.scenery);
    let mut generator = Generator {
        terms,
        theme,
        runner,
        simulation,
        sequence: empty,
        held: BTreeMap::new(),
        statuses: Vec::new(),
        sockets: Vec::new(),
        addresses: Vec::new(),
        pids: Vec::new(),
        unmodelled: BTreeSet::new(),
        rules: Rules::default(),
    };
    generator.fill();
    Generated { sequence: generator.sequence, unmodelled: generator.unmodelled }
}

fn runner(seed: u64, number: u32) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..12].copy_from_slice(&number.to_le_bytes());
    let config = Config { failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Any of these.
fn one<T: Clone + std::fmt::Debug + 'static>(values: impl Into<Vec<T>>) -> Select<T> {
    select(values.into())
}

/// One value of a strategy.
fn draw<S: Strategy>(runner: &mut TestRunner, strategy: &S) -> S::Value {
    match strategy.new_tree(runner) {
        Ok(tree) => tree.current(),
        Err(reason) => unreachable!("nothing here filters: {reason}"),
    }
}

/// Two to three processes. Most belong to one user, who is not root; where there is only one user, all do.
fn users(runner: &mut TestRunner, offered: &[u32]) -> Vec<u32> {
    let count = draw(runner, &(2..=3_usize));
    let mixture = draw(runner, &(0..8_u32));
    let pick = |number: usize| match (offered, mixture) {
        ([root, one, other], 0) => [*one, *root, *other][number % 3],
        ([_, one, other], 1) => [*one, *other, *one][number % 3],
        ([root, ..], 2) => *root,
        ([_, one, ..], _) => *one,
        ([only], _) => *only,
        ([], _) => 0,
    };
    (0..count).map(pick).collect()
}

/// What a descriptor is open on, as far as it matters for what is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    Bound,
    Listener,
    Stream,
    Pidfd,
}

/// A descriptor that a process has.
#[derive(Clone, Copy, Debug)]
struct Held {
    label: Label,
    kind: Kind,
}

struct Generator<'a> {
    terms: &'a Terms,
    theme: Theme,
    runner: TestRunner,
    simulation: Simulation<Kernel>,
    sequence: Sequence,
    held: BTreeMap<Who, Vec<Held>>,
    /// The steps that have told which file something is, and the same of sockets.
    statuses: Vec<Label>,
    sockets: Vec<Label>,
    /// The steps that have told an address.
    addresses: Vec<Label>,
    /// The steps that have given a number of a thread.
    pids: Vec<Label>,
    unmodelled: BTreeSet<&'static str>,
    rules: Rules,
}

impl Generator<'_> {
    fn fill(&mut self) {
        let wanted = SHORTEST + self.pick(0..SPREAD);
        let mut calls = 0;
        // Bounded, in case that everybody is dead or stopped for good.
        for _ in 0..wanted * 20 {
            if calls >= wanted {
                return;
            }
            let Some(who) = self.somebody() else { return };
            let verb = self.verb();
            let Some((who, op)) = self.op(who, verb) else { continue };
            calls += usize::from(self.take(who, op));
        }
    }

    /// One value of a strategy.
    fn pick<S: Strategy>(&mut self, strategy: S) -> S::Value {
        draw(&mut self.runner, &strategy)
    }

    /// True once in `n` times.
    fn once_in(&mut self, n: u32) -> bool {
        self.pick(0..n) == 0
    }

    /// One of a list, `None` if it is empty.
    fn one_of<T: Copy + std::fmt::Debug>(&mut self, list: &[T]) -> Option<T> {
        if list.is_empty() { None } else { Some(list[self.pick(0..list.len())]) }
    }

    fn verb(&mut self) -> Verb {
        let weights = self.theme.weights();
        let known = weights
            .iter()
            .filter(|(_, verb)| verb.calls().is_none_or(|call| !self.terms.unknown.contains(call)));
        self.pick(Union::new_weighted(known.map(|(weight, verb)| (*weight, Just(*verb))).collect()))
    }

    /// A process that is scheduled. One that does everything would get into nobody's way, so all have the same chance.
    fn somebody(&mut self) -> Option<Who> {
        let running = self.alive(|life| life == Life::Running);
        self.one_of(&running)
    }

    fn alive(&self, wanted: impl Fn(Life) -> bool) -> Vec<Who> {
        let kernel = self.simulation.machine.kernel();
        let processes = self.simulation.processes().filter(|(who, _)| *who != Who::Init);
        processes.filter(|(_, id)| wanted(kernel.life(*id))).map(|(who, _)| who).collect()
    }

    /// What a verb becomes; `None` if there is nothing that it could be done to.
    fn op(&mut self, who: Who, verb: Verb) -> Option<(Who, Op)> {
        if !self.once_in(4)
            && let Some((who, call)) = self.ready_call(verb)
        {
            return Some((who, Op::Call(call)));
        }
        if let Some(call) = self.file_call(who, verb).or_else(|| self.socket_call(who, verb)) {
            return Some((who, Op::Call(call)));
        }
        if let Some(call) = self.process_call(who, verb) {
            return Some((who, Op::Call(call)));
        }
        self.event(who, verb)
    }

    /// Adds a step, unless it means nothing. Whether it is a call.
    fn take(&mut self, who: Who, op: Op) -> bool {
        if let Op::Call(call) = &op {
            let is_sure = self.rules.admit(call);
            if !is_sure || self.would_wait(who, call) && !self.once_in(WAITS_RARELY) {
                return false;
            }
        }
        let label = Label(self.sequence.steps.len() as u16);
        let step = Step { label, who, op };
        let taken = self.simulation.take(&step);
        let is_call = match &taken {
            Taken::Skipped => return false,
            Taken::Called { call, outcome: Outcome::Reply(Err(Errno::NotImplemented)), .. } => {
                self.unmodelled.insert(crate::parts::name(call));
                return false;
            }
            Taken::Called { call, outcome, .. } => {
                if let (Op::Call(template), Outcome::Reply(Ok(reply))) = (&step.op, outcome) {
                    self.rules.learn(label, template, reply);
                    self.learn(who, label, call, reply);
                }
                true
            }
            Taken::Happened => {
                self.learn_event(who, label, &step.op);
                false
            }
        };
        self.sequence.steps.push(step);
        is_call
    }

    fn would_wait(&self, who: Who, template: &Call) -> bool {
        let id = self.simulation.processes().find(|(other, _)| *other == who).map(|(_, id)| id);
        let (Some(id), Some(call)) = (id, self.simulation.symbols.resolve(template)) else { return false };
        self.simulation.machine.kernel().readiness(id, &call) != Readiness::Ready
    }

    /// Remembers what later steps can refer to.
    fn learn(&mut self, who: Who, label: Label, call: &Call, reply: &Reply) {
        let kind = match call {
            Call::Open { open, .. } if open.directory => Some(Kind::Directory),
            Call::Open { .. } => Some(Kind::File),
            Call::BindTcp { .. } => Some(Kind::Bound),
            Call::ListenUnix { .. } => Some(Kind::Listener),
            Call::ConnectTcp { .. } | Call::ConnectUnix { .. } | Call::Accept { .. } => Some(Kind::Stream),
            Call::OpenPidfd { .. } => Some(Kind::Pidfd),
            Call::ReceiveFd { .. } => Some(Kind::File),
            Call::Duplicate { fd } => self.kind_of(who, *fd),
            _ => None,
        };
        if let (Some(kind), true) = (kind, matches!(reply, Reply::Fd(_) | Reply::Accepted { .. })) {
            self.held.entry(who).or_default().push(Held { label, kind });
        }
        match call {
            Call::Close { fd } => self.lose(who, *fd),
            Call::Listen { fd, .. } => self.now_listens(who, *fd),
            Call::StatFd { fd } => match self.kind_of(who, *fd) {
                Some(Kind::File | Kind::Directory) => self.statuses.push(label),
                Some(Kind::Bound | Kind::Listener | Kind::Stream | Kind::Pidfd) => self.sockets.push(label),
                None => {}
            },
            Call::Stat { .. } => self.statuses.push(label),
            Call::LocalAddress { .. } => self.addresses.push(label),
            Call::Spawn { .. } => self.inherit(who, label),
            _ => {}
        }
    }

    fn learn_event(&mut self, who: Who, label: Label, op: &Op) {
        match op {
            Op::Fork => self.inherit(who, label),
            Op::Thread => self.pids.push(label),
            Op::Call(_) | Op::Exec | Op::Exit(_) | Op::Signal(_) | Op::Collect => {}
        }
    }

    /// A child has what its parent has, or some of it.
    fn inherit(&mut self, who: Who, label: Label) {
        let inherited = self.held.get(&who).cloned().unwrap_or_default();
        self.held.insert(Who::Child(label), inherited);
    }

    fn number(&self, label: Label) -> Option<Fd> {
        match self.simulation.symbols.resolve(&Call::StatFd { fd: symbols::fd(label) })? {
            Call::StatFd { fd } => Some(fd),
            _ => None,
        }
    }

    fn kind_of(&self, who: Who, fd: Fd) -> Option<Kind> {
        let held = self.held.get(&who)?;
        held.iter().find(|held| self.number(held.label) == Some(fd)).map(|held| held.kind)
    }

    fn lose(&mut self, who: Who, fd: Fd) {
        let lost = self.held.get(&who).into_iter().flatten().map(|held| held.label);
        let lost: Vec<Label> = lost.filter(|label| self.number(*label) == Some(fd)).collect();
        if let Some(held) = self.held.get_mut(&who) {
            held.retain(|held| !lost.contains(&held.label));
        }
    }

    fn now_listens(&mut self, who: Who, fd: Fd) {
        let bound = self.held.get(&who).into_iter().flatten().map(|held| held.label);
        let bound: Vec<Label> = bound.filter(|label| self.number(*label) == Some(fd)).collect();
        for held in self.held.get_mut(&who).into_iter().flatten() {
            if bound.contains(&held.label) && held.kind == Kind::Bound {
                held.kind = Kind::Listener;
            }
        }
    }

    /// A descriptor of one of some kinds; now and then one of another kind, one that is closed, or one that nobody has.
    fn fd(&mut self, who: Who, kinds: &[Kind]) -> Option<Fd> {
        let held: Vec<Held> = self.held.get(&who).cloned().unwrap_or_default();
        let fitting: Vec<Label> =
            held.iter().filter(|held| kinds.contains(&held.kind)).map(|held| held.label).collect();
        if self.once_in(24) {
            let all: Vec<Label> = held.iter().map(|held| held.label).collect();
            return Some(self.one_of(&all).map_or(symbols::NO_FD, symbols::fd));
        }
        self.one_of(&fitting).map(symbols::fd)
    }

    /// A process by number: mostly one that lives or is a zombie, sometimes one that is gone, oneself, or nobody.
    fn pid(&mut self) -> Pid {
        if self.once_in(12) {
            return symbols::no_pid();
        }
        let threads = self.pids.clone();
        if self.once_in(6)
            && let Some(label) = self.one_of(&threads)
        {
            return symbols::thread(label);
        }
        let all: Vec<Who> =
            self.simulation.processes().map(|(who, _)| who).filter(|who| *who != Who::Init).collect();
        self.one_of(&all).map_or_else(symbols::no_pid, symbols::pid)
    }
}
