//! One execution again, step for step, with everything that a reader of it may ask.

use std::sync::Arc;

use portcullis_os::{Call, Errno, Fd, Pid, Reply};

use crate::engine::Engine;
use crate::explore::Bounds;
use crate::kernel::{Effect, HostId, Kernel};
use crate::liveness::endless;
use crate::schedule::Schedule;
use crate::script::Action;
use crate::shared::Shared;
use crate::world::{Answered, Checker, Choice, Setup, SlotState, Stepped, Told, View, Violation, World};

/// Who took a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The process of a slot.
    Slot(usize),
    /// The script.
    Script,
    /// The supervisor of the process of a slot.
    Supervisor(usize),
    /// The explorer, by a fault in the process of a slot.
    Fault(usize),
    /// The explorer, by a fault of a host.
    Outage(HostId),
}

impl Who {
    pub(crate) const fn of(choice: Choice) -> Self {
        match choice {
            Choice::Run { slot, .. }
            | Choice::Execute { slot }
            | Choice::Exit { slot }
            | Choice::Release { slot, .. } => Self::Slot(slot),
            Choice::Script => Self::Script,
            Choice::Restart { slot, .. } | Choice::LosePatience { slot } => Self::Supervisor(slot),
            Choice::Kill { slot } => Self::Fault(slot),
            Choice::PowerLoss { host, .. } => Self::Outage(host),
        }
    }
}

/// What a step was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A call and its reply.
    Call(Call, Result<Reply, Errno>),
    /// The process executed the program that it was made for.
    Execute,
    /// The process exited.
    Exit(u8),
    /// The process, which was dying, lost a descriptor.
    Release(Fd),
    /// The script acted.
    Action(Action),
    /// The supervisor's timer has run out: it started the process again, with this pid if one is named, unless
    /// it had done so too often.
    Restart(Option<Pid>),
    /// The supervisor has killed a process that did not end when it was asked to.
    LosePatience,
    /// The process was killed.
    Kill,
    /// The power failed and came back.
    PowerLoss {
        /// To which of [`Kernel::power_loss_outcomes`].
        outcome: usize,
    },
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
    pub slots: Vec<Shared<SlotState>>,
    /// Whether it belongs to the setup, where nothing was chosen.
    pub in_setup: bool,
    /// Whether it took the turn from a process that could have gone on, or let a deadline pass while one could.
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
    /// The promise that its last step broke, or that is broken by going round for ever.
    pub violation: Option<Violation>,
    /// The first of the steps that are taken again and again, if that is what breaks the promise.
    pub repeats_from: Option<usize>,
    /// How many steps of the schedule were not taken, because the violation came before or because there were no such
    /// choices: then the program or the scenario has changed.
    pub left_over: usize,
}

impl Trace {
    /// How many faults, preemptions and steps it took, the setup not counted: what makes one execution less than another.
    pub fn cost(&self) -> (usize, usize, usize) {
        let count = |wanted: fn(&&TraceStep) -> bool| self.steps.iter().filter(wanted).count();
        let faults = count(|step| matches!(step.who, Who::Fault(_) | Who::Outage(_)));
        (faults, count(|step| step.is_preemption), count(|step| !step.in_setup))
    }
}

/// Takes one schedule again. The faults that `bounds` allows are those that it was found with, since they are choices
/// too; how far a search would go makes no difference.
pub fn replay<C: Checker>(setup: &Setup, checker: &C, bounds: &Bounds, schedule: &Schedule) -> Trace {
    let mut engine = Engine::new(setup, checker);
    let mut world = engine.first();
    let mut steps = Vec::new();
    let prepared = engine.run_setup(&mut world, |world, choice, stepped| {
        steps.push(record(world, choice, stepped, true, false));
    });
    if let Err(violation) = prepared {
        return Trace { steps, violation: Some(violation), repeats_from: None, left_over: schedule.len() };
    }
    let mut answered = Vec::new();
    let mut taken = 0;
    let mut violation = engine.look(&world, bounds).err();
    for index in schedule.indices() {
        if violation.is_some() {
            break;
        }
        let choices = engine.choices(&world, bounds).unwrap_or_default();
        let Some(choice) = choices.get(index).copied() else { break };
        let is_preemption = engine.preemption(&world, choice) > 0;
        let stepped = engine.take(&mut world, choice);
        taken += 1;
        answered.extend(stepped.answered(choice, &world));
        let verdict = engine.judge(&mut world, &stepped.step(choice));
        steps.push(record(&world, choice, stepped, false, is_preemption));
        violation = verdict.and_then(|()| engine.look(&world, bounds)).err();
    }
    let violation = violation.or_else(|| audit(&engine, setup, &answered).err());
    let left_over = schedule.len() - taken;
    let goes_on = violation.is_none() && left_over == 0;
    let endless = goes_on.then(|| endless(&mut engine, bounds, schedule)).flatten();
    let repeats_from = endless.as_ref().map(|(begin, _)| steps.len() - taken + begin);
    let violation = violation.or_else(|| endless.map(|(_, violation)| violation));
    Trace { steps, violation, repeats_from, left_over }
}

