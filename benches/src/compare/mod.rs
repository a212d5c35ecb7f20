//! The gateway beside its peers: every server an own process, all of them measured in turns in one run, and told as ratios.
//!
//! A second of one machine is not a second of another, and on a busy one not even that of a minute ago. So nothing is held to
//! a time that could be held to a ratio: servers take turns, and each round compares what was measured within a second.
//!
//! `load` asks, `servers` answer, `rounds` lets them take turns, `reckon` compares, `bars` is what is demanded.

mod bars;
mod case;
mod fan;
mod idle;
mod load;
mod machine;
mod options;
mod plot;
mod reckon;
mod report;
mod rounds;
mod servers;
mod wire;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use options::{Command, Options};

/// What ends a measurement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The system did not do something.
    #[error("{doing}: {source}")]
    System { doing: String, source: io::Error },
    /// A server did something else than it should.
    #[error("{0}")]
    Wrong(String),
}

impl Fault {
    fn of(doing: &str) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.to_owned();
        |source| Self::System { doing, source }
    }
}

/// The exit status where a bar is missed, or a server gave a wrong answer.
const MISSED: u8 = 1;
/// The exit status where nothing could be held to anything.
const UNDECIDED: u8 = 3;

/// Runs the comparison, or one of its servers.
pub fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Whoever closed the stream does not want to read it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match &options.command {
        Some(Command::Serve { server, work }) => servers::serve(*server, *work).map(|()| ExitCode::SUCCESS),
        Some(Command::Refgate { arguments }) => Ok(servers::refgate(arguments)),
        None => compare(&options),
    };
    done.unwrap_or_else(|fault| {
        let _ = writeln!(io::stderr(), "compare: {fault}");
        ExitCode::FAILURE
    })
}

fn compare(options: &Options) -> Result<ExitCode, Fault> {
    let report = rounds::run(options)?;
    let text = report::text(&report);
    io::stdout().write_all(text.as_bytes()).map_err(Fault::of("stdout"))?;
    if let Some(path) = &options.json {
        let json = serde_json::to_string_pretty(&report).map_err(|error| Fault::Wrong(error.to_string()))?;
        machine::write(path, &(json + "\n"))?;
    }
    if let Some(folder) = &options.plot {
        for (name, drawing) in plot::all(&report) {
            machine::write(&folder.join(name), &drawing)?;
        }
    }
    Ok(ExitCode::from(match bars::verdict(&report.bars) {
        _ if !report.failed.is_empty() => MISSED,
        bars::Verdict::Missed if options.check => MISSED,
        bars::Verdict::Unknown if options.check => UNDECIDED,
        bars::Verdict::Missed | bars::Verdict::Unknown | bars::Verdict::Met => 0,
    }))
}
