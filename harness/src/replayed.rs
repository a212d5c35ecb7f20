//! One token taken again: it still fails, it is fixed, or it no longer applies and why.

use std::io::{self, Write};

use crate::lanes;
use crate::scenario::{self, Case, Paint, Scenario};
use crate::simulate::{self, Simulation};
use crate::token::{self, Token};

/// What became of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is shown again.
    StillFails,
    /// The same schedule no longer breaks anything.
    Fixed,
    /// There is no such case or schedule any more.
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
    let trace = sim::replay(&simulation.setup, &simulation.checks, simulation.bounds.kills, &token.schedule);
    let file = case.scenario.file.display();
    let has_changed = token::hash_trace(&trace) != token.trace;
    if trace.left_over > 0 && trace.violation.is_none() {
        writeln!(
            out,
            "not applicable: after {} steps the schedule asks for a step that cannot happen any more; the design \
             {} or the scenario {file} has changed",
            token.schedule.len() - trace.left_over,
            token.design.name()
        )?;
        return Ok(Outcome::NotApplicable);
    }
    writeln!(out, "replay {}   on sim   design {}   {file}", case.id, token.design.name())?;
    match &trace.violation {
        Some(violation) => {
            let line = simulate::line_of(&case.scenario, &violation.check);
            let place = line.map_or_else(String::new, |line| format!("   {file}:{line}"));
            writeln!(out, "  {violation}{place}")?;
        }
        None => writeln!(out, "  nothing is broken")?,
    }
    if has_changed {
        writeln!(out, "  note: the steps differ from those that the token was made from")?;
    }
    writeln!(out)?;
    for line in lanes::render(&simulation, &trace).into_iter().chain(lanes::stale_read(&simulation, &trace)) {
        writeln!(out, "{line}")?;
    }
    Ok(if trace.violation.is_some() { Outcome::StillFails } else { Outcome::Fixed })
}

/// The case that a token names, unless its scenario has changed since.
fn find(token: &Token) -> Result<Case, String> {
    let file = token.file();
    let scenarios =
        scenario::load(std::slice::from_ref(&file)).map_err(|errors| errors.render(Paint::Plain))?;
    let cases = scenarios.iter().flat_map(Scenario::cases);
    let case = cases.into_iter().find(|case| token::case_name(case) == token.case);
    let case = case.ok_or_else(|| format!("{} has no such case any more", file.display()))?;
    if token::hash_text(&case.scenario.source) != token.scenario {
        return Err(format!("{} has changed since the token was made", file.display()));
    }
    Ok(case)
}
