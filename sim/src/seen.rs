//! The set of states that were visited: 128-bit keys in one flat table, each with the least effort it was reached with.

/// An open-addressing table from keys to the least number of preemptions they were seen with.
pub(crate) struct Seen {
    slots: Vec<(u128, u16)>,
    used: usize,
}

/// The value of a slot that is free.
const FREE: u16 = u16::MAX;

impl Seen {
    pub(crate) fn new() -> Self {
        Self { slots: vec![(0, FREE); 1 << 12], used: 0 }
    }

    /// How many different keys there are.
    pub(crate) const fn len(&self) -> usize {
        self.used
    }

    /// Whether a state is worth visiting: it is new, or was only reached with more effort before.
    pub(crate) fn visit(&mut self, key: u128, effort: u16) -> bool {
        let effort = effort.min(FREE - 1);
        if (self.used + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let slot = Self::find(&self.slots, key);
        let (stored, least) = &mut self.slots[slot];
        if *least == FREE {
            (*stored, *least) = (key, effort);
            self.used += 1;
            return true;
        }
        let better = effort < *least;
        if better {
            *least = effort;
        }
        better
    }

    fn find(slots: &[(u128, u16)], key: u128) -> usize {
        let mask = slots.len() - 1;
        // The key is a hash already, so its low bits are as good as any.
        let mut slot = key as usize & mask;
        while slots[slot].1 != FREE && slots[slot].0 != key {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        let mut larger = vec![(0, FREE); self.slots.len() * 2];
        for (key, least) in self.slots.iter().filter(|(_, least)| *least != FREE) {
            let slot = Self::find(&larger, *key);
            larger[slot] = (*key, *least);
        }
        self.slots = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;

    #[test]
    fn a_state_is_visited_again_only_with_less_effort() {
        let mut seen = Seen::new();
        assert!(seen.visit(7, 3));
        assert!(!seen.visit(7, 3));
        assert!(!seen.visit(7, 4));
        assert!(seen.visit(7, 2));
        assert_eq!(seen.len(), 1);
    }

    #[test]
    fn growing_forgets_nothing() {
        let mut seen = Seen::new();
        for key in 0..50_000_u128 {
            assert!(seen.visit(key.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835), 0));
        }
        for key in 0..50_000_u128 {
            assert!(!seen.visit(key.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835), 0));
        }
        assert_eq!(seen.len(), 50_000);
    }
}
