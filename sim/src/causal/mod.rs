//! An execution as what had to happen before what, so that it means something after the program was edited.
//!
//! A schedule counts choices, and one call more makes another execution of it. Here each process has the steps that it took,
//! by kind, object and answer, in its own order; between processes there is order only where one step could notice the
//! other: both are about one file, port, name or process, and not both only look. Calls that are not named may come between.
//!
//! # Invariants
//!
//! - What is written is read back: [`Causal::parse`] is the inverse of `Display`.

mod footprint;
mod rematch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use rematch::{Rematch, rematch};

use footprint::{Descriptors, Named, OWNERS};
use portcullis_os::{Call, Notice, Pid};

use crate::replay::{Trace, TraceStep, What, Who};
use crate::script::Action;
use crate::world::Setup;

/// The first line of the text: what it is, and which version of it.
const HEADER: &str = "portcullis causal trace, version 1";

/// The most steps of a trace that is read.
const MOST_STEPS: usize = 10_000;

/// One step that must happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// Who takes it: a process by name, `script`, or `power`.
    pub who: String,
    /// What it is, for instance `Open`, `Exit` or `Killed`.
    pub kind: String,
    /// What it is about, for instance a path. Empty if about nothing that has a name.
    pub object: String,
    /// How it is answered: `ok`, the name of an error, or an exit status.
    pub answer: String,
    /// The steps of others that come before it, by place, ascending.
    pub after: Vec<usize>,
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, kind, object, .. } = self;
        let space = if object.is_empty() { "" } else { " " };
        write!(f, "{who}: {kind}{space}{object}")
    }
}

/// What happened, in an order in which it could.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Causal {
    /// The steps.
    pub constraints: Vec<Constraint>,
    /// Whose call came last and broke something. The call is not among the steps: a program that does everything before it
    /// and then decides otherwise is repaired.
    pub goes_on: Option<String>,
}

/// A text that is no causal trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CausalError {
    /// Its first line is another one.
    #[error("the first line is not `{HEADER}`")]
    Header,
    /// A line has another form.
    #[error(
        "line {line} is not `NUMBER PROCESS: KIND [OBJECT] = ANSWER [after NUMBER ...]`, nor at the end \
         `then PROCESS goes on`"
    )]
    Line {
        /// Its number, from 1.
        line: usize,
    },
    /// Steps are not numbered from 1 on, or one comes after a later one.
    #[error("line {line}: steps are numbered from 1 on, and come after earlier ones")]
    Number {
        /// Its number, from 1.
        line: usize,
    },
    /// There are more steps than any execution has.
    #[error("there are more than {MOST_STEPS} steps")]
    TooLong,
}

impl Causal {
    /// What an execution of a setup had to do, after the setup.
    pub fn of(setup: &Setup, trace: &Trace) -> Self {
        let mut recorder = Recorder {
            setup,
            descriptors: Descriptors::new(),
            shared: Vec::new(),
            changed: BTreeSet::new(),
            last: BTreeMap::new(),
        };
        let mut causal = Self::default();
        let steps = &trace.steps;
        for (place, step) in steps.iter().enumerate() {
            let before = place.checked_sub(1).and_then(|before| steps.get(before));
            let Some((named, answer, touches)) = recorder.record(step, before) else { continue };
            if step.in_setup {
                continue;
            }
            let who = who(step.who, setup);
            let after = recorder.order(&who, &touches, &causal);
            causal.constraints.push(Constraint {
                who,
                kind: named.kind,
                object: named.object,
                answer,
                after,
            });
        }
        if let (Some(_), Some(What::Call(..))) = (&trace.violation, steps.last().map(|step| &step.what)) {
            causal.goes_on = causal.constraints.pop().map(|last| last.who);
        }
        causal
    }

