//! `portcullis sweep`: whole gateways on a simulated network, many seeds, and the first execution in which users see what they
//! never should.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args;
use network::{Effort, Report, Sweep, Swept};
use toml_edit::{Array, DocumentMut, Item, Value};

use super::rewritten::rewrite;
use super::{complain, examples, interrupts, status};
use crate::scenario::{SWEEP_ENDING, sweep_files};

/// What `portcullis sweep` can be told.
#[derive(Debug, Args)]
#[command(after_help = examples::SWEEP)]
pub(super) struct SweepOptions {
    /// Files that end in `.sweep.toml`, and directories with such files
    #[arg(value_name = "PATHS", default_value = "scenarios")]
    paths: Vec<PathBuf>,
    /// How many seeds of each [default: as the file says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    seeds: Option<u64>,
    /// The first of them
    #[arg(long, value_name = "S", default_value_t = 0)]
    from: u64,
    /// Show one execution, from its beginning to its end
    #[arg(long, value_name = "S", conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Make each execution twice, and fail where the two differ
    #[arg(long)]
    twice: bool,
    /// Write the seed that fails into `regressions` of its file, so that it is tried first from then on
    #[arg(long)]
    keep: bool,
    /// How long all of it may take. What has not been tried then is told, with the seed to go on with
    #[arg(long, value_name = "TIME", value_parser = super::run::parse_time)]
    budget: Option<Duration>,
    /// How many executions at once [default: one for each processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

/// A plan, and the file that it is from.
struct Plan {
    name: String,
    path: PathBuf,
    text: String,
    sweep: Sweep,
}

/// Sweeps all plans and tells what they have shown.
pub(super) fn run(out: &mut impl Write, options: &SweepOptions) -> io::Result<u8> {
    let Ok(plans) = read(&options.paths) else { return Ok(status::USAGE) };
    if plans.is_empty() {
        complain(&format!("error: no file that ends in `{SWEEP_ENDING}` was found"));
        return Ok(status::NOTHING);
    }
    if let Some(seed) = options.seed {
        return show(out, &plans, seed);
    }
    let interrupted = match interrupts::watched() {
        Ok(interrupted) => interrupted,
        Err(status) => return Ok(status),
    };
    let begun = now();
    let is_spent = || options.budget.is_some_and(|budget| begun.elapsed() >= budget);
    let should_stop = || interrupted.load(Ordering::Relaxed) || is_spent();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = options.jobs.map_or(cores, usize::from);
    let effort = Effort { jobs, twice: options.twice, should_stop: &should_stop };
    let mut worst = status::PASSED;
    for plan in &plans {
        let seeds = options.seeds.unwrap_or(plan.sweep.seeds);
        let swept = match plan.sweep.run(options.from, seeds, effort) {
            Ok(swept) => swept,
            Err(error) => {
                complain(&format!("error: {}: {error}", plan.path.display()));
                return Ok(status::USAGE);
            }
        };
        let ended = tell(out, plan, &swept)?;
        if let Some(report) = swept.failed.as_ref().filter(|_| options.keep)
            && let Err(error) = keep(plan, report.seed)
        {
            complain(&format!("error: {}: the seed is not kept: {error}", plan.path.display()));
            return Ok(status::ENVIRONMENT);
        }
        out.flush()?;
        worst = worse(worst, ended);
    }
    if interrupted.load(Ordering::Relaxed) {
        return Ok(status::INTERRUPTED);
    }
    Ok(worst)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge where a sweep is timed; no verdict but that of a budget depends on it"
)]
fn now() -> Instant {
    Instant::now()
}

/// Of two answers the one that is told.
const fn worse(one: u8, other: u8) -> u8 {
    match (one, other) {
        (status::FAILED, _) | (_, status::FAILED) => status::FAILED,
        (status::INCONCLUSIVE, _) | (_, status::INCONCLUSIVE) => status::INCONCLUSIVE,
        (_, _) => status::PASSED,
    }
}

