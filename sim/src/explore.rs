//! Every state that the programs and the machine can reach together, visited once.
//!
//! Proving goes depth-first and merges equal states; when something is broken, a second search ordered by faults,
//! preemptions and steps finds the provably shortest way there. What was not visited is never called proved.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

use crate::circle::OnPath;
use crate::digest::digest;
use crate::engine::Engine;
use crate::learn::TaskState;
use crate::merging::Merging;
use crate::replay::replay;
use crate::schedule::Schedule;
use crate::scouts::scout;
use crate::seen::Seen;
use crate::shortest::shortest;
use crate::world::{Answered, Checker, Choice, Setup, Violation, World};

/// Which schedules are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// All of them.
    Exhaustive,
    /// Those with at most so many preemptions: switches away from a process that could have gone on, and deadlines that pass
    /// while one could.
    Preemptions(u16),
}

/// How far a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Which schedules.
    pub policy: Policy,
    /// How many processes may be killed, each at any point.
    pub kills: u8,
    /// How often the power may fail, each time at any point and with any of its outcomes. What a disk may lose is said by
    /// [`Kernel::set_persistence`](crate::Kernel::set_persistence).
    pub power_losses: u8,
    /// How many states may be visited before the search gives up without a verdict.
    pub states: usize,
}

impl Bounds {
    /// Everything that can happen while at most so many processes are killed.
    pub(crate) const fn killing(kills: u8) -> Self {
        Self { policy: Policy::Exhaustive, kills, power_losses: 0, states: usize::MAX }
    }
}

/// What a search without a finding proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Every schedule was covered.
    Complete,
    /// Every schedule within the bounds on preemptions and on starts was covered.
    Bounded,
    /// The budget of states ran out: nothing is proved.
    Cut,
}

/// A broken promise and the shortest way there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The promise.
    pub violation: Violation,
    /// How to get there, counted from the end of the setup.
    pub schedule: Schedule,
    /// Whether no execution with fewer faults, preemptions or steps breaks a promise. Only false if the second search
    /// ran out of its budget.
    pub is_shortest: bool,
}

/// The result of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exploration {
    /// How many different states were visited.
    pub states: usize,
    /// How many steps were taken between them.
    pub transitions: u64,
    /// How many histories of programs were executed.
    pub histories: usize,
    /// How many executions of single processes were run again as a whole and compared with what was learned of their
    /// tasks: one for each combination of task histories, and a growing distance apart one for each way to meet again.
    pub audits: u64,
    /// The longest execution, in steps.
    pub depth: usize,
    /// Which outcomes were reached, and at how many different ends.
    pub ends: BTreeMap<usize, u64>,
    /// What it proves, if nothing was found.
    pub evidence: Evidence,
    /// The slots whose supervisors would have started one more process than [`Supervised::most_starts`] in some execution.
    /// What comes after that was not visited.
    ///
    /// [`Supervised::most_starts`]: crate::Supervised::most_starts
    pub cut: BTreeSet<usize>,
    /// Whether an execution comes back to a state in which it was. Then it need not end, and
    /// [`liveness`](crate::liveness()) tells what becomes of it.
    pub has_circles: bool,
    /// What is broken.
    pub found: Option<Found>,
}

/// After how many steps a search asks whether it should stop.
pub(crate) const ASK_EVERY: u64 = 4096;

struct Frame<M> {
    /// `None` once the last choice was taken.
    world: Option<World<M>>,
    choices: Vec<Choice>,
    next: usize,
    /// The preemptions on the way here; 0 where they are not bounded.
    preemptions: u16,
    /// Which task was answered what on the last step, if one was.
    answered: Option<Answered>,
}

/// Of so many executions that meet a known state or end, each is run again as a whole, process by process, and compared
/// with what was learned task by task; then, of so many more, every second, every fourth and so on, so that all parts of
/// the search have their share.
const AUDITS: u64 = 250;

/// Visits every state within the bounds.
pub fn explore<C: Checker>(setup: &Setup, checker: &C, bounds: &Bounds) -> Exploration {
    explore_until(setup, checker, bounds, &|| false)
}

/// Visits every state within the bounds, unless it is told to stop: then the evidence is [`Evidence::Cut`].
pub fn explore_until<C: Checker>(
    setup: &Setup,
    checker: &C,
    bounds: &Bounds,
    should_stop: &dyn Fn() -> bool,
) -> Exploration {
    explore_with(setup, checker, bounds, Reductions::ALL, should_stop)
}

/// Ways to visit fewer states that change no verdict, no outcome and no set of states of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reductions {
    /// Histories of a program that lead to the same behaviour are one.
    pub minimise: bool,
}

impl Reductions {
    /// Every one.
    pub const ALL: Self = Self { minimise: true };
    /// None: what the others are held against.
    pub const NONE: Self = Self { minimise: false };
}

