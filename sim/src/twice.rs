//! Whether the same search is the same twice: two engines that have learned nothing of each other, in lockstep.
//!
//! Everything here is meant to be a function of its inputs, and programs are required to be. That is not taken on trust: what
//! the second engine offers, asks, answers and changes is compared with the first one at every step of every schedule, and
//! the first thing that differs is named with the way there.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::digest::{Lanes, digest};
use crate::engine::Engine;
use crate::explore::{Bounds, Policy};
use crate::merging::Merging;
use crate::schedule::Schedule;
use crate::scouts::scout;
use crate::world::{Checker, Choice, Setup, Stepped, Told, Violation, World};

/// After how many steps it is asked whether to stop.
const ASK_EVERY: u64 = 4096;

/// The first thing that was not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The way to it, counted from the end of the setup.
    pub schedule: Schedule,
    /// What it was the first time.
    pub first: String,
    /// What it was the second time.
    pub second: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schedule, first, second } = self;
        write!(f, "after step {} it is {first} the first time and {second} the second", schedule.len())
    }
}

/// What a comparison has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twice {
    /// How many different states were compared.
    pub states: usize,
    /// How many steps were compared.
    pub steps: u64,
    /// A hash of all that happened, in order. Another run of the same search on another machine has the same.
    pub events: u64,
    /// What differs.
    pub difference: Option<Difference>,
    /// Whether it came to the end: of all states, or where a promise is broken, which both have found.
    pub is_complete: bool,
}

/// Searches within bounds as [`explore`](crate::explore()) does, histories merged and all, twice at once, and compares.
///
/// `states` and `steps` are those of the last pass over the states, which is what the search rests on.
pub fn explore_twice<C: Checker>(
    setup: &Setup,
    checker: &C,
    bounds: &Bounds,
    should_stop: &dyn Fn() -> bool,
) -> Twice {
    let mut search = Lockstep {
        engines: [Engine::new(setup, checker), Engine::forgetful(setup, checker)],
        mergings: [Merging::FIRST; 2],
        bounds: *bounds,
        seen: BTreeMap::new(),
        stack: Vec::new(),
        events: Lanes::new(),
        steps: 0,
    };
    for (engine, merging) in search.engines.iter_mut().zip(&mut search.mergings) {
        scout(engine, merging, bounds, should_stop);
    }
    let ended = loop {
        let ended = search.run(should_stop);
        if matches!(ended, Err(Break::Differs { .. })) || should_stop() {
            break ended;
        }
        match search.goes_on() {
            Ok(true) => search.forget(),
            Ok(false) => break ended,
            Err(differs) => break Err(differs),
        }
    };
    let taken =
        search.stack.iter().map(|frame| u8::try_from(frame.next.saturating_sub(1)).unwrap_or(u8::MAX));
    let schedule = Schedule::from_indices(taken.collect());
    // Where it was stopped, the last pass may have met what it had not learned yet.
    let is_complete = !matches!(ended, Err(Break::Stopped | Break::Differs { .. })) && !should_stop();
    let difference = match ended {
        Err(Break::Differs { first, second }) => Some(Difference { schedule, first, second }),
        Err(Break::Broken | Break::Stopped) | Ok(()) => None,
    };
    let (states, steps, events) = (search.seen.len(), search.steps, search.events.finish());
    Twice { states, steps, events, is_complete, difference }
}

/// Why a comparison does not go on.
enum Break {
    Differs {
        first: String,
        second: String,
    },
    /// A promise is broken, in both.
    Broken,
    Stopped,
}

/// One state, twice.
type Pair<M> = [World<M>; 2];

struct Frame<M> {
    worlds: Pair<M>,
    choices: Vec<Choice>,
    next: usize,
    preemptions: u16,
}

struct Lockstep<'a, C: Checker> {
    engines: [Engine<'a, C>; 2],
    mergings: [Merging; 2],
    bounds: Bounds,
    /// The states of the first engine, each with the fewest preemptions it was reached with where they are bounded.
    seen: BTreeMap<u128, u16>,
    stack: Vec<Frame<C::Memory>>,
    events: Lanes,
    steps: u64,
}

