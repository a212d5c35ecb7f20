//! An execution as lanes: one column a process, what changed hands beside them, and who owns at each step.
//!
//! The owners stand at the right because they are the property. Calls that touch nothing that others see are folded.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use portcullis_os::{Call, Fd, Reply};
use sim::kernel::Effect;
use sim::supervisor::Order;
use sim::{Action, Trace, TraceStep, View, What, Who};

use crate::checks::Role;
use crate::simulate::Simulation;
use crate::stale;

/// The width of a terminal that everybody has, in columns.
const WIDTH: usize = 100;
/// The widest lane, in columns.
const WIDEST: usize = 36;
/// The width of a column of a lock file.
const FILE: usize = 12;

/// One line of the lanes.
struct Row {
    number: String,
    lane: Option<usize>,
    text: String,
    files: Vec<String>,
    owners: String,
    is_preemption: bool,
    matters: bool,
}

/// The lanes of an execution, line by line.
pub fn render(simulation: &Simulation, trace: &Trace) -> Vec<String> {
    let lanes: Vec<usize> = (0..simulation.setup.slots.len())
        .filter(|slot| !matches!(simulation.checks.slots[*slot].1, Role::Probe(_)))
        .collect();
    let rows = fold(rows(simulation, trace));
    let files = simulation.lock_files.len() * FILE;
    let width = (WIDTH.saturating_sub(9 + files + 10) / lanes.len().max(1)).min(WIDEST);
    let mut lines = vec![header(simulation, &lanes, width)];
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
        line.push_str(&row.owners);
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn header(simulation: &Simulation, lanes: &[usize], width: usize) -> String {
    let mut line = "   step  ".to_owned();
    for slot in lanes {
        let _ = write!(line, "{:<width$}", cut(&simulation.checks.slots[*slot].0, width - 1));
    }
    for (label, _) in &simulation.lock_files {
        let _ = write!(line, "{:<FILE$}", cut(&format!("lock of {label}"), FILE - 1));
    }
    line.push_str("owners");
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

/// What it took to get there, in one line.
pub fn needed(trace: &Trace, is_shortest: bool) -> String {
    let preemptions = trace.steps.iter().filter(|step| step.is_preemption).count();
    let faults = trace.steps.iter().filter(|step| matches!(step.who, Who::Fault(_) | Who::Outage(_))).count();
    let steps = trace.steps.iter().filter(|step| !step.in_setup).count();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let proof = if is_shortest { "; nothing less breaks it" } else { "" };
    format!(
        " needed       {}, {}, {}{proof}",
        plural(faults, "fault"),
        plural(preemptions, "preemption"),
        plural(steps, "step")
    )
}

fn rows(simulation: &Simulation, trace: &Trace) -> Vec<Row> {
    let mut names: BTreeMap<(usize, Fd), String> = BTreeMap::new();
    let mut number = 0;
    let mut rows = Vec::new();
    for step in &trace.steps {
        if !step.in_setup {
            number += 1;
        }
        let (lane, text) = match (step.who, &step.what) {
            (Who::Slot(slot), What::Call(call, reply)) => {
                if let (Some(name), Ok(Reply::Fd(fd))) = (named(call), reply) {
                    names.insert((slot, *fd), name);
                }
                (Some(slot), told(slot, call, reply, &names))
            }
            (Who::Slot(slot), What::Execute) => (Some(slot), "(executes its program)".to_owned()),
            (Who::Slot(slot), What::Release(fd)) => (Some(slot), format!("(dying: releases {fd})")),
            (Who::Slot(slot), What::Exit(status)) => (Some(slot), format!("exit {status}")),
            (Who::Fault(slot), _) => (Some(slot), "x SIGKILL (fault)".to_owned()),
            (Who::Supervisor(slot), What::LosePatience) => (Some(slot), "x SIGKILL (supervisor)".to_owned()),
            (Who::Supervisor(slot), What::Restart) => (Some(slot), restart_text(&step.view(), slot)),
            (_, What::Action(action)) => action_text(action),
            (Who::Outage(_), _) => (None, "power loss (fault)".to_owned()),
            (
                _,
                What::Call(..)
                | What::Execute
                | What::Exit(_)
                | What::Release(_)
                | What::Kill
                | What::Restart
                | What::LosePatience
                | What::PowerLoss { .. },
            ) => (None, String::new()),
        };
        rows.push(Row {
            number: if step.in_setup { "-".to_owned() } else { number.to_string() },
            lane,
            text,
            files: files(simulation, &step.view()),
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
        | What::Restart
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
fn named(call: &Call) -> Option<String> {
    let last = |path: &std::path::Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    if let Call::Open { path, .. } = call {
        return last(path);
    }
    if let Call::BindTcp { address, .. } = call {
        return Some(address.to_string());
    }
    if let Call::ListenUnix { name, .. } | Call::ConnectUnix { name } = call {
        return Some(name.to_string());
    }
    None
}

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

fn told(
    slot: usize,
    call: &Call,
    reply: &Result<Reply, portcullis_os::Errno>,
    names: &BTreeMap<(usize, Fd), String>,
) -> String {
    if let Call::Kill { signal: None, pid } = call {
        return format!("is {pid} alive? {}", if reply.is_ok() { "yes" } else { "no" });
    }
    let asked = match subject(call).and_then(|(verb, fd)| Some((verb, names.get(&(slot, fd))?))) {
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

fn cut(text: &str, width: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.chars().count() <= width {
        return clean;
    }
    let kept: String = clean.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}~")
}
