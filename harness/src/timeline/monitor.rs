//! Goes along with a schedule and with the timeline at once, and gives up where the two part.
//!
//! A word (ready, refused, ...) must be the next of its gateway when it is said, and everything that the logs put before it
//! must have been seen. What stays so once it is so (started, told to stop, ended) is seen as soon as everything before it
//! was: that constrains least. A gateway that no event is about has left no log, so whatever it says fits.

use std::cell::RefCell;
use std::collections::BTreeSet;

use portcullis_os::{Notice, Pid};
use sim::kernel::{Effect, Ending, Life};
use sim::{Checker, Step, View, Violation};

use super::order::Order;
use crate::scenario::{Happening, Reason, Seen, Timeline};

/// What is said of a schedule that shows all that is asked for.
pub(super) const SHOWN: &str = "timeline";

/// More ways to part than this are not told.
const MOST_WAYS: usize = 5;

/// How far a schedule has come on the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Memory {
    /// How many events of each log were seen.
    done: Vec<u16>,
    /// It has shown something else.
    is_over: bool,
}

/// The furthest that any schedule has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Furthest {
    /// How many events of each log it has shown.
    pub done: Vec<u16>,
    /// What comes instead of the rest.
    pub instead: BTreeSet<String>,
}

impl Furthest {
    /// How many events it has shown.
    pub fn count(&self) -> usize {
        self.done.iter().map(|done| usize::from(*done)).sum()
    }
}

/// Whether a design says truly whom it has found in its way, so that one which names nobody has found nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// It does.
    Faithful,
    /// It is no more than a model, and names nobody.
    Silent,
}

/// The checker of a search for a timeline.
pub(super) struct Monitor<'t> {
    timeline: &'t Timeline,
    order: Order,
    /// The events of each slot, in order. One without any has left no log, and is of no interest.
    lanes: Vec<Vec<usize>>,
    /// The names of all slots, for whom a refusal names.
    names: Vec<&'t str>,
    naming: Naming,
    /// How far a schedule must come.
    goal: Vec<u16>,
    furthest: RefCell<Furthest>,
}

impl<'t> Monitor<'t> {
    /// A monitor of gateways in slots of these names.
    pub(super) fn new(timeline: &'t Timeline, names: Vec<&'t str>, naming: Naming) -> Self {
        let order = Order::of(timeline);
        // A probe has the name of its gateway, and stands behind it.
        let is_first = |slot: usize| !names[..slot].contains(&names[slot]);
        let is_of =
            |slot: usize, event: usize| timeline.events[event].value.who == names[slot] && is_first(slot);
        let lane = |slot| (0..timeline.events.len()).filter(|event| is_of(slot, *event)).collect();
        let lanes = (0..names.len()).map(lane).collect();
        let goal = order.whole();
        let furthest = Furthest { done: vec![0; order.logs()], instead: BTreeSet::new() };
        Self { timeline, order, lanes, names, naming, goal, furthest: RefCell::new(furthest) }
    }

    /// The same monitor, of schedules that need to come only so far.
    pub(super) fn only_to(self, done: &[u16]) -> Self {
        Self { goal: done.to_vec(), ..self }
    }

    /// The furthest that was seen.
    pub(super) fn furthest(&self) -> Furthest {
        self.furthest.borrow().clone()
    }

