//! `portcullis conform`: the simulated kernel beside the real one.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use conform::run::{Request, Summary};
use conform::{expected, report};
use sim::Kernel;

use super::{complain, examples, interrupts, status};

/// Differences that are shown in full before the run gives up.
const ENOUGH: usize = 5;

/// What `portcullis conform` can be told.
#[derive(Debug, Args)]
#[command(after_help = examples::CONFORM)]
pub(super) struct Options {
    /// How many sequences of calls are generated, after those that are kept
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    sequences: u32,
    /// Which sequences are generated: the same seed, the same ones
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Only this one of them
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["sequences", "coverage"])]
    only: Option<u32>,
    /// Where to write how often each call ended in each way, as tab-separated values
    #[arg(long, value_name = "FILE")]
    coverage: Option<PathBuf>,
}

/// Runs the comparison. Differences and holes in what was seen are failures.
pub(super) fn run(out: &mut impl Write, options: &Options) -> io::Result<u8> {
    let interrupted = match interrupts::watched() {
        Ok(interrupted) => interrupted,
        Err(status) => return Ok(status),
    };
    let request = Request {
        sequences: match options.only {
            Some(number) => number..number.saturating_add(1),
            None => 0..options.sequences,
        },
        seed: options.seed,
        lanes: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        corpus: options.only.is_none(),
        enough: ENOUGH,
        interrupted: Arc::clone(&interrupted),
        progress: io::stderr().is_terminal().then_some(show as fn(u32)),
    };
    let summary = match conform::run::run(&request, &Kernel::new) {
        Ok(summary) => summary,
        Err(trouble) => {
            complain(&format!("error: there is no real machine to compare with: {trouble}"));
            return Ok(status::ENVIRONMENT);
        }
    };
    if request.progress.is_some() {
        complain("");
    }
    if let Some(path) = &options.coverage
        && let Err(error) = write_file(path, &summary.coverage.tsv())
    {
        complain(&format!("error: cannot write {}: {error}", path.display()));
        return Ok(status::ENVIRONMENT);
    }
    tell(out, options, &summary)
}

fn tell(out: &mut impl Write, options: &Options, summary: &Summary) -> io::Result<u8> {
    for difference in &summary.differences {
        writeln!(out, "{}", report::difference(options.seed, difference))?;
    }
    let holes = expected::holes(summary);
    if options.only.is_none() {
        write!(out, "{}", summary.coverage.table())?;
        for hole in &holes {
            writeln!(out, "hole: {hole}")?;
        }
    }
    write!(out, "{}", report::summary(summary))?;
    if summary.interrupted {
        return Ok(status::INTERRUPTED);
    }
    let is_whole = options.only.is_some() || holes.is_empty();
    writeln!(
        out,
        "{}",
        if summary.differences.is_empty() { "no difference" } else { "the machines differ" }
    )?;
    Ok(if summary.differences.is_empty() && is_whole { status::PASSED } else { status::FAILED })
}

/// How far it is, every hundred sequences.
fn show(done: u32) {
    if done.is_multiple_of(100) {
        let mut terminal = io::stderr().lock();
        // Nobody depends on it.
        let _ = write!(terminal, "\r{done} sequences").and_then(|()| terminal.flush());
    }
}

#[expect(clippy::disallowed_methods, reason = "the named edge: a file that the user has asked for")]
fn write_file(path: &std::path::Path, text: &str) -> io::Result<()> {
    std::fs::write(path, text)
}
