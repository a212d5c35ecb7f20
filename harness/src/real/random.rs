//! The same seed gives the same numbers for ever: a try is planned from its seed, and reported by it.

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The numbers of a seed. Neighbouring seeds and tries give unrelated numbers.
    pub(crate) fn new(seed: u64, attempt: u32) -> Self {
        let mut mixer = Self(seed);
        let start = mixer.next().wrapping_add(u64::from(attempt));
        Self(start)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `most`.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        let number = self.next();
        most.checked_add(1).map_or(number, |count| number % count)
    }

    /// A random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.up_to(last as u64) as usize;
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_numbers_of_a_seed_and_a_try_stay_the_same() {
        let mut random = Random::new(7, 3);
        let numbers: Vec<u64> = (0..4).map(|_| random.up_to(999)).collect();
        assert_eq!(numbers, [32, 319, 430, 567]);
    }

    #[test]
    fn a_shuffle_loses_nothing_and_every_order_occurs() {
        let mut seen = std::collections::BTreeSet::new();
        for attempt in 0..200 {
            let mut items = [1, 2, 3];
            Random::new(1, attempt).shuffle(&mut items);
            seen.insert(items);
        }
        assert_eq!(seen.len(), 6);
    }
}
