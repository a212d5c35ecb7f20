//! Executions that never end: whether one of them is fair, and nobody who moves in it gets anywhere.
//!
//! An execution that never ends stays in the end within one group of states that can reach one another, since there are
//! finitely many. It is fair if whoever could go on all the time does: each task of each process that runs, the kernel that
//! buries a dying one, each supervisor, and the script. A paused process cannot go on, and no fault needs to happen. Some
//! execution within a group is fair if and only if the one is that takes every step of the group again and again: each of
//! these who can go on in all states of the group takes some step within it.
//!
//! A process gets somewhere by serving. What a process does that serves (it renews a lease, it answers) is no reason to
//! call an execution endless: that one has settled, and is judged as an end is.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use crate::components::Components;
use crate::engine::Engine;
use crate::explore::Bounds;
use crate::graph::{By, Edge, Graph, Probes, serving};
use crate::schedule::Schedule;
use crate::world::{Checker, Choice, Setup, Violation, World};

/// What becomes of the executions that never end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Whatever is fair settles: it comes to an end, or to states in which nobody moves but those who serve.
    Settles {
        /// The outcomes of executions that never end and have settled.
        outcomes: BTreeSet<usize>,
    },
    /// One goes on for ever and breaks a promise.
    Endless(Box<Lasso>),
    /// There are more states than were asked for: nothing is known.
    Cut,
}

/// An execution that comes back to where it was, and goes round for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lasso {
    /// What it breaks.
    pub violation: Violation,
    /// How to get there and once round, counted from the end of the setup.
    pub schedule: Schedule,
    /// After how many of these steps the state is the one that the last of them leads back to. No execution with fewer
    /// faults or fewer steps gets to a state that one can go round from for ever.
    pub repeats_from: usize,
}

/// Looks for a fair execution that never ends and breaks a promise.
///
/// The states are those of an [`explore`](crate::explore()) with the same bounds, which has found nothing. A bound on
/// preemptions is ignored: what goes on for ever and is fair usually has no end of them.
///
/// A loop is found where its states repeat. One that makes a new file or socket in each round does not: each has another
/// number.
pub fn liveness<C: Checker>(
    setup: &Setup,
    checker: &C,
    bounds: &Bounds,
    should_stop: &dyn Fn() -> bool,
) -> Liveness {
    let mut engine = Engine::new(setup, checker);
    let Ok(Some(graph)) = Graph::build(&mut engine, bounds, Probes::LeftOut, should_stop) else {
        return Liveness::Cut;
    };
    let components = graph.components();
    let mut outcomes = BTreeSet::new();
    for (state, steps) in entries(&graph, &components) {
        let group = components.group(state);
        let round = Round::of(&graph, &components, group);
        if !round.is_fair() {
            continue;
        }
        let schedule = Schedule::from_indices(steps.clone());
        let world = after(&mut engine, bounds, &schedule);
        match judge(&engine, &world, &round) {
            Ok(outcome) => outcomes.extend([outcome]),
            Err(violation) => {
                let once_round = tour(&graph, &components, state, &round);
                let (schedule, repeats_from) = unmerged(setup, checker, bounds, steps, &once_round);
                return Liveness::Endless(Box::new(Lasso { violation, schedule, repeats_from }));
            }
        }
    }
    Liveness::Settles { outcomes }
}

/// What a round of some states does, as far as it decides whether it is fair and whether somebody gets nowhere.
pub(crate) struct Round {
    /// Who can go on in each of the states.
    always: BTreeSet<By>,
    /// Who takes a step.
    moves: BTreeSet<By>,
    /// Who serves in each of the states.
    serves: Vec<u16>,
    is_empty: bool,
}

impl Round {
    pub(crate) const fn new() -> Self {
        Self { always: BTreeSet::new(), moves: BTreeSet::new(), serves: Vec::new(), is_empty: true }
    }

    /// The round that takes every step within a group.
    fn of(graph: &Graph, components: &Components, group: usize) -> Self {
        let mut round = Self::new();
        for state in components.members(group) {
            round.passes(who_can_go_on(graph, *state), graph.serving(*state));
            let within = graph.edges(*state).iter().filter(|edge| is_within(components, group, edge.to));
            round.moves.extend(within.map(|edge| edge.by));
        }
        round
    }

