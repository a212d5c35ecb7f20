//! Every state that can be reached, and every step between two of them, in flat vectors of numbers.
//!
//! What is asked of all executions at once (do they settle, how likely is it that they break, which is the shortest to an
//! outcome) is asked of this. It is built depth-first by the engine that the search uses, so both see the same states, and
//! a state is a [`World`] only for as long as it is on the present path.
//!
//! A state takes at most 52 bytes: 16 for its key and 16 to find it by that, which are given back when the graph is
//! complete, and 20 for what is kept of it. A step takes 12. Vectors that have just grown hold twice as much.
//!
//! # Invariants
//!
//! - State 0 is the one after the setup, and the steps of a state are in the order of its choices: the places of the steps
//!   of a path are its schedule.
//! - A state that breaks a promise has no steps, and a step that breaks one leads to [`Graph::BROKEN`].

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

use crate::components::{Components, Successors};
use crate::engine::Engine;
use crate::explore::{ASK_EVERY, Bounds};
use crate::merging::Merging;
use crate::schedule::Schedule;
use crate::world::{Checker, Choice, Violation, World};

/// Who takes a step, as far as fairness is concerned: each of these goes on in the end if it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    /// A task of the process of a slot. The main task is 0; it is the one that executes a program, and that exits.
    Task { slot: u16, task: u8 },
    /// The kernel, which takes descriptors from the dying process of a slot.
    Release(u16),
    /// The supervisor of a slot.
    Supervisor(u16),
    /// The script.
    Script,
    /// Nobody: a fault, which nobody has to expect.
    Fault,
}

impl By {
    pub(crate) fn of(choice: Choice) -> Self {
        let small = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        match choice {
            Choice::Run { slot, task, .. } => {
                // A process has at most 64 tasks.
                Self::Task { slot: small(slot), task: u8::try_from(task).unwrap_or(u8::MAX) }
            }
            Choice::Execute { slot } | Choice::Exit { slot } => Self::Task { slot: small(slot), task: 0 },
            Choice::Release { slot, .. } => Self::Release(small(slot)),
            Choice::Restart { slot, .. } | Choice::LosePatience { slot } => Self::Supervisor(small(slot)),
            Choice::Script => Self::Script,
            Choice::Kill { .. } | Choice::PowerLoss { .. } => Self::Fault,
        }
    }

    /// The slot that it belongs to.
    pub(crate) const fn slot(self) -> Option<u16> {
        match self {
            Self::Task { slot, .. } | Self::Release(slot) | Self::Supervisor(slot) => Some(slot),
            Self::Script | Self::Fault => None,
        }
    }

    /// The slot whose program takes the step, if one does.
    pub(crate) const fn runs(self) -> Option<u16> {
        match self {
            Self::Task { slot, .. } => Some(slot),
            Self::Release(_) | Self::Supervisor(_) | Self::Script | Self::Fault => None,
        }
    }
}

/// What a state is besides a beginning of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Something can happen.
    Open,
    /// Nothing can happen by itself any more; which outcome that is.
    End(u32),
    /// It breaks a promise.
    Broken,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    /// The state that it leads to, or [`Graph::BROKEN`].
    pub(crate) to: u32,
    /// Who takes it.
    pub(crate) by: By,
    /// Whether it is that a deadline passes.
    pub(crate) passes_deadline: bool,
}

/// Whether states are probed by fresh starters, which takes most of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probes {
    /// They are.
    Started,
    /// They are not: it is known what they would say, or nobody asks.
    LeftOut,
}

/// Whether faults are steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Faults {
    Followed,
    LeftOut,
}

/// The states by number.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// Where the steps of each state begin, and how many there are.
    spans: Vec<(u32, u32)>,
    marks: Vec<Mark>,
    /// Which of the situations each state shows.
    shows: Vec<u32>,
    edges: Vec<Edge>,
    /// The sets of slots that serve: ready, owners, and not asked to stop.
    situations: Vec<Vec<u16>>,
}

impl Graph {
    /// Where a step leads that breaks a promise.
    pub(crate) const BROKEN: u32 = u32::MAX;

    /// A graph without a machine behind it: the steps of each state, and its mark. For those who reckon with graphs.
    #[cfg(test)]
    pub(crate) fn of(states: impl IntoIterator<Item = (Mark, Vec<Edge>)>) -> Self {
        let mut graph = Self { situations: vec![Vec::new()], ..Self::default() };
        for (mark, steps) in states {
            graph.add(mark, 0);
            let number = graph.len() - 1;
            graph.close(number, &steps);
        }
        graph
    }

