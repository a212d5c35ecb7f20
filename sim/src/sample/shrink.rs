//! From a failure that chance has found to the least one: fewer faults, fewer preemptions, fewer steps.
//!
//! First by hand: pieces of the execution are left out (delta debugging, Zeller and Hildebrandt, 2002), and what is left is
//! taken without preemptions wherever it does not say otherwise. Then the ordered search looks for the least execution of all
//! among those with no more faults and preemptions than are left. If its budget suffices, nothing less breaks anything.

use super::FailedRun;
use super::policy::{Mover, mover};
use crate::engine::Engine;
use crate::explore::{Bounds, Found, Policy};
use crate::schedule::Schedule;
use crate::shortest::shortest;
use crate::world::{Checker, Choice, Setup, Violation, World};

/// How many steps the executions that are tried may have together.
const MOST_STEPS: usize = 200_000;

/// How far a process goes on that is not to be preempted, in steps.
const MOST_GOING_ON: usize = 64;

/// How many states the ordered search may visit.
const MOST_STATES: usize = 50_000;

/// Faults, preemptions, steps.
type Cost = (usize, usize, usize);

/// One step by who takes it, which means something in other states too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Move(Mover),
    Fault(Choice),
}

impl Wanted {
    fn of(choice: Choice) -> Self {
        if choice.is_fault() { Self::Fault(choice) } else { Self::Move(mover(choice)) }
    }
}

/// An execution that breaks something.
struct Failing {
    wanted: Vec<Wanted>,
    indices: Vec<u8>,
    cost: Cost,
    violation: Violation,
}

/// The least failure that can be found from one that was met by chance.
pub(super) fn shrink<C: Checker>(
    setup: &Setup,
    checker: &C,
    bounds: &Bounds,
    first: &FailedRun,
    should_stop: &dyn Fn() -> bool,
) -> Found {
    let met = |is_shortest| Found {
        violation: first.violation.clone(),
        schedule: first.schedule.clone(),
        is_shortest,
    };
    let mut shrinker =
        Shrinker { engine: Engine::new(setup, checker), bounds: *bounds, first: None, left: MOST_STEPS };
    let mut world = shrinker.engine.first();
    if shrinker.engine.run_setup(&mut world, |_, _, _| {}).is_err() {
        return met(true);
    }
    shrinker.first = Some(world);
    let indices: Vec<usize> = first.schedule.indices().collect();
    // A violation that an audit has shown belongs to the way and not to the state: it is told as it was met.
    let Some(failing) = shrinker.retake(&indices).filter(|failing| failing.violation == first.violation)
    else {
        return met(false);
    };
    let least = shrinker.reduce(failing, should_stop);
    let faults = u8::try_from(least.cost.0).unwrap_or(u8::MAX);
    let everything = Bounds {
        kills: bounds.kills.min(faults),
        power_losses: bounds.power_losses.min(faults),
        states: bounds.states.min(MOST_STATES),
        ..*bounds
    };
    if let Some(found) = shrinker.search(&everything, should_stop) {
        return found;
    }
    // Where a fault is needed, all that happens without one is a lot to look through. Something less may be among what is
    // left out here, namely fewer faults with more preemptions.
    let preemptions = Policy::Preemptions(u16::try_from(least.cost.1).unwrap_or(u16::MAX));
    let found = shrinker.search(&Bounds { policy: preemptions, ..everything }, should_stop);
    let proven = found.map(|found| Found { is_shortest: least.cost.0 == 0, ..found });
    proven.unwrap_or_else(|| Found {
        violation: least.violation,
        schedule: Schedule::from_indices(least.indices),
        is_shortest: false,
    })
}

struct Shrinker<'a, C: Checker> {
    engine: Engine<'a, C>,
    bounds: Bounds,
    /// The state after the setup.
    first: Option<World<C::Memory>>,
    /// How many steps may still be taken.
    left: usize,
}

