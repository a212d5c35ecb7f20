//! `portcullis explain`: what is behind the verdicts of a few cases.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::Args;

use super::{complain, examples, interrupts, load, parse_design, status};
use crate::designs::Design;
use crate::explained;
use crate::scenario::{Case, Scenario};
use crate::verdict::Verdict;

/// Where cases are looked for that are called by their names.
const LIBRARY: &str = "scenarios";

/// What is explained.
#[derive(Debug, Args)]
#[command(after_help = examples::EXPLAIN)]
pub(super) struct ExplainOptions {
    /// A scenario file, or a case or scenario as `portcullis list` calls it
    #[arg(value_name = "CASE-OR-FILE")]
    what: String,
    /// The lock that the gateways have [default: refgate]
    #[arg(long, value_parser = parse_design)]
    design: Option<Design>,
}

/// Explains each case.
pub(super) fn run(out: &mut impl Write, options: &ExplainOptions) -> io::Result<u8> {
    let cases = match select(&options.what) {
        Ok(cases) => cases,
        Err(status) => return Ok(status),
    };
    let interrupted = match interrupts::watched() {
        Ok(interrupted) => interrupted,
        Err(status) => return Ok(status),
    };
    let should_stop = || interrupted.load(Ordering::Relaxed);
    let design = options.design.unwrap_or(Design::Refgate);
    let mut worst = status::PASSED;
    for (number, case) in cases.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        let verdict = explained::explain(case, design, out, &should_stop)?;
        if should_stop() {
            return Ok(status::INTERRUPTED);
        }
        match verdict {
            Verdict::Fail(_) => worst = status::FAILED,
            Verdict::Inconclusive(_) if worst == status::PASSED => worst = status::INCONCLUSIVE,
            Verdict::Inconclusive(_) | Verdict::Pass(_) | Verdict::Known(_) | Verdict::Unsupported(_) => {}
        }
    }
    Ok(worst)
}

/// The cases of a file, or those of that name.
fn select(what: &str) -> Result<Vec<Case>, u8> {
    let path = Path::new(what);
    let is_file = path.extension().is_some_and(|ending| ending == "toml") || path.is_file();
    let scenarios = load(&[if is_file { path.to_owned() } else { PathBuf::from(LIBRARY) }])?;
    let cases = scenarios.iter().flat_map(Scenario::cases);
    let is_meant = |case: &Case| is_file || case.id == what || case.scenario.name == what;
    let cases: Vec<Case> = cases.filter(is_meant).collect();
    if cases.is_empty() {
        complain(&format!(
            "error: no case and no scenario is called `{what}`, and it is no file\n  = help: `portcullis list` shows the \
             cases of {LIBRARY}/; a file is named with its ending, `.toml`"
        ));
        return Err(status::NOTHING);
    }
    Ok(cases)
}