    fn seen(&self, event: usize) -> &'t Seen {
        &self.timeline.events[event].value
    }

    /// The events of a slot that were not seen, in order.
    fn left<'m>(&'m self, slot: usize, done: &'m [u16]) -> impl Iterator<Item = usize> + 'm {
        self.lanes[slot].iter().copied().filter(move |event| !self.order.is_done(*event, done))
    }

    /// Whether the gateway of a slot would have told it.
    fn tells(&self, slot: usize, kind: Happening) -> bool {
        let has_told = |event: &usize| self.seen(*event).what.kind() == kind;
        self.timeline.tells.contains(&kind) || self.lanes[slot].iter().any(has_told)
    }

    /// It goes another way than the logs.
    fn part(&self, memory: &mut Memory, instead: impl FnOnce() -> String) {
        memory.is_over = true;
        let mut furthest = self.furthest.borrow_mut();
        if furthest.done == memory.done && furthest.instead.len() < MOST_WAYS {
            furthest.instead.insert(instead());
        }
    }

    /// A gateway has said something.
    fn word(&self, memory: &mut Memory, view: &View<'_>, slot: usize, notice: &Notice) {
        if self.lanes[slot].is_empty() {
            return;
        }
        let who = self.names[slot];
        let kind = match notice {
            Notice::Owner(_) => Happening::Owner,
            Notice::Ready => Happening::Ready,
            Notice::Released => Happening::Released,
            Notice::Refused { .. } => Happening::Refused(None),
            Notice::Noted(_) => return,
        };
        let next = self.left(slot, &memory.done).next();
        let due = next.filter(|event| self.order.is_due(*event, &memory.done));
        if let Some(event) = due
            && self.seen(event).what.kind() == kind
            && self.says(view, slot, self.seen(event), notice)
        {
            memory.done[self.order.place(event).0] += 1;
        } else if self.tells(slot, kind) {
            let early = due.is_none() && next.is_some();
            self.part(memory, || {
                let when = if early { ", too early" } else { "" };
                format!("{who} {}{when}", self.in_words(view, slot, notice))
            });
        }
    }

    /// Whether what was said is what the log shows.
    fn says(&self, view: &View<'_>, slot: usize, seen: &Seen, notice: &Notice) -> bool {
        let Notice::Refused { code, holder } = notice else { return true };
        let admits = |reason: &Reason| reason.admits(code);
        let is_reason = match seen.what {
            Happening::Refused(reason) => reason.is_none_or(admits),
            Happening::Started
            | Happening::Owner
            | Happening::Ready
            | Happening::Draining
            | Happening::Released
            | Happening::Exited
            | Happening::Killed => false,
        };
        let names = |name: &String| match holder {
            Some(pid) => self.named(view, slot, *pid).any(|named| named == name),
            None => self.naming == Naming::Silent,
        };
        is_reason && seen.names.as_ref().is_none_or(names)
    }

    /// Whose pid it is or was, as it is called where the observer is.
    fn named<'m>(
        &'m self,
        view: &'m View<'_>,
        observer: usize,
        pid: Pid,
    ) -> impl Iterator<Item = &'t str> + 'm {
        let namespace = view.slots[observer].process.map(|own| view.kernel.place(own).pids);
        let has = move |slot: &usize| {
            let state = &view.slots[*slot];
            let mut processes = state.past.iter().chain(&state.process);
            processes
                .any(|process| namespace.and_then(|space| view.kernel.pid_in(space, *process)) == Some(pid))
        };
        (0..self.names.len()).filter(has).map(|slot| self.names[slot])
    }

    fn in_words(&self, view: &View<'_>, slot: usize, notice: &Notice) -> String {
        let Notice::Refused { code, holder } = notice else { return format!("says {notice}") };
        let named = holder.and_then(|pid| self.named(view, slot, pid).next().map(str::to_owned));
        match (named, holder) {
            (Some(name), _) => format!("says refused:{code} and names {name}"),
            (None, Some(pid)) => format!("says refused:{code} and names pid {pid}"),
            (None, None) => format!("says refused:{code}"),
        }
    }

    /// A process has come to its end, and says nothing more.
    fn death(&self, memory: &mut Memory, slot: usize, how: Ending) {
        let who = self.names[slot];
        let is_exit = matches!(how, Ending::Exited(_));
        let contradicts = |what: Happening| match what {
            Happening::Exited => !is_exit,
            Happening::Killed => is_exit,
            Happening::Started => false,
            Happening::Owner
            | Happening::Ready
            | Happening::Draining
            | Happening::Released
            | Happening::Refused(_) => true,
        };
        if self.left(slot, &memory.done).any(|event| contradicts(self.seen(event).what)) {
            self.part(memory, || format!("{who} {}", if is_exit { "exits" } else { "is killed" }));
        }
    }

    /// Sees whatever is so by now and is due.
    fn settle(&self, memory: &mut Memory, view: &View<'_>) {
        let is_so = |seen: &Seen| {
            let Some(slot) = self.names.iter().position(|name| *name == seen.who) else { return false };
            let state = &view.slots[slot];
            let life = state.process.map(|process| view.kernel.life(process));
            match (seen.what, life) {
                (Happening::Started, life) => life.is_some(),
                (Happening::Draining, life) => life.is_some() && state.asked,
                (Happening::Exited, Some(Life::Dying(Ending::Exited(_)) | Life::Dead(Ending::Exited(_)))) => {
                    true
                }
                (Happening::Killed, Some(Life::Dying(how) | Life::Dead(how))) => {
                    matches!(how, Ending::Killed(_) | Ending::KilledBy(_))
                }
                (
                    Happening::Owner
                    | Happening::Ready
                    | Happening::Released
                    | Happening::Refused(_)
                    | Happening::Exited
                    | Happening::Killed,
                    _,
                ) => false,
            }
        };
        while let Some(log) = (0..self.order.logs()).find(|log| {
            let next = self.order.next(*log, memory.done[*log]);
            next.is_some_and(|event| {
                !self.seen(event).what.is_word()
                    && self.order.is_due(event, &memory.done)
                    && is_so(self.seen(event))
            })
        }) {
            memory.done[log] += 1;
        }
    }

    fn note_furthest(&self, memory: &Memory) {
        let sum = |done: &[u16]| done.iter().map(|done| usize::from(*done)).sum::<usize>();
        let mut furthest = self.furthest.borrow_mut();
        if sum(&memory.done) > furthest.count() {
            *furthest = Furthest { done: memory.done.clone(), instead: BTreeSet::new() };
        }
    }
}

