//! A schedule spelled out for another machine: each step with the reply that this one gave and what is asked for next.
//!
//! A process is told by its slot and a task by the order in which its process has started it, because that is what the
//! process itself knows. Nothing is judged here: a plan goes on to its end, whatever a checker would say on the way.

use std::sync::Arc;

use portcullis_os::{Call, Pid};

use crate::commute::Unchecked;
use crate::engine::Engine;
use crate::explore::Bounds;
use crate::kernel::{Completion, Effect, Life};
use crate::replay::{What, Who};
use crate::schedule::Schedule;
use crate::script::Action;
use crate::world::{Choice, Setup, Stepped, Told, Violation, World};

/// One step of a schedule, and all that whoever takes it elsewhere has to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Who takes it.
    pub who: Who,
    /// What it is, with the reply of the simulated machine.
    pub what: What,
    /// Which task of the process takes it, in the order in which the process has started them; the main task is 0.
    pub task: u16,
    /// How the call comes to its end.
    pub how: Completion,
    /// The slot that is started, and the pid that its process gets.
    pub started: Option<(usize, Pid)>,
    /// What it changes.
    pub effects: Vec<Effect>,
    /// The slots whose process is alive, stopped or dead from here on and was not so before.
    pub fates: Vec<(usize, Life)>,
    /// What the tasks of the process that acts or is started have under way after it, ascending by task.
    pub asks: Vec<(u16, Call)>,
    /// The status with which this process will exit, once its main task is over.
    pub exit: Option<u8>,
}

/// One execution from its first step to its last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its steps, the setup first.
    pub steps: Vec<Planned>,
    /// How many of them belong to the setup.
    pub setup: usize,
    /// How many steps of the schedule were not taken, because there were no such choices.
    pub left_over: usize,
}

/// Spells out schedules of one setup. What it learns of the programs serves for all of them.
pub struct Planner<'a> {
    engine: Engine<'a, Unchecked>,
    kills: u8,
}

impl<'a> Planner<'a> {
    /// A planner of schedules in which at most so many processes are killed.
    pub fn new(setup: &'a Setup, kills: u8) -> Self {
        Self { engine: Engine::new(setup, &Unchecked), kills }
    }

    /// Takes a schedule and writes down its steps.
    ///
    /// # Errors
    ///
    /// What makes a program unfit to be run in the simulator, or the setup impossible.
    pub fn plan(&mut self, schedule: &Schedule) -> Result<Plan, Violation> {
        let mut world = self.engine.first();
        let mut record = Record::new(&world);
        let mut taken = Vec::new();
        self.engine.run_setup(&mut world, |world, choice, stepped| {
            taken.push((world.clone(), choice, stepped));
        })?;
        for (world, choice, stepped) in taken {
            record.add(&self.engine, &world, choice, stepped);
        }
        let setup = record.steps.len();
        let mut left_over = schedule.len();
        for index in schedule.indices() {
            let choices = self.engine.choices(&world, &Bounds::killing(self.kills))?;
            let Some(choice) = choices.get(index).copied() else { break };
            let stepped = self.engine.take(&mut world, choice);
            self.engine.judge(&mut world, &stepped.step(choice))?;
            record.add(&self.engine, &world, choice, stepped);
            left_over -= 1;
        }
        Ok(Plan { steps: record.steps, setup, left_over })
    }
}

impl std::fmt::Debug for Planner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planner").field("kills", &self.kills).finish_non_exhaustive()
    }
}

struct Record {
    steps: Vec<Planned>,
    lives: Vec<Option<Life>>,
}

impl Record {
    fn new(world: &World<()>) -> Self {
        Self { steps: Vec::new(), lives: vec![None; world.slots.len()] }
    }

    /// Writes down a step that has led to a state.
    fn add(
        &mut self,
        engine: &Engine<'_, Unchecked>,
        world: &World<()>,
        choice: Choice,
        Stepped { effects, told }: Stepped,
    ) {
        let who = Who::of(choice);
        let (mut task, mut how, mut started) = (0, Completion::Normal, None);
        let what = match told {
            Told::Call { task: number, call, reply } => {
                task = number;
                if let Choice::Run { how: ended, .. } = choice {
                    how = ended;
                }
                What::Call(Arc::unwrap_or_clone(call), Arc::unwrap_or_clone(reply))
            }
            Told::Execute => What::Execute,
            Told::Exit(status) => What::Exit(status),
            Told::Release(fd) => What::Release(fd),
            Told::Kill => What::Kill,
            Told::PowerLoss { outcome } => What::PowerLoss { outcome },
            Told::Restart(pid) => What::Restart(pid),
            Told::LosePatience => What::LosePatience,
            Told::Action(action) => {
                if let Action::Start(slot) | Action::Recycle { heir: slot, .. } | Action::Open { slot, .. } =
                    &action
                    && self.lives[*slot].is_none()
                    && let Some(process) = world.slots[*slot].process
                {
                    started = Some((*slot, world.kernel.pid(process)));
                }
                What::Action(action)
            }
        };
        let acting = match (who, started) {
            (Who::Slot(slot), _) | (_, Some((slot, _))) => Some(slot),
            (Who::Supervisor(slot), None) => Some(slot),
            (Who::Script | Who::Fault(_) | Who::Outage(_), None) => None,
        };
        let fates = self.fates(world);
        let asks = acting.map(|slot| Self::asks(engine, world, slot)).unwrap_or_default();
        let exit = acting.and_then(|slot| engine.exit(world, slot));
        self.steps.push(Planned { who, what, task, how, started, effects, fates, asks, exit });
    }

    fn fates(&mut self, world: &World<()>) -> Vec<(usize, Life)> {
        let mut fates = Vec::new();
        for (slot, before) in self.lives.iter_mut().enumerate() {
            let life = world.slots[slot].process.map(|process| world.kernel.life(process));
            if let Some(life) = life.filter(|_| life != *before) {
                fates.push((slot, life));
            }
            *before = life;
        }
        fates
    }

    fn asks(engine: &Engine<'_, Unchecked>, world: &World<()>, slot: usize) -> Vec<(u16, Call)> {
        let mut asks: Vec<(u16, Call)> = Vec::new();
        for state in &world.slots[slot].tasks {
            if let Some(call) = engine.call(*state) {
                asks.push((state.number, call.clone()));
            }
        }
        asks.sort_unstable_by_key(|(task, _)| *task);
        asks
    }
}