impl<C: Checker> Lockstep<'_, C> {
    /// Whether the last pass has met a reply that was not known before, as both must say.
    fn goes_on(&mut self) -> Result<bool, Break> {
        let states = self.seen.len();
        let mut pairs = self.engines.iter_mut().zip(&mut self.mergings);
        let mut next = || pairs.next().is_some_and(|(engine, merging)| merging.goes_on(engine, states));
        let answers = [next(), next()];
        let histories = self.engines.each_ref().map(Engine::histories);
        if answers[0] != answers[1] || histories[0] != histories[1] {
            let [first, second] = histories.map(|count| format!("a program with {count} known histories"));
            return Err(differs(first, second));
        }
        Ok(answers[0])
    }

    /// Whether this pass proves nothing to one of them.
    fn is_in_vain(&mut self) -> bool {
        let states = self.seen.len();
        let [first, second] = &mut self.mergings;
        let [one, other] = &mut self.engines;
        first.is_in_vain(one, states) | second.is_in_vain(other, states)
    }

    /// Begins another pass.
    fn forget(&mut self) {
        self.seen.clear();
        self.stack.clear();
        (self.events, self.steps) = (Lanes::new(), 0);
    }

    fn run(&mut self, should_stop: &dyn Fn() -> bool) -> Result<(), Break> {
        let mut worlds = [self.engines[0].first(), self.engines[1].first()];
        let [first, second] = &mut self.engines;
        let [one, other] = &mut worlds;
        same("the setup", first.run_setup(one, |_, _, _| {}), second.run_setup(other, |_, _, _| {}))?;
        self.enter(worlds, 0)?;
        while let Some(frame) = self.stack.last_mut() {
            let Some(choice) = frame.choices.get(frame.next).copied() else {
                self.stack.pop();
                continue;
            };
            frame.next += 1;
            let mut worlds = frame.worlds.clone();
            let mut preemptions = frame.preemptions;
            if let Policy::Preemptions(most) = self.bounds.policy {
                preemptions += self.engines[0].preemption(&worlds[0], choice);
                if preemptions > most {
                    continue;
                }
            }
            frame.next.hash(&mut self.events);
            self.take(&mut worlds, choice)?;
            self.enter(worlds, preemptions)?;
            if self.is_in_vain() {
                return Ok(());
            }
            let is_time_to_ask = self.steps.is_multiple_of(ASK_EVERY);
            if self.seen.len() > self.bounds.states || (is_time_to_ask && should_stop()) {
                return Err(Break::Stopped);
            }
        }
        Ok(())
    }

    /// Takes a choice in both, and compares what it did.
    fn take(&mut self, worlds: &mut Pair<C::Memory>, choice: Choice) -> Result<(), Break> {
        let [first, second] = &mut self.engines;
        let [one, other] = worlds;
        let steps = [first.take(one, choice), second.take(other, choice)];
        self.steps += 1;
        let verdicts =
            [first.judge(one, &steps[0].step(choice)), second.judge(other, &steps[1].step(choice))];
        let [told, told_again] = steps.each_ref().map(answer);
        if told != told_again {
            return Err(differs(told, told_again));
        }
        let [effects, effects_again] = steps.map(|step| step.effects);
        if effects != effects_again {
            return Err(differs(format!("{effects:?}"), format!("{effects_again:?}")));
        }
        let keys = [digest(&one.kernel), digest(&other.kernel)];
        if keys[0] != keys[1] {
            let words = one.kernel.difference(&other.kernel);
            return Err(differs("one machine".to_owned(), format!("another one: {words:?}")));
        }
        keys[0].hash(&mut self.events);
        let [verdict, verdict_again] = verdicts;
        same("the verdict", verdict, verdict_again)?;
        if one.memory != other.memory {
            return Err(differs(format!("{:?}", one.memory), format!("{:?}", other.memory)));
        }
        Ok(())
    }

    /// Puts a state on the stack unless it was visited before.
    fn enter(&mut self, worlds: Pair<C::Memory>, preemptions: u16) -> Result<(), Break> {
        let counts = matches!(self.bounds.policy, Policy::Preemptions(_));
        let least = self.seen.entry(worlds[0].key(counts)).or_insert(u16::MAX);
        if *least <= preemptions {
            return Ok(());
        }
        *least = preemptions;
        let [first, second] = &mut self.engines;
        let [one, other] = &worlds;
        same("the verdict", first.probe(one), second.probe(other))?;
        let offered = [first.choices(one, &self.bounds), second.choices(other, &self.bounds)];
        let [Ok(choices), Ok(choices_again)] = offered else {
            let [once, again] = offered.map(|offered| offered.map(drop));
            return same("what can happen", once, again);
        };
        let offers = [offer(first, one, &choices), offer(second, other, &choices_again)];
        if choices != choices_again || offers[0] != offers[1] {
            let [once, again] = offers;
            let place = once.iter().zip(&again).position(|(once, again)| once != again);
            let place = place.unwrap_or(once.len().min(again.len()));
            let name = |offers: Vec<String>| offers.into_iter().nth(place).unwrap_or("nothing".to_owned());
            return Err(differs(name(once), name(again)));
        }
        if choices.iter().all(|choice| choice.is_fault()) {
            same("the verdict", first.end(one), second.end(other))?;
        }
        self.stack.push(Frame { worlds, choices, next: 0, preemptions });
        Ok(())
    }
}

