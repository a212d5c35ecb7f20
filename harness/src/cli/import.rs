//! `portcullis import`: the logs of an incident become one timeline and one scenario.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::rewritten::create;
use super::run::parse_time;
use super::{complain, status};
use crate::import::{self, GatherError, Log};
use crate::scenario::{Paint, is_name};
use crate::target;

/// Which logs, and how they are read.
#[derive(Debug, Args)]
#[command(after_help = STATUSES)]
pub(super) struct ImportOptions {
    /// Logs: the lines of `refgate gateway --json`, or of the gateway that `--target` describes
    #[arg(value_name = "LOG", required_unless_present = "named")]
    logs: Vec<PathBuf>,
    /// One more log, and what its process is called in the scenario; may be given more than once
    #[arg(long = "as", value_name = "NAME=LOG", value_parser = parse_named)]
    named: Vec<(String, PathBuf)>,
    /// The target file whose `[[event]]` tables say what the lines of another gateway mean
    #[arg(long, value_name = "FILE")]
    target: Option<PathBuf>,
    /// By how much the clocks of two logs may differ, for instance `200ms`
    #[arg(long, value_name = "TIME", value_parser = parse_skew, default_value = "0s")]
    skew: Duration,
    /// Write the scenario into this file, which must not exist
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

const STATUSES: &str = "Exit status:
  0  the timeline is shown, and the scenario is written if that was asked for
  2  a log cannot be read, tells of no gateway or of too many, or the target file is wrong
  5  the scenario cannot be written

Examples:
  # The logs of two gateways, and a schedule that shows them
  portcullis import a.log b.log --output incident.toml
  portcullis run incident.toml --match timeline
  # The log of another gateway, on a host whose clock may differ by a fifth of a second
  portcullis import other.log --target other.toml --skew 200ms";

/// No skew is longer than a day.
const LONGEST_SKEW: Duration = Duration::from_secs(86_400);

/// Words that stand where names of gateways stand.
const RESERVED: [&str; 2] = ["names", "owner"];

fn parse_skew(text: &str) -> Result<Duration, String> {
    let skew = parse_time(text)?;
    if skew > LONGEST_SKEW {
        Err("clocks that differ by more than a day are no clocks".to_owned())
    } else {
        Ok(skew)
    }
}

fn parse_named(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("it is a name and a log, for instance `old=first.log`")?;
    if !is_name(name) || path.is_empty() {
        return Err("a name is a lower-case letter, then lower-case letters, digits and `-`".to_owned());
    }
    if RESERVED.contains(&name) {
        return Err(format!("`{name}` means something else in a scenario; take another name"));
    }
    Ok((name.to_owned(), PathBuf::from(path)))
}

/// Reads the logs, shows the timeline and writes the scenario.
pub(super) fn run(out: &mut impl Write, options: &ImportOptions) -> io::Result<u8> {
    let target = match options.target.as_ref().map(|file| target::load(file)).transpose() {
        Ok(target) => target,
        Err(error) => {
            complain(&error.render(Paint::Coloured));
            return Ok(status::USAGE);
        }
    };
    if let Some(target) =
        target.as_ref().filter(|target| target.log.events.is_empty() && !target.tells_events())
    {
        complain(&format!(
            "error: {} does not say what the lines of its log mean\n  = help: add `[[event]]` tables, for instance \
             `pattern = 'listening on (?<port>\\d+)'` and `emits = \"ready\"`",
            target.file.display()
        ));
        return Ok(status::USAGE);
    }
    let logs = match open(options) {
        Ok(logs) => logs,
        Err(why) => {
            complain(&why);
            return Ok(status::USAGE);
        }
    };
    let skew_ms = u64::try_from(options.skew.as_millis()).unwrap_or(u64::MAX);
    let imported = match import::import(logs, target.as_ref(), skew_ms) {
        Ok(imported) => imported,
        Err(error) => {
            complain(&format!("error: {error}\n  = help: {}", help(&error)));
            return Ok(status::USAGE);
        }
    };
    for line in imported.lanes() {
        writeln!(out, "{line}")?;
    }
    if imported.events() == 0 {
        complain(
            "error: no line tells of a gateway\n  = help: give the lines of `refgate gateway --json`, or a `--target` whose \
             `[[event]]` tables fit",
        );
        return Ok(status::USAGE);
    }
    let Some(path) = &options.output else { return Ok(status::PASSED) };
    if let Err(error) = create(path, &imported.scenario()) {
        complain(&format!(
            "error: cannot write {}: {error}\n  = help: name a file that does not exist yet",
            path.display()
        ));
        return Ok(status::ENVIRONMENT);
    }
    writeln!(
        out,
        " written    {0}; `portcullis run {0} --match timeline` looks for a schedule",
        path.display()
    )?;
    Ok(status::PASSED)
}

const fn help(error: &GatherError) -> &'static str {
    match error {
        GatherError::Read { .. } => "name a file that can be read",
        GatherError::TooManyEvents { .. } | GatherError::TooManyLives { .. } => {
            "cut the log to the time of the incident"
        }
    }
}

/// Opens every log, those without a name first.
fn open(options: &ImportOptions) -> Result<Vec<Log<BufReader<File>>>, String> {
    let mut names: Vec<&String> = options.named.iter().map(|(name, _)| name).collect();
    names.sort();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!(
            "error: two logs are called `{}`\n  = help: each needs a name of its own",
            twice[0]
        ));
    }
    let plain = options.logs.iter().map(|path| (None, path));
    let named = options.named.iter().map(|(name, path)| (Some(name.clone()), path));
    plain.chain(named).map(|(of, path)| open_one(of, path)).collect()
}

#[expect(clippy::disallowed_methods, reason = "the edge where a user names a log")]
fn open_one(of: Option<String>, path: &Path) -> Result<Log<BufReader<File>>, String> {
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => Ok(Log { name, of, lines: BufReader::new(file) }),
        Err(error) => Err(format!(
            "error: cannot read {name}: {error}\n  = help: check the path; it is taken from the current directory"
        )),
    }
}