/// As [`explore_until`], with some reductions switched off.
pub fn explore_with<C: Checker>(
    setup: &Setup,
    checker: &C,
    bounds: &Bounds,
    reductions: Reductions,
    should_stop: &dyn Fn() -> bool,
) -> Exploration {
    let mut engine = Engine::new(setup, checker);
    let mut merging = if reductions.minimise { Merging::FIRST } else { Merging::NEVER };
    if reductions.minimise {
        scout(&mut engine, &mut merging, bounds, should_stop);
    }
    loop {
        let (mut result, verdict, stack, is_audit) = pass(&mut engine, bounds, &mut merging, should_stop);
        if !should_stop() && merging.goes_on(&mut engine, result.states) {
            continue;
        }
        if merging.is_on() && engine.has_grown() {
            // It was stopped in the middle.
            result.evidence = Evidence::Cut;
            return result;
        }
        result.histories = engine.histories();
        let Err(violation) = verdict else { return result };
        // The search for the shortest way visits more than the one that has found any.
        if !is_audit && merging.insist(&mut engine, result.states) {
            continue;
        }
        let first = Found { violation, schedule: Schedule::from_indices(stack), is_shortest: false };
        // An audit judges a way and not a state, so no other way to the same end would show what it has shown.
        let least = (!is_audit).then(|| shortest(&mut engine, bounds, should_stop)).flatten();
        if merging.goes_on(&mut engine, result.states) {
            continue;
        }
        let found = least.unwrap_or(first);
        if merging.is_on()
            && replay(setup, checker, bounds, &found.schedule).violation.as_ref() != Some(&found.violation)
        {
            // The program does not do what it did, so nothing that was learned of it tells which histories are one.
            merging = Merging::NEVER;
            engine.part();
            continue;
        }
        result.found = Some(found);
        return result;
    }
}

/// One search from the beginning: what it has shown, the verdict, the way to where it ended, and whether an audit of
/// that way has failed.
fn pass<C: Checker>(
    engine: &mut Engine<'_, C>,
    bounds: &Bounds,
    merging: &mut Merging,
    should_stop: &dyn Fn() -> bool,
) -> (Exploration, Result<(), Violation>, Vec<u8>, bool) {
    let mut search = Search {
        bounds: *bounds,
        merging,
        seen: Seen::new(),
        stack: Vec::new(),
        audits: Audits {
            met: Seen::new(),
            due: BTreeSet::new(),
            next: 0,
            stride: 1,
            chosen: 0,
            failed: false,
        },
        result: Exploration {
            states: 0,
            transitions: 0,
            histories: 0,
            audits: 0,
            depth: 0,
            ends: BTreeMap::new(),
            evidence: match bounds.policy {
                Policy::Exhaustive => Evidence::Complete,
                Policy::Preemptions(_) => Evidence::Bounded,
            },
            cut: BTreeSet::new(),
            has_circles: false,
            found: None,
        },
        on_path: OnPath::new(),
        spare: Vec::new(),
    };
    let mut world = engine.first();
    let prepared = engine.run_setup(&mut world, |_, _, _| {});
    let verdict = prepared.and_then(|()| search.run(engine, world, should_stop));
    let mut result = search.result;
    result.states = search.seen.len();
    if result.evidence == Evidence::Complete && !result.cut.is_empty() {
        result.evidence = Evidence::Bounded;
    }
    let stack = search
        .stack
        .iter()
        .map(|frame| u8::try_from(frame.next.saturating_sub(1)).unwrap_or(u8::MAX))
        .collect();
    (result, verdict, stack, search.audits.failed)
}

struct Search<'a, M> {
    bounds: Bounds,
    merging: &'a mut Merging,
    seen: Seen,
    stack: Vec<Frame<M>>,
    audits: Audits,
    on_path: OnPath,
    /// States that were left. The next ones are made of them, since they have nearly everything in common.
    spare: Vec<World<M>>,
    result: Exploration,
}

/// Which executions are audited.
struct Audits {
    /// The combinations of task histories that were audited.
    met: Seen,
    /// The slots of which the present execution has such combinations that are not audited yet.
    due: BTreeSet<usize>,
    /// After how many executions the next one is.
    next: u64,
    stride: u64,
    chosen: u64,
    /// The last one has found a program that cannot be explored.
    failed: bool,
}

/// Why an execution is audited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// The tasks of a process have come so far together for the first time.
    FirstMet,
    /// It was its turn.
    Chosen,
}

impl Audits {
    /// Whether the present execution is one.
    fn choose(&mut self) -> bool {
        if self.next > 0 {
            self.next -= 1;
            return false;
        }
        self.chosen += 1;
        if self.chosen.is_multiple_of(AUDITS) {
            self.stride *= 2;
        }
        self.next = self.stride - 1;
        true
    }
}

