//! `portcullis matrix`: designs against scenarios, compared with what is known.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::{Args, ValueEnum};

use super::run::nothing_selected;
use super::{complain, examples, interrupts, load, parse_design, status};
use crate::designs::Design;
use crate::matrix::{self, Format};

#[derive(Debug, Args)]
#[command(after_help = examples::MATRIX)]
pub(super) struct MatrixOptions {
    /// Scenario files, or directories of them [default: the known cases of scenarios]
    paths: Vec<PathBuf>,
    /// Only scenarios with this tag; may be given more than once
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Show the naive locks N1 to N26 in the contests that tell them apart, instead of the generations of OpenClaw's lock
    #[arg(long)]
    naive: bool,
    /// A column; may be given more than once [default: refgate and G1 to G6; with --naive: refgate and N1 to N26]
    #[arg(long, value_parser = parse_design)]
    design: Vec<Design>,
    /// How to write it: a table, or one cell a line with fields apart by tabs
    #[arg(long, value_enum, default_value = "text")]
    format: Written,
    /// Cells at once [default: one for each core]
    #[arg(long, short, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Written {
    Text,
    Tsv,
}

/// Fills the matrix and writes it.
pub(super) fn run(out: &mut impl Write, options: MatrixOptions) -> io::Result<u8> {
    let MatrixOptions { paths, tag: tags, naive, design, format, jobs } = options;
    let known = if naive { &matrix::CONTESTS[..] } else { &matrix::KNOWN };
    let only_known = paths.is_empty();
    let paths = if only_known { vec![PathBuf::from("scenarios")] } else { paths };
    let mut scenarios = match load(&paths) {
        Ok(scenarios) => scenarios,
        Err(status) => return Ok(status),
    };
    scenarios.retain(|scenario| tags.is_empty() || scenario.tags.iter().any(|tag| tags.contains(tag)));
    if scenarios.is_empty() {
        return Ok(nothing_selected());
    }
    let mut rows = matrix::rows(&scenarios, known);
    rows.retain(|(_, known)| known.is_some() || !only_known);
    if rows.is_empty() {
        complain(
            "error: nothing is known of any of these cases\n  = help: name scenarios or directories, for instance \
             `portcullis matrix scenarios`, and every case of them is a row",
        );
        return Ok(status::NOTHING);
    }
    let mut designs = Vec::new();
    let usual = if naive { matrix::naive_designs } else { matrix::usual_designs };
    for design in if design.is_empty() { usual() } else { design } {
        if !designs.contains(&design) {
            designs.push(design);
        }
    }
    let interrupted = match interrupts::watched() {
        Ok(interrupted) => interrupted,
        Err(status) => return Ok(status),
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let filled = matrix::fill(rows, designs, jobs.map_or(cores, usize::from), &interrupted);
    if interrupted.load(Ordering::Relaxed) {
        complain("interrupted: the matrix is not complete, so nothing of it is shown");
        return Ok(status::INTERRUPTED);
    }
    let format = match format {
        Written::Text => Format::Text,
        Written::Tsv => Format::Tsv,
    };
    matrix::render(out, &filled, format)?;
    Ok(match filled.surprises().next() {
        Some(_) => status::FAILED,
        None if filled.is_cut() => status::INCONCLUSIVE,
        None => status::PASSED,
    })
}
