//! One run after the other, each from the state after the setup to an end or to a broken promise.

use super::distinct::Distinct;
use super::graph::{Graph, Known, StateId, Target};
use super::policy::{Plan, Sampler, Scene, mover};
use super::random::{Random, mix};
use crate::digest::digest;
use crate::engine::Engine;
use crate::explore::Bounds;
use crate::merging::Merging;
use crate::scouts::scout;
use crate::world::{Answered, Checker, Choice, Violation, World};

/// A run that is longer than this is given up: its processes go round in circles.
pub const MOST_STEPS: u32 = 10_000;

/// How many choices of one state a schedule can name.
const MOST_CHOICES: usize = 256;

/// How many uniform runs tell how long an execution is.
const PILOTS: u64 = 16;

/// The first so many runs are audited, and then one of so many.
const AUDITED_FIRST: u64 = 250;
const AUDITED_OF: u64 = 1024;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing happens by itself any more.
    Outcome(usize),
    /// A promise is broken, by number.
    Broken(u32),
    /// It was too long.
    GivenUp,
    /// A program was answered as never before, so that what was merged may have to be told apart: the run is to be made
    /// again.
    Unseen,
}

/// Histories are merged once there are so many states.
const PATIENCE: usize = 256;

/// After so many merges a program is left as it is.
const MOST_MERGES: u32 = 32;

/// Takes runs, one at a time, and remembers what they have shown.
pub(super) struct Walker<'a, C: Checker> {
    engine: Engine<'a, C>,
    bounds: Bounds,
    first: World<C::Memory>,
    graph: Graph,
    root: StateId,
    /// How many states are remembered at most.
    most_states: usize,
    /// How often histories were merged, and whether they may be.
    merges: u32,
    merging: Merging,
    plan: Plan,
    /// The choices of the present run.
    path: Vec<u8>,
    /// The promises that were broken.
    violations: Vec<Violation>,
    states: Distinct,
    schedules: Distinct,
}

impl<'a, C: Checker> Walker<'a, C> {
    /// Makes the setup, and a few runs to see how long they are.
    ///
    /// # Errors
    ///
    /// The promise that the setup breaks, or what is wrong with its end.
    pub(super) fn new(
        mut engine: Engine<'a, C>,
        bounds: &Bounds,
        sampler: Sampler,
        seed: u64,
        most_states: usize,
    ) -> Result<Self, Violation> {
        let mut first = engine.first();
        engine.run_setup(&mut first, |_, _, _| {})?;
        let mut walker = Self {
            engine,
            bounds: *bounds,
            first,
            graph: Graph::of_at_most(most_states),
            root: 0,
            most_states,
            merges: 0,
            merging: Merging::FIRST,
            plan: Plan::new(Sampler::Uniform, 0),
            path: Vec::new(),
            violations: Vec::new(),
            states: Distinct::new(),
            schedules: Distinct::new(),
        };
        let mut length = 0;
        for pilot in 0..PILOTS {
            walker.plan.begin(Random::of(seed, u64::MAX - pilot), &Bounds::killing(0));
            walker.path.clear();
            walker.walk(None, None);
            length = length.max(walker.path.len());
        }
        walker.plan = Plan::new(sampler, u32::try_from(length).unwrap_or(MOST_STEPS));
        walker.begin_graph();
        Ok(walker)
    }

    /// Forgets the graph, and begins another one with the state after the setup.
    fn begin_graph(&mut self) {
        self.graph = Graph::of_at_most(self.most_states);
        let world = self.first.clone();
        let known = self.look(&world);
        self.root = self.graph.add(world.key(false), &known);
    }

    /// Merges the histories of equal behaviour, which makes states equal that nobody can tell apart. What the walks that go
    /// before it meet counts nowhere.
    ///
    /// # Errors
    ///
    /// What the setup breaks, which it did not before.
    fn merge(&mut self) -> Result<(), Violation> {
        self.merges += 1;
        if self.merges < MOST_MERGES {
            scout(&mut self.engine, &mut self.merging, &self.bounds, &|| false);
            let states = self.graph.len();
            self.merging.insist(&mut self.engine, states);
        } else {
            self.merging = Merging::NEVER;
            self.engine.part();
        }
        let mut first = self.engine.first();
        self.engine.run_setup(&mut first, |_, _, _| {})?;
        self.first = first;
        self.begin_graph();
        Ok(())
    }

    /// Whether a program has done something unseen since histories were merged.
    fn is_unseen(&self) -> bool {
        self.merges > 0 && self.merging.is_on() && self.engine.has_grown()
    }

