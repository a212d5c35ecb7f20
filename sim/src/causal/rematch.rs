//! Whether an edited program still does what a causal trace says, and whether that still breaks something.

use std::collections::BTreeSet;

use super::footprint::{self, Descriptors, Named};
use super::{Causal, Constraint};
use crate::engine::Engine;
use crate::explore::Bounds;
use crate::replay::{Trace, replay};
use crate::schedule::Schedule;
use crate::world::{Checker, Choice, Setup, Stepped, Told, Violation, World};

/// How many steps that are not named a process takes before the next one that is.
const MOST_BETWEEN: usize = 1_000;

/// How many steps the search for an order takes in all.
const MOST_STEPS: usize = 200_000;

/// What has become of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rematch {
    /// It still breaks something.
    StillFails {
        /// How it goes now.
        schedule: Schedule,
        /// The same, step by step.
        trace: Box<Trace>,
    },
    /// Each of its steps still happens, in an order that meets all constraints, and no such order that was tried
    /// breaks anything.
    Fixed {
        /// One of them.
        schedule: Schedule,
        /// Whether every order was tried, and not as many as the budget allows.
        is_every_order: bool,
    },
    /// One of its steps does not happen any more.
    NotApplicable {
        /// Which, by place: of all orders that were tried, the one that came furthest fails here.
        constraint: usize,
        /// Why, as a sentence without a full stop.
        why: String,
    },
}

/// Looks for an execution in which each step of a causal trace happens as it says.
pub fn rematch<C: Checker>(setup: &Setup, checker: &C, bounds: &Bounds, causal: &Causal) -> Rematch {
    let mut engine = Engine::new(setup, checker);
    let mut world = engine.first();
    let mut descriptors = Descriptors::new();
    let prepared = engine.run_setup(&mut world, |world, choice, stepped| {
        // Names of descriptors are all that is needed of the setup. Whom a pid belongs to is not among them.
        note(setup, world, choice, &stepped, &mut descriptors);
    });
    let fails = |schedule: Schedule| {
        let trace = Box::new(replay(setup, checker, bounds, &schedule));
        Rematch::StillFails { schedule, trace }
    };
    if prepared.is_err() {
        return fails(Schedule::default());
    }
    let mut search = Search {
        engine,
        bounds: *bounds,
        setup,
        causal,
        seen: BTreeSet::new(),
        left: MOST_STEPS,
        met: None,
        furthest: None,
    };
    let start = At { world, descriptors, done: vec![false; causal.constraints.len()], path: Vec::new() };
    let broken = search.run(start);
    match (broken, search.met) {
        (Some(path), _) => fails(Schedule::from_indices(path)),
        (None, Some(path)) => {
            Rematch::Fixed { schedule: Schedule::from_indices(path), is_every_order: search.left > 0 }
        }
        (None, None) => {
            let given_up = (0, 0, "there are too many orders to try them all".to_owned());
            let (_, constraint, why) = search.furthest.filter(|_| search.left > 0).unwrap_or(given_up);
            Rematch::NotApplicable { constraint, why }
        }
    }
}

/// A state on the way, with what was done of the trace.
#[derive(Clone)]
struct At<M> {
    world: World<M>,
    descriptors: Descriptors,
    done: Vec<bool>,
    path: Vec<u8>,
}

struct Search<'a, C: Checker> {
    engine: Engine<'a, C>,
    bounds: Bounds,
    setup: &'a Setup,
    causal: &'a Causal,
    /// States with what was done, which need not be tried again.
    seen: BTreeSet<(u128, Vec<bool>)>,
    left: usize,
    /// An execution that does everything.
    met: Option<Vec<u8>>,
    /// How many steps were done where the most were, which one was not, and why.
    furthest: Option<(usize, usize, String)>,
}

/// What became of one step of a trace.
enum Tried {
    Done,
    /// Something was broken on the way.
    Broken,
    /// It does not happen.
    Never(String),
}

