//! For each way to end the shortest execution that ends so: fewest faults, then fewest preemptions, then fewest steps.
//!
//! The search goes over the numbers of a complete graph, so what is shortest is shortest of all, and no state is made twice.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::engine::Engine;
use crate::explore::{Bounds, Policy};
use crate::graph::{By, Edge, Graph, Mark, Probes};
use crate::schedule::Schedule;
use crate::world::{Checker, Setup};

/// A shortest execution that ends in a certain way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// How to get there, counted from the end of the setup.
    pub schedule: Schedule,
    /// How many faults it has.
    pub faults: u32,
    /// How many preemptions it has.
    pub preemptions: u32,
}

/// A state, and the program that took the last step: with the next step these decide what is a preemption.
type Place = (u32, Option<u16>);

/// The place before one, and the step from there.
type Before = Option<(Place, u8)>;

/// Faults, preemptions, steps, then the place, so that equals are told apart in one way only.
type Cost = (u32, u32, u32, Place);

/// Finds the shortest execution to each outcome that is reached. `None` if there are more than `bounds.states` states, or
/// if it is told to stop.
///
/// With a bound on preemptions, an outcome that needs more of them than are allowed has none.
pub fn witnesses<C: Checker>(
    setup: &Setup,
    checker: &C,
    bounds: &Bounds,
    should_stop: &dyn Fn() -> bool,
) -> Option<BTreeMap<usize, Witness>> {
    let mut engine = Engine::new(setup, checker);
    let graph = Graph::build(&mut engine, bounds, Probes::LeftOut, should_stop).ok()??;
    let mut came_from: BTreeMap<Place, Before> = BTreeMap::new();
    let first: (Cost, Before) = ((0, 0, 0, (0, None)), None);
    let mut queue = BinaryHeap::from([Reverse(first)]);
    let mut found = BTreeMap::new();
    while let Some(Reverse(((faults, preemptions, steps, place), before))) = queue.pop() {
        if came_from.contains_key(&place) {
            continue;
        }
        came_from.insert(place, before);
        let (state, last) = place;
        if let Mark::End(outcome) = graph.mark(state) {
            found.entry(outcome as usize).or_insert_with(|| {
                let schedule = Schedule::from_indices(way(&came_from, place));
                Witness { schedule, faults, preemptions }
            });
        }
        for (index, edge) in (0_u8..).zip(graph.edges(state)) {
            let (faults, preemptions) =
                (faults + u32::from(edge.by == By::Fault), preemptions + preemption(&graph, place, *edge));
            let is_allowed = match bounds.policy {
                Policy::Exhaustive => true,
                Policy::Preemptions(most) => preemptions <= u32::from(most),
            };
            let next = (edge.to, edge.by.runs().or(last));
            if edge.to != Graph::BROKEN && is_allowed && !came_from.contains_key(&next) {
                queue.push(Reverse(((faults, preemptions, steps + 1, next), Some((place, index)))));
            }
        }
    }
    Some(found)
}

/// 1 if a step takes the turn from a program that could have gone on, or lets a deadline pass while one could, else 0: as the
/// engine counts.
fn preemption(graph: &Graph, (state, last): Place, step: Edge) -> u32 {
    let go_on =
        || graph.edges(state).iter().filter(|edge| !edge.passes_deadline).filter_map(|edge| edge.by.runs());
    let takes_turn = match (step.by.runs(), last) {
        (Some(next), Some(last)) => next != last && go_on().any(|slot| slot == last),
        (None, _) | (_, None) => false,
    };
    u32::from(takes_turn || (step.passes_deadline && go_on().next().is_some()))
}

fn way(came_from: &BTreeMap<Place, Before>, mut place: Place) -> Vec<u8> {
    let mut indices = Vec::new();
    while let Some(Some((before, index))) = came_from.get(&place) {
        indices.push(*index);
        place = *before;
    }
    indices.reverse();
    indices
}
