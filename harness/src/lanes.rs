//! An execution as lanes: one column a process, what changed hands beside them, and who owns at each step.
//!
//! The owners stand at the right because they are the property. Calls that touch nothing that others see are folded.

mod browsers;
mod names;

use std::fmt::Write as _;

use portcullis_os::{Call, Fd, Reply};
use sim::kernel::Effect;
use sim::supervisor::Order;
use sim::{Action, Risk, Trace, TraceStep, Turn, View, What, Who};

use crate::checks::Role;
use crate::simulate::Simulation;
use crate::stale;
use browsers::{is_notable, opening};
use names::Names;

/// The width of a terminal that everybody has, in columns.
const WIDTH: usize = 100;
/// The widest lane, in columns.
const WIDEST: usize = 36;
/// The width of a column of a lock file.
const FILE: usize = 12;

/// One line of the lanes.
pub(crate) struct Row {
    /// Empty for a line that is no step, `-` in the setup.
    pub(crate) number: String,
    pub(crate) lane: Option<usize>,
    pub(crate) text: String,
    files: Vec<String>,
    chance: String,
    owners: String,
    is_preemption: bool,
    pub(crate) matters: bool,
}

/// The width of the column of owners, if something stands behind it.
const OWNERS: usize = 11;

/// The lanes of an execution, line by line.
pub fn render(simulation: &Simulation, trace: &Trace) -> Vec<String> {
    drawn(simulation, trace, None)
}

/// The same, with the probability at each step that what was chosen at random from there breaks something. It stands behind
/// everything else, so that all else stands where it does without.
pub fn render_with_risk(simulation: &Simulation, trace: &Trace, risk: &Risk) -> Vec<String> {
    drawn(simulation, trace, Some(risk))
}

