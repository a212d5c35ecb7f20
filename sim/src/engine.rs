//! What could happen next in a state, and how it happens.

use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_os::{Call, Pid};

use crate::explore::Bounds;
use crate::fault::Fault;
use crate::kernel::{Completion, Effect, HostId, Life, ProcessId, Readiness, Spawn};
use crate::learn::{Answer, Forest, NodeId, TaskState, TreeId};
use crate::operator::Operation;
use crate::outage::Outages;
use crate::performed::{Deed, Performed};
use crate::script::{Action, Condition, Telling};
use crate::shared::Shared;
use crate::supervisor::Supervision;
use crate::world::{Answered, Checker, Choice, Setup, SlotState, Stepped, Told, Violation, World};

/// Lists and carries out what can happen.
pub(crate) struct Engine<'a, C: Checker> {
    pub(crate) setup: &'a Setup,
    pub(crate) checker: &'a C,
    pub(crate) forest: Forest,
    mains: Vec<Option<NodeId>>,
    /// What the tasks of each slot were answered during the setup.
    preludes: Vec<Vec<Answered>>,
    outages: Outages,
    performed: Performed,
}

impl<'a, C: Checker> Engine<'a, C> {
    pub(crate) fn new(setup: &'a Setup, checker: &'a C) -> Self {
        let mut forest = Forest::default();
        let mains = setup
            .slots
            .iter()
            .map(|slot| slot.program.as_ref().map(|program| forest.plant(program)))
            .collect();
        let preludes = vec![Vec::new(); setup.slots.len()];
        Self { setup, checker, forest, mains, preludes, outages: Outages::new(), performed: Performed::new() }
    }

    /// One that carries out each call anew, even where it has done so on the same machine before.
    pub(crate) fn forgetful(setup: &'a Setup, checker: &'a C) -> Self {
        Self { performed: Performed::nothing(), ..Self::new(setup, checker) }
    }

    /// Merges the histories that lead to the same behaviour, as far as that is known. Answers whether that was possible with
    /// so much effort; if not, none are merged.
    pub(crate) fn minimise(&mut self, most: usize) -> bool {
        self.forest.minimise(most)
    }

    /// Takes apart what was merged.
    pub(crate) fn part(&mut self) {
        self.forest.part();
    }

    /// Whether a history was executed since histories were merged.
    pub(crate) fn has_grown(&self) -> bool {
        self.forest.has_grown
    }

    /// How many histories of programs were executed.
    pub(crate) fn histories(&self) -> usize {
        self.forest.histories()
    }

    /// What the tasks of a slot were answered during the setup.
    pub(crate) fn prelude(&self, slot: usize) -> &[Answered] {
        &self.preludes[slot]
    }

    /// Compares what was explored of each process of a slot with one run of it as a whole.
    pub(crate) fn audit(&self, slot: usize, history: &[&Answered]) -> Result<(), Violation> {
        let Some(main) = self.mains[slot] else { return Ok(()) };
        let name = &self.setup.slots[slot].name;
        let audit = |history: &[(u16, &Answer)]| {
            self.forest.audit(main, history).map_err(|fault| unfit(name, &fault))
        };
        if history.is_empty() {
            return audit(&[]);
        }
        history.chunk_by(|one, next| one.life == next.life).try_for_each(|life| {
            let life: Vec<_> = life.iter().map(|answered| (answered.task, &*answered.answer)).collect();
            audit(&life)
        })
    }

    pub(crate) fn first(&self) -> World<C::Memory> {
        World {
            kernel: Shared::new(self.setup.kernel.clone()),
            slots: self
                .setup
                .slots
                .iter()
                .map(|slot| {
                    Shared::new(SlotState {
                        process: None,
                        past: Vec::new(),
                        supervision: slot.supervisor.as_ref().map(|_| Supervision::NEW),
                        service: None,
                        owner: None,
                        ready: false,
                        refused: None,
                        released: false,
                        asked: false,
                        calls: 0,
                        tasks: Vec::new(),
                    })
                })
                .collect(),
            position: 0,
            kills: 0,
            power_losses: 0,
            memory: self.checker.start(),
            last: None,
        }
    }

    pub(crate) fn running(&self, world: &World<C::Memory>, slot: usize) -> Option<ProcessId> {
        let process = world.slots[slot].process?;
        (self.mains[slot].is_some() && world.kernel.life(process) == Life::Running).then_some(process)
    }