    /// Reads what `Display` has written. Blank lines and lines that begin with `#` say nothing.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, and where.
    pub fn parse(text: &str) -> Result<Self, CausalError> {
        let mut lines =
            (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        if lines.next().map(|(_, line)| line.trim()) != Some(HEADER) {
            return Err(CausalError::Header);
        }
        let mut causal = Self::default();
        for (line, text) in lines {
            if causal.goes_on.is_some() {
                return Err(CausalError::Line { line });
            }
            let last = text.trim().strip_prefix("then ").and_then(|rest| rest.strip_suffix(" goes on"));
            if let Some(who) = last {
                causal.goes_on = Some(who.to_owned());
                continue;
            }
            let constraint = parse_line(text, causal.constraints.len(), line)?;
            causal.constraints.push(constraint);
            if causal.constraints.len() > MOST_STEPS {
                return Err(CausalError::TooLong);
            }
        }
        Ok(causal)
    }
}

impl fmt::Display for Causal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        for (number, constraint) in (1..).zip(&self.constraints) {
            write!(f, "{number:>4} {constraint} = {}", constraint.answer)?;
            if !constraint.after.is_empty() {
                write!(f, " after")?;
                constraint.after.iter().try_for_each(|place| write!(f, " {}", place + 1))?;
            }
            writeln!(f)?;
        }
        match &self.goes_on {
            Some(who) => writeln!(f, "     then {who} goes on"),
            None => Ok(()),
        }
    }
}

fn parse_line(text: &str, known: usize, line: usize) -> Result<Constraint, CausalError> {
    let wrong = || CausalError::Line { line };
    let (number, rest) = text.trim().split_once(' ').ok_or_else(wrong)?;
    if number.parse() != Ok(known + 1) {
        return Err(CausalError::Number { line });
    }
    let (who, rest) = rest.split_once(": ").ok_or_else(wrong)?;
    let (what, rest) = rest.rsplit_once(" = ").ok_or_else(wrong)?;
    let (kind, object) = what.split_once(' ').unwrap_or((what, ""));
    let (answer, after) = rest.split_once(" after ").unwrap_or((rest, ""));
    let mut places = Vec::new();
    for number in after.split_whitespace() {
        let place = number.parse::<usize>().map_err(|_| wrong())?.checked_sub(1);
        places.push(place.filter(|place| *place < known).ok_or(CausalError::Number { line })?);
    }
    let is_word = |text: &str| !text.is_empty() && !text.contains(' ');
    if !is_word(kind) || !is_word(answer) || who.trim().is_empty() {
        return Err(wrong());
    }
    let [who, kind, object, answer] = [who, kind, object, answer].map(str::to_owned);
    Ok(Constraint { who, kind, object, answer, after: places })
}

/// A start by a supervisor, with a pid if that was chosen.
fn restarted(pid: Option<Pid>) -> Named {
    Named { kind: "Restart".to_owned(), object: pid.map(|pid| pid.to_string()).unwrap_or_default() }
}

/// Who takes a step, by name.
fn who(who: Who, setup: &Setup) -> String {
    match who {
        Who::Slot(slot) | Who::Fault(slot) => setup.slots[slot].name.clone(),
        Who::Supervisor(slot) => format!("supervisor-of-{}", setup.slots[slot].name),
        Who::Script => "script".to_owned(),
        Who::Outage(_) => "power".to_owned(),
    }
}

/// What a step is about, and whether it changes it.
type Touches = Vec<(String, bool)>;

/// Goes through an execution, and knows what its steps are about.
struct Recorder<'a> {
    setup: &'a Setup,
    descriptors: Descriptors,
    /// What the steps so far were about, in the order of the constraints.
    shared: Vec<Touches>,
    /// What each slot has changed or taken.
    changed: BTreeSet<(usize, String)>,
    /// The last step of each.
    last: BTreeMap<String, usize>,
}

