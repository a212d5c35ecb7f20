//! How likely it is that a schedule breaks something, if every step that could come next is as likely as every other.
//!
//! A state breaks something with the mean of the probabilities of the states that its steps lead to. Faults are not left to
//! chance: they do not happen, except for those that lie behind. Where states can reach one another again, the means of a
//! group are a system of linear equations, which is solved by elimination.
//!
//! The numbers are of double precision. Each is reckoned in one fixed order of operations, so they are the same everywhere,
//! and since nothing but non-negative numbers is added and divided, all but the last few of their sixteen digits are right.

use crate::components::Components;
use crate::engine::Engine;
use crate::explore::Bounds;
use crate::graph::{By, Graph, Mark};
use crate::schedule::Schedule;
use crate::world::{Checker, Setup};

/// How likely it is to break something on the way of one execution.
#[derive(Clone, Debug, PartialEq)]
pub struct Risk {
    /// After the setup, where nothing is chosen yet.
    pub overall: f64,
    /// After each step of the execution.
    pub after: Vec<f64>,
    /// What decided it.
    pub turn: Turn,
    /// How many states were reckoned with.
    pub states: usize,
}

/// Where an execution that breaks something was decided. Steps are counted from 1, without the setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// From this step on every way to go on breaks something, even without a further fault.
    NoReturn(usize),
    /// Until the last step something could have gone well; this one raised the probability most.
    Jump(usize),
}

/// Groups of more states than this are not solved. The time that it takes grows with the third power.
const MOST_TOGETHER: usize = 300;

/// Reckons how likely it is to break something, overall and from each step of an execution. `None` if there are more than
/// `bounds.states` states, or too many that can reach one another again, or if it is told to stop.
///
/// Bounds on preemptions are ignored: chance knows none.
pub fn risk<C: Checker>(
    setup: &Setup,
    checker: &C,
    bounds: &Bounds,
    schedule: &Schedule,
    should_stop: &dyn Fn() -> bool,
) -> Option<Risk> {
    let mut engine = Engine::new(setup, checker);
    let (graph, path) = Graph::build_along(&mut engine, bounds, schedule, should_stop).ok()??;
    let chances = chances(&graph)?;
    let (broken, doomed) = (1.0, doomed(&graph));
    let chance = |state: u32| chances.get(state as usize).copied().unwrap_or(broken);
    let (first, rest) = path.split_first()?;
    let after: Vec<f64> = rest.iter().map(|state| chance(*state)).collect();
    let overall = chance(*first);
    let is_doomed = |state: &u32| doomed.get(*state as usize).copied().unwrap_or(true);
    let turn = match rest.iter().position(is_doomed) {
        Some(place) if place + 1 < rest.len() => Turn::NoReturn(place + 1),
        Some(_) | None => Turn::Jump(jump(overall, &after)),
    };
    Some(Risk { overall, after, turn, states: graph.len() })
}

/// The step that raises the probability most, the first one of several.
fn jump(overall: f64, after: &[f64]) -> usize {
    let (mut best, mut step, mut before) = (f64::NEG_INFINITY, 0, overall);
    for (number, chance) in (1..).zip(after) {
        if chance - before > best {
            (best, step) = (chance - before, number);
        }
        before = *chance;
    }
    step
}

/// The probability of each state. `None` if too many of them can reach one another.
fn chances(graph: &Graph) -> Option<Vec<f64>> {
    let components = graph.components();
    let mut chances = vec![0.0; graph.len()];
    for group in 0..components.len() {
        match components.members(group) {
            [alone] if !graph.edges(*alone).iter().any(|edge| edge.to == *alone) => {
                chances[*alone as usize] = match graph.mark(*alone) {
                    Mark::Broken => 1.0,
                    Mark::End(_) => 0.0,
                    Mark::Open => {
                        let (sum, steps) = known(graph, &components, &chances, group, *alone);
                        sum / f64::from(steps)
                    }
                };
            }
            members if members.len() > MOST_TOGETHER => return None,
            members => {
                let solved = solve(graph, &components, &chances, group);
                for (state, chance) in members.iter().zip(solved) {
                    chances[*state as usize] = chance;
                }
            }
        }
    }
    Some(chances)
}

/// The sum of the probabilities of the states that the steps of a state lead to, but for those of its own group, and how
/// many steps it has in all.
fn known(graph: &Graph, components: &Components, chances: &[f64], group: usize, state: u32) -> (f64, u32) {
    let (mut sum, mut steps) = (0.0, 0);
    for edge in graph.edges(state).iter().filter(|edge| edge.by != By::Fault) {
        steps += 1;
        if edge.to == Graph::BROKEN {
            sum += 1.0;
        } else if components.group(edge.to) != group {
            sum += chances[edge.to as usize];
        }
    }
    (sum, steps)
}

/// The probabilities of the states of a group that can reach one another.
///
/// Each is `(known + the sum over the steps within the group) / steps`. If a step leads out of the group, each of its states
/// can get there, so the equations have one solution, and elimination finds it without a choice of pivots. If none does,
/// nothing is ever broken.
fn solve(graph: &Graph, components: &Components, chances: &[f64], group: usize) -> Vec<f64> {
    let members = components.members(group);
    let count = members.len();
    let place = |state: u32| members.iter().position(|member| *member == state);
    let mut rows = Vec::with_capacity(count);
    let mut is_closed = true;
    for (row, state) in members.iter().enumerate() {
        let (sum, steps) = known(graph, components, chances, group, *state);
        let mut numbers = vec![0.0; count + 1];
        (numbers[row], numbers[count]) = (f64::from(steps), sum);
        let mut within = 0;
        for edge in graph.edges(*state).iter().filter(|edge| edge.to != Graph::BROKEN) {
            if let Some(column) = place(edge.to) {
                numbers[column] -= 1.0;
                within += 1;
            }
        }
        is_closed &= within == steps;
        rows.push(numbers);
    }
    if is_closed {
        return vec![0.0; count];
    }
    for pivot in 0..count {
        let (above, below) = rows.split_at_mut(pivot + 1);
        let from = &above[pivot];
        for row in below {
            let factor = row[pivot] / from[pivot];
            if factor != 0.0 {
                for (number, other) in row.iter_mut().zip(from).skip(pivot) {
                    *number -= factor * other;
                }
            }
        }
    }
    let mut solved = vec![0.0; count];
    for row in (0..count).rev() {
        let known: f64 = (row + 1..count).map(|column| rows[row][column] * solved[column]).sum();
        solved[row] = (rows[row][count] - known) / rows[row][row];
    }
    solved
}

/// Whether every way to go on from a state breaks something, even without a fault. Going round for ever does not.
fn doomed(graph: &Graph) -> Vec<bool> {
    let components = graph.components();
    let mut doomed = vec![false; graph.len()];
    for group in 0..components.len() {
        let [alone] = components.members(group) else { continue };
        doomed[*alone as usize] = match graph.mark(*alone) {
            Mark::Broken => true,
            Mark::End(_) => false,
            Mark::Open => {
                let mut steps = graph.edges(*alone).iter().filter(|edge| edge.by != By::Fault);
                steps.all(|edge| edge.to == Graph::BROKEN || doomed[edge.to as usize])
            }
        };
    }
    doomed
}

#[cfg(test)]
mod tests;
