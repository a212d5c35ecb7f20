//! Schedules to be taken again elsewhere: one for each way in which things can really differ, and none twice.
//!
//! Two steps are independent in a state if both can be taken there in either order, with equal replies, to one and the
//! same state. The machine itself decides that, by taking them: no table says which calls commute. Schedules that differ
//! only in the order of independent neighbours are one trace (Mazurkiewicz, 1977). [`each_trace`] goes depth-first with
//! sleep sets (Godefroid, 1996), which meets each trace once.
//!
//! # Invariants
//!
//! - Same setup, same schedules, in the same order.
//! - Nothing is judged here: a schedule goes on to its end, whatever a checker would say on the way.

use std::ops::ControlFlow;

use portcullis_os::{Fd, Pid};

use crate::engine::Engine;
use crate::explore::Bounds;
use crate::kernel::{Completion, HostId};
use crate::learn::{Answer, TreeId};
use crate::schedule::Schedule;
use crate::world::{Checker, Choice, Setup, Step, View, Violation, World};

/// What an enumeration has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// How many schedules there were.
    pub schedules: u64,
    /// How many steps they have together, setups not counted.
    pub steps: u64,
    /// How many beginnings led nowhere but to what was there already.
    pub redundant: u64,
    /// Whether it went on to the end.
    pub is_complete: bool,
}

/// A checker that finds nothing wrong.
pub(crate) struct Unchecked;

impl Checker for Unchecked {
    type Memory = ();

    fn start(&self) {}

    fn step(&self, (): &mut (), _: &View<'_>, _: &Step<'_>) -> Result<(), Violation> {
        Ok(())
    }

    fn end(&self, (): &(), _: &View<'_>) -> Result<usize, Violation> {
        Ok(0)
    }
}

/// Takes one schedule of each trace to its end, with at most so many processes killed, until `each` breaks off.
///
/// # Errors
///
/// What makes a program unfit to be explored.
pub fn each_trace(
    setup: &Setup,
    kills: u8,
    each: &mut dyn FnMut(&Schedule) -> ControlFlow<()>,
) -> Result<Traces, Violation> {
    let mut search = Search {
        engine: Engine::new(setup, &Unchecked),
        bounds: Bounds::killing(kills),
        stack: Vec::new(),
        path: Vec::new(),
        traces: Traces::default(),
    };
    let mut world = search.engine.first();
    search.engine.run_setup(&mut world, |_, _, _| {})?;
    search.enter(world, Vec::new())?;
    search.traces.is_complete = search.run(each)?;
    Ok(search.traces)
}

/// Who could take a step, whatever the state: what a choice is called in another state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mover {
    Task(usize, TreeId, Completion),
    Execute(usize),
    Exit(usize),
    Release(usize, Fd),
    Script,
    Restart(usize, Option<Pid>),
    LosePatience(usize),
    Kill(usize),
    PowerLoss(HostId, usize),
}

impl Mover {
    fn of(engine: &Engine<'_, Unchecked>, world: &World<()>, choice: Choice) -> Self {
        match choice {
            Choice::Run { slot, task, how } => {
                Self::Task(slot, engine.tree(world.slots[slot].tasks[task]), how)
            }
            Choice::Execute { slot } => Self::Execute(slot),
            Choice::Exit { slot } => Self::Exit(slot),
            Choice::Release { slot, fd } => Self::Release(slot, fd),
            Choice::Script => Self::Script,
            Choice::Restart { slot, pid } => Self::Restart(slot, pid),
            Choice::LosePatience { slot } => Self::LosePatience(slot),
            Choice::Kill { slot } => Self::Kill(slot),
            Choice::PowerLoss { host, outcome } => Self::PowerLoss(host, outcome),
        }
    }
}

/// A state on the present path.
struct Frame {
    world: World<()>,
    choices: Vec<Choice>,
    /// Where each choice leads and what it is answered, once that is known.
    taken: Vec<Option<Taken>>,
    /// What need not be tried here: a schedule that begins with it was met already.
    sleep: Vec<Mover>,
    next: usize,
}

impl Frame {
    /// Whether nothing was left to be tried here.
    fn is_blocked(&self) -> bool {
        !self.choices.is_empty() && self.taken.iter().all(Option::is_none)
    }
}

/// A step that was taken to see where it leads.
#[derive(Clone)]
struct Taken {
    world: World<()>,
    answer: Option<Answer>,
}

struct Search<'a> {
    engine: Engine<'a, Unchecked>,
    bounds: Bounds,
    stack: Vec<Frame>,
    /// The choices that have led to the present state.
    path: Vec<u8>,
    traces: Traces,
}

