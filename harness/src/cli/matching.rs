//! `run --match timeline`: whether some schedule of a protocol shows what the logs of an incident have shown.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::on::On;
use super::run::{RunOptions, nothing_selected};
use super::{complain, interrupts, load, status};
use crate::designs::Design;
use crate::runner;
use crate::select::Selection;
use crate::simulate::Simulation;
use crate::timeline::{self, MOST_STATES, Matched};
use crate::verdict::Executor;

/// Looks for each scenario, one case after the other until one of them shows its timeline.
pub(super) fn run(options: &RunOptions) -> io::Result<u8> {
    if options.on.iter().any(|on| *on != On::Sim) {
        complain(
            "error: `--match` looks for a schedule, and only the simulated machine has them all\n  = help: leave out `--on`",
        );
        return Ok(status::USAGE);
    }
    let selecting = &options.selecting;
    let read = selecting.expressions().and_then(|expressions| Ok((expressions, load(&selecting.paths)?)));
    let (expressions, scenarios) = match read {
        Ok(read) => read,
        Err(status) => return Ok(status),
    };
    let selection = Selection { tags: selecting.tag.clone(), expressions, ..Selection::default() };
    let selected = selection.of(runner::plan(&scenarios, &[Executor::Sim]));
    if selected.is_empty() {
        return Ok(nothing_selected());
    }
    if let Some(other) = selected.iter().find(|selected| selected.case.scenario.timeline.is_none()) {
        complain(&format!(
            "error: {} has no `[timeline]`, so there is nothing to match\n  = help: `portcullis import LOG...` writes a \
             scenario with one",
            other.case.scenario.file.display()
        ));
        return Ok(status::USAGE);
    }
    let interrupted = match interrupts::watched() {
        Ok(interrupted) => interrupted,
        Err(status) => return Ok(status),
    };
    let begun = now();
    let is_spent = || options.budget.is_some_and(|budget| elapsed(begun) >= budget);
    let should_stop = || interrupted.load(Ordering::Relaxed) || is_spent();
    let most_states =
        options.max_states.map_or(MOST_STATES, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let design = options.design.unwrap_or(Design::Refgate);
    let mut out = anstream::stdout().lock();
    let mut worst = status::PASSED;
    for cases in selected.chunk_by(|one, next| one.case.scenario.file == next.case.scenario.file) {
        let mut of_file = status::FAILED;
        for case in cases.iter().map(|planned| &planned.case) {
            let Some(timeline) = &case.scenario.timeline else { continue };
            let simulation = Simulation::new(&case.scenario, design);
            let answer = timeline::seek(&simulation, timeline, design, most_states, &should_stop);
            timeline::tell(&mut out, case, design, (&simulation, timeline), &answer)?;
            if interrupted.load(Ordering::Relaxed) {
                return Ok(status::INTERRUPTED);
            }
            match answer.0 {
                Matched::Reproduced { .. } => of_file = status::PASSED,
                Matched::Undecided { .. } => of_file = status::INCONCLUSIVE,
                Matched::Nowhere { .. } => {}
            }
            // What varies is what is not known: one way in which it can have been is enough.
            if of_file == status::PASSED {
                break;
            }
        }
        worst = worse(worst, of_file);
    }
    Ok(worst)
}

/// What several scenarios have come to: one that no schedule shows outweighs one that was not decided.
fn worse(one: u8, other: u8) -> u8 {
    if one == status::FAILED || other == status::FAILED { status::FAILED } else { one.max(other) }
}

#[expect(clippy::disallowed_methods, reason = "a budget is real time")]
fn now() -> Instant {
    Instant::now()
}

fn elapsed(since: Instant) -> Duration {
    since.elapsed()
}
