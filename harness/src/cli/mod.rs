//! The command line: arguments in, one exit status out.
//!
//! Who reads the answer may leave before it is complete. Then the work stops and the exit status says that it is unknown:
//! a status that means "passed" is never given for an answer that was not.

mod accept;
mod check;
#[cfg(target_os = "linux")]
mod conform;
mod difference;
mod examples;
mod executable;
mod explain;
mod fmt;
mod import;
mod interrupts;
mod matching;
mod matrix;
mod meaning;
mod merge;
mod new;
mod on;
mod outputs;
mod profiles;
mod remembered;
mod replay;
mod rewritten;
mod run;
mod sampling;
#[cfg(target_os = "linux")]
mod schedules;
mod schema;
#[cfg(target_os = "linux")]
mod stress;
mod sweep;
#[cfg(target_os = "linux")]
mod target;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
pub use executable::BUILT_IN;
use run::{RunOptions, Selecting};

use crate::designs::Design;
use crate::runner;
use crate::scenario::{self, Paint, Scenario};
use crate::select::Selection;
use crate::token::{Token, TokenError};
use crate::verdict::Executor;

/// Exit statuses, as documented in the help.
mod status {
    pub(super) const PASSED: u8 = 0;
    pub(super) const FAILED: u8 = 1;
    pub(super) const USAGE: u8 = 2;
    pub(super) const INCONCLUSIVE: u8 = 3;
    pub(super) const NOTHING: u8 = 4;
    pub(super) const ENVIRONMENT: u8 = 5;
    pub(super) const INTERRUPTED: u8 = 130;
    /// 128 and SIGPIPE, as a shell would say.
    pub(super) const UNREAD: u8 = 141;
}

const STATUSES: &str = "Exit status:
  0    every case passed, is unsupported or deviates as is known (the summary says if
       nothing was tested);
       for replay: the whole schedule was taken and breaks nothing; for a saved failure:
       each of its steps still happens, and breaks nothing;
       for explain: every case that was explained passes;
       for conform: no difference; for matrix: every cell is as known;
       for stress: the writes of all owners are in order, and every contender ended as it should;
       for sweep: no seed breaks a promise that is not expected to break, and all that is to
       happen does;
       for report merge: as for the runs;
       for target check: the gateway does what the file says;
       for run --match: a schedule shows the timeline; for import: the scenario was made
  1    a case failed, or a known deviation did not show; with --fail-fast or --max-fail those
       behind it are not run;
       for replay: the schedule still breaks something;
       for conform: the kernels differ, or an ending of a call was not seen that should be;
       for matrix: a cell is not as known; for stress: an owner wrote after a later one,
       or a contender hung or ended as none should; for sweep: a seed breaks a promise, two
       executions of one differ, or what is to happen never does;
       for target check: the gateway does something else;
       for run --match: no schedule shows the timeline; for fmt --check: a file is not laid out;
       for accept: a check is broken, so that its outcomes are none to accept
  2    wrong usage, an invalid scenario, target, profile, log or file of events, a damaged
       token; for check --deny warnings: a warning
  3    nothing failed, but something stayed undecided; for replay: the token no longer applies:
       its schedule asks for a step that cannot happen, its scenario has changed, or its case
       is gone; for a saved failure: one of its steps does not happen any more;
       for stress: too few acquisitions, kills, stops or removals; for sweep: its time is spent;
       for report merge: a part is missing or was cut; for accept: the search is not complete
  4    no case was selected
  5    the environment lacks something, for instance the gateway's executable, namespaces, or
       what `--require` demands; or a report cannot be written
  130  interrupted, by whichever of SIGINT, SIGTERM and SIGHUP; the reports are written all the same
  141  the reader of the output left before its end";

