//! Whether a search comes back to a state that it is on the way from, which is how executions that never end show.
//!
//! A depth-first search meets a state of its own path again if and only if the states that it visits hold a circle.

/// The keys of the states on the present path of a search.
pub(crate) struct OnPath {
    keys: Vec<u128>,
    /// How many of them have the same low bits, so that most others are told apart at a glance.
    alike: Vec<u32>,
}

/// How many classes of low bits there are.
const CLASSES: usize = 1 << 12;

impl OnPath {
    pub(crate) fn new() -> Self {
        Self { keys: Vec::new(), alike: vec![0; CLASSES] }
    }

    /// The path goes on to a state.
    pub(crate) fn push(&mut self, key: u128) {
        self.keys.push(key);
        self.alike[class(key)] += 1;
    }

    /// The path goes back from its last state.
    pub(crate) fn pop(&mut self) {
        if let Some(key) = self.keys.pop() {
            self.alike[class(key)] -= 1;
        }
    }

    /// Whether a state is on the path.
    pub(crate) fn contains(&self, key: u128) -> bool {
        self.alike[class(key)] > 0 && self.keys.contains(&key)
    }
}

const fn class(key: u128) -> usize {
    key as usize % CLASSES
}

#[cfg(test)]
mod tests {
    use super::{CLASSES, OnPath};

    #[test]
    fn a_path_knows_its_states_and_no_others_with_the_same_low_bits() {
        let mut path = OnPath::new();
        let alike = |number: usize| (7 + number * CLASSES) as u128;
        for number in 0..3 {
            path.push(alike(number));
        }
        assert!(path.contains(alike(2)) && !path.contains(alike(3)) && !path.contains(8));
        path.pop();
        assert!(path.contains(alike(1)) && !path.contains(alike(2)));
    }
}
