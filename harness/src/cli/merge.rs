//! `portcullis report merge`: the parts of a run that was shared out become one run, with every report that a run has.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::outputs::{Outputs, ReportFiles, Shown};
use super::run::finished;
use super::{complain, examples, status};
use crate::reports::Sink as _;
use crate::reports::event::Event;
use crate::reports::human::Loudness;
use crate::reports::merge::{Part, merge, read};

/// What is merged, and into what.
#[derive(Debug, Args)]
#[command(after_help = examples::MERGE)]
pub(super) struct MergeOptions {
    /// Files of events, as `run --jsonl` writes them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What the standard output shows
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "human")]
    message_format: Shown,
    /// Only what is no pass, and the summary
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    reports: ReportFiles,
}

/// Merges files of events.
pub(super) fn run(options: MergeOptions) -> io::Result<u8> {
    let merged = match parts(&options.files)
        .and_then(|parts| merge(&parts).map_err(|error| error.to_string()))
    {
        Ok(merged) => merged,
        Err(why) => {
            complain(&format!(
                "error: {why}\n  = help: name the files that `portcullis run --partition PART --jsonl FILE` has written, each \
                 once"
            ));
            return Ok(status::USAGE);
        }
    };
    let loudness = if options.quiet { Loudness::Quiet } else { Loudness::Usual };
    let mut outputs = match Outputs::open(options.message_format, loudness, options.reports) {
        Ok(outputs) => outputs,
        Err(status) => return Ok(status),
    };
    for event in &merged.events {
        outputs.event(event)?;
    }
    for missing in &merged.missing {
        complain(&format!("error: {missing}: what is here is not the whole run"));
    }
    let ended = merged.events.iter().rev().find_map(|event| match event {
        Event::RunEnd(end) => Some(end.ended),
        Event::RunStart(_) | Event::CaseStart(_) | Event::CaseEnd(_) => None,
    });
    let Some(ended) = ended else { unreachable!("a merged run has an end") };
    Ok(finished(ended, outputs.write()?))
}

fn parts(files: &[PathBuf]) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    for file in files {
        let name = file.display().to_string();
        let text = text_of(file).map_err(|error| format!("cannot read {name}: {error}"))?;
        parts.push(read(&name, &text).map_err(|error| error.to_string())?);
    }
    Ok(parts)
}

#[expect(clippy::disallowed_methods, reason = "the edge where a user names a file")]
fn text_of(file: &Path) -> io::Result<String> {
    std::fs::read_to_string(file)
}
