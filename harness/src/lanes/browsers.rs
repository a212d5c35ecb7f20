//! Browsers in the lanes: ten of them that only live have no column each.

use sim::{Action, Trace, TraceStep, View, Violation, What};

use crate::scenario::Check;
use crate::simulate::Simulation;

/// Whether more is to be said of a browser than that it was opened.
pub(super) fn is_notable(simulation: &Simulation, trace: &Trace, slot: usize) -> bool {
    let (name, _) = &simulation.checks.slots[slot];
    let breaks = |violation: &Violation| {
        let mut words = violation.says.split([' ', ',']);
        violation.check == Check::PortsDisjoint.id() && words.any(|word| word == name)
    };
    let is_about = |step: &TraceStep| match &step.what {
        What::Action(Action::Signal(of, _)) => *of == slot,
        What::Action(Action::Recycle { old, heir }) => [*old, *heir].contains(&slot),
        What::Action(_)
        | What::Call(..)
        | What::Execute
        | What::Exit(_)
        | What::Release(_)
        | What::Kill
        | What::Restart(_)
        | What::LosePatience
        | What::PowerLoss { .. } => false,
    };
    let ended = |step: &TraceStep| step.slots[slot].process.is_some() && !step.view().is_alive(slot);
    trace.steps.last().is_some_and(ended)
        || trace.steps.iter().any(is_about)
        || trace.violation.as_ref().is_some_and(breaks)
}

/// That a gateway opens a browser stands in the lane of the browser, if it has one.
pub(super) fn opening(
    simulation: &Simulation,
    view: &View<'_>,
    by: usize,
    slot: usize,
    has_lane: bool,
) -> (Option<usize>, String) {
    match view.slots[slot].process {
        None => (Some(by), "(serves not, opens none)".to_owned()),
        Some(_) if !has_lane => {
            let (gateway, browser) = (&simulation.checks.slots[by].0, &simulation.checks.slots[slot].0);
            let browser = browser.strip_prefix(gateway.as_str()).unwrap_or(browser);
            (Some(by), format!("(opens {})", browser.trim_start_matches('-')))
        }
        Some(_) if view.is_alive(slot) => (Some(slot), "(opened)".to_owned()),
        Some(_) => (Some(slot), "(its port is taken)".to_owned()),
    }
}
