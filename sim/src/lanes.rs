//! An execution as plain text: one column a process, one line a step, and at the right who holds the lock.

use std::fmt;

use crate::replay::{Trace, TraceStep, What, Who};
use crate::script::Action;

/// The narrowest and the widest column, in characters.
const WIDTHS: (usize, usize) = (6, 40);

/// An execution and the names of its slots.
pub(crate) struct Lanes<'a> {
    pub(crate) trace: &'a Trace,
    pub(crate) names: &'a [String],
}

impl Lanes<'_> {
    /// In whose column a step stands, and what it says. A step of nobody in particular stands in the first one.
    fn cell(&self, step: &TraceStep) -> (usize, String) {
        let text = match &step.what {
            What::Call(call, Ok(reply)) => format!("{call}: {reply}"),
            What::Call(call, Err(errno)) => format!("{call}: {}", errno.name()),
            What::Execute => "(executes its program)".to_owned(),
            What::Exit(status) => format!("exit {status}"),
            What::Release(fd) => format!("(dying: releases {fd})"),
            What::Restart(None) => "(started by its supervisor)".to_owned(),
            What::Restart(Some(pid)) => format!("(started by its supervisor as pid {pid})"),
            What::LosePatience => "(killed by its supervisor)".to_owned(),
            What::Kill => "(killed)".to_owned(),
            What::PowerLoss { outcome } => format!("-- the power fails, outcome {outcome} --"),
            What::Action(action) => return self.action(action),
        };
        let slot = match step.who {
            Who::Slot(slot) | Who::Supervisor(slot) | Who::Fault(slot) => slot,
            Who::Script | Who::Outage(_) => 0,
        };
        (slot, text)
    }

    fn action(&self, action: &Action) -> (usize, String) {
        match action {
            Action::Start(slot) => (*slot, "(started)".to_owned()),
            Action::Order(slot, _) => (*slot, "(its supervisor is asked)".to_owned()),
            Action::Signal(slot, signal) => (*slot, format!("({signal})")),
            Action::Recycle { old, heir } => {
                (*heir, format!("(started with the pid of {})", self.names[*old]))
            }
            Action::Open { by, slot } => (*slot, format!("(opened, if {} serves)", self.names[*by])),
            Action::Remove(paths) => {
                let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
                (0, format!("-- an operator removes {} --", paths.join(", ")))
            }
            Action::Operate(operation) => (0, format!("-- {operation} --")),
            Action::Wait(_) => (0, String::new()),
        }
    }
}

impl fmt::Display for Lanes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells: Vec<(usize, String)> = self.trace.steps.iter().map(|step| self.cell(step)).collect();
        let width = |slot: usize| {
            let own = cells.iter().filter(|(column, _)| *column == slot);
            let widest = own.map(|(_, text)| text.chars().count()).max().unwrap_or_default();
            // Who never does anything has no column.
            if widest == 0 { 0 } else { widest.max(self.names[slot].len()).clamp(WIDTHS.0, WIDTHS.1) + 2 }
        };
        let widths: Vec<usize> = (0..self.names.len()).map(width).collect();
        write!(f, "   step  ")?;
        for (name, width) in self.names.iter().zip(&widths).filter(|(_, width)| **width > 0) {
            write!(f, "{name:<width$}")?;
        }
        writeln!(f, "holders")?;
        let mut number = 0;
        for (step, (column, text)) in self.trace.steps.iter().zip(&cells) {
            number += usize::from(!step.in_setup);
            let place = if step.in_setup { "-".to_owned() } else { number.to_string() };
            write!(f, "{} {place:>4}  ", if step.is_preemption { ">>" } else { "  " })?;
            for (slot, width) in widths.iter().enumerate().filter(|(_, width)| **width > 0) {
                let text = if slot == *column { cut(text, width - 2) } else { String::new() };
                write!(f, "{text:<width$}")?;
            }
            let holders: Vec<&str> =
                step.view().owners().into_iter().map(|slot| self.names[slot].as_str()).collect();
            writeln!(f, "{}", if holders.is_empty() { "-".to_owned() } else { holders.join(" ") })?;
        }
        Ok(())
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width - 1).collect();
    format!("{kept}~")
}