/// Runs scenarios of gateways that compete for one state directory, one configuration or one port: on a simulated
/// machine, where every schedule is tried, and on real processes.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, after_help = STATUSES, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// When to use colours
    // Its place among the options of a command does not depend on how many commands there are.
    #[arg(long, global = true, value_enum, default_value = "auto", display_order = 14)]
    color: Color,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    /// If the output is a terminal and NO_COLOR is not set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios
    Run(Box<RunOptions>),
    /// List the cases, one a line, or the designs
    #[command(after_help = examples::LIST)]
    List {
        #[command(flatten)]
        selecting: Selecting,
        /// List the designs that `run --design` takes instead
        #[arg(long)]
        designs: bool,
    },
    /// Compare designs with scenarios: which holds, which breaks, and whether that is known
    Matrix(matrix::MatrixOptions),
    /// Take one failure again, step for step
    Replay(replay::ReplayOptions),
    /// Explain cases: the shortest way to each outcome, the risk of a failure, and what a death at each call leaves behind
    Explain(explain::ExplainOptions),
    /// Compare the simulated kernel with the real one, call by call
    #[cfg(target_os = "linux")]
    Conform(conform::Options),
    /// Kill, stop and rob real contenders for one lock, and judge whether their writes are in order
    #[cfg(target_os = "linux")]
    Stress(stress::StressOptions),
    /// Let gateways run with clients and bots under seeds of trouble, simulated or real
    Sweep(sweep::SweepOptions),
    /// Drive schedules of the explorer on real processes, and compare every reply
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Schedules(schedules::ScheduleOptions),
    /// Test target files, which describe other gateways
    #[cfg(target_os = "linux")]
    Target(target::TargetOptions),
    /// Make one timeline and one scenario of the logs of an incident
    Import(import::ImportOptions),
    /// Read scenario files and show every mistake in them
    Check(check::CheckOptions),
    /// Write a scenario to begin with
    New(new::NewOptions),
    /// Take the outcomes that the simulator finds into scenario files
    Accept(accept::AcceptOptions),
    /// Lay out scenario files: the same data and comments, always written in one way
    Fmt(fmt::FmtOptions),
    /// Make reports of runs that have ended
    Report {
        #[command(subcommand)]
        what: ReportCommand,
    },
    /// Print the JSON Schema of something that this program reads or writes
    #[command(after_help = examples::SCHEMA)]
    Schema {
        /// Of what
        #[arg(value_enum)]
        what: schema::Published,
    },
    /// Print what makes a shell complete the arguments of this program
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page of this program, or write those of all its commands
    Man {
        /// Write one page for each command into this directory
        #[arg(long, value_name = "DIRECTORY")]
        directory: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum ReportCommand {
    /// Make one run of the events of several, and reports of it
    Merge(merge::MergeOptions),
}

fn parse_design(name: &str) -> Result<Design, String> {
    Design::of(name).ok_or_else(|| {
        let similar = |design: &Design| (strsim::jaro_winkler(&design.name(), name) * 1000.0) as u32;
        let best = Design::all().into_iter().max_by_key(similar).filter(|design| similar(design) > 750);
        match best {
            Some(design) => format!("no design is called so; did you mean `{}`?", design.name()),
            None => "no design is called so; `portcullis list --designs` shows them all".to_owned(),
        }
    })
}

/// Does what the arguments say, the name of the program first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let given: Vec<OsString> = arguments.into_iter().collect();
    let arguments = match parse(&given) {
        Ok(Ok(arguments)) => arguments,
        Ok(Err(status)) => return ExitCode::from(status),
        Err(error) => {
            // Help and version are answers, everything else is a mistake; clap knows which goes where.
            let status = if error.use_stderr() { status::USAGE } else { status::PASSED };
            return ExitCode::from(told(error.print().map(|()| status)));
        }
    };
    match arguments.color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    }
    .write_global();
    let mut out = anstream::stdout().lock();
    let ended = match arguments.command {
        Command::Run(options) => run::run(*options),
        Command::List { designs: true, .. } => list_designs(&mut out),
        Command::List { selecting, designs: false } => list(&mut out, &selecting),
        Command::Matrix(options) => matrix::run(&mut out, options),
        Command::Replay(options) => replay::run(&mut out, &options),
        Command::Explain(options) => explain::run(&mut out, &options),
        #[cfg(target_os = "linux")]
        Command::Conform(options) => conform::run(&mut out, &options),
        #[cfg(target_os = "linux")]
        Command::Schedules(options) => schedules::run(&mut out, &options),
        #[cfg(target_os = "linux")]
        Command::Stress(options) => stress::run(&mut out, &options),
        Command::Sweep(options) => sweep::run(&mut out, &options),
        #[cfg(target_os = "linux")]
        Command::Target(options) => target::run(&mut out, &options),
        Command::Import(options) => import::run(&mut out, &options),
        Command::Check(options) => check::run(&mut out, &options),
        Command::New(options) => new::run(&mut out, &options),
        Command::Accept(options) => accept::run(&mut out, &options),
        Command::Fmt(options) => fmt::run(&mut out, &options),
        Command::Report { what: ReportCommand::Merge(options) } => merge::run(options),
        Command::Schema { what } => write!(out, "{}", what.text()).map(|()| status::PASSED),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "portcullis", &mut text);
            out.write_all(&text).map(|()| status::PASSED)
        }
        Command::Man { directory: None } => {
            clap_mangen::Man::new(Arguments::command()).render(&mut out).map(|()| status::PASSED)
        }
        Command::Man { directory: Some(directory) } => manuals(&mut out, &directory),
    };
    ExitCode::from(told(ended.and_then(|status| out.flush().map(|()| status))))
}

