//! How many different things were seen, and since when, in memory that is bounded and does not depend on the order.
//!
//! While they are few, all are kept. When they become too many, only those whose hash begins with a 0 bit are kept, then
//! with two, and so on (adaptive sampling, Wegman 1984): what is kept is a random sample of the different things, whose
//! share that came late is the share of all that came late. It is the same sample for every order in which they came and
//! for every way to spread them over threads.

/// How many are kept at most. The error of an estimate from a full sample is about one in the square root of half of it.
const MOST_KEPT: usize = 1 << 18;

/// A run that no run has.
const FREE: u64 = u64::MAX;

/// A set of hashes, each with the first run that has seen it.
#[derive(Debug)]
pub(super) struct Distinct {
    /// Open addressing; free where the run is [`FREE`].
    slots: Vec<(u64, u64)>,
    used: usize,
    /// With how many 0 bits a hash must begin.
    level: u32,
    most: usize,
}

/// How much of something was seen, and how much of that came late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Novelty {
    /// How many different ones there were. An estimate unless `is_exact`.
    pub distinct: u64,
    /// How many of them were first seen in the last tenth of the runs.
    pub late: u64,
    /// Whether all were counted one by one. If not, memory was bounded by counting a random sample of them, at least 100 000.
    pub is_exact: bool,
}

impl Distinct {
    pub(super) fn new() -> Self {
        Self::keeping(MOST_KEPT)
    }

    fn keeping(most: usize) -> Self {
        Self { slots: vec![(0, FREE); 1 << 10], used: 0, level: 0, most }
    }

    /// Notes that a run has seen something. The hash must be as good as random in all its bits.
    pub(super) fn note(&mut self, hash: u64, run: u64) {
        if hash.leading_zeros() < self.level {
            return;
        }
        let place = Self::find(&self.slots, hash);
        let (kept, first) = &mut self.slots[place];
        if *first != FREE {
            *first = run.min(*first);
            return;
        }
        (*kept, *first) = (hash, run);
        self.used += 1;
        while self.used > self.most {
            self.level += 1;
            self.rebuild(self.slots.len());
        }
        if self.used * 2 > self.slots.len() {
            self.rebuild(self.slots.len() * 2);
        }
    }

    /// Adds what another part of the runs has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        self.level = self.level.max(other.level);
        self.rebuild(self.slots.len());
        other.slots.iter().filter(|(_, run)| *run != FREE).for_each(|(hash, run)| self.note(*hash, *run));
    }

    /// What was seen in all, and what of it first by a run from `late` on.
    pub(super) fn novelty(&self, late: u64) -> Novelty {
        let first_runs = || self.slots.iter().map(|(_, run)| *run).filter(|run| *run != FREE);
        let scaled = |count: usize| (count as u64) << self.level;
        Novelty {
            distinct: scaled(first_runs().count()),
            late: scaled(first_runs().filter(|run| *run >= late).count()),
            is_exact: self.level == 0,
        }
    }

    fn find(slots: &[(u64, u64)], hash: u64) -> usize {
        let mask = slots.len() - 1;
        let mut place = hash as usize & mask;
        while slots[place].1 != FREE && slots[place].0 != hash {
            place = (place + 1) & mask;
        }
        place
    }

    /// Fills a table of this size with what is to be kept.
    fn rebuild(&mut self, size: usize) {
        let level = self.level;
        let old = std::mem::replace(&mut self.slots, vec![(0, FREE); size]);
        self.used = 0;
        for (hash, run) in old {
            if run != FREE && hash.leading_zeros() >= level {
                let place = Self::find(&self.slots, hash);
                self.slots[place] = (hash, run);
                self.used += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::mix;
    use super::{Distinct, Novelty};

    #[test]
    fn few_things_are_counted_exactly_with_the_first_run_that_saw_them() {
        let mut seen = Distinct::new();
        for run in 0..100 {
            seen.note(mix(run / 2), run);
            seen.note(mix(7), run);
        }
        assert_eq!(seen.novelty(90), Novelty { distinct: 50, late: 5, is_exact: true });
    }

    #[test]
    fn many_things_are_estimated_from_a_sample_of_bounded_size() {
        let mut seen = Distinct::keeping(1 << 12);
        (0..200_000).for_each(|run| seen.note(mix(run), run));
        assert!(seen.used <= 1 << 12);
        let novelty = seen.novelty(180_000);
        assert!(!novelty.is_exact);
        assert!(novelty.distinct.abs_diff(200_000) < 10_000, "{novelty:?}");
        assert!(novelty.late.abs_diff(20_000) < 3_000, "{novelty:?}");
    }

    #[test]
    fn how_the_runs_were_divided_makes_no_difference() {
        let whole = |runs: &mut dyn Iterator<Item = u64>| {
            let mut seen = Distinct::keeping(1 << 8);
            runs.for_each(|run| seen.note(mix(run % 5_000), run));
            seen
        };
        let all = whole(&mut (0..20_000)).novelty(3_000);
        let (even, odd) =
            (whole(&mut (0..20_000).step_by(2)), whole(&mut (0..10_000).rev().map(|half| 2 * half + 1)));
        let mut merged = Distinct::keeping(1 << 8);
        merged.merge(&odd);
        merged.merge(&even);
        assert_eq!(merged.novelty(3_000), all);
    }
}
