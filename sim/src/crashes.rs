//! What becomes of the next starter after a starter has died, for each call after which it may have died.
//!
//! Both run alone, one after the other, so this is a table and no search: what a death leaves behind, and who can live with
//! it. What others do meanwhile is a matter of [`explore`](crate::explore()).

use std::sync::Arc;

use portcullis_os::{Call, Errno, Reply};

use crate::engine::Engine;
use crate::explore::Bounds;
use crate::kernel::Kernel;
use crate::shared::Shared;
use crate::world::{Checker, Choice, Setup, SlotState, Told, View, Violation, World};

/// One death.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// The last call of the one that died, and what it was answered; `None`: it died before its first call.
    pub after: Option<(Call, Result<Reply, Errno>)>,
    /// The machine at the death, before the next one starts.
    pub left: Moment,
    /// The machine when the next one has come as far as it comes alone.
    pub next: Moment,
    /// How many calls the next one has made.
    pub calls: u32,
    /// Why it makes no more.
    pub halt: Halt,
}

/// The machine at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The machine.
    pub kernel: Kernel,
    /// Every process.
    pub slots: Vec<Shared<SlotState>>,
}

impl Moment {
    /// As a checker sees it.
    pub fn view(&self) -> View<'_> {
        View { kernel: &self.kernel, slots: &self.slots }
    }
}

/// Why a process that runs alone makes no more calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// It has said that it is ready.
    Ready,
    /// It is over, or waits for somebody.
    Still,
    /// It would go on for ever.
    Never,
}

/// More calls than any start takes.
const MOST_CALLS: u32 = 100_000;

/// Starts a process after the setup, kills it after each of its calls in turn, until it is ready or makes no more, and lets
/// another one start each time.
///
/// # Errors
///
/// The promise that the setup breaks, or that one of the two cannot be explored.
pub fn crashes<C: Checker>(
    setup: &Setup,
    checker: &C,
    starter: usize,
    next: usize,
) -> Result<Vec<Crash>, Violation> {
    let mut engine = Engine::new(setup, checker);
    let mut world = engine.first();
    engine.run_setup(&mut world, |_, _, _| {})?;
    engine.start(&mut world, starter, None);
    engine.note(&mut world);
    let mut crashes = Vec::new();
    let mut after = None;
    loop {
        crashes.push(crash(&mut engine, &world, (starter, next), after)?);
        if crashes.len() > MOST_CALLS as usize || world.slots[starter].ready {
            return Ok(crashes);
        }
        let call = loop {
            let Some(told) = step(&mut engine, &mut world, starter)? else { return Ok(crashes) };
            if let Told::Call { call, reply, .. } = told {
                break (Arc::unwrap_or_clone(call), Arc::unwrap_or_clone(reply));
            }
        };
        after = Some(call);
    }
}

fn crash<C: Checker>(
    engine: &mut Engine<'_, C>,
    world: &World<C::Memory>,
    (starter, next): (usize, usize),
    after: Option<(Call, Result<Reply, Errno>)>,
) -> Result<Crash, Violation> {
    let mut world = world.clone();
    if world.view().can_act(starter) {
        engine.take(&mut world, Choice::Kill { slot: starter });
    }
    // A slow death is a death all the same.
    while let Some(release) = Engine::<C>::releases(&world, starter).next() {
        engine.take(&mut world, release);
    }
    let left = moment(&world);
    engine.start(&mut world, next, None);
    engine.note(&mut world);
    let mut calls = 0;
    let halt = loop {
        if world.slots[next].ready {
            break Halt::Ready;
        }
        if calls >= MOST_CALLS {
            break Halt::Never;
        }
        match step(engine, &mut world, next)? {
            Some(Told::Call { .. }) => calls += 1,
            Some(_) => {}
            None => break Halt::Still,
        }
    };
    Ok(Crash { after, left, next: moment(&world), calls, halt })
}

/// The next step of the program of a slot, if it has one: the first, as wherever a process runs alone.
fn step<C: Checker>(
    engine: &mut Engine<'_, C>,
    world: &mut World<C::Memory>,
    slot: usize,
) -> Result<Option<Told>, Violation> {
    let choices = engine.choices(world, &Bounds::killing(0))?;
    let Some(choice) = choices.into_iter().find(|choice| choice.runs() == Some(slot)) else {
        return Ok(None);
    };
    let stepped = engine.take(world, choice);
    if let Some(violation) = engine.unfit(world) {
        return Err(violation);
    }
    Ok(Some(stepped.told))
}

fn moment<M>(world: &World<M>) -> Moment {
    Moment { kernel: Kernel::clone(&world.kernel), slots: world.slots.clone() }
}