    /// Visits every state. `None` if there are more than `bounds.states`, or if it is told to stop.
    ///
    /// # Errors
    ///
    /// The promise that the setup breaks: then there is no state.
    pub(crate) fn build<C: Checker>(
        engine: &mut Engine<'_, C>,
        bounds: &Bounds,
        probes: Probes,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Option<Self>, Violation> {
        let whole = (probes, Faults::Followed, &Schedule::default());
        Ok(Self::visit(engine, bounds, whole, should_stop)?.map(|(graph, _)| graph))
    }

    /// Visits every state that can be reached without a fault after the setup or after one of the steps of an execution,
    /// faults of its own included. Answers with the graph the states that the execution passes, the first one included.
    /// `None` if there are more than `bounds.states`, or if it is told to stop.
    ///
    /// # Errors
    ///
    /// The promise that the setup breaks: then there is no state.
    pub(crate) fn build_along<C: Checker>(
        engine: &mut Engine<'_, C>,
        bounds: &Bounds,
        schedule: &Schedule,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Option<(Self, Vec<u32>)>, Violation> {
        Self::visit(engine, bounds, (Probes::Started, Faults::LeftOut, schedule), should_stop)
    }

    fn visit<C: Checker>(
        engine: &mut Engine<'_, C>,
        bounds: &Bounds,
        (probes, faults, schedule): (Probes, Faults, &Schedule),
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Option<(Self, Vec<u32>)>, Violation> {
        let mut merging = Merging::FIRST;
        loop {
            let mut builder = Builder {
                bounds,
                probes,
                faults,
                merging: &mut merging,
                graph: Self::default(),
                numbers: Numbers::new(),
                known: BTreeMap::new(),
                stack: Vec::new(),
            };
            let path = builder.run(engine, schedule, should_stop)?;
            let graph = builder.graph;
            if !merging.goes_on(engine, graph.len()) {
                return Ok(path.map(|path| (graph, path)));
            }
        }
    }

    fn add(&mut self, mark: Mark, shows: u32) {
        self.spans.push((0, 0));
        self.marks.push(mark);
        self.shows.push(shows);
    }

    /// Writes down the steps of a state.
    fn close(&mut self, state: usize, steps: &[Edge]) {
        self.spans[state] = (small(self.edges.len()), small(steps.len()));
        self.edges.extend_from_slice(steps);
    }

    /// How many states there are.
    pub(crate) const fn len(&self) -> usize {
        self.spans.len()
    }

    /// The steps of a state, in the order of its choices.
    pub(crate) fn edges(&self, state: u32) -> &[Edge] {
        let (begin, count) = self.spans[state as usize];
        &self.edges[begin as usize..(begin + count) as usize]
    }

    /// What a state is.
    pub(crate) fn mark(&self, state: u32) -> Mark {
        self.marks[state as usize]
    }

    /// The slots that serve in a state, ascending.
    pub(crate) fn serving(&self, state: u32) -> &[u16] {
        &self.situations[self.shows[state as usize] as usize]
    }

    /// The states that can reach one another, group by group.
    pub(crate) fn components(&self) -> Components {
        Components::of(self)
    }
}

impl Successors for Graph {
    fn states(&self) -> usize {
        self.len()
    }

    fn successor(&self, state: u32, place: usize) -> Option<Option<u32>> {
        self.edges(state).get(place).map(|edge| (edge.to != Self::BROKEN).then_some(edge.to))
    }
}

/// The slots whose processes serve, ascending: what they do from here on is no way to get anywhere.
pub(crate) fn serving<M: Hash>(world: &World<M>) -> Vec<u16> {
    let serves = |slot: &usize| {
        let state = &world.slots[*slot];
        state.ready && state.owner.is_some() && !state.asked && world.view().can_act(*slot)
    };
    (0..world.slots.len()).filter(serves).map(|slot| u16::try_from(slot).unwrap_or(u16::MAX)).collect()
}

/// A state whose choices are being followed.
struct Open<M> {
    world: World<M>,
    number: u32,
    choices: Vec<Choice>,
    steps: Vec<Edge>,
}

struct Builder<'a, M> {
    bounds: &'a Bounds,
    probes: Probes,
    faults: Faults,
    merging: &'a mut Merging,
    graph: Graph,
    numbers: Numbers,
    known: BTreeMap<Vec<u16>, u32>,
    stack: Vec<Open<M>>,
}

impl<M: Clone + Eq + Hash + Debug> Builder<'_, M> {
    /// One visit from the beginning and from each state of an execution. Answers which states these are, if it came to its
    /// end.
    fn run<C: Checker<Memory = M>>(
        &mut self,
        engine: &mut Engine<'_, C>,
        schedule: &Schedule,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<u32>>, Violation> {
        let mut world = engine.first();
        engine.run_setup(&mut world, |_, _, _| {})?;
        let mut path = vec![self.enter(engine, world.clone())];
        if !self.empty(engine, should_stop) {
            return Ok(None);
        }
        for index in schedule.indices() {
            let choices = engine.choices(&world, self.bounds).unwrap_or_default();
            let Some(choice) = choices.get(index).copied() else { break };
            let stepped = engine.take(&mut world, choice);
            if engine.judge(&mut world, &stepped.step(choice)).is_err() {
                path.push(Graph::BROKEN);
                break;
            }
            path.push(self.enter(engine, world.clone()));
            if !self.empty(engine, should_stop) {
                return Ok(None);
            }
        }
        Ok(Some(path))
    }

    /// Follows everything that is on the stack. Answers whether it came to its end.
    fn empty<C: Checker<Memory = M>>(
        &mut self,
        engine: &mut Engine<'_, C>,
        should_stop: &dyn Fn() -> bool,
    ) -> bool {
        while let Some(open) = self.stack.last() {
            let Some(choice) = open.choices.get(open.steps.len()).copied() else {
                self.graph.close(open.number as usize, &open.steps);
                self.stack.pop();
                continue;
            };
            let (from, mut world) = (self.stack.len() - 1, open.world.clone());
            let stepped = engine.take(&mut world, choice);
            let to = match engine.judge(&mut world, &stepped.step(choice)) {
                Ok(()) => self.enter(engine, world),
                Err(_) => Graph::BROKEN,
            };
            let passes_deadline = choice.passes_deadline();
            self.stack[from].steps.push(Edge { to, by: By::of(choice), passes_deadline });
            let is_in_vain = self.merging.is_in_vain(engine, self.graph.len());
            let is_time_to_ask = (self.graph.edges.len() as u64).is_multiple_of(ASK_EVERY);
            if is_in_vain || self.graph.len() > self.bounds.states || (is_time_to_ask && should_stop()) {
                return false;
            }
        }
        true
    }

    /// The number of a state, which is put on the stack if it was not visited before and has choices.
    fn enter<C: Checker<Memory = M>>(&mut self, engine: &mut Engine<'_, C>, world: World<M>) -> u32 {
        let (number, is_known) = self.numbers.number(world.key(false));
        if is_known {
            return number;
        }
        let (mark, choices) = self.look(engine, &world);
        let situation = serving(&world);
        let shows = match self.known.get(&situation) {
            Some(shows) => *shows,
            None => {
                let shows = small(self.graph.situations.len());
                self.graph.situations.push(situation.clone());
                self.known.insert(situation, shows);
                shows
            }
        };
        self.graph.add(mark, shows);
        if !choices.is_empty() {
            let steps = Vec::with_capacity(choices.len());
            self.stack.push(Open { world, number, choices, steps });
        }
        number
    }

    /// What a state is, and what can happen in it.
    fn look<C: Checker<Memory = M>>(
        &self,
        engine: &mut Engine<'_, C>,
        world: &World<M>,
    ) -> (Mark, Vec<Choice>) {
        let probed = match self.probes {
            Probes::Started => engine.probe(world),
            Probes::LeftOut => Ok(()),
        };
        let Ok(choices) = probed.and_then(|()| engine.choices(world, self.bounds)) else {
            return (Mark::Broken, Vec::new());
        };
        let (faults, others): (Vec<Choice>, Vec<Choice>) =
            choices.into_iter().partition(|choice| choice.is_fault());
        let is_end = others.is_empty();
        let followed = match self.faults {
            // Faults come last among the choices, so the places of the others are what they were.
            Faults::Followed => [others, faults].concat(),
            Faults::LeftOut => others,
        };
        if !is_end {
            return (Mark::Open, followed);
        }
        match engine.end(world) {
            Ok(outcome) => (Mark::End(small(outcome)), followed),
            Err(_) => (Mark::Broken, Vec::new()),
        }
    }
}

/// Keys by number and numbers by key.
struct Numbers {
    keys: Vec<u128>,
    /// An open-addressing table of numbers, at most half full.
    table: Vec<u32>,
}

/// A place of the table that is free.
const FREE: u32 = u32::MAX;

impl Numbers {
    fn new() -> Self {
        Self { keys: Vec::new(), table: vec![FREE; 1 << 10] }
    }

    /// The number of a key, and whether it was known.
    fn number(&mut self, key: u128) -> (u32, bool) {
        if (self.keys.len() + 1) * 2 > self.table.len() {
            self.table = vec![FREE; self.table.len() * 2];
            for number in 0..self.keys.len() {
                let place = self.place(self.keys[number]);
                self.table[place] = small(number);
            }
        }
        let place = self.place(key);
        if self.table[place] != FREE {
            return (self.table[place], true);
        }
        let number = small(self.keys.len());
        self.table[place] = number;
        self.keys.push(key);
        (number, false)
    }

    /// Where a key is, or where it would be put.
    fn place(&self, key: u128) -> usize {
        let mask = self.table.len() - 1;
        // The key is a hash already, so its low bits are as good as any.
        let mut place = key as usize & mask;
        while self.table[place] != FREE && self.keys[self.table[place] as usize] != key {
            place = (place + 1) & mask;
        }
        place
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number)
        .unwrap_or_else(|_| unreachable!("more than 2^32 states or steps do not fit into memory"))
}

#[cfg(test)]
mod tests {
    use super::{Edge, Mark};

    #[test]
    fn a_state_and_a_step_take_as_many_bytes_as_is_said() {
        assert_eq!(
            size_of::<u128>() + 4 * size_of::<u32>(),
            32,
            "a key, and its places in a table that is a quarter full"
        );
        assert_eq!(
            size_of::<(u32, u32)>() + size_of::<Mark>() + size_of::<u32>(),
            20,
            "what is kept of a state"
        );
        assert_eq!(size_of::<Edge>(), 12);
    }
}