impl<C: Checker> Shrinker<'_, C> {
    fn start(&self) -> World<C::Memory> {
        self.first.clone().unwrap_or_else(|| self.engine.first())
    }

    /// Takes an execution again by the numbers of its choices.
    fn retake(&mut self, indices: &[usize]) -> Option<Failing> {
        let mut indices = indices.iter();
        self.take(|_, choices| indices.next().copied().filter(|index| *index < choices.len()))
    }

    /// Takes an execution by who takes its steps. Whoever cannot is passed over; after the last one, and where a process
    /// would have to wait, whoever had the turn goes on.
    fn follow(&mut self, wanted: &[Wanted]) -> Option<Failing> {
        let mut wanted = wanted.iter();
        self.take(|last, choices| {
            let place = |wanted: Wanted| choices.iter().position(|choice| Wanted::of(*choice) == wanted);
            let asked = wanted.by_ref().find_map(|wanted| place(*wanted));
            let same = || choices.iter().position(|choice| choice.runs().is_some() && choice.runs() == last);
            let any = || choices.iter().position(|choice| !choice.is_fault());
            asked.or_else(same).or_else(any)
        })
    }

    /// Takes the choices that are picked until something breaks. `None` if nothing does.
    fn take(&mut self, mut pick: impl FnMut(Option<usize>, &[Choice]) -> Option<usize>) -> Option<Failing> {
        let mut world = self.start();
        let (mut wanted, mut indices) = (Vec::new(), Vec::new());
        let (mut faults, mut preemptions) = (0, 0);
        let mut violation = self.engine.look(&world, &self.bounds).err();
        while violation.is_none() {
            let choices = self.engine.choices(&world, &self.bounds).ok()?;
            let index = pick(world.last, &choices)?;
            let choice = choices[index];
            self.left = self.left.checked_sub(1)?;
            faults += usize::from(choice.is_fault());
            preemptions += usize::from(self.engine.preemption(&world, choice));
            wanted.push(Wanted::of(choice));
            indices.push(u8::try_from(index).ok()?);
            let stepped = self.engine.take(&mut world, choice);
            let verdict = self.engine.judge(&mut world, &stepped.step(choice));
            violation = verdict.and_then(|()| self.engine.look(&world, &self.bounds)).err();
        }
        let cost = (faults, preemptions, indices.len());
        violation.map(|violation| Failing { wanted, indices, cost, violation })
    }

    /// Leaves out pieces as long as something is still broken and the rest costs less.
    fn reduce(&mut self, mut least: Failing, should_stop: &dyn Fn() -> bool) -> Failing {
        let mut piece = least.wanted.len().div_ceil(2).max(1);
        while self.left > 0 && !should_stop() {
            let before = least.cost;
            let mut from = 0;
            while from < least.wanted.len() {
                let without =
                    [&least.wanted[..from], least.wanted.get(from + piece..).unwrap_or_default()].concat();
                match self.follow(&without).filter(|tried| tried.cost < least.cost) {
                    Some(better) => least = better,
                    None => from += piece,
                }
            }
            least = self.gather(least);
            if piece == 1 && least.cost == before {
                break;
            }
            piece = piece.div_ceil(2);
        }
        least
    }

    /// Takes preemptions away: a process goes on for as long as it can, or its next step comes at once.
    fn gather(&mut self, mut least: Failing) -> Failing {
        let mut from = 1;
        while from < least.wanted.len() {
            let before = least.wanted[from - 1];
            let is_switch = least.wanted[from] != before;
            let mut tries = Vec::new();
            if is_switch {
                // Steps that cannot be taken are passed over, so these are as many as there are.
                let on = vec![before; MOST_GOING_ON];
                tries.push([&least.wanted[..from], &on, &least.wanted[from..]].concat());
                if let Some(next) =
                    (from + 1..least.wanted.len()).find(|place| least.wanted[*place] == before)
                {
                    let mut moved = least.wanted.clone();
                    moved[from..=next].rotate_right(1);
                    tries.push(moved);
                }
            }
            let better =
                tries.iter().find_map(|tried| self.follow(tried).filter(|tried| tried.cost < least.cost));
            match better {
                Some(better) => least = better,
                None => from += 1,
            }
        }
        least
    }

    /// The least failure within some bounds that leave out faults, as the caller's bounds spell it.
    fn search(&mut self, within: &Bounds, should_stop: &dyn Fn() -> bool) -> Option<Found> {
        let found = shortest(&mut self.engine, within, should_stop)?;
        let schedule = self.with_other_bounds(&found.schedule, within)?;
        Some(Found { schedule, ..found })
    }

    /// The schedule of the same execution where other faults are choices.
    fn with_other_bounds(&mut self, schedule: &Schedule, within: &Bounds) -> Option<Schedule> {
        let mut world = self.start();
        let mut indices = Vec::new();
        for index in schedule.indices() {
            let choice = self.engine.choices(&world, within).ok()?.get(index).copied()?;
            let all = self.engine.choices(&world, &self.bounds).ok()?;
            indices.push(u8::try_from(all.iter().position(|other| *other == choice)?).ok()?);
            let stepped = self.engine.take(&mut world, choice);
            // The last step is the one that breaks something, and the verdict on it is known.
            let _ = self.engine.judge(&mut world, &stepped.step(choice));
        }
        Some(Schedule::from_indices(indices))
    }
}
