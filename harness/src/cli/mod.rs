//! The command line: arguments in, one exit status out.
//!
//! Who reads the answer may leave before it is complete. Then the work stops and the exit status says that it is unknown:
//! a status that means "passed" is never given for an answer that was not.

#[cfg(target_os = "linux")]
mod conform;
mod executable;
mod explain;
mod interrupts;
mod matrix;
mod replay;
mod sampling;
#[cfg(target_os = "linux")]
mod schedules;
#[cfg(target_os = "linux")]
mod stress;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Args, Parser, Subcommand, ValueEnum};
pub use executable::BUILT_IN;
use executable::Executable;
use sim::{Sampler, Sampling};

use crate::designs::Design;
use crate::report;
use crate::runner::{self, Ended, Request};
use crate::scenario::{self, Paint, Scenario};
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
  0    every case passed or is unsupported (the summary says if nothing was tested);
       for replay: the whole schedule was taken and breaks nothing; for a saved failure:
       each of its steps still happens, and breaks nothing;
       for explain: every case that was explained passes;
       for conform: no difference; for matrix: every cell is as known;
       for stress: the writes of all owners are in order, and every contender ended as it should
  1    a case failed; for replay: the schedule still breaks something;
       for conform: the kernels differ, or an ending of a call was not seen that should be;
       for matrix: a cell is not as known; for stress: an owner wrote after a later one,
       or a contender hung or ended as none should
  2    wrong usage, an invalid scenario file, or a damaged token
  3    nothing failed, but something stayed undecided; for replay: the token no longer applies:
       its schedule asks for a step that cannot happen, its scenario has changed, or its case
       is gone; for a saved failure: one of its steps does not happen any more;
       for stress: too few acquisitions, kills, stops or removals
  4    no case was selected
  5    the environment lacks something, for instance the gateway's executable, or namespaces
  130  interrupted, by whichever of SIGINT, SIGTERM and SIGHUP
  141  the reader of the output left before its end";

