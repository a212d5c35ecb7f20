//! `portcullis accept`: takes the outcomes that the simulator finds into scenario files.

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::FalseyValueParser;

use super::difference::difference;
use super::outputs::Progress;
use super::rewritten::rewrite;
use super::run::parse_time;
use super::{complain, examples, interrupts, load, status};
use crate::accepted::{Effort, Refused, accept, is_valid};
use crate::lanes;
use crate::report::count;
use crate::scenario::{Case, Scenario};

/// Where scenarios are looked for that are called by their names.
const LIBRARY: &str = "scenarios";
/// So many lines of a difference are shown of a file.
const SHOWN: usize = 60;

/// Which scenarios are meant.
#[derive(Debug, Args)]
#[command(after_help = examples::ACCEPT)]
pub(super) struct AcceptOptions {
    /// Scenario files, directories of them, or scenarios as `portcullis list` calls their cases
    #[arg(value_name = "CASE-OR-PATH", required = true)]
    what: Vec<String>,
    /// Show what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Visit at most so many states in each search, 16 to 48 bytes each [default: 8000000]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    max_states: Option<u64>,
    /// How long all of it may take, for instance `90s`, `10m` or `1h`
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "5m")]
    budget: Duration,
    /// Whether this is a run of a machine: then no progress is shown
    #[arg(long, hide = true, env = "CI", value_parser = FalseyValueParser::new())]
    ci: bool,
}

/// Takes outcomes into files, one after the other.
pub(super) fn run(out: &mut impl Write, options: &AcceptOptions) -> io::Result<u8> {
    let scenarios = match select(&options.what) {
        Ok(scenarios) => scenarios,
        Err(status) => return Ok(status),
    };
    let interrupted = match interrupts::watched() {
        Ok(interrupted) => interrupted,
        Err(status) => return Ok(status),
    };
    let begun = now();
    let progress = RefCell::new(Progress::new(!options.ci && io::stderr().is_terminal()));
    let under_way = RefCell::new(String::new());
    let is_interrupted = || interrupted.load(Ordering::Relaxed);
    let is_spent = || begun.elapsed() >= options.budget;
    let told = Cell::new(0);
    let should_stop = || {
        let seconds = begun.elapsed().as_secs();
        if told.replace(seconds) != seconds {
            let text = lanes::cut(&format!("   {seconds} s  {}", under_way.borrow()), 79);
            // What cannot be shown is no reason to stop.
            let _ = progress.borrow_mut().draw(text);
        }
        is_interrupted() || is_spent()
    };
    let looks_at = |case: &Case, outcomes: usize| {
        *under_way.borrow_mut() = format!("{}, {} so far", case.id, count(outcomes, "outcome"));
    };
    let states = options.max_states.map(|states| usize::try_from(states).unwrap_or(usize::MAX));
    let effort = Effort { states, should_stop: &should_stop, looks_at: &looks_at };
    let mut worst = status::PASSED;
    for scenario in &scenarios {
        let accepted = accept(scenario, effort);
        progress.borrow_mut().clear()?;
        let ended = match accepted {
            _ if is_interrupted() => {
                complain(&format!("interrupted: {} is as it was", scenario.file.display()));
                return Ok(status::INTERRUPTED);
            }
            Ok(text) => take(out, scenario, &text, options.dry_run)?,
            Err(refused) => refuse(scenario, &refused, is_spent().then_some(options.budget)),
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

/// Says why nothing is taken into a file. `spent` is the budget of time if nothing is left of it.
fn refuse(scenario: &Scenario, refused: &Refused, spent: Option<Duration>) -> u8 {
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
        Refused::Cut { case, states, span } => {
            let (what, option) = match spent {
                Some(budget) => (format!("the budget of {} s is spent", budget.as_secs_f64()), "--budget"),
                None => ("its states are spent".to_owned(), "--max-states"),
            };
            let smaller = match span {
                // As many as show that two blocks overlap.
                4.. => format!("reserve fewer ports (`span = 3` in `[explore]` instead of {span})"),
                _ => "make the scenario smaller".to_owned(),
            };
            (
                format!("not every schedule of {case} was tried: {what} ({states} states visited)"),
                format!("{smaller}, or give it more with `{option}`"),
                status::INCONCLUSIVE,
            )
        }
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

#[expect(clippy::disallowed_methods, reason = "a budget is real time")]
fn now() -> Instant {
    Instant::now()
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