impl<M: Clone + Eq + Hash + std::fmt::Debug> Search<'_, M> {
    fn run<C: Checker<Memory = M>>(
        &mut self,
        engine: &mut Engine<'_, C>,
        first: World<M>,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<(), Violation> {
        self.enter(engine, first, 0, None)?;
        while let Some(frame) = self.stack.last_mut() {
            let Some(choice) = frame.choices.get(frame.next).copied() else {
                // From here on the path to a fault ends in this state.
                let answered = self.stack.pop().and_then(|frame| frame.answered);
                self.on_path.pop();
                self.audit_due(engine, answered.as_ref())?;
                continue;
            };
            frame.next += 1;
            // The last way on takes the state with it.
            let world = if frame.next < frame.choices.len() {
                frame.world.as_ref().map(|world| like(world, self.spare.pop()))
            } else {
                frame.world.take()
            };
            let Some(mut world) = world else { unreachable!("a state is left once by its last way") };
            let mut preemptions = 0;
            if let Policy::Preemptions(most) = self.bounds.policy {
                preemptions = frame.preemptions + engine.preemption(&world, choice);
                if preemptions > most {
                    continue;
                }
            }
            let stepped = engine.take(&mut world, choice);
            self.result.transitions += 1;
            engine.judge(&mut world, &stepped.step(choice))?;
            let answered = stepped.answered(choice, &world);
            self.enter(engine, world, preemptions, answered)?;
            if self.merging.is_in_vain(engine, self.seen.len()) {
                return Ok(());
            }
            let is_time_to_ask = self.result.transitions.is_multiple_of(ASK_EVERY);
            if self.seen.len() > self.bounds.states || (is_time_to_ask && should_stop()) {
                self.result.evidence = Evidence::Cut;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Puts a state on the stack unless it was visited before.
    fn enter<C: Checker<Memory = M>>(
        &mut self,
        engine: &mut Engine<'_, C>,
        world: World<M>,
        preemptions: u16,
        answered: Option<Answered>,
    ) -> Result<(), Violation> {
        if let Some(Answered { slot, .. }) = &answered
            && self.audits.met.visit(tasks_key(*slot, &world.slots[*slot].tasks), 0)
        {
            self.audits.due.insert(*slot);
        }
        let counts = matches!(self.bounds.policy, Policy::Preemptions(_));
        let key = world.key(counts);
        if !self.seen.visit(key, if counts { preemptions } else { 0 }) {
            self.result.has_circles |= self.on_path.contains(key);
            // Another order has led to a known state. It is followed no further, so it is audited here: that orders
            // which meet do not differ is just what has to be shown.
            self.audit_due(engine, answered.as_ref())?;
            self.audit(engine, &world, answered.as_ref())?;
            self.spare.push(world);
            return Ok(());
        }
        // From here on the path to a violation ends in this state, which the caller reads off the stack.
        engine.probe(&world)?;
        let choices = engine.choices(&world, &self.bounds)?;
        if choices.iter().all(|choice| choice.is_fault()) {
            let outcome = engine.end(&world)?;
            self.result.cut.extend(engine.cut(&world));
            *self.result.ends.entry(outcome).or_default() += 1;
            self.audit(engine, &world, answered.as_ref())?;
        }
        self.stack.push(Frame { world: Some(world), choices, next: 0, preemptions, answered });
        self.on_path.push(key);
        self.result.depth = self.result.depth.max(self.stack.len() - 1);
        Ok(())
    }

    /// Audits the slots whose tasks have come somewhere together for the first time in the present execution, which goes no
    /// further: one run of the whole passes through all of these places.
    fn audit_due<C: Checker<Memory = M>>(
        &mut self,
        engine: &Engine<'_, C>,
        last: Option<&Answered>,
    ) -> Result<(), Violation> {
        while let Some(slot) = self.audits.due.pop_first() {
            self.audit_slot(engine, slot, last, Occasion::FirstMet)?;
        }
        Ok(())
    }

    /// Runs every process of the present execution as a whole, and compares.
    fn audit<C: Checker<Memory = M>>(
        &mut self,
        engine: &Engine<'_, C>,
        world: &World<M>,
        last: Option<&Answered>,
    ) -> Result<(), Violation> {
        if !self.audits.choose() {
            return Ok(());
        }
        (0..world.slots.len()).try_for_each(|slot| self.audit_slot(engine, slot, last, Occasion::Chosen))
    }

    /// Runs each process that a slot has had in the present execution as a whole, and compares.
    fn audit_slot<C: Checker<Memory = M>>(
        &mut self,
        engine: &Engine<'_, C>,
        slot: usize,
        last: Option<&Answered>,
        occasion: Occasion,
    ) -> Result<(), Violation> {
        let prelude = engine.prelude(slot).iter();
        let answered =
            prelude.chain(self.stack.iter().filter_map(|frame| frame.answered.as_ref())).chain(last);
        let history: Vec<&Answered> = answered.filter(|answered| answered.slot == slot).collect();
        let is_one_task = history.iter().all(|answered| answered.task == 0);
        if occasion == Occasion::Chosen && is_one_task && !self.merging.is_on() {
            // On a tree it has come here in one way only, and was audited when it first did.
            return Ok(());
        }
        self.result.audits += 1;
        let verdict = engine.audit(slot, &history);
        self.audits.failed = verdict.is_err();
        verdict
    }
}

/// A clone of a state, made of one that is no longer needed.
fn like<M: Clone>(world: &World<M>, spare: Option<World<M>>) -> World<M> {
    let Some(mut spare) = spare else { return world.clone() };
    spare.clone_from(world);
    spare
}

/// A key of how far the tasks of a process have come together.
fn tasks_key(slot: usize, tasks: &[TaskState]) -> u128 {
    digest(&(slot, tasks))
}
