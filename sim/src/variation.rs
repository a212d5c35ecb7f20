//! Any bytes as a scenario: how many contend, in which order they start, who may be killed, when a file is removed.
//!
//! A property test draws the bytes and shrinks them. Fewer bytes and smaller ones are simpler scenarios: no byte at all is
//! two processes that are started in their order, and nothing else.

use std::path::Path;

use crate::script::Action;

/// The most contenders that are drawn.
pub const MOST_CONTENDERS: usize = 4;
/// The most kills that are drawn.
const MOST_KILLS: u8 = 2;
/// The most removals that are drawn.
const MOST_REMOVALS: usize = 2;

/// A scenario that was drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variation {
    order: Vec<usize>,
    kills: u8,
    /// Before how many of the starts, from the last one on, a file is removed. 0 is after all of them.
    removals: Vec<usize>,
}

impl Variation {
    /// The scenario that some bytes stand for; those that are missing are 0, and those that are too many are ignored.
    ///
    /// The first one says how many contend (2 and more, [`MOST_CONTENDERS`] at most), the second how many are killed, the
    /// third how often the file is removed; the next two are the places of the removals, and the others the order of the starts.
    pub fn from_picks(picks: &[u8]) -> Self {
        let mut picks = picks.iter().copied().map(usize::from);
        // Smaller bytes are smaller numbers, so that what halves a byte does not make another scenario of it.
        let mut pick = |limit: usize| (picks.next().unwrap_or_default() * limit) >> 8;
        let contenders = 2 + pick(MOST_CONTENDERS - 1);
        let kills = pick(usize::from(MOST_KILLS) + 1);
        let count = pick(MOST_REMOVALS + 1);
        // Each byte has one meaning, whatever the others are.
        let mut removals: Vec<usize> = (0..MOST_REMOVALS).map(|_| pick(contenders + 1)).collect();
        removals.truncate(count);
        let mut left: Vec<usize> = (0..contenders).collect();
        let order = (0..contenders).map(|_| left.remove(pick(left.len()))).collect();
        Self { order, kills: u8::try_from(kills).unwrap_or(MOST_KILLS), removals }
    }

    /// The processes by number, in the order in which they are started.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// How many processes may be killed.
    pub const fn kills(&self) -> u8 {
        self.kills
    }

    /// What is done, with this file for the one that is removed.
    pub fn script(&self, removed: &Path) -> Vec<Action> {
        let mut steps = Vec::new();
        for left in (0..=self.order.len()).rev() {
            let here = self.removals.iter().filter(|place| **place == left);
            steps.extend(here.map(|_| Action::Remove(vec![removed.to_owned()])));
            steps.extend(self.order.get(self.order.len() - left).map(|slot| Action::Start(*slot)));
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::{MOST_CONTENDERS, Variation};
    use crate::script::Action;

    #[test]
    fn no_bytes_are_the_simplest_scenario() {
        let simplest = Variation::from_picks(&[]);
        assert_eq!((simplest.order(), simplest.kills()), ([0, 1].as_slice(), 0));
        assert_eq!(simplest.script(Path::new("/lock")), [Action::Start(0), Action::Start(1)]);
        assert_eq!(Variation::from_picks(&[0; 9]), simplest);
    }

    #[test]
    fn a_removal_has_its_place_among_the_starts() {
        let removal = || Action::Remove(vec!["/lock".into()]);
        let script = |picks: &[u8]| Variation::from_picks(picks).script(Path::new("/lock"));
        assert_eq!(script(&[0, 0, 100, 0]), [Action::Start(0), Action::Start(1), removal()]);
        assert_eq!(script(&[0, 0, 100, 100, 0, 200]), [Action::Start(1), removal(), Action::Start(0)]);
        assert_eq!(script(&[0, 0, 100, 200]), [removal(), Action::Start(0), Action::Start(1)]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_scenario_that_starts_everybody_once(picks in prop::collection::vec(any::<u8>(), 0..12)) {
            let variation = Variation::from_picks(&picks);
            let mut order = variation.order().to_vec();
            order.sort_unstable();
            prop_assert!((2..=MOST_CONTENDERS).contains(&order.len()));
            prop_assert_eq!(&order, &(0..order.len()).collect::<Vec<_>>());
            let starts = variation.script(Path::new("/lock"));
            let starts = starts.iter().filter(|step| matches!(step, Action::Start(_)));
            prop_assert_eq!(starts.count(), order.len());
        }
    }
}
