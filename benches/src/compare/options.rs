//! What can be asked for on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::servers::{Server, Work};

/// Measure the gateway's connection code beside that of others, in turns in one run, and print how they compare.
///
/// Each server is a process of its own, on the first core that may be used; the clients are one thread on the second. What
/// is told is the processor time that a message costs a server, as a multiple of what it costs the reference in the same
/// round: the middle of all rounds. Every answer is compared with what was asked.
#[derive(Debug, Parser)]
#[command(name = "compare", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Exit status: 0 measured, 1 a server gave a wrong answer, or with --check a bar is missed, 2 wrong usage,
3 with --check nothing was measured that a bar is about.")]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// How often every server has its turn in every case
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,

    /// How long a turn is, in milliseconds; a third of it goes before and is not counted
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) millis: u64,

    /// Measure only the cases whose names contain this. May be given more than once
    #[arg(long, value_name = "CASE")]
    pub(crate) only: Vec<String>,

    /// Measure only these servers; the reference of a case always takes part
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) servers: Vec<Server>,

    /// Where the package `ws` of npm lies, for the server of JavaScript; needs node
    #[arg(long, value_name = "DIR")]
    pub(crate) ws: Option<PathBuf>,

    /// A GOPATH in which github.com/gorilla/websocket lies, for the server of Go; needs go
    #[arg(long, value_name = "DIR")]
    pub(crate) gorilla: Option<PathBuf>,

    /// Write everything that was measured as JSON too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Draw the ratios into this folder, as SVG
    #[arg(long, value_name = "DIR")]
    pub(crate) plot: Option<PathBuf>,

    /// End with status 1 where a bar is missed
    #[arg(long)]
    pub(crate) check: bool,
}

/// What the program starts itself as.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One of the servers
    #[command(hide = true)]
    Serve { server: Server, work: Work },

    /// The gateway
    #[command(hide = true, disable_help_flag = true)]
    Refgate {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

impl Options {
    /// Whether a case is wanted.
    pub(crate) fn wants(&self, case: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| case.contains(part.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Options;

    const PAGE: &str = include_str!("../../../docs/performance.md");
    const CALL: &str = "$ cargo run --release -p portcullis-benches --bin compare";

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_page_is_understood() {
        let lines: Vec<_> = PAGE.lines().filter_map(|line| line.strip_prefix(CALL)).collect();
        assert!(lines.len() > 2, "{lines:?}");
        for line in lines {
            let parts = line.strip_prefix(" --").unwrap_or_default().split('"').enumerate();
            // What stands between quotes is one word.
            let words = parts.flat_map(|(number, part)| match number % 2 {
                1 => vec![part],
                _ => part.split_whitespace().collect(),
            });
            let understood = Options::try_parse_from(std::iter::once("compare").chain(words));
            assert!(understood.is_ok(), "{line}: {}", understood.unwrap_err());
        }
    }
}
