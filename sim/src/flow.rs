//! The fewest paths through a graph without circles that together take every edge.
//!
//! As many paths as use an edge are its flow, which must be at least one. A flow that is large enough is found by carrying
//! needs back to the first node; then Dinic's algorithm (1970) takes away all of it that is not needed. What is left is the
//! least flow, and falls apart into paths.
//!
//! # Invariants
//!
//! - What flows into a node flows out of it, except at the first one, where paths begin, and at the sink, where they end.

use std::collections::VecDeque;

/// An edge that at least `least` paths must take.
#[derive(Clone, Copy, Debug)]
struct Edge {
    from: u32,
    to: u32,
    least: u32,
    flow: u32,
}

/// A graph whose edges are to be covered. Node 0 is the first, and the one with the highest number is the sink.
#[derive(Debug)]
pub(crate) struct Flow {
    edges: Vec<Edge>,
    /// The edges out of each node, in the order in which they were added.
    out: Vec<Vec<u32>>,
    into: Vec<Vec<u32>>,
}

impl Flow {
    /// A graph of so many nodes, the sink not counted, without edges.
    pub(crate) fn new(nodes: usize) -> Self {
        Self { edges: Vec::new(), out: vec![Vec::new(); nodes + 1], into: vec![Vec::new(); nodes + 1] }
    }

    fn sink(&self) -> u32 {
        index(self.out.len() - 1)
    }

    /// Adds an edge that must be taken.
    pub(crate) fn must(&mut self, from: u32, to: u32) {
        self.add(from, to, 1);
    }

    /// Lets paths end at a node. To be called after the edges of the node were added.
    pub(crate) fn may_end(&mut self, from: u32) {
        self.add(from, self.sink(), 0);
    }

    fn add(&mut self, from: u32, to: u32, least: u32) {
        let edge = index(self.edges.len());
        self.edges.push(Edge { from, to, least, flow: least });
        self.out[from as usize].push(edge);
        self.into[to as usize].push(edge);
    }

    fn sum(&self, edges: &[u32]) -> u32 {
        edges.iter().map(|edge| self.edges[*edge as usize].flow).sum()
    }

    /// Finds the least flow. `backwards` has every node but the sink once, each after all that it leads to.
    pub(crate) fn settle(&mut self, backwards: &[u32]) {
        for node in backwards {
            let node = *node as usize;
            let missing = self.sum(&self.out[node]).saturating_sub(self.sum(&self.into[node]));
            let share = index(self.into[node].len()).max(1);
            for (number, edge) in (0..).zip(&self.into[node]) {
                self.edges[*edge as usize].flow += missing / share + u32::from(number < missing % share);
            }
        }
        for node in backwards.iter().rev().filter(|node| **node != 0) {
            let node = *node as usize;
            let surplus = self.sum(&self.into[node]).saturating_sub(self.sum(&self.out[node]));
            // The last edge is that to the sink, if there is one.
            if let Some(edge) = self.out[node].last() {
                self.edges[*edge as usize].flow += surplus;
            }
        }
        while let Some(distances) = self.distances() {
            self.reduce(&distances);
        }
    }

    /// How far each node is from the first one, along edges whose flow can be less and against edges whose flow can be
    /// more. `None` if the sink is not reached, so that the flow is the least.
    fn distances(&self) -> Option<Vec<u32>> {
        let mut distances = vec![u32::MAX; self.out.len()];
        distances[0] = 0;
        let mut queue = VecDeque::from([0]);
        while let Some(node) = queue.pop_front() {
            for (next, _) in self.moves(node).filter(|(_, edge)| self.room(node, *edge) > 0) {
                if distances[next as usize] == u32::MAX {
                    distances[next as usize] = distances[node as usize] + 1;
                    queue.push_back(next);
                }
            }
        }
        (distances[self.sink() as usize] != u32::MAX).then_some(distances)
    }

    /// Where one can go from a node, and over which edge.
    fn moves(&self, node: u32) -> impl Iterator<Item = (u32, u32)> {
        let out = self.out[node as usize].iter().map(|edge| (self.edges[*edge as usize].to, *edge));
        out.chain(self.into[node as usize].iter().map(|edge| (self.edges[*edge as usize].from, *edge)))
    }

    fn nth_move(&self, node: u32, number: usize) -> Option<(u32, u32)> {
        let (out, into) = (&self.out[node as usize], &self.into[node as usize]);
        match out.get(number) {
            Some(edge) => Some((self.edges[*edge as usize].to, *edge)),
            None => into.get(number - out.len()).map(|edge| (self.edges[*edge as usize].from, *edge)),
        }
    }

    /// By how much the total can become less by going over this edge from this end.
    fn room(&self, from: u32, edge: u32) -> u32 {
        let edge = self.edges[edge as usize];
        if edge.from == from { edge.flow - edge.least } else { u32::MAX - edge.flow }
    }

