//! What was drawn, written down: an execution that fails as a plan without weather, with no more trouble than it takes.
//!
//! A seed says what happened as long as nothing draws in another order. The steps that were drawn say it to people too, and stay
//! what they are when the weather changes. Under the same seed they are the same execution, because weather is drawn from a stream
//! of its own.

use std::collections::BTreeSet;

use crate::file::{InWords, Sweep};
use crate::plan::Plan;
use crate::play::{Act, acts, run};
use crate::report::{Report, Unrunnable};
use crate::simulated::Simulated;

/// At most so many executions are made to find out what can be left out.
const MOST_TRIES: u32 = 400;

/// An execution that fails, and the trouble that it takes.
#[derive(Clone, Debug)]
pub struct Frozen {
    /// The seed of everything else.
    pub seed: u64,
    /// What was drawn and is needed, in the words of a file: when, and what.
    pub steps: Vec<(u64, String)>,
    /// How many steps were drawn in all.
    pub drawn: usize,
    /// What fails.
    pub report: Report,
}

impl Sweep {
    /// Writes down what a seed draws, without whatever can be left out so that it breaks the same promises; `None`: it breaks
    /// none, or what it breaks takes no weather.
    ///
    /// # Errors
    ///
    /// What is wrong with the plan, or that somebody wants an end of it meanwhile.
    pub fn freeze(&self, seed: u64, should_stop: &dyn Fn() -> bool) -> Result<Option<Frozen>, Unrunnable> {
        let all = acts(&self.plan, seed);
        let drawn = all.iter().filter(|act| act.is_drawn).count();
        let calm = Plan { weather: None, ..self.plan.clone() };
        let play = |kept: &[Act]| run(&calm, kept, seed, Simulated::of(&calm, seed, should_stop)?);
        let broken = |report: &Report| -> BTreeSet<&'static str> {
            self.unexpected(report, &mut BTreeSet::new()).iter().map(|broken| broken.check).collect()
        };
        let mut report = play(&all)?;
        let wanted = broken(&report);
        if drawn == 0 || wanted.is_empty() {
            return Ok(None);
        }
        let (mut kept, mut tries) = (all, 0);
        // Halves first, then ever smaller pieces: most of what was drawn makes no difference.
        let mut size = drawn.next_power_of_two();
        while size > 0 && tries < MOST_TRIES {
            let places: Vec<usize> = (0..kept.len()).filter(|place| kept[*place].is_drawn).collect();
            for piece in places.chunks(size).rev() {
                let fewer = without(&kept, piece);
                tries += 1;
                let tried = play(&fewer)?;
                if wanted.is_subset(&broken(&tried)) {
                    (kept, report) = (fewer, tried);
                }
            }
            size /= 2;
        }
        let usual = self.plan.link;
        let steps = kept.iter().filter(|act| act.is_drawn);
        let steps = steps.map(|act| (act.at_ms, InWords { step: &act.step, usual }.to_string()));
        Ok(Some(Frozen { seed, steps: steps.collect(), drawn, report }))
    }
}

/// All steps but those in these places.
fn without(acts: &[Act], places: &[usize]) -> Vec<Act> {
    let others = acts.iter().enumerate().filter(|(place, _)| !places.contains(place));
    others.map(|(_, act)| act.clone()).collect()
}
