//! What becomes of the processes of an execution: who is born, what they say of themselves, how they come to their end.
//!
//! A process that another one starts gets the slot that is kept for its program. Until it has executed that program it
//! takes no other step, and holds everything that its parent held.

use std::sync::Arc;

use portcullis_os::{Fd, Notice, Signal};

use crate::engine::Engine;
use crate::kernel::{Effect, Life, ProcessId};
use crate::world::{Checker, Choice, Violation, World};

impl<C: Checker> Engine<'_, C> {
    /// Remembers what has happened, and what supervisors do about it at once. Answers all of it, in order.
    pub(crate) fn note(&self, world: &mut World<C::Memory>) -> Vec<Effect> {
        self.note_all(world, Vec::new())
    }

    /// Remembers what has happened and was taken from the machine already, and then as [`Engine::note`].
    pub(crate) fn note_all(&self, world: &mut World<C::Memory>, mut all: Vec<Effect>) -> Vec<Effect> {
        let mut noted = 0;
        loop {
            if world.kernel.has_effects() {
                all.extend(world.kernel.take_effects());
            }
            if noted == all.len() {
                break;
            }
            let end = all.len();
            for effect in &all[noted..] {
                self.remember(world, effect);
            }
            noted = end;
        }
        for slot in &mut world.slots {
            // How far its code had come makes no difference any more.
            if let (false, Some(process)) = (slot.tasks.is_empty(), slot.process)
                && matches!(world.kernel.life(process), Life::Dying(_) | Life::Dead(_))
            {
                slot.tasks.clear();
                slot.calls = 0;
            }
        }
        all
    }

    fn remember(&self, world: &mut World<C::Memory>, effect: &Effect) {
        let (Effect::Notified { process, .. }
        | Effect::Spawned { by: process, .. }
        | Effect::Died { process, .. }
        | Effect::Signalled { target: process, signal: Signal::Terminate | Signal::Interrupt, .. }) = effect
        else {
            return;
        };
        let Some(slot) = world.view().slot_of(*process) else { return };
        if let Effect::Spawned { child, .. } = effect {
            self.take_in(world, slot, *child);
        }
        if let Effect::Died { how, .. } = effect {
            self.tell_of_exit(world, slot, *how);
        }
        let state = &mut world.slots[slot];
        if matches!(effect, Effect::Signalled { .. }) {
            state.asked = true;
        }
        let Effect::Notified { notice, .. } = effect else { return };
        match notice {
            Notice::Owner(ownership) => state.owner = Some(Arc::new(ownership.clone())),
            Notice::Ready => state.ready = true,
            Notice::Refused { code, holder } => {
                state.refused = Some((Arc::from(code.as_str()), *holder));
            }
            Notice::Noted(_) => {}
            Notice::Released => {
                state.owner = None;
                state.released = self.setup.script.minds_release(slot);
            }
        }
    }

    /// Gives a child that was just born the first free slot that is kept for its program.
    fn take_in(&self, world: &mut World<C::Memory>, parent: usize, child: ProcessId) {
        let Some(program) = world.kernel.exec_pending(child).and_then(<[String]>::first) else { return };
        let is_kept = |slot: &usize| {
            self.setup.slots[*slot].spawned_as.as_ref() == Some(program)
                && world.slots[*slot].process.is_none()
        };
        let Some(slot) = (0..world.slots.len()).find(is_kept) else { return };
        let service = world.slots[parent].service;
        let parent_is_main = world.slots[parent].supervision.map(|_| parent);
        let state = &mut world.slots[slot];
        state.process = Some(child);
        state.service = service.or(parent_is_main);
    }

    /// A child that has no slot to live in: what it would do is not known.
    pub(crate) fn stray(&self, world: &World<C::Memory>, effects: &[Effect]) -> Option<Violation> {
        effects.iter().find_map(|effect| {
            let Effect::Spawned { by, child } = effect else { return None };
            let command = world.kernel.exec_pending(*child)?;
            let parent = world.view().slot_of(*by)?;
            let name = &self.setup.slots[parent].name;
            if world.view().slot_of(*child).is_none() {
                let says = format!("{name}: starts `{}`, for which there is no free slot", command.join(" "));
                return Some(Violation { check: "explorable".to_owned(), says });
            }
            let child = world.view().slot_of(*child)?;
            let says = self.unknown_group(world.slots[child].service?)?;
            Some(Violation { check: "explorable".to_owned(), says })
        })
    }

    /// That a child may execute its program now.
    pub(crate) fn execution(&self, world: &World<C::Memory>, slot: usize) -> Option<Choice> {
        let process = world.slots[slot].process?;
        world.kernel.exec_pending(process)?;
        (world.kernel.life(process) == Life::Running).then_some(Choice::Execute { slot })
    }

    /// Makes a child the program of its slot.
    pub(crate) fn execute(&self, world: &mut World<C::Memory>, slot: usize) {
        let Some(process) = world.slots[slot].process else { return };
        world.kernel.exec_spawned(process);
        world.slots[slot].tasks = self.first_tasks(slot);
    }

    /// What a dying process may lose next.
    pub(crate) fn releases(world: &World<C::Memory>, slot: usize) -> impl Iterator<Item = Choice> + use<C> {
        let fds: Vec<Fd> =
            world.slots[slot].process.map(|process| world.kernel.releasable(process)).unwrap_or_default();
        fds.into_iter().map(move |fd| Choice::Release { slot, fd })
    }
}