/// Runs every process again as a whole: what was learned of its tasks one by one must be what they do together.
fn audit<C: Checker>(engine: &Engine<'_, C>, setup: &Setup, answered: &[Answered]) -> Result<(), Violation> {
    for slot in 0..setup.slots.len() {
        let all = engine.prelude(slot).iter().chain(answered);
        let history: Vec<&Answered> = all.filter(|answered| answered.slot == slot).collect();
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
/// Any numbers will do, for instance those that a property test generates and shrinks: 0 lets whoever had the turn go on
/// if it can, so less and smaller picks are executions with fewer changes of turn, and those from 192 on are faults where
/// there can be one. Each is taken modulo the number of such choices. When they run out, the first choice that is no fault
/// is taken.
pub fn walk<C: Checker>(setup: &Setup, checker: &C, bounds: &Bounds, picks: &[u8]) -> Walk {
    let mut engine = Engine::new(setup, checker);
    let mut world = engine.first();
    let mut indices = Vec::new();
    let prepared = engine.run_setup(&mut world, |_, _, _| {});
    let mut picks = picks.iter().copied().map(usize::from);
    let step = |world: &World<C::Memory>, choices: &[Choice]| {
        let picked = pick(choices, world.last, &mut picks).filter(|_| indices.len() < MOST_STEPS)?;
        indices.push(u8::try_from(picked).unwrap_or(u8::MAX));
        Some(picked)
    };
    // What is broken on the way is told by the replay.
    let _ = prepared.and_then(|()| engine.walk(&mut world, bounds, step));
    let schedule = Schedule::from_indices(indices);
    Walk { trace: replay(setup, checker, bounds, &schedule), schedule }
}

/// The picks from here on are faults.
const FIRST_FAULT: usize = 192;

/// Which choice a pick is. `None` if nothing happens by itself any more and no pick says otherwise.
fn pick(choices: &[Choice], last: Option<usize>, picks: &mut impl Iterator<Item = usize>) -> Option<usize> {
    let places = |wanted: &dyn Fn(Choice) -> bool| -> Vec<usize> {
        (0..choices.len()).filter(|place| wanted(choices[*place])).collect()
    };
    let goes_on = |choice: Choice| last.is_some() && choice.runs() == last && !choice.is_fault();
    let mut steps = places(&goes_on);
    steps.extend(places(&|choice| !goes_on(choice) && !choice.is_fault()));
    let faults = places(&|choice| choice.is_fault());
    // Faults have picks of their own, so that what a pick means does not depend on how many of them there can be.
    match picks.next() {
        Some(pick) if !faults.is_empty() && pick >= FIRST_FAULT => {
            Some(faults[(pick - FIRST_FAULT) % faults.len()])
        }
        Some(pick) if !steps.is_empty() => Some(steps[pick % steps.len()]),
        Some(_) | None => steps.iter().min().copied(),
    }
}

/// Longer than any start: a program that loops for ever is cut here.
const MOST_STEPS: usize = 100_000;

fn record<M>(
    world: &World<M>,
    choice: Choice,
    stepped: Stepped,
    in_setup: bool,
    is_preemption: bool,
) -> TraceStep {
    let who = Who::of(choice);
    let what = match stepped.told {
        Told::Call { call, reply, .. } => What::Call(Arc::unwrap_or_clone(call), Arc::unwrap_or_clone(reply)),
        Told::Execute => What::Execute,
        Told::Release(fd) => What::Release(fd),
        Told::Exit(status) => What::Exit(status),
        Told::Action(action) => What::Action(action),
        Told::Restart(pid) => What::Restart(pid),
        Told::LosePatience => What::LosePatience,
        Told::Kill => What::Kill,
        Told::PowerLoss { outcome } => What::PowerLoss { outcome },
    };
    let (kernel, slots) = (Kernel::clone(&world.kernel), world.slots.clone());
    TraceStep { who, what, effects: stepped.effects, kernel, slots, in_setup, is_preemption }
}