/// Whether arguments, the name of the program first, say something. Nothing is done.
///
/// # Errors
///
/// What is wrong with them, for people.
pub fn understands(arguments: impl IntoIterator<Item = String>) -> Result<(), String> {
    match Arguments::command().try_get_matches_from(arguments) {
        Err(error) if error.use_stderr() => Err(error.to_string()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Reads the arguments. Those of `run` are completed by a profile; if that cannot be used, the status to end with.
fn parse(given: &[OsString]) -> Result<Result<Arguments, u8>, clap::Error> {
    let mut command = Arguments::command();
    let matches = command.try_get_matches_from_mut(given)?;
    let Some(("run", of_run)) = matches.subcommand() else {
        return Arguments::from_arg_matches(&matches).map(Ok);
    };
    let Some(run) = command.find_subcommand("run") else {
        unreachable!("whose matches there are is a command")
    };
    match profiles::apply(run, given, of_run) {
        Ok(arguments) => Arguments::try_parse_from(arguments).map(Ok),
        Err(()) => Ok(Err(status::USAGE)),
    }
}

/// The exit status of an answer that was to be written.
fn told(answer: io::Result<u8>) -> u8 {
    match answer {
        Ok(status) => status,
        // Whoever reads has left; that is no mistake, but the answer has not arrived either.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => status::UNREAD,
        Err(error) => {
            complain(&format!("error: cannot write the report: {error}"));
            status::ENVIRONMENT
        }
    }
}

/// Writes to the standard error output, colours included where they are wanted.
fn complain(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

fn load(paths: &[PathBuf]) -> Result<Vec<Scenario>, u8> {
    scenario::load(paths).map_err(|errors| {
        complain(&errors.render(Paint::Coloured));
        status::USAGE
    })
}

fn list(out: &mut impl Write, selecting: &Selecting) -> io::Result<u8> {
    let read = selecting.expressions().and_then(|expressions| Ok((expressions, load(&selecting.paths)?)));
    let (expressions, scenarios) = match read {
        Ok(read) => read,
        Err(status) => return Ok(status),
    };
    let selection = Selection { tags: selecting.tag.clone(), expressions, ..Selection::default() };
    let selected = selection.of(runner::plan(&scenarios, &[Executor::Sim]));
    if selected.is_empty() {
        return Ok(run::nothing_selected());
    }
    for case in selected.iter().map(|selected| &selected.case) {
        writeln!(out, "{:<46} {}", case.id, case.scenario.title)?;
    }
    Ok(status::PASSED)
}

/// Writes a manual page for each command.
fn manuals(out: &mut impl Write, directory: &std::path::Path) -> io::Result<u8> {
    let written =
        std::fs::create_dir(directory).or_else(|error| if directory.is_dir() { Ok(()) } else { Err(error) });
    match written.and_then(|()| clap_mangen::generate_to(Arguments::command(), directory)) {
        Ok(()) => writeln!(out, "the manual pages are in {}", directory.display()).map(|()| status::PASSED),
        Err(error) => {
            complain(&format!("error: cannot write into {}: {error}", directory.display()));
            Ok(status::ENVIRONMENT)
        }
    }
}

fn list_designs(out: &mut impl Write) -> io::Result<u8> {
    for design in Design::all() {
        writeln!(out, "{:<5} {:<33} {}", design.id().unwrap_or("-"), design.name(), design.describe())?;
    }
    Ok(status::PASSED)
}

/// Reads a token, or says what is wrong with it.
fn read_token(out: &mut impl Write, token: &str) -> io::Result<Result<Token, u8>> {
    Ok(match Token::parse(token) {
        Ok(token) => Ok(token),
        // The token is whole; what is missing is the design, as a case may be.
        Err(error @ TokenError::Design { .. }) => {
            writeln!(out, "not applicable: {error} any more")?;
            Err(status::INCONCLUSIVE)
        }
        Err(error) => {
            complain(&format!(
                "error: this token cannot be read: {error}\n  = help: copy the whole last line of a failure block, \
                 without `portcullis replay`"
            ));
            Err(status::USAGE)
        }
    })
}
