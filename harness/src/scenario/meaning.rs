//! What a scenario says, apart from where it says it.

use super::{Located, Scenario, Variant};

impl Scenario {
    /// The same scenario without its text and its lines: two texts that mean the same are equal then.
    #[must_use]
    pub fn without_places(mut self) -> Self {
        self.source = "".into();
        unlocate(&mut self.setup);
        unlocate(&mut self.steps);
        unlocate(&mut self.expect.always);
        unlocate(&mut self.expect.outcomes);
        unlocate(self.expect.refusal.as_mut_slice());
        if let Some(timeline) = &mut self.timeline {
            unlocate(&mut timeline.events);
        }
        let variants = self.variants.into_iter();
        self.variants = variants
            .map(|Variant { words, scenario }| Variant { words, scenario: scenario.without_places() })
            .collect();
        self
    }
}

fn unlocate<T>(located: &mut [Located<T>]) {
    for value in located {
        value.line = 0;
    }
}
