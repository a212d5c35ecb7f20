//! What earlier runs have shown: the states that were met and where each choice leads, so that a run need not do it again.
//!
//! A state is what the search means by one, and what follows from it does not depend on how it was reached. So a run that
//! stays among known states is a walk over numbers, and only its last step away from them is carried out.
//!
//! # Invariants
//!
//! - The graph changes what a run costs, never what it does.

use super::policy::{Mover, Scene};

/// A state by number; the first one is that after the setup.
pub(super) type StateId = u32;

/// Where a choice leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// It was not taken yet.
    Unknown,
    /// To a state.
    State(StateId),
    /// It breaks a promise, by number.
    Broken(u32),
}

/// What is known of a state in which nothing but faults can happen.
pub(super) type Outcome = usize;

/// What a state is, apart from where its choices lead.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Who takes each choice that is no fault.
    pub(super) movers: Vec<Mover>,
    /// How many of the choices after them are kills.
    pub(super) kills: usize,
    /// How many of the choices after those are losses of power.
    pub(super) outages: usize,
    /// The outcome, if nothing happens here by itself any more.
    pub(super) outcome: Outcome,
    /// The promise that is broken in this state, by number.
    pub(super) broken: Option<u32>,
}

/// The same, in little memory.
struct Node {
    /// Its choices are those from here on.
    first: u32,
    movers: u16,
    kills: u16,
    outages: u16,
    outcome: Outcome,
    broken: u32,
}

const UNKNOWN: u32 = u32::MAX;
const NOT_BROKEN: u32 = u32::MAX;
/// Added to the number of a promise, where the number of a state could stand.
const BROKEN: u32 = 1 << 31;

/// How many states are remembered at most: with the table of their keys about 100 MB.
pub(super) const MOST_STATES: usize = 1 << 20;

/// Known states.
pub(super) struct Graph {
    nodes: Vec<Node>,
    targets: Vec<u32>,
    movers: Vec<Mover>,
    /// Open addressing from the key of a state to its number.
    keys: Vec<(u128, u32)>,
    most: usize,
}

impl Graph {
    pub(super) fn of_at_most(most: usize) -> Self {
        let (nodes, targets, movers) = (Vec::new(), Vec::new(), Vec::new());
        Self { nodes, targets, movers, keys: vec![(0, UNKNOWN); 1 << 10], most }
    }

    pub(super) const fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.nodes.len() >= self.most
    }

    /// The state with this key.
    pub(super) fn find(&self, key: u128) -> Option<StateId> {
        let (_, state) = self.keys[place(&self.keys, key)];
        (state != UNKNOWN).then_some(state)
    }

    /// Adds a state that is not known yet.
    pub(super) fn add(&mut self, key: u128, known: &Known) -> StateId {
        let state = index(self.nodes.len());
        if (self.nodes.len() + 1) * 2 > self.keys.len() {
            let mut larger = vec![(0, UNKNOWN); self.keys.len() * 2];
            for (key, state) in self.keys.iter().filter(|(_, state)| *state != UNKNOWN) {
                let place = place(&larger, *key);
                larger[place] = (*key, *state);
            }
            self.keys = larger;
        }
        let place = place(&self.keys, key);
        self.keys[place] = (key, state);
        let short = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        self.nodes.push(Node {
            first: index(self.targets.len()),
            movers: short(known.movers.len()),
            kills: short(known.kills),
            outages: short(known.outages),
            outcome: known.outcome,
            broken: known.broken.unwrap_or(NOT_BROKEN),
        });
        let choices = known.movers.len() + known.kills + known.outages;
        self.targets.resize(self.targets.len() + choices, UNKNOWN);
        self.movers.extend_from_slice(&known.movers);
        self.movers.resize(self.targets.len(), 0);
        state
    }

    #[inline]
    pub(super) fn scene(&self, state: StateId) -> Scene<'_> {
        let node = &self.nodes[state as usize];
        let first = node.first as usize;
        Scene {
            movers: &self.movers[first..first + usize::from(node.movers)],
            kills: usize::from(node.kills),
            outages: usize::from(node.outages),
        }
    }

    /// The promise that is broken in a state.
    #[inline]
    pub(super) fn broken(&self, state: StateId) -> Option<u32> {
        let broken = self.nodes[state as usize].broken;
        (broken != NOT_BROKEN).then_some(broken)
    }

    #[inline]
    pub(super) fn outcome(&self, state: StateId) -> Outcome {
        self.nodes[state as usize].outcome
    }

    #[inline]
    pub(super) fn target(&self, state: StateId, choice: usize) -> Target {
        match self.targets[self.nodes[state as usize].first as usize + choice] {
            UNKNOWN => Target::Unknown,
            broken if broken >= BROKEN => Target::Broken(broken - BROKEN),
            state => Target::State(state),
        }
    }

    pub(super) fn lead(&mut self, state: StateId, choice: usize, target: Target) {
        let place = self.nodes[state as usize].first as usize + choice;
        self.targets[place] = match target {
            Target::Unknown => UNKNOWN,
            Target::State(state) => state,
            Target::Broken(promise) => BROKEN + promise,
        };
    }
}

fn place(keys: &[(u128, u32)], key: u128) -> usize {
    let mask = keys.len() - 1;
    // The key is a hash already, so its low bits are as good as any.
    let mut place = key as usize & mask;
    while keys[place].1 != UNKNOWN && keys[place].0 != key {
        place = (place + 1) & mask;
    }
    place
}

fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or_else(|_| unreachable!("more than 2^32 choices do not fit into memory"))
}
