//! `portcullis check`: every mistake of scenario files, and what in them says nothing.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{complain, examples, load, status};
use crate::report::count;
use crate::scenario::{Paint, Scenario};

/// What is read.
#[derive(Debug, Args)]
#[command(after_help = examples::CHECK)]
pub(super) struct CheckOptions {
    /// Scenario files, or directories of them
    #[arg(default_value = "scenarios")]
    paths: Vec<PathBuf>,
    /// End with status 2 where there are any
    #[arg(long, value_enum, value_name = "WHAT")]
    deny: Option<Denied>,
}

/// What is not let pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Denied {
    /// What says nothing and was probably meant otherwise
    Warnings,
}

/// Reads scenarios and shows what is wrong with them.
pub(super) fn run(out: &mut impl Write, options: &CheckOptions) -> io::Result<u8> {
    let scenarios = match load(&options.paths) {
        Ok(scenarios) => scenarios,
        Err(status) => return Ok(status),
    };
    let cases: usize = scenarios.iter().map(|scenario| scenario.cases().len()).sum();
    let (total, cases) = (count(scenarios.len(), "scenario"), count(cases, "case"));
    match warn(&scenarios) {
        0 => writeln!(out, "{total}, {cases}: no mistake")?,
        warnings => {
            writeln!(out, "{total}, {cases}: no mistake, {}", count(warnings, "warning"))?;
            if options.deny == Some(Denied::Warnings) {
                return Ok(status::USAGE);
            }
        }
    }
    Ok(status::PASSED)
}

/// Shows every warning of some scenarios, and answers how many there are.
pub(super) fn warn<'s>(scenarios: impl IntoIterator<Item = &'s Scenario>) -> usize {
    let mut warnings = 0;
    for scenario in scenarios {
        for problem in scenario.warnings() {
            complain(&format!("{}\n", problem.render(&scenario.file, &scenario.source, Paint::Coloured)));
            warnings += 1;
        }
    }
    warnings
}