    /// What the program of a slot could do next.
    pub(crate) fn steps_of(&self, world: &World<C::Memory>, slot: usize, choices: &mut Vec<Choice>) {
        choices.extend(self.execution(world, slot));
        let Some(process) = self.running(world, slot) else { return };
        for (task, state) in world.slots[slot].tasks.iter().enumerate() {
            let Some(call) = self.forest.call(*state) else { continue };
            let how = match world.kernel.readiness(process, call) {
                Readiness::Ready => Completion::Normal,
                Readiness::WaitsUntilDeadline => Completion::TimedOut,
                Readiness::Waits => continue,
            };
            choices.push(Choice::Run { slot, task, how });
        }
        if self.exit(world, slot).is_some() {
            choices.push(Choice::Exit { slot });
        }
    }

    /// The call that a task has under way.
    pub(crate) fn call(&self, task: TaskState) -> Option<&Call> {
        self.forest.call(task).map(|call| &**call)
    }

    /// Which task of which program it is.
    pub(crate) fn tree(&self, task: TaskState) -> TreeId {
        self.forest.tree(task)
    }

    /// The status with which the process of a slot exits next, if its main task is over.
    pub(crate) fn exit(&self, world: &World<C::Memory>, slot: usize) -> Option<u8> {
        world.slots[slot].tasks.first().and_then(|main| self.forest.exit(*main))
    }

    /// Whether a program could take a step now.
    pub(crate) fn can_step(&self, world: &World<C::Memory>, slot: usize) -> bool {
        let mut choices = Vec::new();
        self.steps_of(world, slot, &mut choices);
        !choices.is_empty()
    }

    /// Everything that could happen next, in a fixed order; faults are last.
    ///
    /// # Errors
    ///
    /// If a loss of power has more outcomes than are explored.
    pub(crate) fn choices(
        &mut self,
        world: &World<C::Memory>,
        bounds: &Bounds,
    ) -> Result<Vec<Choice>, Violation> {
        let mut choices = Vec::new();
        if self.checker.is_over(&world.memory) {
            return Ok(choices);
        }
        for slot in 0..world.slots.len() {
            self.steps_of(world, slot, &mut choices);
        }
        if self.script_is_ready(world) {
            choices.push(Choice::Script);
        }
        for slot in 0..world.slots.len() {
            choices.extend(self.supervisor_choices(world, slot));
            choices.extend(Self::releases(world, slot));
        }
        if self.setup.script.is_setup(world.position) {
            return Ok(choices);
        }
        if world.kills < bounds.kills {
            let alive = (0..world.slots.len())
                .filter(|slot| self.mains[*slot].is_some() && world.view().can_act(*slot));
            choices.extend(alive.map(|slot| Choice::Kill { slot }));
        }
        if world.power_losses < bounds.power_losses {
            for host in self.hosts(world) {
                let outcomes = 0..self.outages.count(&world.kernel, host)?;
                choices.extend(outcomes.map(|outcome| Choice::PowerLoss { host, outcome }));
            }
        }
        Ok(choices)
    }

    /// The hosts that a process has run on, ascending. On others there is nothing to lose.
    fn hosts(&self, world: &World<C::Memory>) -> BTreeSet<HostId> {
        let started = world.slots.iter().zip(&self.setup.slots).filter(|(state, _)| state.process.is_some());
        started.map(|(_, slot)| slot.spawn.place.host).collect()
    }

    fn script_is_ready(&self, world: &World<C::Memory>) -> bool {
        match self.setup.script.get(world.position) {
            None | Some(Action::Wait(_)) => false,
            Some(Action::Recycle { old, .. }) => world.slots[*old].process.is_some_and(|process| {
                matches!(world.kernel.life(process), Life::Dead(_))
                    && world.kernel.process_of(world.kernel.pid(process)).is_none()
            }),
            Some(
                Action::Start(_)
                | Action::Order(..)
                | Action::Signal(..)
                | Action::Open { .. }
                | Action::Remove(_)
                | Action::Operate(_),
            ) => true,
        }
    }

    /// Passes every wait whose condition holds: nobody can tell when a script passed one.
    pub(crate) fn pass_waits(&self, world: &mut World<C::Memory>) {
        while let Some(Action::Wait(condition)) = self.setup.script.get(world.position) {
            if !self.holds(world, condition) {
                return;
            }
            world.position += 1;
        }
    }

    fn holds(&self, world: &World<C::Memory>, condition: &Condition) -> bool {
        match condition {
            Condition::AllSettled => (0..world.slots.len())
                .all(|slot| world.slots[slot].process.is_none() || self.is_settled(world, slot)),
            Condition::Settled(slot) => world.slots[*slot].process.is_some() && self.is_settled(world, *slot),
            Condition::Ready(slot) => world.slots[*slot].ready && world.view().can_act(*slot),
            Condition::Gone(slot) => world.slots[*slot].process.is_some() && !world.view().is_alive(*slot),
            Condition::Told(slot, telling) => {
                let state = &world.slots[*slot];
                match telling {
                    Telling::Owner => state.owner.is_some() || state.released,
                    Telling::Draining => state.asked,
                    Telling::Released => state.released,
                    Telling::Refused => state.refused.is_some(),
                }
            }
        }
    }

