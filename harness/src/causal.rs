//! A failure in a file, as what had to come before what: it survives an edit of the lock, and can be read in a review.
//!
//! The first lines, which are comments to [`sim::Causal`], say to which case and design it belongs and what it has broken.

use std::fmt::Write as _;
use std::io::{self, Write};

use sim::{Causal, CausalError, Rematch, Trace};

use crate::designs::Design;
use crate::lanes;
use crate::replayed::{self, Outcome};
use crate::simulate::{self, Simulation};
use crate::token::Token;

/// A failure that was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The case, as a token spells it.
    pub case: String,
    /// The design.
    pub design: Design,
    /// What had to happen.
    pub causal: Causal,
}

/// A text that is no saved failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedError {
    /// It does not say to which case or design it belongs.
    #[error("no line begins with `# {key} `")]
    Missing {
        /// What is missing.
        key: &'static str,
    },
    /// The design is not known here.
    #[error("no design is called `{name}`")]
    Design {
        /// Its name in the file.
        name: String,
    },
    /// The trace cannot be read.
    #[error("{0}")]
    Causal(#[from] CausalError),
}

/// The text of a file for a failure that a token has shown.
pub fn text(token: &Token, simulation: &Simulation, trace: &Trace) -> String {
    let causal = Causal::of(&simulation.setup, trace);
    let mut text = String::new();
    let breaks = trace.violation.as_ref().map(ToString::to_string).unwrap_or_default();
    let _ = write!(
        text,
        "# `portcullis replay` with the path of this file says whether this still fails.\n# case {}\n# design {}\n\
         # breaks {}\n{causal}",
        token.case,
        token.design.name(),
        breaks.replace('\n', " ")
    );
    text
}

/// Reads a file.
///
/// # Errors
///
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Saved, SavedError> {
    let value = |key: &'static str| {
        let mut lines = text.lines().take_while(|line| line.starts_with('#'));
        let found = lines.find_map(|line| line.strip_prefix("# ")?.strip_prefix(key)?.strip_prefix(' '));
        found.map(str::trim).ok_or(SavedError::Missing { key })
    };
    let causal = Causal::parse(text)?;
    let (case, name) = (value("case")?, value("design")?);
    let design = Design::of(name).ok_or_else(|| SavedError::Design { name: name.to_owned() })?;
    Ok(Saved { case: case.to_owned(), design, causal })
}

/// Looks whether a saved failure still happens, and writes what it finds. Same file and same program, same bytes.
///
/// # Errors
///
/// What the writer says.
pub fn replay(saved: &Saved, out: &mut impl Write) -> io::Result<Outcome> {
    let case = match replayed::find_case(&saved.case) {
        Ok(case) => case,
        Err(why) => {
            writeln!(out, "not applicable: {why}")?;
            return Ok(Outcome::NotApplicable);
        }
    };
    let simulation = Simulation::new(&case.scenario, saved.design);
    let (file, design) = (case.scenario.file.display(), saved.design.name());
    let help = format!("  help: `portcullis run {file} --design {design}` tries every schedule");
    let Simulation { setup, checks, bounds, .. } = &simulation;
    match sim::rematch(setup, checks, bounds, &saved.causal) {
        Rematch::StillFails { schedule, trace } => {
            writeln!(out, "still fails: {}   on sim   design {design}   {file}", case.id)?;
            if let Some(violation) = &trace.violation {
                let line = simulate::line_of(&case.scenario, &violation.check);
                let place = line.map_or_else(String::new, |line| format!("   {file}:{line}"));
                writeln!(out, "  {violation}{place}")?;
            }
            writeln!(out)?;
            let stale = lanes::stale_read(&simulation, &trace);
            for line in lanes::render(&simulation, &trace).into_iter().chain(stale) {
                writeln!(out, "{line}")?;
            }
            let token = Token::new(&case, saved.design, &trace, schedule);
            writeln!(out, "  replay  portcullis replay {token}")?;
            Ok(Outcome::StillFails)
        }
        Rematch::Fixed { is_every_order, .. } => {
            let orders = if is_every_order {
                "in any order that it leaves open"
            } else {
                "in the orders that were tried"
            };
            writeln!(out, "fixed: {}   on sim   design {design}   {file}", case.id)?;
            writeln!(out, "  every step of the trace still happens, and breaks nothing {orders}")?;
            writeln!(out, "{help}")?;
            Ok(Outcome::BreaksNothing)
        }
        Rematch::NotApplicable { constraint, why } => {
            writeln!(out, "not applicable: {}   on sim   design {design}   {file}", case.id)?;
            writeln!(out, "  step {} of the trace does not happen any more: {why}", constraint + 1)?;
            writeln!(out, "{help}")?;
            Ok(Outcome::NotApplicable)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SavedError, parse};

    const TEXT: &str = "# case scenarios/race/two-gateways\n# design refgate\n# breaks something\n\
                        portcullis causal trace, version 1\n   1 script: Start a = ok\n";

    #[test]
    fn each_mistake_in_a_file_is_told_apart() {
        assert!(parse(TEXT).is_ok());
        assert_eq!(parse(&TEXT.replace("# case", "#")), Err(SavedError::Missing { key: "case" }));
        assert_eq!(parse(&TEXT.replace("# design", "#")), Err(SavedError::Missing { key: "design" }));
        assert!(matches!(parse(&TEXT.replace("refgate", "nope")), Err(SavedError::Design { .. })));
        assert!(matches!(parse(&TEXT.replace("   1 ", "   2 ")), Err(SavedError::Causal(_))));
        assert!(matches!(parse(""), Err(SavedError::Causal(_))));
    }
}
