//! The random numbers of one run: a function of the seed and of the number of the run, on every machine.
//!
//! `SplitMix64` (Steele, Lea and Flood, 2014). No run sees what another one has drawn, so runs can be spread over threads
//! in any way.

/// The step of the counter: 2^64 divided by the golden ratio, made odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of random numbers, the same on every machine.
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of one run.
    pub const fn of(seed: u64, run: u64) -> Self {
        Self(mix(seed ^ mix(run.wrapping_mul(STEP))))
    }

    /// The next 64 bits.
    #[inline]
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `limit`, which is not 0. Some are likelier than others by less than `limit` in 2^64.
    #[inline]
    pub const fn below(&mut self, limit: u64) -> u64 {
        ((self.next() as u128 * limit as u128) >> 64) as u64
    }

    /// The place of one of so many things, at least one. Where there is no choice, nothing is drawn.
    #[inline]
    pub const fn place(&mut self, count: usize) -> usize {
        if count < 2 { 0 } else { self.below(count as u64) as usize }
    }
}

/// A bijection of the 64-bit numbers whose every output bit depends on every input bit.
#[inline]
pub(crate) const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_numbers_are_those_of_the_published_generator() {
        // The first outputs for the state 1234567, as in the reference implementation in C.
        let mut random = Random(1_234_567);
        let drawn = [random.next(), random.next(), random.next()];
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn each_run_of_each_seed_has_numbers_of_its_own() {
        let mut firsts: Vec<u64> =
            (0..64).flat_map(|seed| (0..64).map(move |run| Random::of(seed, run).next())).collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 64 * 64);
    }

    #[test]
    fn every_place_is_drawn_about_equally_often() {
        let mut random = Random::of(1, 1);
        let mut counts = [0_u32; 7];
        (0..70_000).for_each(|_| counts[random.place(7)] += 1);
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 400), "{counts:?}");
    }
}
