//! So many schedules that every step of the state graph is in one of them.
//!
//! Where states merge there are fewer steps than ways to order them: the steps are finitely many and soon driven, even if
//! the traces are not. What a step does depends on the state alone, so a machine that agrees on every step of the graph,
//! and whose own states merge where these do, agrees on every schedule.
//!
//! # Invariants
//!
//! - Same setup, same schedules, in the same order.
//! - Nothing is judged here: a schedule goes on to its end, whatever a checker would say on the way.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::commute::Unchecked;
use crate::engine::Engine;
use crate::explore::Bounds;
use crate::flow::Flow;
use crate::schedule::Schedule;
use crate::world::{Choice, Setup, Violation, World};

/// What was covered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cover {
    /// How many different states there are.
    pub states: usize,
    /// How many steps there are between them.
    pub transitions: usize,
    /// How many schedules were made of them.
    pub schedules: u64,
    /// How many steps these have together, setups not counted.
    pub steps: u64,
    /// Whether each step of the graph is in one of them.
    pub is_complete: bool,
}

/// Takes schedules to their ends, with at most so many processes killed, until each step from each state was taken once
/// or `each` breaks off. Gives up without a schedule where there are more states than `most_states`.
///
/// # Errors
///
/// What makes a program unfit to be explored; that it goes round in circles is such a thing.
pub fn each_step(
    setup: &Setup,
    kills: u8,
    most_states: usize,
    each: &mut dyn FnMut(&Schedule) -> ControlFlow<()>,
) -> Result<Cover, Violation> {
    let Some(graph) = Graph::of(setup, kills, most_states)? else { return Ok(Cover::default()) };
    let transitions = graph.nodes.iter().map(|node| node.steps.len()).sum();
    let mut cover = Cover { states: graph.nodes.len(), transitions, ..Cover::default() };
    let mut flow = graph.flow();
    while let Some(path) = flow.next_path() {
        cover.schedules += 1;
        cover.steps += path.len() as u64;
        let indices = path.into_iter().map(|index| u8::try_from(index).unwrap_or(u8::MAX)).collect();
        if each(&Schedule::from_indices(indices)).is_break() {
            return Ok(cover);
        }
    }
    cover.is_complete = true;
    Ok(cover)
}

/// Every state by number, the first one being 0.
#[derive(Default)]
struct Graph {
    nodes: Vec<Node>,
    /// The states, each after all that it leads to.
    backwards: Vec<u32>,
}

#[derive(Default)]
struct Node {
    /// Where each choice leads, in the order of the choices.
    steps: Vec<u32>,
    /// Nothing happens here by itself any more.
    is_end: bool,
}

/// A state whose choices are being followed.
struct Open {
    world: World<()>,
    number: u32,
    choices: Vec<Choice>,
}

impl Graph {
    /// Visits every state once, depth-first. `None` if there are too many.
    fn of(setup: &Setup, kills: u8, most_states: usize) -> Result<Option<Self>, Violation> {
        let mut engine = Engine::new(setup, &Unchecked);
        let mut world = engine.first();
        engine.run_setup(&mut world, |_, _, _| {})?;
        let mut graph = Self { nodes: vec![Node::default()], backwards: Vec::new() };
        let mut numbers = BTreeMap::from([(world.key(false), 0_u32)]);
        // Which states are on the present path: a step back to one of them closes a circle.
        let mut on_path = vec![true];
        let bounds = Bounds::killing(kills);
        let choices = engine.choices(&world, &bounds)?;
        let mut stack = vec![Open { world, number: 0, choices }];
        while let Some(open) = stack.last() {
            let from = open.number;
            let Some(choice) = open.choices.get(graph.node(from).steps.len()).copied() else {
                graph.node_mut(from).is_end =
                    open.choices.iter().all(|choice| matches!(choice, Choice::Kill { .. }));
                graph.backwards.push(from);
                on_path[from as usize] = false;
                stack.pop();
                continue;
            };
            let mut world = open.world.clone();
            let stepped = engine.take(&mut world, choice);
            engine.judge(&mut world, &stepped.step(choice))?;
            let key = world.key(false);
            let to = match numbers.get(&key) {
                Some(to) if on_path[*to as usize] => return Err(circle()),
                Some(to) => *to,
                None => {
                    if graph.nodes.len() >= most_states {
                        return Ok(None);
                    }
                    let number = count(graph.nodes.len());
                    graph.nodes.push(Node::default());
                    on_path.push(true);
                    numbers.insert(key, number);
                    let choices = engine.choices(&world, &bounds)?;
                    stack.push(Open { world, number, choices });
                    number
                }
            };
            graph.node_mut(from).steps.push(to);
        }
        Ok(Some(graph))
    }

    fn node(&self, number: u32) -> &Node {
        &self.nodes[number as usize]
    }

    fn node_mut(&mut self, number: u32) -> &mut Node {
        &mut self.nodes[number as usize]
    }

    /// As few schedules as take every step, as a flow.
    fn flow(&self) -> Flow {
        let mut flow = Flow::new(self.nodes.len());
        for (number, node) in (0..).zip(&self.nodes) {
            node.steps.iter().for_each(|to| flow.must(number, *to));
            if node.is_end {
                flow.may_end(number);
            }
        }
        flow.settle(&self.backwards);
        flow
    }
}

fn circle() -> Violation {
    let says = "the programs come back to a state in which they were, so no execution need ever end";
    Violation { check: "explorable".to_owned(), says: says.to_owned() }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or_else(|_| unreachable!("more than 2^32 states do not fit into memory"))
}