/// What was asked and answered.
fn answer(stepped: &Stepped) -> String {
    match &stepped.told {
        Told::Call { call, reply, .. } => match &**reply {
            Ok(reply) => format!("`{call}`: {reply}"),
            Err(errno) => format!("`{call}`: {}", errno.name()),
        },
        Told::Execute => "an execution".to_owned(),
        Told::Exit(status) => format!("exit {status}"),
        Told::Release(fd) => format!("the release of {fd}"),
        Told::Action(action) => format!("{action:?}"),
        Told::Restart(None) => "a restart".to_owned(),
        Told::Restart(Some(pid)) => format!("a restart as pid {pid}"),
        Told::LosePatience => "the end of a supervisor's patience".to_owned(),
        Told::Kill => "a kill".to_owned(),
        Told::PowerLoss { outcome } => format!("a power loss, outcome {outcome}"),
    }
}

/// What could happen next, in words.
fn offer<C: Checker>(engine: &Engine<'_, C>, world: &World<C::Memory>, choices: &[Choice]) -> Vec<String> {
    let name = |slot: usize| engine.setup.slots[slot].name.as_str();
    let words = |choice: &Choice| match *choice {
        Choice::Run { slot, task, .. } => match engine.call(world.slots[slot].tasks[task]) {
            Some(call) => format!("`{call}` of {}", name(slot)),
            None => format!("nothing of {}", name(slot)),
        },
        Choice::Exit { slot } => {
            format!("exit {} of {}", engine.exit(world, slot).unwrap_or_default(), name(slot))
        }
        Choice::Execute { .. }
        | Choice::Release { .. }
        | Choice::Script
        | Choice::Restart { .. }
        | Choice::LosePatience { .. }
        | Choice::Kill { .. }
        | Choice::PowerLoss { .. } => format!("{choice:?}"),
    };
    choices.iter().map(words).collect()
}

fn differs(first: String, second: String) -> Break {
    Break::Differs { first, second }
}

/// Compares two verdicts, and stops where both are that something is broken.
fn same<T: PartialEq + fmt::Debug>(
    what: &str,
    first: Result<T, Violation>,
    second: Result<T, Violation>,
) -> Result<(), Break> {
    let words = |verdict: &Result<T, Violation>| match verdict {
        Ok(_) => format!("{what} without a complaint"),
        Err(violation) => format!("{what} that {violation}"),
    };
    match (&first, &second) {
        (Ok(one), Ok(other)) if one == other => Ok(()),
        (Ok(one), Ok(other)) => Err(differs(format!("{one:?}"), format!("{other:?}"))),
        (Err(one), Err(other)) if one == other => Err(Break::Broken),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => Err(differs(words(&first), words(&second))),
    }
}