    /// It passes a state in which these can go on and these serve.
    pub(crate) fn passes(&mut self, can_go_on: impl Iterator<Item = By>, serving: &[u16]) {
        let can_go_on: BTreeSet<By> = can_go_on.filter(|by| *by != By::Fault).collect();
        if std::mem::take(&mut self.is_empty) {
            (self.always, self.serves) = (can_go_on, serving.to_vec());
        } else {
            self.always.retain(|by| can_go_on.contains(by));
            self.serves.retain(|slot| serving.contains(slot));
        }
    }

    /// Somebody takes a step in it.
    pub(crate) fn takes(&mut self, by: By) {
        self.moves.insert(by);
    }

    /// Whether there is a step in it, and everybody who could go on all the time does.
    pub(crate) fn is_fair(&self) -> bool {
        !self.moves.is_empty() && self.always.is_subset(&self.moves)
    }

    /// The slots that move and do not serve all the time.
    fn restless(&self) -> Vec<usize> {
        let slots: BTreeSet<u16> = self.moves.iter().filter_map(|by| by.slot()).collect();
        slots.into_iter().filter(|slot| !self.serves.contains(slot)).map(usize::from).collect()
    }
}

/// What a fair round comes to: the outcome, if it has settled.
///
/// # Errors
///
/// The promise that it breaks by going on for ever, or by the outcome that it has settled in.
pub(crate) fn judge<C: Checker>(
    engine: &Engine<'_, C>,
    world: &World<C::Memory>,
    round: &Round,
) -> Result<usize, Violation> {
    let restless = round.restless();
    if restless.is_empty() {
        return engine.end(world);
    }
    Err(engine.checker.endless(&world.view(), &restless))
}

/// One state of each group that can be gone round in, with the steps that lead to it: fewest faults, then fewest steps.
/// The groups come in the same order.
fn entries(graph: &Graph, components: &Components) -> Vec<(u32, Vec<u8>)> {
    let mut is_open: Vec<bool> = (0..components.len())
        .map(|group| match components.members(group) {
            [alone] => graph.edges(*alone).iter().any(|edge| edge.to == *alone),
            _ => true,
        })
        .collect();
    let mut parents: Vec<Option<(u32, u8)>> = vec![None; graph.len()];
    let mut is_done = vec![false; graph.len()];
    let mut queue = BinaryHeap::from([Reverse((0_u32, 0_u32, 0_u32, None))]);
    let mut entries = Vec::new();
    while let Some(Reverse((faults, steps, state, parent))) = queue.pop() {
        if std::mem::replace(&mut is_done[state as usize], true) {
            continue;
        }
        parents[state as usize] = parent;
        if std::mem::take(&mut is_open[components.group(state)]) {
            entries.push((state, way(&parents, state)));
        }
        for (place, edge) in (0_u8..).zip(graph.edges(state)) {
            if edge.to != Graph::BROKEN && !is_done[edge.to as usize] {
                let faults = faults + u32::from(edge.by == By::Fault);
                queue.push(Reverse((faults, steps + 1, edge.to, Some((state, place)))));
            }
        }
    }
    entries
}

fn way(parents: &[Option<(u32, u8)>], mut state: u32) -> Vec<u8> {
    let mut places = Vec::new();
    while let Some((parent, place)) = parents[state as usize] {
        places.push(place);
        state = parent;
    }
    places.reverse();
    places
}