fn drawn(simulation: &Simulation, trace: &Trace, risk: Option<&Risk>) -> Vec<String> {
    let lanes: Vec<usize> =
        (0..simulation.setup.slots.len()).filter(|slot| has_lane(simulation, trace, *slot)).collect();
    let rows = fold(rows(simulation, trace, risk));
    let files = simulation.lock_files.len() * FILE;
    let width = (WIDTH.saturating_sub(9 + files + 10) / lanes.len().max(1)).min(WIDEST);
    let mut lines = vec![header(simulation, &lanes, width, risk.is_some())];
    for row in &rows {
        let mut line = format!(" {} {:>3}  ", if row.is_preemption { ">>" } else { "  " }, row.number);
        match row.lane {
            Some(lane) => {
                for slot in &lanes {
                    let text = if *slot == lane { row.text.as_str() } else { "" };
                    let _ = write!(line, "{:<width$}", cut(text, width - 1));
                }
            }
            None => {
                let whole = width * lanes.len();
                let _ = write!(line, "{:<whole$}", cut(&row.text, whole - 1));
            }
        }
        for file in &row.files {
            let _ = write!(line, "{:<FILE$}", cut(file, FILE - 1));
        }
        match risk {
            Some(_) => _ = write!(line, "{:<OWNERS$}{}", row.owners, row.chance),
            None => line.push_str(&row.owners),
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn header(simulation: &Simulation, lanes: &[usize], width: usize, has_risk: bool) -> String {
    let mut line = "   step  ".to_owned();
    for slot in lanes {
        let _ = write!(line, "{:<width$}", cut(&simulation.checks.slots[*slot].0, width - 1));
    }
    for (label, _) in &simulation.lock_files {
        let _ = write!(line, "{:<FILE$}", cut(&format!("lock of {label}"), FILE - 1));
    }
    line.push_str("owners");
    if has_risk {
        let _ = write!(line, "{:<1$}risk", "", OWNERS - "owners".len());
    }
    line
}

/// Who acted on what was no longer so, in one line.
pub fn stale_read(simulation: &Simulation, trace: &Trace) -> Option<String> {
    let stale = stale::find(trace)?;
    let name = |slot: usize| simulation.checks.slots[slot].0.as_str();
    let (actor, changer) = (name(stale.actor), name(stale.changer));
    let stale::StaleRead { object, looked, saw, changed, acted, .. } = stale;
    Some(format!(
        " stale read   step {acted} acts on what {actor} saw of {object} at step {looked} ({saw}); {changer} changed it \
         at step {changed}"
    ))
}

/// Which steps are taken again and again, in one line.
pub fn repeats(trace: &Trace) -> Option<String> {
    let (first, last) = round(trace)?;
    let steps = repeating(first, last);
    Some(format!(" for ever     {steps}, which is fair: whoever could go on all the time does"))
}

fn repeating(first: usize, last: usize) -> String {
    if first == last { format!("step {first} repeats") } else { format!("steps {first} to {last} repeat") }
}

/// The numbers of the first and the last step that are taken again and again.
fn round(trace: &Trace) -> Option<(usize, usize)> {
    let in_setup = trace.steps.iter().filter(|step| step.in_setup).count();
    trace.repeats_from.map(|from| (from + 1 - in_setup, trace.steps.len() - in_setup))
}

/// What it took to get there, in one line.
pub fn needed(trace: &Trace, is_shortest: bool) -> String {
    cost(trace, if is_shortest { "nothing less breaks it" } else { "" })
}

/// Faults, preemptions and steps of an execution, in one line, and what is known of them.
pub(crate) fn cost(trace: &Trace, proof: &str) -> String {
    let preemptions = trace.steps.iter().filter(|step| step.is_preemption).count();
    let faults = trace.steps.iter().filter(|step| matches!(step.who, Who::Fault(_) | Who::Outage(_))).count();
    let steps = trace.steps.iter().filter(|step| !step.in_setup).count();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let proof = if proof.is_empty() { String::new() } else { format!("; {proof}") };
    format!(
        " needed       {}, {}, {}{proof}",
        plural(faults, "fault"),
        plural(preemptions, "preemption"),
        plural(steps, "step")
    )
}

/// One line for each step, in order, and lines between them that are no steps.
pub(crate) fn rows(simulation: &Simulation, trace: &Trace, risk: Option<&Risk>) -> Vec<Row> {
    let mut names = Names::default();
    let mut number = 0;
    let mut rows = Vec::new();
    for (place, step) in trace.steps.iter().enumerate() {
        if trace.repeats_from == Some(place) {
            rows.extend(
                round(trace).map(|(first, last)| rule(&format!("from here {}", repeating(first, last)))),
            );
        }
        if !step.in_setup {
            number += 1;
        }
        for (slot, state) in step.slots.iter().enumerate() {
            names.belong_to(slot, state.process);
        }
        let (lane, text) = match (step.who, &step.what) {
            (Who::Slot(slot), What::Call(call, reply)) => (Some(slot), told(slot, call, reply, &mut names)),
            (Who::Slot(slot), What::Execute) => (Some(slot), "(executes its program)".to_owned()),
            (Who::Slot(slot), What::Release(fd)) => (Some(slot), format!("(dying: releases {fd})")),
            (Who::Slot(slot), What::Exit(status)) => (Some(slot), format!("exit {status}")),
            (Who::Fault(slot), _) => (Some(slot), "x SIGKILL (fault)".to_owned()),
            (Who::Supervisor(slot), What::LosePatience) => (Some(slot), "x SIGKILL (supervisor)".to_owned()),
            (Who::Supervisor(slot), What::Restart(_)) => (Some(slot), restart_text(&step.view(), slot)),
            (_, What::Action(Action::Open { by, slot })) => {
                opening(simulation, &step.view(), *by, *slot, has_lane(simulation, trace, *slot))
            }
            (_, What::Action(action)) => action_text(action),
            (Who::Outage(_), _) => (None, "power loss (fault)".to_owned()),
            (
                _,
                What::Call(..)
                | What::Execute
                | What::Exit(_)
                | What::Release(_)
                | What::Kill
                | What::Restart(_)
                | What::LosePatience
                | What::PowerLoss { .. },
            ) => (None, String::new()),
        };
        rows.push(Row {
            number: if step.in_setup { "-".to_owned() } else { number.to_string() },
            lane,
            text,
            files: files(simulation, &step.view()),
            chance: chance(risk, if step.in_setup { 0 } else { number }),
            owners: owners(simulation, &step.view()),
            is_preemption: step.is_preemption,
            matters: matters(step),
        });
    }
    if let Some(last) = rows.last_mut() {
        last.matters = true;
    }
    rows
}

/// The probability after a step, counted from 1.
fn chance(risk: Option<&Risk>, number: usize) -> String {
    let after = risk.and_then(|risk| risk.after.get(number.checked_sub(1)?));
    after.map_or_else(String::new, |chance| percent(*chance, 2))
}

/// A probability in words. What is not certain is not called so, however near it comes.
fn percent(chance: f64, digits: usize) -> String {
    let least = 0.1_f64.powi(i32::try_from(digits).unwrap_or_default());
    let percent = chance * 100.0;
    if chance <= 0.0 || chance >= 1.0 {
        format!("{percent} %")
    } else if percent < least / 2.0 {
        format!("< {least:.digits$} %")
    } else if percent > 100.0 - least / 2.0 {
        format!("> {:.digits$} %", 100.0 - least)
    } else {
        format!("{percent:.digits$} %")
    }
}

/// How likely it is to break something, and what decided it, in one line.
pub fn risk(trace: &Trace, risk: &Risk) -> String {
    let is_fault = |step: &&TraceStep| matches!(step.who, Who::Fault(_) | Who::Outage(_));
    let without = if trace.steps.iter().any(|step| is_fault(&step)) { " without a fault" } else { "" };
    let before = |step: usize| match step {
        0 | 1 => risk.overall,
        later => risk.after[later - 2],
    };
    let turn = match risk.turn {
        Turn::NoReturn(step) => format!("step {step} is the point of no return"),
        Turn::Jump(step) => {
            let (from, to) = (percent(before(step), 2), percent(risk.after[step - 1], 2));
            format!("step {step} raises that most, from {from} to {to}")
        }
    };
    format!(" risk         {} of random schedules{without} break it; {turn}", percent(risk.overall, 4))
}

/// A row that is no step.
fn rule(text: &str) -> Row {
    Row {
        number: String::new(),
        lane: None,
        text: format!("-- {text} --"),
        files: Vec::new(),
        chance: String::new(),
        owners: String::new(),
        is_preemption: false,
        matters: true,
    }
}

/// Calls of one process in words, in order.
pub(crate) fn calls<'a>(
    calls: impl Iterator<Item = (&'a Call, &'a Result<Reply, portcullis_os::Errno>)>,
) -> Vec<String> {
    let mut names = Names::default();
    calls.map(|(call, reply)| told(0, call, reply, &mut names)).collect()
}

/// Whether a slot is shown: everybody whom the scenario names, the children that were born, and the browsers with which
/// anything was the matter.
pub(crate) fn has_lane(simulation: &Simulation, trace: &Trace, slot: usize) -> bool {
    match simulation.checks.slots[slot].1 {
        Role::Gateway(_) | Role::Bystander | Role::Actor => true,
        Role::Browser { .. } => is_notable(simulation, trace, slot),
        Role::Child => trace.steps.last().is_some_and(|step| step.slots[slot].process.is_some()),
        Role::Probe(_) => false,
    }
}

/// Replaces runs of calls that nobody else can notice by one row each.
fn fold(rows: Vec<Row>) -> Vec<Row> {
    let mut folded: Vec<Row> = Vec::new();
    let mut hidden: Option<(usize, Row)> = None;
    for row in rows {
        let continues = hidden.as_ref().is_some_and(|(_, run)| run.lane == row.lane);
        if row.matters || row.is_preemption || row.lane.is_none() || (hidden.is_some() && !continues) {
            folded.extend(hidden.take().map(|(count, run)| summary(count, run)));
        }
        if row.matters || row.is_preemption || row.lane.is_none() {
            folded.push(row);
        } else {
            hidden = Some(match hidden.take() {
                Some((count, _)) => (count + 1, row),
                None => (1, row),
            });
        }
    }
    folded.extend(hidden.map(|(count, run)| summary(count, run)));
    folded
}

fn summary(count: usize, last: Row) -> Row {
    if count == 1 {
        return last;
    }
    Row { number: "...".to_owned(), text: format!("({count} calls)"), ..last }
}

/// Whether others can notice a step, or it is a look at something that others change.
fn matters(step: &TraceStep) -> bool {
    let news = step.effects.iter().any(|effect| match effect {
        Effect::Created { kind, .. } => *kind == portcullis_os::FileKind::Regular,
        Effect::Signalled { .. }
        | Effect::Changed { .. }
        | Effect::Unlinked { .. }
        | Effect::Linked { .. }
        | Effect::Renamed { .. }
        | Effect::Locked { .. }
        | Effect::Spawned { .. }
        | Effect::Died { .. }
        | Effect::Notified { .. } => true,
    });
    let looks = match &step.what {
        What::Call(_, Err(_))
        | What::Execute
        | What::Exit(_)
        | What::Release(_)
        | What::Action(_)
        | What::Restart(_)
        | What::LosePatience
        | What::Kill
        | What::PowerLoss { .. } => true,
        What::Call(
            Call::Read { .. } | Call::Kill { .. } | Call::Receive { .. } | Call::Flock { .. },
            Ok(_),
        ) => true,
        What::Call(..) => false,
    };
    news || looks
}

/// What a descriptor that a call opens is called.
/// The descriptor that a call is about, if its name says more than its number.
fn subject(call: &Call) -> Option<(&'static str, Fd)> {
    if let Call::Flock { fd, mode } = call {
        let verb = match mode {
            portcullis_os::LockMode::Exclusive => "flock",
            portcullis_os::LockMode::Shared => "flock shared",
            portcullis_os::LockMode::Unlock => "unlock",
        };
        return Some((verb, *fd));
    }
    if let Call::Read { fd, .. } = call {
        return Some(("read", *fd));
    }
    if let Call::Write { fd, .. } = call {
        return Some(("write", *fd));
    }
    if let Call::Close { fd } = call {
        return Some(("close", *fd));
    }
    if let Call::StatFd { fd } = call {
        return Some(("fstat", *fd));
    }
    if let Call::Sync { fd } = call {
        return Some(("fsync", *fd));
    }
    if let Call::Listen { fd, .. } = call {
        return Some(("listen", *fd));
    }
    None
}

fn told(slot: usize, call: &Call, reply: &Result<Reply, portcullis_os::Errno>, names: &mut Names) -> String {
    names.opened(slot, call, reply);
    let text = in_words(slot, call, reply, names);
    names.closed(slot, call);
    text
}

fn in_words(slot: usize, call: &Call, reply: &Result<Reply, portcullis_os::Errno>, names: &Names) -> String {
    if let Call::Kill { signal: None, pid } = call {
        return format!("is {pid} alive? {}", if reply.is_ok() { "yes" } else { "no" });
    }
    let asked = match subject(call).and_then(|(verb, fd)| Some((verb, names.of(slot, fd)?))) {
        Some((verb, name)) => format!("{verb} {name}"),
        None => call.to_string(),
    };
    if let Call::Write { bytes, .. } = call
        && reply.is_ok()
        && bytes.len() <= 16
    {
        return format!("{asked}: {}", String::from_utf8_lossy(bytes));
    }
    match reply {
        Ok(Reply::Done | Reply::Fd(_) | Reply::Count(_)) => asked,
        Ok(reply) => format!("{asked}: {reply}"),
        Err(errno) => format!("{asked}: {}", errno.name()),
    }
}

fn restart_text(view: &View<'_>, slot: usize) -> String {
    if view.is_alive(slot) {
        return format!("(started by its supervisor, {} in all)", view.starts(slot));
    }
    "(started too often, says its supervisor)".to_owned()
}

fn action_text(action: &Action) -> (Option<usize>, String) {
    match action {
        Action::Start(slot) => (Some(*slot), "(started)".to_owned()),
        Action::Signal(slot, signal) => (Some(*slot), format!("({signal})")),
        Action::Order(slot, Order::Stop) => (Some(*slot), "(its service is stopped)".to_owned()),
        Action::Order(slot, Order::Restart) => (Some(*slot), "(its service is restarted)".to_owned()),
        Action::Open { slot, .. } => (Some(*slot), "(opened)".to_owned()),
        Action::Recycle { heir, .. } => (Some(*heir), "(started with the dead one's pid)".to_owned()),
        Action::Operate(operation) => (None, format!("-- {operation} --")),
        Action::Remove(_) => (None, "-- an operator removes the lock file --".to_owned()),
        Action::Wait(_) => (None, String::new()),
    }
}

/// What is in each lock file, or who holds the lock on it.
fn files(simulation: &Simulation, view: &View<'_>) -> Vec<String> {
    let column = |path: &std::path::PathBuf| {
        let Some(file) = view.kernel.lookup(path) else { return "(none)".to_owned() };
        let holders: Vec<&str> = view
            .kernel
            .lock_holders(file)
            .into_iter()
            .filter_map(|process| Some(simulation.checks.slots[view.slot_of(process)?].0.as_str()))
            .collect();
        if !holders.is_empty() {
            return format!("held: {}", holders.join(" "));
        }
        match view.kernel.contents(path) {
            Some(bytes) if !bytes.is_empty() => format!("pid {}", String::from_utf8_lossy(&bytes)),
            Some(_) | None => "(empty)".to_owned(),
        }
    };
    simulation.lock_files.iter().map(|(_, path)| column(path)).collect()
}

fn owners(simulation: &Simulation, view: &View<'_>) -> String {
    let owners: Vec<&str> =
        view.owners().into_iter().map(|slot| simulation.checks.slots[slot].0.as_str()).collect();
    match owners.len() {
        0 => "-".to_owned(),
        1 => owners[0].to_owned(),
        _ => format!("{}  <- {}", owners.join(" "), owners.len()),
    }
}

/// What fits into a width, with a mark where something is cut off.
pub(crate) fn cut(text: &str, width: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.chars().count() <= width {
        return clean;
    }
    let kept: String = clean.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}~")
}
