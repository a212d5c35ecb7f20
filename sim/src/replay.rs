//! One execution again, step for step, with everything that a reader of it may ask.

use std::sync::Arc;

use portcullis_os::{Call, Errno, Reply};

use crate::engine::Engine;
use crate::kernel::{Effect, Kernel};
use crate::learn::{Answer, TreeId};
use crate::schedule::Schedule;
use crate::script::Action;
use crate::world::{Checker, Choice, Setup, SlotState, Stepped, Told, View, Violation, World};

/// Who took a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The process of a slot.
    Slot(usize),
    /// The script.
    Script,
    /// The explorer, by a fault in the process of a slot.
    Fault(usize),
}

/// What a step was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A call and its reply.
    Call(Call, Result<Reply, Errno>),
    /// The process exited.
    Exit(u8),
    /// The script acted.
    Action(Action),
    /// The process was killed.
    Kill,
}

/// One step of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceStep {
    /// Who took it.
    pub who: Who,
    /// What it was.
    pub what: What,
    /// What it changed.
    pub effects: Vec<Effect>,
    /// The machine after it.
    pub kernel: Kernel,
    /// The slots after it.
    pub slots: Vec<SlotState>,
    /// Whether it belongs to the setup, where nothing was chosen.
    pub in_setup: bool,
    /// Whether it took the turn from a process that could have gone on.
    pub is_preemption: bool,
}

impl TraceStep {
    /// The state after it.
    pub fn view(&self) -> View<'_> {
        View { kernel: &self.kernel, slots: &self.slots }
    }
}

/// One execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Its steps, the setup first.
    pub steps: Vec<TraceStep>,
    /// The promise that its last step broke.
    pub violation: Option<Violation>,
    /// How many steps of the schedule were not taken, because the violation came before or because there were no such
    /// choices: then the program or the scenario has changed.
    pub left_over: usize,
}

/// Takes one schedule again.
pub fn replay<C: Checker>(setup: &Setup, checker: &C, kills: u8, schedule: &Schedule) -> Trace {
    let mut engine = Engine::new(setup, checker);
    let mut world = engine.first();
    let mut steps = Vec::new();
    let prepared = engine.run_setup(&mut world, |world, choice, stepped| {
        steps.push(record(world, choice, stepped, true, false));
    });
    if let Err(violation) = prepared {
        return Trace { steps, violation: Some(violation), left_over: schedule.len() };
    }
    let mut answered = vec![Vec::new(); setup.slots.len()];
    let mut taken = 0;
    let mut violation = look(&mut engine, &world, kills).err();
    for index in schedule.indices() {
        if violation.is_some() {
            break;
        }
        let Some(choice) = engine.choices(&world, kills).get(index).copied() else { break };
        let is_preemption = engine.preemption(&world, choice) > 0;
        let stepped = engine.take(&mut world, choice);
        taken += 1;
        if let (Choice::Run { slot, .. }, Told::Call { task, reply, .. }) = (choice, &stepped.told) {
            answered[slot].push((*task, reply.clone()));
        }
        let verdict = engine.judge(&mut world, &stepped.step(choice));
        steps.push(record(&world, choice, stepped, false, is_preemption));
        violation = verdict.and_then(|()| look(&mut engine, &world, kills)).err();
    }
    let violation = violation.or_else(|| audit(&engine, answered).err());
    Trace { steps, violation, left_over: schedule.len() - taken }
}

/// Runs every process again as a whole: what was learned of its tasks one by one must be what they do together.
fn audit<C: Checker>(engine: &Engine<'_, C>, answered: Vec<Vec<(TreeId, Answer)>>) -> Result<(), Violation> {
    for (slot, answers) in answered.into_iter().enumerate() {
        let history: Vec<_> = engine.prelude(slot).iter().cloned().chain(answers).collect();
        engine.audit(slot, &history)?;
    }
    Ok(())
}

/// One execution whose choices came from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// What was done.
    pub trace: Trace,
    /// Which choices these were: [`replay`] takes the same steps again.
    pub schedule: Schedule,
}

/// Takes one execution to its end, by picking a step wherever there is a choice.
///
/// Each pick is taken modulo the number of choices, so any numbers will do, for instance those that a property test
/// generates and shrinks. When they run out, the first choice that is no fault is taken.
pub fn walk<C: Checker>(setup: &Setup, checker: &C, kills: u8, picks: &[u8]) -> Walk {
    let mut engine = Engine::new(setup, checker);
    let mut world = engine.first();
    let mut indices = Vec::new();
    let prepared = engine.run_setup(&mut world, |_, _, _| {});
    let mut picks = picks.iter();
    while prepared.is_ok() && indices.len() < MOST_STEPS {
        let choices = engine.choices(&world, kills);
        let harmless = choices.iter().filter(|choice| !matches!(choice, Choice::Kill { .. })).count();
        let picked = match picks.next() {
            Some(pick) if !choices.is_empty() => usize::from(*pick) % choices.len(),
            None if harmless > 0 => 0,
            Some(_) | None => break,
        };
        let stepped = engine.take(&mut world, choices[picked]);
        indices.push(u8::try_from(picked).unwrap_or(u8::MAX));
        if engine.judge(&mut world, &stepped.step(choices[picked])).is_err() {
            break;
        }
    }
    let schedule = Schedule::from_indices(indices);
    Walk { trace: replay(setup, checker, kills, &schedule), schedule }
}

/// Longer than any start: a program that loops for ever is cut here.
const MOST_STEPS: usize = 100_000;

/// What the search asks of each state besides the verdict on the step.
fn look<C: Checker>(
    engine: &mut Engine<'_, C>,
    world: &World<C::Memory>,
    kills: u8,
) -> Result<(), Violation> {
    engine.probe(world)?;
    if engine.choices(world, kills).iter().all(|choice| matches!(choice, Choice::Kill { .. })) {
        engine.end(world)?;
    }
    Ok(())
}

fn record<M>(
    world: &World<M>,
    choice: Choice,
    stepped: Stepped,
    in_setup: bool,
    is_preemption: bool,
) -> TraceStep {
    let who = match choice {
        Choice::Run { slot, .. } | Choice::Exit { slot } => Who::Slot(slot),
        Choice::Script => Who::Script,
        Choice::Kill { slot } => Who::Fault(slot),
    };
    let what = match stepped.told {
        Told::Call { call, reply, .. } => What::Call(Arc::unwrap_or_clone(call), reply),
        Told::Exit(status) => What::Exit(status),
        Told::Action(action) => What::Action(action),
        Told::Kill => What::Kill,
    };
    let (kernel, slots) = (world.kernel.clone(), world.slots.clone());
    TraceStep { who, what, effects: stepped.effects, kernel, slots, in_setup, is_preemption }
}
