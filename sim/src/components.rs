//! The groups of states that can reach one another, by Tarjan's algorithm ("Depth-first search and linear graph
//! algorithms", 1972), without recursion.

/// A graph of numbered states.
pub(crate) trait Successors {
    /// How many states there are.
    fn states(&self) -> usize;

    /// Where a step of a state leads, by its place; `Some(None)`: to no state; `None`: there is no such step.
    fn successor(&self, state: u32, place: usize) -> Option<Option<u32>>;
}

/// Every state in exactly one group, each group after all those that it leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Components {
    /// The states, group by group.
    members: Vec<u32>,
    /// Where each group begins in `members`.
    begins: Vec<u32>,
    /// The group of each state.
    of: Vec<u32>,
}

/// A state that has no number in the order of the visit.
const UNSEEN: u32 = u32::MAX;

impl Components {
    /// Finds them.
    pub(crate) fn of(graph: &impl Successors) -> Self {
        let count = graph.states();
        let mut found =
            Self { members: Vec::with_capacity(count), begins: Vec::new(), of: vec![UNSEEN; count] };
        // The order of the visit, and the least such number that a state is known to reach on its own path.
        let (mut order, mut low) = (vec![UNSEEN; count], vec![UNSEEN; count]);
        let (mut next, mut waiting, mut path) = (0_u32, Vec::new(), Vec::new());
        for root in (0..).take(count) {
            if order[root as usize] == UNSEEN {
                path.push((root, 0));
            }
            while let Some((state, place)) = path.last_mut() {
                let at = *state as usize;
                if *place == 0 && order[at] == UNSEEN {
                    (order[at], low[at]) = (next, next);
                    next += 1;
                    waiting.push(*state);
                }
                let step = graph.successor(*state, *place);
                *place += 1;
                match step {
                    Some(Some(to)) if order[to as usize] == UNSEEN => path.push((to, 0)),
                    // A state that is in no group yet is on the path, or can reach it.
                    Some(Some(to)) if found.of[to as usize] == UNSEEN => {
                        low[at] = low[at].min(order[to as usize]);
                    }
                    Some(_) => {}
                    None => {
                        let state = *state;
                        path.pop();
                        if let Some((parent, _)) = path.last() {
                            let parent = *parent as usize;
                            low[parent] = low[parent].min(low[at]);
                        }
                        if low[at] == order[at] {
                            found.close(state, &mut waiting);
                        }
                    }
                }
            }
        }
        found
    }

    /// Makes a group of everything that waits since a state was visited.
    fn close(&mut self, first: u32, waiting: &mut Vec<u32>) {
        let group = u32::try_from(self.begins.len()).unwrap_or(UNSEEN);
        self.begins.push(u32::try_from(self.members.len()).unwrap_or(UNSEEN));
        let begin = waiting.iter().rposition(|state| *state == first).unwrap_or_default();
        for state in waiting.drain(begin..) {
            self.of[state as usize] = group;
            self.members.push(state);
        }
    }

    /// How many groups there are.
    pub(crate) const fn len(&self) -> usize {
        self.begins.len()
    }

    /// The states of a group, in the order in which they were visited.
    pub(crate) fn members(&self, group: usize) -> &[u32] {
        let end = self.begins.get(group + 1).map_or(self.members.len(), |end| *end as usize);
        &self.members[self.begins[group] as usize..end]
    }

    /// The group of a state.
    pub(crate) fn group(&self, state: u32) -> usize {
        self.of[state as usize] as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Components, Successors};

    struct Lists(Vec<Vec<u32>>);

    impl Successors for Lists {
        fn states(&self) -> usize {
            self.0.len()
        }

        fn successor(&self, state: u32, place: usize) -> Option<Option<u32>> {
            self.0[state as usize].get(place).copied().map(Some)
        }
    }

    /// Which states each state can reach, by trying.
    fn reaches(lists: &Lists) -> Vec<Vec<bool>> {
        let count = lists.0.len();
        let mut reaches: Vec<Vec<bool>> = vec![vec![false; count]; count];
        for (from, row) in reaches.iter_mut().enumerate() {
            let mut open = vec![from];
            while let Some(state) = open.pop() {
                for to in &lists.0[state] {
                    if !std::mem::replace(&mut row[*to as usize], true) {
                        open.push(*to as usize);
                    }
                }
            }
        }
        reaches
    }

    proptest! {
        #[test]
        fn groups_are_what_reaches_one_another_and_come_after_what_they_lead_to(
            lists in (1_usize..9).prop_flat_map(|count| {
                let steps = proptest::collection::vec(0..count as u32, 0..3);
                proptest::collection::vec(steps, count)
            })
        ) {
            let lists = Lists(lists);
            let (components, reaches) = (Components::of(&lists), reaches(&lists));
            let all: usize = (0..components.len()).map(|group| components.members(group).len()).sum();
            prop_assert_eq!(all, lists.0.len());
            for (from, row) in reaches.iter().enumerate() {
                for (to, leads) in row.iter().enumerate() {
                    let (of_from, of_to) = (components.group(from as u32), components.group(to as u32));
                    prop_assert_eq!(of_from == of_to, from == to || (*leads && reaches[to][from]));
                    prop_assert!(!leads || of_to <= of_from);
                }
            }
        }
    }

    #[test]
    fn a_path_of_a_million_states_needs_no_stack_of_its_own() {
        let lists = Lists((1..1_000_000).map(|next| vec![next]).chain([Vec::new()]).collect());
        assert_eq!(Components::of(&lists).len(), 1_000_000);
    }
}