/// Runs scenarios of gateways that compete for one state directory, one configuration or one port: on a simulated
/// machine, where every schedule is tried, and on real processes.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, after_help = STATUSES, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value = "auto")]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum On {
    /// The simulated machine: every schedule
    Sim,
    /// Real processes of the reference gateway
    Refgate,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios
    Run(RunOptions),
    /// List the cases, one a line, or the designs
    List {
        /// Scenario files, or directories of them
        #[arg(default_value = "scenarios")]
        paths: Vec<PathBuf>,
        /// Only scenarios with this tag; may be given more than once
        #[arg(long, value_name = "TAG")]
        tag: Vec<String>,
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
    /// Drive schedules of the explorer on real processes, and compare every reply
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Schedules(schedules::ScheduleOptions),
    /// Read scenario files and show every mistake in them
    Check {
        /// Scenario files, or directories of them
        #[arg(default_value = "scenarios")]
        paths: Vec<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct RunOptions {
    /// Scenario files, or directories of them
    #[arg(default_value = "scenarios")]
    paths: Vec<PathBuf>,
    /// Only scenarios with this tag; may be given more than once
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Where to run them; may be given more than once
    #[arg(long, value_enum, default_value = "sim")]
    on: Vec<On>,
    /// The lock that the simulated gateways have, by its name or number [default: refgate]
    #[arg(long, value_parser = parse_design)]
    design: Option<Design>,
    /// The executable of the reference gateway [default: the one built into this program]
    #[arg(long, value_name = "PATH")]
    refgate: Option<PathBuf>,
    /// Runs of each case on real processes [default: as the scenario says]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    tries: Option<u16>,
    /// Take so many random schedules of each case on the simulated machine, instead of all
    #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
    /// How random schedules are chosen: `uniform`, `pct` or `pct=DEPTH` (random priorities), `swarm` (random weights)
    #[arg(long, value_name = "HOW", requires = "sample", value_parser = sampling::parse_sampler, default_value = "uniform")]
    sampler: Sampler,
    /// What random schedules are drawn from: the same number, the same schedules
    #[arg(long, value_name = "NUMBER", requires = "sample", default_value_t = 1)]
    seed: u64,
    /// Search each case on the simulated machine twice, and compare every step
    #[arg(long, conflicts_with = "sample")]
    twice: bool,
    /// Cases at once on the simulated machine [default: one for each core]
    #[arg(long, short, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
}

impl RunOptions {
    /// The executors, each once.
    fn executors(&self) -> Vec<Executor> {
        let mut executors: Vec<Executor> = Vec::new();
        for on in &self.on {
            let executor = match on {
                On::Sim => Executor::Sim,
                On::Refgate => Executor::Refgate,
            };
            if !executors.contains(&executor) {
                executors.push(executor);
            }
        }
        executors
    }

    /// An option that would have no effect, as a message with its remedy: who gives it expects something of it.
    fn without_effect(&self) -> Option<String> {
        let (on_sim, on_refgate) = (self.on.contains(&On::Sim), self.on.contains(&On::Refgate));
        if let Some(design) = self.design.filter(|design| on_refgate && *design != Design::Refgate) {
            return Some(format!(
                "error: `--design {}` exists only in the simulator\n  = help: leave out `--on refgate`",
                design.name()
            ));
        }
        let useless = |option, machine, on| {
            format!(
                "error: `{option}` has no effect: nothing is to be run on {machine}\n  = help: add `--on {on}`, or \
                 leave out `{option}`"
            )
        };
        let for_sim = [
            ("--design", self.design.is_some()),
            ("--jobs", self.jobs.is_some()),
            ("--sample", self.sample.is_some()),
            ("--twice", self.twice),
        ];
        let for_refgate = [("--refgate", self.refgate.is_some()), ("--tries", self.tries.is_some())];
        let given = |options: &[(&'static str, bool)]| {
            options.iter().find_map(|(option, is_given)| is_given.then_some(*option))
        };
        given(&for_sim)
            .filter(|_| !on_sim)
            .map(|option| useless(option, "the simulated machine", "sim"))
            .or_else(|| {
                given(&for_refgate)
                    .filter(|_| !on_refgate)
                    .map(|option| useless(option, "real processes", "refgate"))
            })
    }
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
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
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
        Command::Run(options) => run(&mut out, options),
        Command::List { designs: true, .. } => list_designs(&mut out),
        Command::List { paths, tag, designs: false } => list(&mut out, &Selection { paths, tags: tag }),
        Command::Matrix(options) => matrix::run(&mut out, options),
        Command::Replay(options) => replay::run(&mut out, &options),
        Command::Explain(options) => explain::run(&mut out, &options),
        #[cfg(target_os = "linux")]
        Command::Conform(options) => conform::run(&mut out, &options),
        #[cfg(target_os = "linux")]
        Command::Schedules(options) => schedules::run(&mut out, &options),
        #[cfg(target_os = "linux")]
        Command::Stress(options) => stress::run(&mut out, &options),
        Command::Check { paths } => check(&mut out, &paths),
    };
    ExitCode::from(told(ended.and_then(|status| out.flush().map(|()| status))))
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

/// Which scenarios are meant.
struct Selection {
    paths: Vec<PathBuf>,
    tags: Vec<String>,
}

impl Selection {
    /// Reads them, and shows every mistake if they cannot be read.
    fn load(&self) -> Result<Vec<Scenario>, u8> {
        let mut scenarios = load(&self.paths)?;
        if !self.tags.is_empty() {
            scenarios.retain(|scenario| scenario.tags.iter().any(|tag| self.tags.contains(tag)));
        }
        if scenarios.is_empty() {
            complain("error: no case was selected\n  = help: `portcullis list` shows them all");
            return Err(status::NOTHING);
        }
        Ok(scenarios)
    }
}

fn load(paths: &[PathBuf]) -> Result<Vec<Scenario>, u8> {
    scenario::load(paths).map_err(|errors| {
        complain(&errors.render(Paint::Coloured));
        status::USAGE
    })
}

fn run(out: &mut impl Write, options: RunOptions) -> io::Result<u8> {
    if let Some(why) = options.without_effect() {
        complain(&why);
        return Ok(status::USAGE);
    }
    let on = options.executors();
    let RunOptions { paths, tag: tags, design, refgate, tries, jobs, sample, sampler, seed, twice, on: _ } =
        options;
    let scenarios = match (Selection { paths, tags }).load() {
        Ok(scenarios) => scenarios,
        Err(status) => return Ok(status),
    };
    // From here on directories are made, which a signal must not leave behind.
    let interrupted = Arc::new(AtomicBool::new(false));
    if let Err(error) = interrupts::watch(&interrupted) {
        complain(&format!("error: cannot catch signals: {error}"));
        return Ok(status::ENVIRONMENT);
    }
    let executable = match refgate {
        Some(path) => Executable::named(&path),
        None if on.contains(&Executor::Refgate) => Executable::built_in(),
        None => Ok(Executable::none()),
    };
    let executable = match executable {
        Ok(executable) => executable,
        Err(why) => {
            complain(&why);
            return Ok(status::ENVIRONMENT);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let request = Request {
        scenarios,
        on,
        design: design.unwrap_or(Design::Refgate),
        refgate: executable.path.clone(),
        tries,
        jobs: jobs.map_or(cores, usize::from),
        // Each job samples a case of its own, and a sample is the same for any number of threads.
        sampling: sample.map(|runs| Sampling { sampler, runs, seed, threads: 1 }),
        twice,
        interrupted,
    };
    Ok(match runner::run(&request, out)? {
        Ended::Passed => status::PASSED,
        Ended::Failed => status::FAILED,
        Ended::Inconclusive => status::INCONCLUSIVE,
        Ended::Interrupted => status::INTERRUPTED,
    })
}

fn list(out: &mut impl Write, selection: &Selection) -> io::Result<u8> {
    let scenarios = match selection.load() {
        Ok(scenarios) => scenarios,
        Err(status) => return Ok(status),
    };
    for scenario in &scenarios {
        for case in scenario.cases() {
            writeln!(out, "{:<46} {}", case.id, case.scenario.title)?;
        }
    }
    Ok(status::PASSED)
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

fn check(out: &mut impl Write, paths: &[PathBuf]) -> io::Result<u8> {
    let scenarios = match load(paths) {
        Ok(scenarios) => scenarios,
        Err(status) => return Ok(status),
    };
    let cases: usize = scenarios.iter().map(|scenario| scenario.cases().len()).sum();
    let (scenarios, cases) = (report::count(scenarios.len(), "scenario"), report::count(cases, "case"));
    writeln!(out, "{scenarios}, {cases}: no mistake")?;
    Ok(status::PASSED)
}