/// The steps from a state back to it that keep a round fair and show that it gets nowhere: whoever can go on in all states
/// of the group takes a step, others take one or pass a state in which they cannot go on.
fn tour(graph: &Graph, components: &Components, start: u32, whole: &Round) -> Vec<u8> {
    let group = components.group(start);
    let restless = whole.restless();
    let is_restless = |slot: u16| restless.contains(&usize::from(slot));
    let (mut steps, mut at, mut round) = (Vec::new(), start, Round::new());
    round.passes(who_can_go_on(graph, at), graph.serving(at));
    loop {
        let moved = round.moves.iter().filter_map(|by| by.slot()).any(is_restless);
        let is_shown = restless.is_empty() || round.restless().iter().any(|slot| restless.contains(slot));
        if round.is_fair() && is_shown {
            break;
        }
        let leg = walk(graph, components, group, at, |edge| {
            let owed = |by: By| round.always.contains(&by) && !round.moves.contains(&by);
            let cannot_go_on = |by: &By| !who_can_go_on(graph, edge.to).any(|other| other == *by);
            let rests = |slot: &u16| is_restless(*slot) && !graph.serving(edge.to).contains(slot);
            owed(edge.by)
                || round.always.iter().any(|by| owed(*by) && cannot_go_on(by))
                || (round.is_fair() && moved && round.serves.iter().any(rests))
                || (!moved && edge.by.slot().is_some_and(is_restless))
                || (round.always.is_empty() && round.moves.is_empty() && restless.is_empty())
        });
        // The whole group is such a round, so something is always left to be had.
        let Some(leg) = leg else { break };
        for place in leg {
            let edge = graph.edges(at)[usize::from(place)];
            steps.push(place);
            at = edge.to;
            round.takes(edge.by);
            round.passes(who_can_go_on(graph, at), graph.serving(at));
        }
    }
    if at != start {
        steps.extend(walk(graph, components, group, at, |edge| edge.to == start).unwrap_or_default());
    }
    steps
}

fn who_can_go_on(graph: &Graph, state: u32) -> impl Iterator<Item = By> {
    graph.edges(state).iter().map(|edge| edge.by)
}

/// The shortest way within a group from a state up to and with a step that is wanted.
fn walk(
    graph: &Graph,
    components: &Components,
    group: usize,
    from: u32,
    is_wanted: impl Fn(Edge) -> bool,
) -> Option<Vec<u8>> {
    let mut reached = vec![(from, usize::MAX, 0_u8)];
    let mut seen = BTreeSet::from([from]);
    let mut queue = VecDeque::from([0]);
    while let Some(number) = queue.pop_front() {
        for (place, edge) in (0_u8..).zip(graph.edges(reached[number].0)) {
            if !is_within(components, group, edge.to) {
                continue;
            }
            if is_wanted(*edge) {
                let mut places = vec![place];
                let mut at = number;
                while reached[at].1 != usize::MAX {
                    places.push(reached[at].2);
                    at = reached[at].1;
                }
                places.reverse();
                return Some(places);
            }
            if seen.insert(edge.to) {
                queue.push_back(reached.len());
                reached.push((edge.to, number, place));
            }
        }
    }
    None
}

fn is_within(components: &Components, group: usize, to: u32) -> bool {
    to != Graph::BROKEN && components.group(to) == group
}

/// A schedule that comes back to a state of the program itself, and after how many steps it is there for the first time.
///
/// In the graph, histories that lead to the same behaviour are one. After the first round a program may be elsewhere in its
/// history than before, but what it has been told since it began anew is then the same after each round.
fn unmerged<C: Checker>(
    setup: &Setup,
    checker: &C,
    bounds: &Bounds,
    mut steps: Vec<u8>,
    once_round: &[u8],
) -> (Schedule, usize) {
    let mut repeats_from = steps.len();
    steps.extend(once_round);
    for _ in 0..2 {
        let schedule = Schedule::from_indices(steps.clone());
        if let Some((begin, _)) = endless(&mut Engine::new(setup, checker), bounds, &schedule) {
            return (schedule, begin);
        }
        repeats_from = steps.len();
        steps.extend(once_round);
    }
    (Schedule::from_indices(steps), repeats_from)
}

/// The state that a schedule leads to.
fn after<C: Checker>(engine: &mut Engine<'_, C>, bounds: &Bounds, schedule: &Schedule) -> World<C::Memory> {
    let mut world = engine.first();
    let mut indices = schedule.indices();
    // The graph was built from the same setup, so neither it nor a step of the graph breaks anything.
    let prepared = engine.run_setup(&mut world, |_, _, _| {});
    let _ = prepared.and_then(|()| {
        engine.walk(&mut world, bounds, |_, choices| indices.next().filter(|index| *index < choices.len()))
    });
    world
}