    /// Takes away flow along shortest ways, until none of that length is left.
    fn reduce(&mut self, distances: &[u32]) {
        let mut tried = vec![0_usize; self.out.len()];
        let mut path: Vec<(u32, u32)> = Vec::new();
        loop {
            let at = path.last().map_or(0, |(node, edge)| self.other_end(*node, *edge));
            if at == self.sink() {
                let least = path.iter().map(|(from, edge)| self.room(*from, *edge)).min().unwrap_or(0);
                for (from, edge) in path.drain(..) {
                    let edge = &mut self.edges[edge as usize];
                    if edge.from == from {
                        edge.flow -= least;
                    } else {
                        edge.flow += least;
                    }
                }
                continue;
            }
            match self.nth_move(at, tried[at as usize]) {
                Some((next, edge))
                    if distances[next as usize] == distances[at as usize].saturating_add(1)
                        && self.room(at, edge) > 0 =>
                {
                    path.push((at, edge));
                }
                Some(_) => tried[at as usize] += 1,
                None => match path.pop() {
                    Some((before, _)) => tried[before as usize] += 1,
                    None => return,
                },
            }
        }
    }

    fn other_end(&self, node: u32, edge: u32) -> u32 {
        let edge = self.edges[edge as usize];
        if edge.from == node { edge.to } else { edge.from }
    }

    /// Takes the next path out of the flow: which edge of each node on the way. `None` once there is nothing left.
    pub(crate) fn next_path(&mut self) -> Option<Vec<usize>> {
        let (mut at, mut path) = (0, Vec::new());
        while at != self.sink() {
            let number = self.out[at as usize].iter().position(|edge| self.edges[*edge as usize].flow > 0)?;
            let edge = &mut self.edges[self.out[at as usize][number] as usize];
            edge.flow -= 1;
            at = edge.to;
            if at != self.sink() {
                path.push(number);
            }
        }
        Some(path)
    }
}

fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or_else(|_| unreachable!("more than 2^32 edges do not fit into memory"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Flow;

    /// The paths of the least flow, each as the edges that it takes.
    fn paths(nodes: u32, edges: &[(u32, u32)]) -> Vec<Vec<(u32, u32)>> {
        let mut flow = Flow::new(nodes as usize);
        edges.iter().for_each(|(from, to)| flow.must(*from, *to));
        let out = |node: u32| edges.iter().filter(move |(from, _)| *from == node);
        (0..nodes).filter(|node| out(*node).count() == 0).for_each(|node| flow.may_end(node));
        let backwards: Vec<u32> = (0..nodes).rev().collect();
        flow.settle(&backwards);
        let walk = |path: Vec<usize>| {
            let mut at = 0;
            path.into_iter()
                .map(|number| {
                    let edge = out(at).copied().nth(number).unwrap();
                    at = edge.1;
                    edge
                })
                .collect()
        };
        std::iter::from_fn(|| flow.next_path()).map(walk).collect()
    }

    /// The most edges of which no path takes two, by trying all sets.
    fn widest(nodes: u32, edges: &[(u32, u32)]) -> usize {
        // Which nodes each node leads to, as a set of bits.
        let mut reaches: Vec<u32> = (0..nodes).map(|node| 1 << node).collect();
        for node in (0..nodes).rev() {
            for (_, to) in edges.iter().filter(|(from, _)| *from == node) {
                reaches[node as usize] |= reaches[*to as usize];
            }
        }
        let follows = |one: &(u32, u32), other: &(u32, u32)| reaches[one.1 as usize] >> other.0 & 1 == 1;
        (0..1_u32 << edges.len())
            .filter(|set| {
                let members: Vec<_> = (0..edges.len()).filter(|edge| set >> edge & 1 == 1).collect();
                members.iter().all(|one| {
                    members.iter().all(|other| one == other || !follows(&edges[*one], &edges[*other]))
                })
            })
            .map(|set| set.count_ones() as usize)
            .max()
            .unwrap_or(0)
    }

    proptest! {
        /// By Dilworth's theorem there is a path for each member of the widest set, and no need of another.
        #[test]
        fn every_edge_is_taken_by_as_few_paths_as_can_be(
            drawn in prop::collection::vec((0..6_u32, 1..4_u32), 0..9),
        ) {
            // Each node is reached from the one before it or from the first, and edges go up.
            let mut edges: Vec<(u32, u32)> = (1..7).map(|node| (node / 2, node)).collect();
            edges.extend(drawn.into_iter().map(|(from, up)| (from, (from + up).min(6))));
            edges.sort_unstable();
            edges.dedup();
            let paths = paths(7, &edges);
            let mut taken: Vec<(u32, u32)> = paths.concat();
            taken.sort_unstable();
            taken.dedup();
            prop_assert_eq!(&taken, &edges);
            prop_assert_eq!(paths.len(), widest(7, &edges));
        }
    }
}