impl Checker for Monitor<'_> {
    type Memory = Memory;

    fn start(&self) -> Memory {
        Memory { done: vec![0; self.order.logs()], is_over: false }
    }

    fn step(&self, memory: &mut Memory, view: &View<'_>, step: &Step<'_>) -> Result<(), Violation> {
        if let Some(slot) = step.slot
            && self.left(slot, &memory.done).any(|event| self.seen(event).what == Happening::Started)
        {
            let who = self.names[slot];
            self.part(memory, || format!("{who} acts before it was started"));
            return Ok(());
        }
        for effect in step.effects {
            match effect {
                Effect::Notified { process, notice } => {
                    if let Some(slot) = view.slot_of(*process) {
                        self.word(memory, view, slot, notice);
                    }
                }
                Effect::Died { process, how } => {
                    if let Some(slot) = view.slot_of(*process) {
                        self.death(memory, slot, *how);
                    }
                }
                Effect::Signalled { .. }
                | Effect::Created { .. }
                | Effect::Changed { .. }
                | Effect::Unlinked { .. }
                | Effect::Linked { .. }
                | Effect::Renamed { .. }
                | Effect::Locked { .. }
                | Effect::Spawned { .. } => {}
            }
            if memory.is_over {
                return Ok(());
            }
        }
        self.settle(memory, view);
        self.note_furthest(memory);
        if memory.done == self.goal {
            return Err(Violation { check: SHOWN.to_owned(), says: "all of it is shown".to_owned() });
        }
        Ok(())
    }

    fn end(&self, memory: &Memory, _: &View<'_>) -> Result<usize, Violation> {
        if !memory.is_over {
            let mut over = memory.clone();
            self.part(&mut over, || "nothing more happens".to_owned());
        }
        Ok(0)
    }

    fn is_over(&self, memory: &Memory) -> bool {
        memory.is_over
    }

    fn minds_stuck_scripts(&self) -> bool {
        false
    }
}
