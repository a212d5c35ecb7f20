//! `portcullis check`: every mistake of scenario files and of plans, and what in scenarios says nothing.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{complain, examples, status, sweep};
use crate::report::count;
use crate::scenario::{LoadError, Paint, Scenario, SweepFiles, is_sweep, load_what_is_valid};

/// What is read.
#[derive(Debug, Args)]
#[command(after_help = examples::CHECK)]
pub(super) struct CheckOptions {
    /// Scenario files, plans of `sweep`, or directories of them
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

/// Reads scenarios and plans, and shows what is wrong with them.
pub(super) fn run(out: &mut impl Write, options: &CheckOptions) -> io::Result<u8> {
    let (plans, others): (Vec<PathBuf>, Vec<PathBuf>) =
        options.paths.iter().cloned().partition(|path| is_sweep(path) && !path.is_dir());
    let directories = others.iter().filter(|path| path.is_dir()).cloned();
    let plans = sweep::read(&plans.into_iter().chain(directories).collect::<Vec<_>>());
    let (scenarios, mut errors) = load_what_is_valid(&others);
    // A directory may hold plans alone.
    let holds_plans = |path: &PathBuf| {
        let files = SweepFiles::read(std::slice::from_ref(path));
        !files.found.is_empty() || !files.errors.is_empty()
    };
    errors.errors.retain(|error| !matches!(error, LoadError::NoScenarios { path } if holds_plans(path)));
    if !errors.errors.is_empty() {
        complain(&errors.render(Paint::Coloured));
        return Ok(status::USAGE);
    }
    let Ok(plans) = plans else { return Ok(status::USAGE) };
    let cases: usize = scenarios.iter().map(|scenario| scenario.cases().len()).sum();
    let mut read = Vec::new();
    if !scenarios.is_empty() || plans.is_empty() {
        read.extend([count(scenarios.len(), "scenario"), count(cases, "case")]);
    }
    if !plans.is_empty() {
        read.push(count(plans.len(), "plan"));
    }
    let read = read.join(", ");
    match warn(&scenarios) {
        0 => writeln!(out, "{read}: no mistake")?,
        warnings => {
            writeln!(out, "{read}: no mistake, {}", count(warnings, "warning"))?;
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