impl Search<'_> {
    fn enter(&mut self, world: World<()>, sleep: Vec<Mover>) -> Result<(), Violation> {
        let choices = self.engine.choices(&world, &self.bounds)?;
        let taken = vec![None; choices.len()];
        self.stack.push(Frame { world, choices, taken, sleep, next: 0 });
        Ok(())
    }

    /// Goes through every state; whether nothing broke it off.
    fn run(&mut self, each: &mut dyn FnMut(&Schedule) -> ControlFlow<()>) -> Result<bool, Violation> {
        loop {
            let Some(frame) = self.stack.last() else { return Ok(true) };
            if frame.next == 0 && frame.choices.iter().all(|choice| choice.is_fault()) {
                self.traces.schedules += 1;
                self.traces.steps += self.path.len() as u64;
                if each(&Schedule::from_indices(self.path.clone())).is_break() {
                    return Ok(false);
                }
            }
            let depth = self.stack.len() - 1;
            let Some((index, sleep)) = self.advance(depth)? else {
                if self.stack[depth].is_blocked() {
                    self.traces.redundant += 1;
                }
                self.stack.pop();
                self.path.pop();
                continue;
            };
            let Some(taken) = self.stack[depth].taken[index].clone() else {
                unreachable!("it was just taken")
            };
            self.path.push(u8::try_from(index).unwrap_or(u8::MAX));
            self.enter(taken.world, sleep)?;
        }
    }

    /// The next choice of a state that is to be followed, and what sleeps after it.
    fn advance(&mut self, depth: usize) -> Result<Option<(usize, Vec<Mover>)>, Violation> {
        loop {
            let frame = &self.stack[depth];
            let index = frame.next;
            let Some(choice) = frame.choices.get(index).copied() else {
                return Ok(None);
            };
            self.stack[depth].next += 1;
            let frame = &self.stack[depth];
            let mover = Mover::of(&self.engine, &frame.world, choice);
            if frame.sleep.contains(&mover) {
                continue;
            }
            self.take(depth, index)?;
            let sleeping: Vec<usize> = (0..self.stack[depth].choices.len())
                .filter(|other| {
                    let frame = &self.stack[depth];
                    *other != index
                        && frame.sleep.contains(&Mover::of(&self.engine, &frame.world, frame.choices[*other]))
                })
                .collect();
            let mut sleep = Vec::new();
            for other in sleeping {
                if self.are_independent(depth, index, other)? {
                    let frame = &self.stack[depth];
                    sleep.push(Mover::of(&self.engine, &frame.world, frame.choices[other]));
                }
            }
            self.stack[depth].sleep.push(mover);
            return Ok(Some((index, sleep)));
        }
    }

    /// Takes a choice of a state, once.
    fn take(&mut self, depth: usize, index: usize) -> Result<(), Violation> {
        if self.stack[depth].taken[index].is_some() {
            return Ok(());
        }
        let frame = &self.stack[depth];
        let taken = taken(&mut self.engine, &frame.world, frame.choices[index])?;
        self.stack[depth].taken[index] = Some(taken);
        Ok(())
    }

    /// Whether two choices of a state lead to one state in both orders, with equal replies.
    fn are_independent(&mut self, depth: usize, one: usize, other: usize) -> Result<bool, Violation> {
        self.take(depth, one)?;
        self.take(depth, other)?;
        let frame = &self.stack[depth];
        let (Some(after_one), Some(after_other)) = (&frame.taken[one], &frame.taken[other]) else {
            unreachable!("both were just taken")
        };
        let [one, other] =
            [one, other].map(|index| Mover::of(&self.engine, &frame.world, frame.choices[index]));
        let mut follow = |world: &World<()>, mover: Mover| -> Result<Option<Taken>, Violation> {
            let choices = self.engine.choices(world, &self.bounds)?;
            let choice = choices.into_iter().find(|choice| Mover::of(&self.engine, world, *choice) == mover);
            choice.map(|choice| taken(&mut self.engine, world, choice)).transpose()
        };
        let Some(other_second) = follow(&after_one.world, other)? else { return Ok(false) };
        if other_second.answer != after_other.answer {
            return Ok(false);
        }
        let Some(one_second) = follow(&after_other.world, one)? else { return Ok(false) };
        Ok(one_second.answer == after_one.answer
            && one_second.world.key(false) == other_second.world.key(false))
    }
}

/// Takes a choice in a copy of a state.
fn taken(engine: &mut Engine<'_, Unchecked>, world: &World<()>, choice: Choice) -> Result<Taken, Violation> {
    let mut world = world.clone();
    let stepped = engine.take(&mut world, choice);
    engine.judge(&mut world, &stepped.step(choice))?;
    let answer = stepped.step(choice).reply.cloned();
    Ok(Taken { world, answer })
}
