//! What is wrong with a state: what a step has broken, what an end must not be, and whether a fresh process can start.

use crate::engine::{Engine, unfit};
use crate::script::{Action, Condition};
use crate::world::{Checker, Step, View, Violation, World};

impl<C: Checker> Engine<'_, C> {
    /// What is wrong with a program in this state.
    pub(crate) fn unfit(&self, world: &World<C::Memory>) -> Option<Violation> {
        (0..world.slots.len()).find_map(|slot| {
            self.running(world, slot)?;
            let fault = world.slots[slot].tasks.iter().find_map(|task| self.forest.fault(*task))?;
            Some(unfit(&self.setup.slots[slot].name, fault))
        })
    }

    /// Passes waits and looks for broken promises after a step.
    pub(crate) fn judge(&self, world: &mut World<C::Memory>, step: &Step<'_>) -> Result<(), Violation> {
        self.pass_waits(world);
        if let Some(violation) = self.unfit(world).or_else(|| self.stray(world, step.effects)) {
            return Err(violation);
        }
        let view = View { kernel: &world.kernel, slots: &world.slots };
        self.checker.step(&mut world.memory, &view, step)
    }

    /// Runs one slot alone until it can do nothing more or has said that it is ready.
    pub(crate) fn run_alone(&mut self, world: &mut World<C::Memory>, slot: usize) {
        self.start(world, slot, None);
        self.note(world);
        // Long enough for any start; a program that loops for ever is not ready, which is what is asked.
        for _ in 0..100_000 {
            let mut choices = Vec::new();
            self.steps_of(world, slot, &mut choices);
            let Some(choice) = choices.first() else { return };
            if world.slots[slot].ready {
                return;
            }
            self.take(world, *choice);
        }
    }

    /// Lets a fresh process start wherever nothing stands in its way, and has the checker judge it.
    pub(crate) fn probe(&mut self, world: &World<C::Memory>) -> Result<(), Violation> {
        let mut programs = (0..world.slots.len()).filter(|slot| self.setup.slots[*slot].program.is_some());
        if self.checker.probes().is_empty() || programs.all(|slot| world.slots[slot].process.is_none()) {
            return Ok(());
        }
        let checker = self.checker;
        for probe in checker.probes() {
            if !checker.is_free(*probe, &world.view()) {
                continue;
            }
            let mut alone = world.clone();
            self.run_alone(&mut alone, *probe);
            checker.probed(*probe, &alone.view())?;
        }
        Ok(())
    }

    /// Looks at a state in which nothing can happen by itself any more.
    pub(crate) fn end(&self, world: &World<C::Memory>) -> Result<usize, Violation> {
        // A fault may well keep a script from going on; without one, a wait that never ends is a mistake somewhere.
        if self.checker.minds_stuck_scripts()
            && world.kills == 0
            && world.power_losses == 0
            && let Some(action) = self.setup.script.get(world.position)
        {
            let says = format!("the script comes no further than {}", self.described(action));
            return Err(Violation { check: "stuck".to_owned(), says });
        }
        self.checker.end(&world.memory, &world.view())
    }

    fn described(&self, action: &Action) -> String {
        let name = |slot: &usize| self.setup.slots[*slot].name.as_str();
        match action {
            Action::Wait(Condition::AllSettled) => "`wait = \"settled\"`".to_owned(),
            Action::Wait(Condition::Settled(slot)) => format!("`wait = \"{}.settled\"`", name(slot)),
            Action::Wait(Condition::Ready(slot)) => format!("`wait = \"{}.ready\"`", name(slot)),
            Action::Wait(Condition::Gone(slot)) => format!("`wait = \"{}.gone\"`", name(slot)),
            Action::Wait(Condition::Told(slot, telling)) => {
                format!("`wait = \"{}.{}\"`", name(slot), telling.name())
            }
            Action::Recycle { old, .. } => format!("`recycle = \"{}\"`, which is not gone", name(old)),
            Action::Start(slot)
            | Action::Order(slot, _)
            | Action::Signal(slot, _)
            | Action::Open { slot, .. } => {
                format!("a step of {}", name(slot))
            }
            Action::Remove(_) => "the removal of files".to_owned(),
            Action::Operate(operation) => format!("`{operation}`"),
        }
    }
}
