//! What supervisors do to the processes of an execution.
//!
//! A supervisor acts on a timer, so what it does is a choice that may come at any time from then on. The clock is moved to
//! the instant that the timer was set to, unless it is past it: what takes no step takes no time, the intervals that
//! supervisors count in are exact, and there are finitely many instants.

use portcullis_os::{Ending, Pid};

use crate::engine::Engine;
use crate::kernel::{HostId, ProcessId};
use crate::supervisor::{Leftover, Order, Phase, Reaction, Recipients, Supervision, Supervisor};
use crate::world::{Checker, Choice, World};

impl<C: Checker> Engine<'_, C> {
    /// What the supervisor of a slot could do next.
    pub(crate) fn supervisor_choices(&self, world: &World<C::Memory>, slot: usize) -> Vec<Choice> {
        match world.slots[slot].supervision.map(|known| known.phase) {
            None | Some(Phase::Resting(_) | Phase::Watching) => Vec::new(),
            Some(Phase::Waiting { .. }) if self.is_cut(world, slot) => Vec::new(),
            Some(Phase::Waiting { .. }) => {
                let pids = self.free_pids(world, slot).into_iter().map(Some);
                std::iter::once(None).chain(pids).map(|pid| Choice::Restart { slot, pid }).collect()
            }
            Some(Phase::Stopping { kill_ms, .. } | Phase::Clearing { kill_ms, .. }) => {
                kill_ms.map(|_| Choice::LosePatience { slot }).into_iter().collect()
            }
        }
    }

    /// The pids that were given before and are free for the next process of a slot, ascending.
    fn free_pids(&self, world: &World<C::Memory>, slot: usize) -> Vec<Pid> {
        let template = &self.setup.slots[slot];
        if !template.supervisor.as_ref().is_some_and(|supervised| supervised.reuses_pids) {
            return Vec::new();
        }
        let (kernel, pids) = (&world.kernel, template.spawn.place.pids);
        let were_here = kernel.processes().filter(|process| kernel.place(*process).pids == pids);
        let mut free: Vec<Pid> = were_here
            .map(|process| kernel.pid(process))
            .filter(|pid| kernel.process_in(pids, *pid).is_none())
            .collect();
        free.sort_unstable();
        free.dedup();
        free
    }

    /// The slots whose supervisors would start more processes than there may be.
    pub(crate) fn cut(&self, world: &World<C::Memory>) -> Vec<usize> {
        (0..world.slots.len()).filter(|slot| self.is_cut(world, *slot)).collect()
    }

    fn is_cut(&self, world: &World<C::Memory>, slot: usize) -> bool {
        let (Some(supervised), Some(mut known)) =
            (&self.setup.slots[slot].supervisor, world.slots[slot].supervision)
        else {
            return false;
        };
        let Phase::Waiting { until_ms } = known.phase else { return false };
        let now_ms = self.now_ms(world, slot).max(until_ms);
        world.view().starts(slot) >= usize::from(supervised.most_starts)
            && supervised.by.resume(&mut known, now_ms) == Reaction::Start
    }

    /// Whether the supervisor of a slot, asked to, starts a process at once.
    pub(crate) fn asked_to_start(&self, world: &mut World<C::Memory>, slot: usize) -> bool {
        self.react(world, slot, Supervisor::start) == Reaction::Start
    }

    /// An operator gives an order to the supervisor of a slot. Without one nothing happens.
    pub(crate) fn order(&self, world: &mut World<C::Memory>, slot: usize, order: Order) {
        let reaction = self.react(world, slot, |by, known, now_ms| by.order(known, order, now_ms));
        self.follow(world, slot, reaction);
    }

    /// The timer of a restart has run out.
    pub(crate) fn restart(&self, world: &mut World<C::Memory>, slot: usize, pid: Option<Pid>) {
        if let Some(Phase::Waiting { until_ms }) = world.slots[slot].supervision.map(|known| known.phase) {
            self.let_pass(world, slot, until_ms);
        }
        match self.react(world, slot, Supervisor::resume) {
            Reaction::Start => self.launch(world, slot, pid),
            other @ (Reaction::Nothing | Reaction::Send(..)) => self.follow(world, slot, other),
        }
    }

    /// The time that a process had to end has run out.
    pub(crate) fn lose_patience(&self, world: &mut World<C::Memory>, slot: usize) {
        if let Some(
            Phase::Stopping { kill_ms: Some(kill_ms), .. } | Phase::Clearing { kill_ms: Some(kill_ms), .. },
        ) = world.slots[slot].supervision.map(|known| known.phase)
        {
            self.let_pass(world, slot, kill_ms);
        }
        let reaction = self.react(world, slot, Supervisor::lose_patience);
        self.follow(world, slot, reaction);
    }

    /// The process of a slot is dead.
    pub(crate) fn tell_of_exit(&self, world: &mut World<C::Memory>, slot: usize, ending: Ending) {
        let leftover =
            if Self::rest(world, slot).next().is_some() { Leftover::Somebody } else { Leftover::Nobody };
        let reaction =
            self.react(world, slot, |by, known, now_ms| by.on_exit(known, now_ms, ending, leftover));
        self.follow(world, slot, reaction);
        // It may have been the last one of somebody else's.
        if let Some(main) = world.slots[slot].service
            && Self::rest(world, main).next().is_none()
        {
            self.react(world, main, |by, known, now_ms| {
                by.on_empty(known, now_ms);
                Reaction::Nothing
            });
        }
    }

    /// The slots of the living processes that the process of a slot has started, be it dead or not.
    fn rest(world: &World<C::Memory>, main: usize) -> impl Iterator<Item = usize> {
        (0..world.slots.len())
            .filter(move |slot| world.slots[*slot].service == Some(main) && world.view().is_alive(*slot))
    }

    /// Why it is not known what the supervisor of a slot makes of the children of its process.
    pub(crate) fn unknown_group(&self, main: usize) -> Option<String> {
        let slot = &self.setup.slots[main];
        match &slot.supervisor.as_ref()?.by {
            Supervisor::Systemd(_) => None,
            Supervisor::Launchd(_) | Supervisor::TaskScheduler => {
                Some(format!("{}: what becomes of the children of its job is not modelled", slot.name))
            }
        }
    }

    /// A host has booted: its supervisors have forgotten everything and begin with what they had started before.
    pub(crate) fn boot(&self, world: &mut World<C::Memory>, host: HostId) {
        for (slot, template) in world.slots.iter_mut().zip(&self.setup.slots) {
            if let Some(supervised) = &template.supervisor
                && template.spawn.place.host == host
                && slot.process.is_some()
            {
                slot.supervision = Some(supervised.by.boot());
            }
        }
    }

    fn react(
        &self,
        world: &mut World<C::Memory>,
        slot: usize,
        react: impl FnOnce(&Supervisor, &mut Supervision, u64) -> Reaction,
    ) -> Reaction {
        let now_ms = self.now_ms(world, slot);
        match (&self.setup.slots[slot].supervisor, &mut world.slots[slot].supervision) {
            (Some(supervised), Some(known)) => react(&supervised.by, known, now_ms),
            (Some(_), None) | (None, _) => Reaction::Nothing,
        }
    }

    fn follow(&self, world: &mut World<C::Memory>, slot: usize, reaction: Reaction) {
        match reaction {
            Reaction::Nothing => {}
            Reaction::Start => self.launch(world, slot, None),
            Reaction::Send(recipients, signals) => {
                let (process, rest): (_, Vec<usize>) = match recipients {
                    Recipients::Process => (Some(slot), Vec::new()),
                    Recipients::Rest => (None, Self::rest(world, slot).collect()),
                    Recipients::All => (Some(slot), Self::rest(world, slot).collect()),
                };
                for process in process.into_iter().chain(rest).filter_map(|slot| world.slots[slot].process) {
                    for signal in signals {
                        world.kernel.signal(ProcessId::ENVIRONMENT, process, *signal);
                    }
                }
            }
        }
    }

    /// The time that the supervisor of a slot goes by.
    fn now_ms(&self, world: &World<C::Memory>, slot: usize) -> u64 {
        world.kernel.monotonic_ms(self.setup.slots[slot].spawn.place.host)
    }

    /// Moves the clocks until the one that the supervisor of a slot goes by shows an instant, unless it is past it.
    fn let_pass(&self, world: &mut World<C::Memory>, slot: usize, until_ms: u64) {
        let ahead_ms = until_ms.saturating_sub(self.now_ms(world, slot));
        world.kernel.advance(ahead_ms);
    }
}