/// Reads all plans. What is wrong with any of them was told.
fn read(paths: &[PathBuf]) -> Result<Vec<Plan>, ()> {
    let (mut plans, mut is_wrong) = (Vec::new(), false);
    let mut wrong = |path: &Path, why: &str| {
        complain(&format!("error: {}: {why}", path.display()));
        is_wrong = true;
    };
    let files = match sweep_files(paths) {
        Ok(files) => files,
        Err(error) => {
            complain(&format!("error: {error}\n  = help: {}", error.help()));
            return Err(());
        }
    };
    for (path, text) in files {
        match Sweep::parse(&text) {
            Ok(sweep) => plans.push(Plan { name: name_of(&path), path, text, sweep }),
            Err(mistake) => wrong(&path, &mistake.to_string()),
        }
    }
    if is_wrong { Err(()) } else { Ok(plans) }
}

/// The folder and the name of a file, without what all such names end in.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(SWEEP_ENDING).unwrap_or(&name).to_owned();
    let folder = path.parent().and_then(Path::file_name).map(|folder| folder.to_string_lossy());
    folder.map_or_else(|| name.clone(), |folder| format!("{folder}/{name}"))
}

fn tell(out: &mut impl Write, plan: &Plan, swept: &Swept) -> io::Result<u8> {
    let counts: Vec<String> = swept.happened.iter().map(|(what, often)| format!("{what} {often}")).collect();
    let (word, ended) = match swept {
        Swept { failed: Some(_), .. } | Swept { differs: Some(_), .. } => ("FAIL", status::FAILED),
        Swept { missed, .. } if !missed.is_empty() => ("FAIL", status::FAILED),
        Swept { next: Some(_), .. } => ("CUT", status::INCONCLUSIVE),
        Swept { .. } => ("PASS", status::PASSED),
    };
    writeln!(out, "{word:>8}  {:<44} {:>6} seeds   {}", plan.name, swept.tried, plan.sweep.title)?;
    if !counts.is_empty() {
        writeln!(out, "          {}", counts.join(", "))?;
    }
    if let Some(report) = &swept.failed {
        write_report(out, report)?;
    }
    let path = plan.path.display();
    if let Some(seed) = swept.failed.as_ref().map(|report| report.seed).or(swept.differs) {
        if swept.differs.is_some() {
            writeln!(out, "          two executions of seed {seed} differ")?;
        }
        writeln!(out, "  replay  portcullis sweep {path} --seed {seed}")?;
    }
    for what in &swept.missed {
        writeln!(out, "          no seed shows it: {what}")?;
    }
    if let Some(next) = swept.next {
        writeln!(out, "          go on with: portcullis sweep {path} --from {next}")?;
    }
    Ok(ended)
}

fn write_report(out: &mut impl Write, report: &Report) -> io::Result<()> {
    for line in report.to_string().lines() {
        writeln!(out, "    {line}")?;
    }
    Ok(())
}

/// Adds a seed to those of a plan that are tried first. Everything else in the file stays as it is.
fn keep(plan: &Plan, seed: u64) -> io::Result<()> {
    if plan.sweep.regressions.contains(&seed) {
        return Ok(());
    }
    let mut document: DocumentMut = plan.text.parse().map_err(io::Error::other)?;
    let seeds = document.entry("regressions").or_insert_with(|| Item::Value(Value::Array(Array::new())));
    // A number of TOML is signed, and seeds that anybody names are far below.
    let seed = i64::try_from(seed).map_err(io::Error::other)?;
    seeds.as_array_mut().ok_or_else(|| io::Error::other("`regressions` is no list"))?.push(seed);
    rewrite(&plan.path, &plan.text, &document.to_string())
}

/// Shows what one seed makes of each plan.
fn show(out: &mut impl Write, plans: &[Plan], seed: u64) -> io::Result<u8> {
    let mut worst = status::PASSED;
    for Plan { name, path, sweep, .. } in plans {
        match sweep.plan.run(seed) {
            Ok(report) => {
                writeln!(out, "{name}   {}", sweep.title)?;
                write_report(out, &report)?;
                writeln!(out, "    digest {:032x}", report.digest)?;
                if !sweep.is_as_expected(&report) {
                    worst = status::FAILED;
                }
            }
            Err(error) => {
                complain(&format!("error: {}: {error}", path.display()));
                return Ok(status::USAGE);
            }
        }
    }
    Ok(worst)
}