/// Whether a schedule ends by going round for ever in a way that is fair and breaks a promise: after how many steps the
/// round begins, and what it breaks.
pub(crate) fn endless<C: Checker>(
    engine: &mut Engine<'_, C>,
    bounds: &Bounds,
    schedule: &Schedule,
) -> Option<(usize, Violation)> {
    let mut passed = Vec::new();
    let mut world = engine.first();
    engine.run_setup(&mut world, |_, _, _| {}).ok()?;
    let mut indices = schedule.indices();
    let next = |world: &World<C::Memory>, choices: &[Choice]| {
        let index = indices.next()?;
        let can_go_on: Vec<By> = choices.iter().copied().map(By::of).collect();
        passed.push((world.key(false), can_go_on, serving(world), By::of(*choices.get(index)?)));
        Some(index)
    };
    engine.walk(&mut world, bounds, next).ok()?;
    if passed.len() < schedule.len() {
        return None;
    }
    let key = world.key(false);
    let begin = passed.iter().position(|(passed, ..)| *passed == key)?;
    let mut round = Round::new();
    for (_, can_go_on, serving, by) in &passed[begin..] {
        round.passes(can_go_on.iter().copied(), serving);
        round.takes(*by);
    }
    if !round.is_fair() {
        return None;
    }
    judge(engine, &world, &round).err().map(|violation| (begin, violation))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Round, tour, who_can_go_on};
    use crate::graph::{By, Edge, Graph, Mark};

    /// Graphs of three states, each with up to two steps of one of three tasks.
    fn graphs() -> impl Strategy<Value = Graph> {
        let step = (0_u32..3, 0_u8..3).prop_map(|(to, task)| Edge {
            to,
            by: By::Task { slot: 0, task },
            passes_deadline: false,
        });
        let states = proptest::collection::vec(proptest::collection::vec(step, 0..3), 3);
        states.prop_map(|states| Graph::of(states.into_iter().map(|steps| (Mark::Open, steps))))
    }

    /// Whether a walk that comes back to its beginning is fair, by the word: who can go on in each of its states takes a step.
    fn is_fair(graph: &Graph, walk: &[(u32, Edge)]) -> bool {
        (0..3).map(|task| By::Task { slot: 0, task }).all(|by| {
            let can_always =
                walk.iter().all(|(state, _)| who_can_go_on(graph, *state).any(|other| other == by));
            !can_always || walk.iter().any(|(_, edge)| edge.by == by)
        })
    }

    /// Whether one of all walks of up to so many steps goes on from here, comes back to its beginning and is fair.
    fn some_walk_is_fair(graph: &Graph, walk: &mut Vec<(u32, Edge)>, at: u32, most: usize) -> bool {
        if walk.first().is_some_and(|(first, _)| *first == at) && is_fair(graph, walk) {
            return true;
        }
        walk.len() < most
            && graph.edges(at).iter().any(|edge| {
                walk.push((at, *edge));
                let found = some_walk_is_fair(graph, walk, edge.to, most);
                walk.pop();
                found
            })
    }

    proptest! {
        #[test]
        fn a_group_is_fair_if_and_only_if_one_of_all_walks_is_and_then_the_tour_is_one(graph in graphs()) {
            let components = graph.components();
            for state in 0..3 {
                let group = components.group(state);
                let whole = Round::of(&graph, &components, group);
                let by_trying = components
                    .members(group)
                    .iter()
                    .any(|member| some_walk_is_fair(&graph, &mut Vec::new(), *member, 11));
                prop_assert_eq!(whole.is_fair(), by_trying);
                if !whole.is_fair() {
                    continue;
                }
                let (mut walk, mut at) = (Vec::new(), state);
                for place in tour(&graph, &components, state, &whole) {
                    let edge = graph.edges(at)[usize::from(place)];
                    walk.push((at, edge));
                    at = edge.to;
                }
                prop_assert_eq!(at, state);
                prop_assert!(!walk.is_empty() && is_fair(&graph, &walk));
            }
        }
    }
}