impl Recorder<'_> {
    /// What a step is called, how it was answered, and what it is about.
    fn record(&mut self, step: &TraceStep, before: Option<&TraceStep>) -> Option<(Named, String, Touches)> {
        let plain = |kind: &str| Named { kind: kind.to_owned(), object: String::new() };
        let named = match (&step.what, step.who) {
            (What::Call(call, reply), Who::Slot(slot)) => {
                let view = before.map_or_else(|| step.view(), TraceStep::view);
                let named = footprint::named(call, slot, &self.descriptors, self.setup, &view);
                let changes = footprint::has_changed(call, reply, &step.effects);
                let touches = self.touched(slot, call, &named, changes);
                footprint::note(&mut self.descriptors, slot, call, &named, reply);
                return Some((named, footprint::answer(reply), touches));
            }
            (What::Action(action), _) => {
                let named = footprint::acted(action, self.setup);
                let mut touches = vec![(named.object.clone(), true)];
                if let Action::Signal(slot, _) = action {
                    touches.extend(self.held(*slot));
                }
                return Some((named, "ok".to_owned(), touches));
            }
            (What::Exit(status), Who::Slot(slot)) => {
                return Some((plain("Exit"), status.to_string(), self.held(slot)));
            }
            (What::Kill, Who::Fault(slot)) => {
                return Some((plain("Killed"), "ok".to_owned(), self.held(slot)));
            }
            (What::Execute, _) => plain("Execute"),
            (What::Release(fd), Who::Slot(slot)) => {
                let object = self.descriptors.get(&(slot, *fd)).cloned().unwrap_or_default();
                let touches = vec![(object.clone(), true)];
                return Some((Named { kind: "Release".to_owned(), object }, "ok".to_owned(), touches));
            }
            (What::Restart(pid), _) => restarted(*pid),
            (What::LosePatience, _) => plain("LosePatience"),
            (What::PowerLoss { outcome }, _) => {
                Named { kind: "PowerLoss".to_owned(), object: outcome.to_string() }
            }
            (What::Call(..) | What::Exit(_) | What::Kill | What::Release(_), _) => return None,
        };
        // What has no footprint that is known is ordered with everything.
        let everything = self.shared.iter().flatten().map(|(object, _)| (object.clone(), true)).collect();
        Some((named, "ok".to_owned(), everything))
    }

    fn touched(&mut self, slot: usize, call: &Call, named: &Named, changes: bool) -> Touches {
        if let Call::Notify(notice) = call {
            return match notice {
                Notice::Owner(_) | Notice::Released => vec![(OWNERS.to_owned(), true)],
                Notice::Ready | Notice::Refused { .. } | Notice::Noted(_) => Vec::new(),
            };
        }
        if named.object.is_empty() {
            return Vec::new();
        }
        // What was only looked at is closed without anybody noticing, and without noticing anybody.
        let own = (slot, named.object.clone());
        let gives_back = matches!(call, Call::Close { .. }) && self.changed.contains(&own);
        if matches!(call, Call::Close { .. }) && !gives_back {
            return Vec::new();
        }
        if changes {
            self.changed.insert(own);
        }
        let mut touches = vec![(named.object.clone(), changes || gives_back)];
        if let Call::Rename { from, .. } | Call::Link { from, .. } = call {
            touches.push((from.display().to_string(), changes));
        }
        touches
    }

    /// What the end of a process changes: itself, whom it was taken for, and what it has open.
    fn held(&self, slot: usize) -> Touches {
        let open = self.descriptors.iter().filter(|((owner, _), _)| *owner == slot);
        let mut touches: Touches = open.map(|(_, object)| (object.clone(), true)).collect();
        touches.push((self.setup.slots[slot].name.clone(), true));
        touches.push((OWNERS.to_owned(), true));
        touches
    }

    /// The steps of others that a step comes after, without those that come before one of them anyway.
    fn order(&mut self, who: &str, touches: &Touches, causal: &Causal) -> Vec<usize> {
        let conflicts = |other: &Touches| {
            other.iter().any(|(object, changes)| {
                touches.iter().any(|(own, own_changes)| own == object && (*changes || *own_changes))
            })
        };
        let known = &causal.constraints;
        let mut implied: BTreeSet<usize> = BTreeSet::new();
        let mut pending: Vec<usize> = self.last.get(who).copied().into_iter().collect();
        let mut after = Vec::new();
        for place in (0..known.len()).rev() {
            while let Some(next) = pending.pop() {
                if implied.insert(next) {
                    pending.extend(&known[next].after);
                    pending.extend((0..next).rev().find(|earlier| known[*earlier].who == known[next].who));
                }
            }
            let is_first = touches.iter().any(|(object, _)| object == &known[place].object)
                && known[place].who == "script";
            if known[place].who != who
                && !implied.contains(&place)
                && (conflicts(&self.shared[place]) || (is_first && known[place].object == who))
            {
                after.push(place);
                pending.push(place);
            }
        }
        // Whoever starts a process comes before its first step.
        if !self.last.contains_key(who) {
            let start = known.iter().rposition(|other| other.who == "script" && other.object == who);
            after.extend(start.filter(|start| !after.contains(start) && !implied.contains(start)));
        }
        after.sort_unstable();
        self.last.insert(who.to_owned(), known.len());
        self.shared.push(touches.clone());
        after
    }
}
