//! Random walks that go before a search: what they have learned of the programs is merged before states are counted.
//!
//! A search that meets an unseen reply begins anew. Most replies are met within a few walks, which cost as much as a few
//! hundred states. Nothing is judged here.

use crate::engine::Engine;
use crate::explore::Bounds;
use crate::merging::Merging;
use crate::sample::random::Random;
use crate::world::{Checker, Choice, World};

/// So many walks are taken first, and twice as many each other time.
const WALKS: u64 = 32;

/// So often at most, as long as calls are answered in ways that were not seen before.
const BATCHES: u32 = 16;

/// How often at most histories are merged.
const ROUNDS: u32 = 5;

/// Longer than any start.
const MOST_STEPS: usize = 2_000;

/// One step of so many is a fault, where one could be.
const FAULTS: u64 = 16;

/// The seed of the walks.
const SEED: u64 = 0x5c00;

/// Walks and merges until a round of walks shows nothing new.
pub(crate) fn scout<C: Checker>(
    engine: &mut Engine<'_, C>,
    merging: &mut Merging,
    bounds: &Bounds,
    should_stop: &dyn Fn() -> bool,
) {
    let mut number = 0;
    for round in 0..ROUNDS {
        let mut first = engine.first();
        if should_stop() || engine.run_setup(&mut first, |_, _, _| {}).is_err() {
            return;
        }
        for _ in 0..BATCHES {
            engine.forest.replies.has_news = false;
            for _ in 0..WALKS << round {
                walk(engine, first.clone(), bounds, Random::of(SEED, number));
                number += 1;
            }
            // Merging is dear, so it waits until walks have little to tell.
            if !engine.forest.replies.has_news {
                break;
            }
        }
        if !merging.goes_on(engine, 0) {
            return;
        }
    }
}

/// Takes one walk, to its end or until something is wrong.
fn walk<C: Checker>(
    engine: &mut Engine<'_, C>,
    mut world: World<C::Memory>,
    bounds: &Bounds,
    mut random: Random,
) {
    let mut steps = 0;
    let pick = |_: &World<C::Memory>, choices: &[Choice]| {
        steps += 1;
        let harmless = choices.iter().filter(|choice| !choice.is_fault()).count();
        let faults = choices.len() - harmless;
        if steps > MOST_STEPS {
            None
        } else if faults > 0 && random.below(FAULTS) == 0 {
            Some(harmless + random.place(faults))
        } else {
            (harmless > 0).then(|| random.place(harmless))
        }
    };
    // What is wrong is found again by the search, where it counts.
    let _ = engine.walk(&mut world, bounds, pick);
}
