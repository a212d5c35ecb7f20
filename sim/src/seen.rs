//! The set of states that were visited: 128-bit keys in one flat table, 16 bytes each, filled to three quarters at most.
//!
//! Where states may be reached with more or less effort, two bytes more say with how much each was.

/// An open-addressing table from keys to the least effort, for instance the number of preemptions, they were seen with.
pub(crate) struct Seen {
    /// 0 where a slot is free.
    keys: Vec<u128>,
    /// Beside the keys, once an effort other than 0 was seen.
    efforts: Vec<u16>,
    used: usize,
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self { keys: vec![0; 1 << 12], efforts: Vec::new(), used: 0 }
    }

    /// How many different keys there are.
    pub(crate) const fn len(&self) -> usize {
        self.used
    }

    /// Whether a state is worth visiting: it is new, or was only reached with more effort before.
    pub(crate) fn visit(&mut self, key: u128, effort: u16) -> bool {
        // The free slot's key is a digest as likely as any other; it is taken for 1.
        let key = key.max(1);
        if effort > 0 && self.efforts.is_empty() {
            self.efforts = vec![0; self.keys.len()];
        }
        if (self.used + 1) * 4 > self.keys.len() * 3 {
            self.grow();
        }
        let slot = Self::find(&self.keys, key);
        let is_new = self.keys[slot] == 0;
        if is_new {
            self.keys[slot] = key;
            self.used += 1;
        }
        if self.efforts.is_empty() {
            return is_new;
        }
        let least = &mut self.efforts[slot];
        if is_new || effort < *least {
            *least = effort;
            return true;
        }
        false
    }

    fn find(keys: &[u128], key: u128) -> usize {
        let mask = keys.len() - 1;
        // The key is a hash already, so its low bits are as good as any.
        let mut slot = key as usize & mask;
        while keys[slot] != 0 && keys[slot] != key {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        let length = self.keys.len() * 2;
        let keys = std::mem::replace(&mut self.keys, vec![0; length]);
        let efforts = std::mem::take(&mut self.efforts);
        if !efforts.is_empty() {
            self.efforts = vec![0; length];
        }
        for (place, key) in keys.into_iter().enumerate().filter(|(_, key)| *key != 0) {
            let slot = Self::find(&self.keys, key);
            self.keys[slot] = key;
            if let Some(effort) = efforts.get(place) {
                self.efforts[slot] = *effort;
            }
        }
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
