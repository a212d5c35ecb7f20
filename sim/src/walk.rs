//! One execution, taken by picking a step wherever there is a choice.

use crate::engine::Engine;
use crate::explore::Bounds;
use crate::world::{Checker, Choice, Violation, World};

impl<C: Checker> Engine<'_, C> {
    /// Takes what is picked of each state's choices, until nothing is picked. Nothing is asked of a state but whether the step
    /// there has broken anything.
    ///
    /// # Errors
    ///
    /// What a step has broken, or why the choices of a state are not known.
    pub(crate) fn walk(
        &mut self,
        world: &mut World<C::Memory>,
        bounds: &Bounds,
        mut pick: impl FnMut(&World<C::Memory>, &[Choice]) -> Option<usize>,
    ) -> Result<(), Violation> {
        loop {
            let choices = self.choices(world, bounds)?;
            let Some(index) = pick(world, &choices) else { return Ok(()) };
            let stepped = self.take(world, choices[index]);
            self.judge(world, &stepped.step(choices[index]))?;
        }
    }

    /// What a search asks of each state besides the verdict on the step there.
    ///
    /// # Errors
    ///
    /// The promise that is broken.
    pub(crate) fn look(&mut self, world: &World<C::Memory>, bounds: &Bounds) -> Result<(), Violation> {
        self.probe(world)?;
        if self.choices(world, bounds)?.iter().all(|choice| choice.is_fault()) {
            self.end(world)?;
        }
        Ok(())
    }
}