    /// The states of the machine and the schedules that were seen.
    pub(super) fn seen(self) -> (Distinct, Distinct) {
        (self.states, self.schedules)
    }

    /// The choices of the last run.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    pub(super) fn violation(&self, number: u32) -> &Violation {
        &self.violations[number as usize]
    }

    /// Takes one run.
    pub(super) fn run(&mut self, random: Random, run: u64) -> End {
        let end = self.walk_from_the_start(random, run);
        self.schedules.note(hash_path(&self.path), run);
        if run == 0 {
            self.states.note(machine_key(&self.first), run);
        }
        // A run that goes round in circles is long, and does the same again and again.
        let is_audited = match end {
            End::Outcome(_) => run < AUDITED_FIRST || run.is_multiple_of(AUDITED_OF),
            End::GivenUp => run.is_multiple_of(AUDITED_OF),
            End::Broken(_) | End::Unseen => false,
        };
        if is_audited { self.audit().map_or(end, End::Broken) } else { end }
    }

    /// Takes a run, anew after each merge that it makes necessary.
    fn walk_from_the_start(&mut self, random: Random, run: u64) -> End {
        let is_time = self.merges == 0 && self.graph.len() > PATIENCE;
        if is_time && let Err(violation) = self.merge() {
            return End::Broken(self.number(violation));
        }
        loop {
            self.plan.begin(random, &self.bounds);
            self.path.clear();
            let end = self.walk_known(run);
            if end != End::Unseen {
                return end;
            }
            if let Err(violation) = self.merge() {
                return End::Broken(self.number(violation));
            }
        }
    }

    /// Goes from known state to known state, as far as they are known.
    fn walk_known(&mut self, run: u64) -> End {
        let mut state = self.root;
        if let Some(broken) = self.graph.broken(state) {
            return End::Broken(broken);
        }
        loop {
            if self.path.len() >= MOST_STEPS as usize {
                return End::GivenUp;
            }
            let scene = self.graph.scene(state);
            let Some(choice) = self.plan.pick(self.path.len() as u32, scene) else {
                return End::Outcome(self.graph.outcome(state));
            };
            match self.graph.target(state, choice) {
                Target::State(next) => state = next,
                Target::Broken(broken) => {
                    self.path.push(byte(choice));
                    return End::Broken(broken);
                }
                Target::Unknown => return self.walk(Some((state, choice)), Some(run)),
            }
            self.path.push(byte(choice));
        }
    }

    fn steps(&self) -> u32 {
        u32::try_from(self.path.len()).unwrap_or(MOST_STEPS)
    }

    /// Goes on from the present end of the path, where a choice of a known state is not known, by carrying the steps out.
    /// What they show is remembered for the run that is told, and nothing without one.
    fn walk(&mut self, leaving: Option<(StateId, usize)>, run: Option<u64>) -> End {
        let mut world = self.first.clone();
        for index in self.path.clone() {
            // These steps were judged when they were taken first; what checkers remember of them is made anew.
            if let Err(violation) = self.step(&mut world, usize::from(index)) {
                return End::Broken(self.number(violation));
            }
        }
        let mut at = leaving.map(|(state, _)| state);
        let mut picked = leaving.map(|(_, choice)| choice);
        loop {
            let choice = match picked.take() {
                Some(choice) => choice,
                None => {
                    let step = self.steps();
                    if step >= MOST_STEPS {
                        return End::GivenUp;
                    }
                    let known;
                    let (scene, broken, outcome) = match at {
                        Some(state) => {
                            (self.graph.scene(state), self.graph.broken(state), self.graph.outcome(state))
                        }
                        None => {
                            known = self.look(&world);
                            if self.is_unseen() {
                                return End::Unseen;
                            }
                            (known.scene(), known.broken, known.outcome)
                        }
                    };
                    if let Some(broken) = broken {
                        return End::Broken(broken);
                    }
                    match self.plan.pick(step, scene) {
                        Some(choice) => choice,
                        None => return End::Outcome(outcome),
                    }
                }
            };
            self.path.push(byte(choice));
            let verdict = self.step(&mut world, choice);
            if self.is_unseen() {
                return End::Unseen;
            }
            if let Err(violation) = verdict {
                let broken = self.number(violation);
                if let Some(state) = at {
                    self.graph.lead(state, choice, Target::Broken(broken));
                }
                return End::Broken(broken);
            }
            at = run.and_then(|run| self.learn(at, choice, &world, run));
            // What a fresh process does where nothing is in its way may be unseen, too.
            if self.is_unseen() {
                return End::Unseen;
            }
        }
    }

    /// Notes to which state a step has led; its number, if it is or becomes known.
    fn learn(
        &mut self,
        from: Option<StateId>,
        choice: usize,
        world: &World<C::Memory>,
        run: u64,
    ) -> Option<StateId> {
        if let Some(Target::State(state)) = from.map(|from| self.graph.target(from, choice)) {
            return Some(state);
        }
        let key = world.key(false);
        let state = match self.graph.find(key) {
            Some(state) => Some(state),
            None => {
                self.states.note(machine_key(world), run);
                (!self.graph.is_full()).then(|| {
                    let known = self.look(world);
                    self.graph.add(key, &known)
                })
            }
        };
        if let (Some(from), Some(state)) = (from, state) {
            // A way into a state that is broken ends there, so that nobody need ask a state on the way.
            let target = self.graph.broken(state).map_or(Target::State(state), Target::Broken);
            self.graph.lead(from, choice, target);
        }
        state
    }

    /// Takes a choice by its number. Answers which task was answered what, if one was.
    fn step(&mut self, world: &mut World<C::Memory>, index: usize) -> Result<Option<Answered>, Violation> {
        let choices = self.engine.choices(world, &self.bounds)?;
        let Some(choice) = choices.get(index).copied() else {
            let says = "the same steps led to a state with other choices than before".to_owned();
            return Err(Violation { check: "explorable".to_owned(), says });
        };
        let stepped = self.engine.take(world, choice);
        self.engine.judge(world, &stepped.step(choice))?;
        Ok(stepped.answered(choice, world))
    }

    /// What can happen in a state, and what is wrong with it.
    fn look(&mut self, world: &World<C::Memory>) -> Known {
        let mut known = Known::default();
        if let Err(violation) = self.probe(world, &mut known) {
            known.broken = Some(self.number(violation));
        }
        known
    }

    fn probe(&mut self, world: &World<C::Memory>, known: &mut Known) -> Result<(), Violation> {
        self.engine.probe(world)?;
        let choices = self.engine.choices(world, &self.bounds)?;
        known.movers.extend(choices.iter().filter(|choice| !choice.is_fault()).map(|choice| mover(*choice)));
        known.kills = choices.iter().filter(|choice| matches!(choice, Choice::Kill { .. })).count();
        known.outages = choices.len() - known.movers.len() - known.kills;
        // A schedule cannot name a choice beyond these. No machine but one with very many outcomes of a loss of power has
        // as many.
        known.outages = known.outages.min(MOST_CHOICES.saturating_sub(known.movers.len() + known.kills));
        if known.movers.is_empty() {
            known.outcome = self.engine.end(world)?;
        }
        Ok(())
    }

    fn number(&mut self, violation: Violation) -> u32 {
        let known = self.violations.iter().position(|other| *other == violation);
        let number = known.unwrap_or_else(|| {
            self.violations.push(violation);
            self.violations.len() - 1
        });
        u32::try_from(number).unwrap_or_else(|_| unreachable!("fewer promises are broken than runs are made"))
    }

    /// Runs every process of the last run again as a whole, and compares.
    fn audit(&mut self) -> Option<u32> {
        self.audited().err().map(|violation| self.number(violation))
    }

    fn audited(&mut self) -> Result<(), Violation> {
        let mut world = self.first.clone();
        let mut answered: Vec<Answered> = Vec::new();
        for index in self.path.clone() {
            answered.extend(self.step(&mut world, usize::from(index))?);
        }
        (0..world.slots.len()).try_for_each(|slot| {
            let all = self.engine.prelude(slot).iter().chain(&answered);
            let history: Vec<&Answered> = all.filter(|answered| answered.slot == slot).collect();
            self.engine.audit(slot, &history)
        })
    }
}

impl Known {
    fn scene(&self) -> Scene<'_> {
        Scene { movers: &self.movers, kills: self.kills, outages: self.outages }
    }
}

/// A key of the state of the machine, which does not depend on what was learned of the programs before.
fn machine_key<M>(world: &World<M>) -> u64 {
    digest(&world.kernel) as u64
}

fn hash_path(path: &[u8]) -> u64 {
    let (words, rest) = path.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain(std::iter::once(&last));
    words.fold(path.len() as u64, |hash, word| mix(hash.rotate_left(23) ^ u64::from_le_bytes(*word)))
}

/// Schedules have no larger choices.
fn byte(choice: usize) -> u8 {
    u8::try_from(choice).unwrap_or(u8::MAX)
}