impl<C: Checker> Search<'_, C> {
    /// Tries orders, the recorded one first, until one breaks something. Answers its path.
    fn run(&mut self, start: At<C::Memory>) -> Option<Vec<u8>> {
        let mut stack = vec![start];
        while let Some(at) = stack.pop() {
            if self.left == 0 || !self.seen.insert((at.world.key(false), at.done.clone())) {
                continue;
            }
            if at.done.iter().all(|done| *done) {
                if let Some(path) = self.finish(at) {
                    return Some(path);
                }
                continue;
            }
            let mut next = Vec::new();
            for place in self.ready(&at.done) {
                let mut tried = at.clone();
                match self.meet(&mut tried, place) {
                    Tried::Done => {
                        tried.done[place] = true;
                        next.push(tried);
                    }
                    Tried::Broken => return Some(tried.path),
                    Tried::Never(why) => {
                        let count = at.done.iter().filter(|done| **done).count();
                        if self.furthest.as_ref().is_none_or(|(most, ..)| count > *most) {
                            self.furthest = Some((count, place, why));
                        }
                    }
                }
            }
            stack.extend(next.into_iter().rev());
        }
        None
    }

    /// The steps whose turn it is: the next one of each, if all that come before it are done.
    fn ready(&self, done: &[bool]) -> Vec<usize> {
        let constraints = &self.causal.constraints;
        let mut met = BTreeSet::new();
        (0..constraints.len())
            .filter(|place| !done[*place] && met.insert(constraints[*place].who.as_str()))
            .filter(|place| constraints[*place].after.iter().all(|before| done[*before]))
            .collect()
    }

    /// Lets somebody go on until it has taken a step of the trace.
    fn meet(&mut self, at: &mut At<C::Memory>, place: usize) -> Tried {
        let wanted = self.causal.constraints[place].clone();
        let mut otherwise = None;
        for _ in 0..MOST_BETWEEN {
            let Some(left) = self.left.checked_sub(1) else {
                return Tried::Never("the search for an order was given up".to_owned());
            };
            self.left = left;
            let choices = self.engine.choices(&at.world, &self.bounds).unwrap_or_default();
            let own = |choice: &&Choice| self.mover(**choice) == wanted.who;
            let names: Vec<(Choice, Named)> =
                choices.iter().filter(own).map(|choice| (*choice, self.name(at, *choice))).collect();
            let is_wanted = |name: &Named| name.kind == wanted.kind && name.object == wanted.object;
            // A step that is named later is kept for its time if there is another one. Faults happen only when they are named.
            let later = |name: &Named| {
                let rest = self.causal.constraints[place + 1..].iter();
                rest.filter(|other| other.who == wanted.who)
                    .any(|other| other.kind == name.kind && other.object == name.object)
            };
            let between =
                || names.iter().filter(|(choice, _)| !choice.is_fault() && *choice != Choice::Script);
            let picked = names
                .iter()
                .find(|(_, name)| is_wanted(name))
                .or_else(|| between().find(|(_, name)| !later(name)))
                .or_else(|| between().next());
            let Some((choice, name)) = picked.cloned() else {
                return Tried::Never(self.why_not(at, &wanted, otherwise));
            };
            let index = choices.iter().position(|other| *other == choice).unwrap_or_default();
            at.path.push(u8::try_from(index).unwrap_or(u8::MAX));
            let (answer, verdict) = self.take(at, choice);
            if verdict.is_err() {
                return Tried::Broken;
            }
            if is_wanted(&name) {
                if answer == wanted.answer {
                    return Tried::Done;
                }
                otherwise = Some(answer);
            }
        }
        Tried::Never(format!("{} takes {MOST_BETWEEN} steps and `{wanted}` is not among them", wanted.who))
    }

    /// Takes a choice, and answers how it was answered.
    fn take(&mut self, at: &mut At<C::Memory>, choice: Choice) -> (String, Result<(), Violation>) {
        let stepped = self.engine.take(&mut at.world, choice);
        let verdict = self.engine.judge(&mut at.world, &stepped.step(choice));
        let answer = note(self.setup, &at.world, choice, &stepped, &mut at.descriptors);
        (answer, verdict.and_then(|()| self.engine.look(&at.world, &self.bounds)))
    }

    /// Goes on to the end after everything was done, each as long as it can; whoever broke something is the first. Answers
    /// the path if something is broken.
    fn finish(&mut self, mut at: At<C::Memory>) -> Option<Vec<u8>> {
        self.met.get_or_insert_with(|| at.path.clone());
        for _ in 0..MOST_BETWEEN {
            self.left = self.left.checked_sub(1)?;
            let choices = self.engine.choices(&at.world, &self.bounds).unwrap_or_default();
            let same =
                choices.iter().position(|choice| choice.runs().is_some() && choice.runs() == at.world.last);
            let first = self.causal.goes_on.as_deref();
            let decisive = choices.iter().position(|choice| {
                !choice.is_fault() && first.is_some_and(|first| self.mover(*choice) == first)
            });
            let any = || choices.iter().position(|choice| !choice.is_fault());
            let index = decisive.or(same).or_else(any)?;
            at.path.push(u8::try_from(index).unwrap_or(u8::MAX));
            if self.take(&mut at, choices[index]).1.is_err() {
                return Some(at.path);
            }
        }
        None
    }

    /// Whose step a choice is, by name.
    fn mover(&self, choice: Choice) -> String {
        super::who(crate::replay::Who::of(choice), self.setup)
    }

    fn name(&self, at: &At<C::Memory>, choice: Choice) -> Named {
        let plain = |kind: &str| Named { kind: kind.to_owned(), object: String::new() };
        match choice {
            Choice::Run { slot, task, .. } => match self.engine.call(at.world.slots[slot].tasks[task]) {
                Some(call) => footprint::named(call, slot, &at.descriptors, self.setup, &at.world.view()),
                None => plain("Nothing"),
            },
            Choice::Execute { .. } => plain("Execute"),
            Choice::Exit { .. } => plain("Exit"),
            Choice::Release { slot, fd } => Named {
                kind: "Release".to_owned(),
                object: at.descriptors.get(&(slot, fd)).cloned().unwrap_or_default(),
            },
            Choice::Script => match self.setup.script.get(at.world.position) {
                Some(action) => footprint::acted(action, self.setup),
                None => plain("Nothing"),
            },
            Choice::Restart { pid, .. } => super::restarted(pid),
            Choice::LosePatience { .. } => plain("LosePatience"),
            Choice::Kill { .. } => plain("Killed"),
            Choice::PowerLoss { outcome, .. } => {
                Named { kind: "PowerLoss".to_owned(), object: outcome.to_string() }
            }
        }
    }

    /// Why somebody goes no further.
    fn why_not(&self, at: &At<C::Memory>, wanted: &Constraint, otherwise: Option<String>) -> String {
        let Constraint { who, answer, .. } = wanted;
        let mut why = match otherwise {
            Some(other) => format!("`{wanted}` is answered {other} and not {answer}"),
            None => format!("{who} never comes to `{wanted}`"),
        };
        let before = wanted.after.last().map(|place| &self.causal.constraints[*place]);
        if let Some(before) = before {
            why.push_str(&format!(" after `{before}`"));
        }
        let slot = self.setup.slots.iter().position(|slot| slot.name == *who);
        let state = slot.map(|slot| &at.world.slots[slot]);
        match state {
            None => {}
            Some(state) if state.process.is_none() => why.push_str(": it is not started"),
            Some(state) => {
                let waiting = state.tasks.iter().find_map(|task| self.engine.call(*task));
                let is_alive = slot.is_some_and(|slot| at.world.view().can_act(slot));
                match waiting.filter(|_| is_alive) {
                    Some(call) => why.push_str(&format!(": it waits in `{call}`")),
                    None => why.push_str(": it has ended"),
                }
            }
        }
        why
    }
}

/// Notes what a step has opened, and answers how it was answered.
fn note<M: std::hash::Hash>(
    setup: &Setup,
    world: &World<M>,
    choice: Choice,
    stepped: &Stepped,
    descriptors: &mut Descriptors,
) -> String {
    match (&stepped.told, choice) {
        (Told::Call { call, reply, .. }, Choice::Run { slot, .. }) => {
            let name = footprint::named(call, slot, descriptors, setup, &world.view());
            footprint::note(descriptors, slot, call, &name, reply);
            footprint::answer(reply)
        }
        (Told::Exit(status), _) => status.to_string(),
        (
            Told::Call { .. }
            | Told::Execute
            | Told::Release(_)
            | Told::Action(_)
            | Told::Restart(_)
            | Told::LosePatience
            | Told::Kill
            | Told::PowerLoss { .. },
            _,
        ) => "ok".to_owned(),
    }
}
