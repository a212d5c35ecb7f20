//! The shortest way to a broken promise: fewest faults, then fewest preemptions, then fewest steps.
//!
//! States are expanded in exactly that order, so the first violation that is met is provably the least. No shrinking,
//! no luck, the same answer on every machine.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::engine::Engine;
use crate::explore::{ASK_EVERY, Bounds, Found, Policy};
use crate::schedule::Schedule;
use crate::seen::Seen;
use crate::world::{Checker, Violation, World};

/// Faults, preemptions, steps, then the order of discovery.
type Cost = (u8, u16, u32, u32);

/// A state that was reached and not expanded yet, with the verdict on the step that led there.
type Waiting<M> = Option<(World<M>, Result<(), Violation>)>;

struct Reached {
    parent: u32,
    index: u8,
}

/// Finds the least execution that breaks a promise. `None` if the budget of states runs out first, or if the setup
/// itself breaks one.
pub(crate) fn shortest<C: Checker>(
    engine: &mut Engine<'_, C>,
    bounds: &Bounds,
    should_stop: &dyn Fn() -> bool,
) -> Option<Found> {
    let mut first = engine.first();
    if let Err(violation) = engine.run_setup(&mut first, |_, _, _| {}) {
        return Some(Found { violation, schedule: Schedule::default(), is_shortest: true });
    }
    let mut seen = Seen::new();
    let mut reached = vec![Reached { parent: 0, index: 0 }];
    let mut waiting: Vec<Waiting<C::Memory>> = vec![Some((first, Ok(())))];
    let mut queue = BinaryHeap::from([Reverse((0, 0, 0, 0))]);
    while let Some(Reverse((faults, preemptions, steps, number))) = queue.pop() {
        let (world, verdict) = waiting[number as usize].take()?;
        let found = |violation| Found { violation, schedule: path(&reached, number), is_shortest: true };
        if let Err(violation) = verdict {
            return Some(found(violation));
        }
        if !seen.visit(world.key(true), 0) {
            continue;
        }
        if seen.len() > bounds.states || (u64::from(number).is_multiple_of(ASK_EVERY) && should_stop()) {
            return None;
        }
        if let Err(violation) = engine.probe(&world) {
            return Some(found(violation));
        }
        let choices = match engine.choices(&world, bounds) {
            Ok(choices) => choices,
            Err(violation) => return Some(found(violation)),
        };
        if choices.iter().all(|choice| choice.is_fault())
            && let Err(violation) = engine.end(&world)
        {
            return Some(found(violation));
        }
        for (index, choice) in (0..).zip(choices) {
            let cost: Cost = (
                faults + u8::from(choice.is_fault()),
                preemptions + engine.preemption(&world, choice),
                steps + 1,
                u32::try_from(waiting.len()).ok()?,
            );
            if matches!(bounds.policy, Policy::Preemptions(most) if cost.1 > most) {
                continue;
            }
            let mut next = world.clone();
            let stepped = engine.take(&mut next, choice);
            let verdict = engine.judge(&mut next, &stepped.step(choice));
            waiting.push(Some((next, verdict)));
            reached.push(Reached { parent: number, index });
            queue.push(Reverse(cost));
        }
    }
    None
}

fn path(reached: &[Reached], mut number: u32) -> Schedule {
    let mut indices = Vec::new();
    while number != 0 {
        let Reached { parent, index } = reached[number as usize];
        indices.push(index);
        number = parent;
    }
    indices.reverse();
    Schedule::from_indices(indices)
}