    fn is_settled(&self, world: &World<C::Memory>, slot: usize) -> bool {
        let state = &world.slots[slot];
        let serves = state.ready && state.owner.is_some() && !state.asked;
        let moves = self.can_step(world, slot)
            || !self.supervisor_choices(world, slot).is_empty()
            || Self::releases(world, slot).next().is_some();
        serves || !moves
    }

    /// Carries a choice out.
    pub(crate) fn take(&mut self, world: &mut World<C::Memory>, choice: Choice) -> Stepped {
        let mut effects = Vec::new();
        let told = match choice {
            Choice::Run { slot, task, how } => {
                world.last = Some(slot);
                self.run(world, slot, task, how, &mut effects)
            }
            Choice::Execute { slot } => {
                world.last = Some(slot);
                self.execute(world, slot);
                Told::Execute
            }
            Choice::Release { slot, fd } => {
                if let Some(process) = world.slots[slot].process {
                    world.kernel.release(process, fd);
                }
                Told::Release(fd)
            }
            Choice::Exit { slot } => {
                world.last = Some(slot);
                let status = self.exit(world, slot).unwrap_or_default();
                if let Some(process) = world.slots[slot].process {
                    self.performed.deed(
                        &mut world.kernel,
                        &mut self.forest,
                        &mut effects,
                        Deed::Exit { process, status },
                    );
                }
                Told::Exit(status)
            }
            Choice::Script => self.act(world),
            Choice::Restart { slot, pid } => {
                self.restart(world, slot, pid);
                Told::Restart(pid)
            }
            Choice::LosePatience { slot } => {
                self.lose_patience(world, slot);
                Told::LosePatience
            }
            Choice::Kill { slot } => {
                world.kills += 1;
                if let Some(process) = world.slots[slot].process {
                    self.performed.deed(
                        &mut world.kernel,
                        &mut self.forest,
                        &mut effects,
                        Deed::Kill { process },
                    );
                }
                Told::Kill
            }
            Choice::PowerLoss { host, outcome } => {
                world.power_losses += 1;
                world.kernel = Shared::new(self.outages.outcome(&world.kernel, host, outcome));
                Told::PowerLoss { outcome }
            }
        };
        let effects = self.note_all(world, effects);
        if let Choice::PowerLoss { host, .. } = choice {
            self.boot(world, host);
        }
        if let Told::Action(Action::Operate(Operation::Reboot(host))) = told {
            self.boot(world, host);
        }
        Stepped { effects, told }
    }

    fn run(
        &mut self,
        world: &mut World<C::Memory>,
        slot: usize,
        task: usize,
        how: Completion,
        effects: &mut Vec<Effect>,
    ) -> Told {
        let state = world.slots[slot].tasks[task];
        let called = self.forest.call(state).cloned().zip(self.forest.call_id(state));
        let (Some(process), Some((call, id))) = (world.slots[slot].process, called) else {
            unreachable!("task {task} of slot {slot} is run without a call under way")
        };
        let deed = Deed::Call { process, call: &call, id, how };
        let answer = self.performed.deed(&mut world.kernel, &mut self.forest, effects, deed);
        let slot = world.slots[slot].edit();
        slot.calls += u32::from(task == 0 && self.checker.counts_calls());
        slot.tasks[task] = self.forest.follow(state, answer);
        self.forest.adopt(&mut slot.tasks, task);
        Told::Call { task: state.number, call, reply: Arc::clone(self.forest.answer(answer)) }
    }

    fn act(&self, world: &mut World<C::Memory>) -> Told {
        let Some(action) = self.setup.script.get(world.position) else {
            unreachable!("a script that is over acts")
        };
        world.position += 1;
        match action {
            Action::Start(slot) => self.start(world, *slot, None),
            Action::Order(slot, order) => self.order(world, *slot, *order),
            Action::Signal(slot, signal) => {
                if let Some(process) = world.slots[*slot].process {
                    world.kernel.signal(ProcessId::ENVIRONMENT, process, *signal);
                }
            }
            Action::Recycle { old, heir } => {
                let pid = world.slots[*old].process.map(|process| world.kernel.pid(process));
                self.start(world, *heir, pid);
            }
            Action::Open { by, slot } => {
                if world.view().serves(*by) {
                    self.start(world, *slot, None);
                }
            }
            Action::Remove(paths) => {
                for path in paths {
                    // An operator's `rm -f` of what is not there is no event.
                    let _ = world.kernel.remove(path);
                }
            }
            Action::Operate(operation) => Self::operate(world, operation),
            Action::Wait(_) => unreachable!("a wait is passed, never carried out"),
        }
        Told::Action(action.clone())
    }

