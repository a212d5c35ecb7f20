//! `portcullis fmt`: lays out scenario files, or says which are not laid out.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::difference::{difference, first_line};
use super::meaning::is_same;
use super::rewritten::rewrite;
use super::{complain, examples, status};
use crate::report::count;
use crate::scenario::{self, Paint};

/// So many lines of a difference are shown of a file.
const SHOWN: usize = 6;

/// What is laid out.
#[derive(Debug, Args)]
#[command(after_help = examples::FMT)]
pub(super) struct FmtOptions {
    /// Scenario files, or directories of them
    #[arg(default_value = "scenarios")]
    paths: Vec<PathBuf>,
    /// Write nothing; show what is not laid out, and end with status 1 if there is any
    #[arg(long)]
    check: bool,
}

/// Lays out every file that is valid. One that is not is shown, and left alone.
pub(super) fn run(out: &mut impl Write, options: &FmtOptions) -> io::Result<u8> {
    let (scenarios, errors) = scenario::load_what_is_valid(&options.paths);
    let mut ended = status::PASSED;
    let mut differ = 0;
    for scenario in &scenarios {
        let old = &*scenario.source;
        let file = scenario.file.display();
        let Some(new) = scenario::laid_out(old) else {
            complain(&format!(
                "error: {file} has tables in a list (`[[...]]`)\n  = help: write them as `[{{ ... }}, {{ ... }}]`"
            ));
            ended = status::USAGE;
            continue;
        };
        if new == old {
            continue;
        }
        if !is_same(scenario, &new) {
            complain(&format!(
                "error: {file} would mean something else once laid out, so it is left as it is\n  = help: this is a bug of \
                 `portcullis fmt`: report it with the file"
            ));
            ended = status::ENVIRONMENT;
            continue;
        }
        differ += 1;
        if options.check {
            writeln!(out, "{file}:{} is not laid out:", first_line(old, &new))?;
            for line in difference(old, &new, SHOWN) {
                writeln!(out, "  {line}")?;
            }
        } else if let Err(error) = rewrite(&scenario.file, old, &new) {
            complain(&format!(
                "error: cannot write {file}: {error}\n  = help: make it and its directory writable"
            ));
            ended = status::ENVIRONMENT;
        } else {
            writeln!(out, "{file} is laid out")?;
        }
    }
    let total = count(scenarios.len(), "scenario");
    if options.check {
        writeln!(out, "{total}, {differ} not laid out")?;
        if differ > 0 {
            writeln!(out, "  = help: `portcullis fmt` lays them out")?;
        }
    } else {
        writeln!(out, "{total}, {differ} changed")?;
    }
    if !errors.errors.is_empty() {
        complain(&errors.render(Paint::Coloured));
        return Ok(status::USAGE);
    }
    Ok(if options.check && differ > 0 && ended == status::PASSED { status::FAILED } else { ended })
}
