//! Figures of one run: what was counted in a span of time, and how two servers compare that took turns.
//!
//! Two servers are compared round by round, and the middle of these ratios is told. Whatever makes a round slow, makes it
//! slow for both.

use serde::Serialize;

/// What one server did in one span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// How many messages were answered, or delivered.
    pub(crate) messages: u64,
    /// What that took of processors, of the server alone, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// How long it took, in nanoseconds.
    pub(crate) wall_ns: u64,
}

impl Sample {
    /// What one message took of processors, in nanoseconds.
    pub(crate) fn cost_ns(self) -> f64 {
        self.cpu_ns as f64 / self.messages.max(1) as f64
    }

    /// Messages a second.
    pub(crate) fn rate(self) -> f64 {
        self.messages as f64 * 1e9 / self.wall_ns.max(1) as f64
    }
}

/// What is told of a server in a case.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// What a message costs, as a multiple of what it costs the reference: the middle of all rounds.
    pub(crate) ratio: f64,
    /// The least that a message cost in a round, in nanoseconds.
    pub(crate) least_ns: f64,
    /// The middle of what it cost.
    pub(crate) middle_ns: f64,
    /// Messages a second, the middle of all rounds.
    pub(crate) rate: f64,
}

/// The figures of a server beside its reference; `None` if either was not measured.
pub(crate) fn figures(of: &[Sample], reference: &[Sample]) -> Option<Figures> {
    let costs = || of.iter().map(|sample| sample.cost_ns());
    Some(Figures {
        ratio: paired(of, reference)?,
        least_ns: costs().min_by(f64::total_cmp)?,
        middle_ns: median(costs().collect())?,
        rate: median(of.iter().map(|sample| sample.rate()).collect())?,
    })
}

/// What a message costs one server as a multiple of what it costs another: the middle of the ratios of each round.
pub(crate) fn paired(of: &[Sample], to: &[Sample]) -> Option<f64> {
    median(of.iter().zip(to).map(|(of, to)| of.cost_ns() / to.cost_ns()).collect())
}

/// The middle; of two in the middle, what lies between them.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::{Sample, figures, median, paired};

    fn sample(messages: u64, cpu_ns: u64) -> Sample {
        Sample { messages, cpu_ns, wall_ns: 1_000_000_000 }
    }

    #[test]
    fn the_middle_is_that_of_what_is_sorted() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 4.0]), Some(4.0));
        assert_eq!(median(vec![4.0, 1.0, 9.0, 2.0]), Some(3.0));
    }

    #[test]
    fn a_slow_round_is_slow_for_both_and_changes_no_ratio() {
        let quick = [sample(10, 100), sample(10, 900), sample(10, 100)];
        let slow = [sample(10, 200), sample(10, 1_800), sample(10, 200)];
        assert_eq!(paired(&slow, &quick), Some(2.0));
        // The ratio of the middles would be wrong where another round is the slow one for each.
        let noisy = [sample(10, 200), sample(10, 1_800), sample(5, 2_000)];
        assert_eq!(paired(&noisy, &quick), Some(2.0));
        assert_eq!(paired(&[], &quick), None);
    }

    #[test]
    fn figures_tell_the_least_and_the_middle() {
        let of = [sample(10, 200), sample(20, 200), sample(10, 900)];
        let told = figures(&of, &[sample(1, 10); 3]).unwrap();
        assert_eq!((told.ratio, told.least_ns, told.middle_ns, told.rate), (2.0, 10.0, 20.0, 10.0));
        assert_eq!(figures(&of, &[]), None);
    }
}
