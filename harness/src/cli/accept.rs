//! `portcullis accept`: takes the outcomes that the simulator finds into scenario files.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::difference::difference;
use super::rewritten::rewrite;
use super::{complain, interrupts, load, status};
use crate::accepted::{Refused, accept, is_valid};
use crate::scenario::Scenario;

/// Where scenarios are looked for that are called by their names.
const LIBRARY: &str = "scenarios";
/// So many lines of a difference are shown of a file.
const SHOWN: usize = 60;

/// Which scenarios are meant.
#[derive(Debug, Args)]
pub(super) struct AcceptOptions {
    /// Scenario files, directories of them, or scenarios as `portcullis list` calls their cases
    #[arg(value_name = "CASE-OR-PATH", required = true)]
    what: Vec<String>,
    /// Show what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Takes outcomes into files, one after the other.
pub(super) fn run(out: &mut impl Write, options: &AcceptOptions) -> io::Result<u8> {
    let scenarios = match select(&options.what) {
        Ok(scenarios) => scenarios,
        Err(status) => return Ok(status),
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    if let Err(error) = interrupts::watch(&interrupted) {
        complain(&format!("error: cannot catch signals: {error}"));
        return Ok(status::ENVIRONMENT);
    }
    let should_stop = || interrupted.load(Ordering::Relaxed);
    let mut worst = status::PASSED;
    for scenario in &scenarios {
        let ended = match accept(scenario, &should_stop) {
            _ if should_stop() => return Ok(status::INTERRUPTED),
            Ok(text) => take(out, scenario, &text, options.dry_run)?,
            Err(refused) => refuse(scenario, &refused),
        };
        // A broken promise is worse than what was not decided.
        if worst == status::PASSED || ended == status::FAILED {
            worst = ended;
        }
    }
    Ok(worst)
}

fn take(out: &mut impl Write, scenario: &Scenario, text: &str, dry_run: bool) -> io::Result<u8> {
    let file = scenario.file.display();
    if *text == *scenario.source {
        writeln!(out, "{file}: its outcomes are those that are found")?;
        return Ok(status::PASSED);
    }
    writeln!(out, "{file}{}:", if dry_run { " would change" } else { "" })?;
    for line in difference(&scenario.source, text, SHOWN) {
        writeln!(out, "  {line}")?;
    }
    if !is_valid(scenario, text) {
        complain(&format!(
            "error: {file} would be no scenario any more, so it is not written\n  = help: `portcullis explain {file}` \
             shows how it ends; write the outcomes by hand"
        ));
        return Ok(status::FAILED);
    }
    if !dry_run && let Err(error) = rewrite(&scenario.file, &scenario.source, text) {
        complain(&format!(
            "error: cannot write {file}: {error}\n  = help: make it and its directory writable"
        ));
        return Ok(status::ENVIRONMENT);
    }
    Ok(status::PASSED)
}

/// Says why nothing is taken into a file.
fn refuse(scenario: &Scenario, refused: &Refused) -> u8 {
    let file = scenario.file.display();
    let (why, help, ended) = match refused {
        Refused::Broken { case, failure } => (
            format!("{case} breaks {}: {}", failure.check, failure.says),
            match &failure.replay {
                Some(token) => format!("no outcome makes that right; `portcullis replay {token}` shows it"),
                None => "no outcome makes that right".to_owned(),
            },
            status::FAILED,
        ),
        Refused::Incomplete { case, why } => (
            format!("not every schedule of {case} was tried: {why}"),
            "only what all schedules show is taken into a file; make the scenario smaller, or its policy `\"exhaustive\"`"
                .to_owned(),
            status::INCONCLUSIVE,
        ),
        Refused::Unwritable => (
            "its outcomes are `[[expect.outcomes]]`".to_owned(),
            "write them as a list: `outcomes = [{ a = \"ready\" }]`".to_owned(),
            status::FAILED,
        ),
        Refused::Differ { one, other, outcome } => (
            format!("{one} can end with {outcome}, and {other} cannot"),
            "`reach = \"every-outcome\"` asks each case for each outcome: split the scenario, or leave out `reach`"
                .to_owned(),
            status::FAILED,
        ),
    };
    complain(&format!("error: nothing is taken into {file}: {why}\n  = help: {help}"));
    ended
}

/// The scenarios of files and directories, and those of a name.
fn select(what: &[String]) -> Result<Vec<Scenario>, u8> {
    let is_path = |text: &str| {
        let path = Path::new(text);
        path.extension().is_some_and(|ending| ending == "toml") || path.exists()
    };
    let (paths, names): (Vec<&String>, Vec<&String>) = what.iter().partition(|text| is_path(text));
    let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    let mut scenarios = if paths.is_empty() { Vec::new() } else { load(&paths)? };
    let library = if names.is_empty() { Vec::new() } else { load(&[PathBuf::from(LIBRARY)])? };
    for name in names {
        let scenario_of = |case: &str| case.split('[').next().unwrap_or_default().to_owned();
        let Some(found) = library.iter().find(|scenario| scenario.name == scenario_of(name)) else {
            complain(&format!(
                "error: no case and no scenario is called `{name}`, and it is no file\n  = help: `portcullis list` shows \
                 the cases of {LIBRARY}/; a file is named with its ending, `.toml`"
            ));
            return Err(status::NOTHING);
        };
        scenarios.push(found.clone());
    }
    Ok(scenarios)
}