    /// Starts the process of a slot, or asks its supervisor to. Without one, a slot that was started before stays as it is.
    pub(crate) fn start(&self, world: &mut World<C::Memory>, slot: usize, pid: Option<Pid>) {
        let starts = match world.slots[slot].supervision {
            Some(_) => self.asked_to_start(world, slot),
            None => world.slots[slot].process.is_none(),
        };
        if starts {
            self.launch(world, slot, pid);
        }
    }

    /// Puts a process into a slot whose last one, if it had any, is dead.
    pub(crate) fn launch(&self, world: &mut World<C::Memory>, slot: usize, pid: Option<Pid>) {
        let template = &self.setup.slots[slot];
        let spawn = Spawn { pid, ..template.spawn.clone() };
        let Ok(process) = world.kernel.spawn(&spawn) else { return };
        if let Some(limit) = template.open_files {
            world.kernel.limit_descriptors(process, limit);
        }
        let state = world.slots[slot].edit();
        state.past.extend(state.process.replace(process));
        (state.owner, state.refused) = (None, None);
        (state.ready, state.asked, state.released) = (false, false, false);
        state.tasks = self.first_tasks(slot);
        let kernel = &mut world.kernel;
        let has_all = template.listens.iter().all(|address| kernel.hold_port(process, *address).is_ok())
            && template.connections.iter().all(|local| kernel.hold_connection(process, *local).is_ok());
        // A program that cannot have its port ends, and the outcome shows it.
        if !has_all {
            kernel.exit(process, 1);
        }
    }

    /// What a program begins with.
    pub(crate) fn first_tasks(&self, slot: usize) -> Vec<TaskState> {
        self.mains[slot].map(|main| self.forest.first(main)).unwrap_or_default()
    }

    /// 1 if a choice takes the turn from a program that could have gone on, or lets a deadline pass while one could: it had no
    /// turn for as long as that. Else 0.
    ///
    /// A program that waits for somebody else, with or without a deadline, cannot go on.
    pub(crate) fn preemption(&self, world: &World<C::Memory>, choice: Choice) -> u16 {
        let takes_turn = match (choice.runs(), world.last) {
            (Some(next), Some(last)) => next != last && self.goes_on(world, last),
            (None, _) | (_, None) => false,
        };
        let starves = || (0..world.slots.len()).any(|slot| self.goes_on(world, slot));
        u16::from(takes_turn || (choice.passes_deadline() && starves()))
    }

    /// Whether a program could take a step now without waiting until a deadline.
    fn goes_on(&self, world: &World<C::Memory>, slot: usize) -> bool {
        let mut choices = Vec::new();
        self.steps_of(world, slot, &mut choices);
        choices.iter().any(|choice| !choice.passes_deadline())
    }

    /// Runs the setup of the script: one execution, the same each time.
    ///
    /// `each` is told every step. Ends early with the promise that was broken.
    pub(crate) fn run_setup(
        &mut self,
        world: &mut World<C::Memory>,
        mut each: impl FnMut(&World<C::Memory>, Choice, Stepped),
    ) -> Result<(), Violation> {
        self.preludes.iter_mut().for_each(Vec::clear);
        self.pass_waits(world);
        while self.setup.script.is_setup(world.position) {
            let choices = self.choices(world, &Bounds::killing(0))?;
            let script = choices.iter().find(|choice| **choice == Choice::Script);
            let Some(choice) = script.or(choices.first()).copied() else {
                let says = "the setup waits for something that never comes".to_owned();
                return Err(Violation { check: "setup".to_owned(), says });
            };
            let stepped = self.take(world, choice);
            if let Some(answered) = stepped.answered(choice, world) {
                self.preludes[answered.slot].push(answered);
            }
            let verdict = self.judge(world, &stepped.step(choice));
            each(world, choice, stepped);
            verdict?;
        }
        world.last = None;
        Ok(())
    }
}

/// A program that cannot be explored, as a broken promise.
pub(crate) fn unfit(name: &str, fault: &Fault) -> Violation {
    let check = if matches!(fault, Fault::Panicked { .. }) { "panicked" } else { "explorable" };
    Violation { check: check.to_owned(), says: format!("{name}: {fault}") }
}
