//! One token taken again: it still breaks something, it breaks nothing any more, or it no longer applies and why.
//!
//! A schedule says which of the possible steps is taken, each time. So it is comparable with what it once showed as long
//! as there is such a step each time, whatever that step is called now:
//!
//! - Something is broken on the way: it still fails, even if by other steps; a note says so.
//! - All of its steps were taken and nothing is broken: this schedule shows nothing any more. If the steps are others, that
//!   is no proof that the case holds, because another schedule may break it now; the text says what proves it.
//! - It asks for a step that cannot happen, or its case or its scenario's text is not what it was: nothing follows from it.

use std::io::{self, Write};

use crate::causal;
use crate::lanes;
use crate::report;
use crate::scenario::{self, Case, Paint, Scenario};
use crate::simulate::{self, Simulation};
use crate::token::{self, Token};

/// What became of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The schedule breaks something.
    StillFails,
    /// The whole schedule was taken and broke nothing.
    BreaksNothing,
    /// The schedule asks for a step that cannot happen, the scenario has changed, or the case is gone.
    NotApplicable,
}

/// Takes a token again and writes what it shows. There are no timings in it: same token, same bytes.
///
/// # Errors
///
/// What the writer says.
pub fn replay(token: &Token, out: &mut impl Write) -> io::Result<Outcome> {
    let case = match find(token) {
        Ok(case) => case,
        Err(why) => {
            writeln!(out, "not applicable: {why}")?;
            return Ok(Outcome::NotApplicable);
        }
    };
    let simulation = Simulation::new(&case.scenario, token.design);
    let trace = sim::replay(&simulation.setup, &simulation.checks, &simulation.bounds, &token.schedule);
    let file = case.scenario.file.display();
    let has_changed = token::hash_trace(&trace) != token.trace;
    if trace.left_over > 0 && trace.violation.is_none() {
        writeln!(
            out,
            "not applicable: after {} the schedule asks for a step that cannot happen any more; the steps of design \
             {} have changed",
            report::count(token.schedule.len() - trace.left_over, "step"),
            token.design.name()
        )?;
        return Ok(Outcome::NotApplicable);
    }
    writeln!(out, "replay {}   on sim   design {}   {file}", case.id, token.design.name())?;
    let outcome = match &trace.violation {
        Some(violation) => {
            let line = simulate::line_of(&case.scenario, &violation.check);
            let place = line.map_or_else(String::new, |line| format!("   {file}:{line}"));
            writeln!(out, "  {violation}{place}")?;
            Outcome::StillFails
        }
        None => {
            let steps = report::count(token.schedule.len(), "step");
            if has_changed {
                writeln!(
                    out,
                    "  not shown by this schedule any more: all of its {steps} were taken and nothing is broken"
                )?;
            } else {
                writeln!(
                    out,
                    "  nothing is broken: all of its {steps} were taken, the same as when the token was made"
                )?;
            }
            Outcome::BreaksNothing
        }
    };
    if has_changed {
        writeln!(out, "  note: the steps differ from those that the token was made from")?;
    }
    if has_changed && outcome == Outcome::BreaksNothing {
        writeln!(
            out,
            "  help: `portcullis run {file} --design {}` tries every schedule",
            token.design.name()
        )?;
    }
    writeln!(out)?;
    let explained = lanes::stale_read(&simulation, &trace).into_iter().chain(lanes::repeats(&trace));
    for line in lanes::render(&simulation, &trace).into_iter().chain(explained) {
        writeln!(out, "{line}")?;
    }
    Ok(outcome)
}

/// What the failure of a token had to do, as the text of a file. `None` if it breaks nothing, or its case is gone.
pub(crate) fn causal_text(token: &Token) -> Option<String> {
    let case = find(token).ok()?;
    let simulation = Simulation::new(&case.scenario, token.design);
    let trace = sim::replay(&simulation.setup, &simulation.checks, &simulation.bounds, &token.schedule);
    trace.violation.is_some().then(|| causal::text(token, &simulation, &trace))
}

/// The case that a token names, unless its scenario has changed since.
pub(crate) fn find(token: &Token) -> Result<Case, String> {
    let case = find_case(&token.case)?;
    if token::hash_text(&case.scenario.source) != token.scenario {
        return Err(format!("{} has changed since the token was made", token.file().display()));
    }
    Ok(case)
}

/// The case that is called so in tokens.
pub(crate) fn find_case(name: &str) -> Result<Case, String> {
    let file = token::file_of(name);
    let scenarios =
        scenario::load(std::slice::from_ref(&file)).map_err(|errors| errors.render(Paint::Plain))?;
    let cases = scenarios.iter().flat_map(Scenario::cases);
    let case = cases.into_iter().find(|case| token::case_name(case) == name);
    case.ok_or_else(|| format!("{} has no such case any more", file.display()))
}
