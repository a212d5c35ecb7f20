//! The command line: arguments in, one exit status out.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Parser, Subcommand, ValueEnum};

use crate::designs::Design;
use crate::replayed::{self, Outcome};
use crate::report;
use crate::runner::{self, Ended, Request};
use crate::scenario::{self, Paint, Scenario};
use crate::token::Token;
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
}

const STATUSES: &str = "Exit status:
  0    every case passed, or the executor does not support it
  1    a case failed; for replay: it still fails
  2    wrong usage, or an invalid scenario file
  3    nothing failed, but something stayed undecided; for replay: the token no longer applies
  4    no case was selected
  5    the environment lacks something, for instance the gateway's executable
  130  interrupted";

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
    Run {
        /// Scenario files, or directories of them
        #[arg(default_value = "scenarios")]
        paths: Vec<PathBuf>,
        /// Only scenarios with this tag; may be given more than once
        #[arg(long, value_name = "TAG")]
        tag: Vec<String>,
        /// Where to run them; may be given more than once
        #[arg(long, value_enum, default_value = "sim")]
        on: Vec<On>,
        /// The lock that the simulated gateways have
        #[arg(long, default_value = "refgate", value_parser = parse_design)]
        design: Design,
        /// The executable of the reference gateway [default: the one built into this program]
        #[arg(long, value_name = "PATH")]
        refgate: Option<PathBuf>,
        /// Runs of each case on real processes [default: as the scenario says]
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
        tries: Option<u16>,
        /// Cases at once on the simulated machine [default: one for each core]
        #[arg(long, short, value_parser = clap::value_parser!(u16).range(1..=256))]
        jobs: Option<u16>,
    },
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
    /// Take one failure again, step for step
    Replay {
        /// The token that a failing run has printed
        token: String,
    },
    /// Read scenario files and show every mistake in them
    Check {
        /// Scenario files, or directories of them
        #[arg(default_value = "scenarios")]
        paths: Vec<PathBuf>,
    },
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
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { status::USAGE } else { status::PASSED });
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
        Command::Run { paths, tag, on, design, refgate, tries, jobs } => {
            run(&mut out, &Selection { paths, tags: tag }, &on, design, refgate.as_deref(), tries, jobs)
        }
        Command::List { designs: true, .. } => list_designs(&mut out),
        Command::List { paths, tag, designs: false } => list(&mut out, &Selection { paths, tags: tag }),
        Command::Replay { token } => replay(&mut out, &token),
        Command::Check { paths } => check(&mut out, &paths),
    };
    match ended.and_then(|status| out.flush().map(|()| status)) {
        Ok(status) => ExitCode::from(status),
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(status::PASSED),
        Err(error) => {
            complain(&format!("error: cannot write the report: {error}"));
            ExitCode::from(status::ENVIRONMENT)
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

fn run(
    out: &mut impl Write,
    selection: &Selection,
    on: &[On],
    design: Design,
    refgate: Option<&Path>,
    tries: Option<u16>,
    jobs: Option<u16>,
) -> io::Result<u8> {
    let mut executors: Vec<Executor> = Vec::new();
    for executor in on {
        let executor = match executor {
            On::Sim => Executor::Sim,
            On::Refgate => Executor::Refgate,
        };
        if !executors.contains(&executor) {
            executors.push(executor);
        }
    }
    if executors.contains(&Executor::Refgate) && design != Design::Refgate {
        complain(&format!(
            "error: `--design {}` exists only in the simulator\n  = help: leave out `--on refgate`",
            design.name()
        ));
        return Ok(status::USAGE);
    }
    let scenarios = match selection.load() {
        Ok(scenarios) => scenarios,
        Err(status) => return Ok(status),
    };
    let gateway = match Gateway::find(refgate, executors.contains(&Executor::Refgate)) {
        Ok(gateway) => gateway,
        Err(why) => {
            complain(&why);
            return Ok(status::ENVIRONMENT);
        }
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    if let Err(error) = watch_for_interrupts(&interrupted) {
        complain(&format!("error: cannot catch signals: {error}"));
        return Ok(status::ENVIRONMENT);
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let request = Request {
        scenarios,
        on: executors,
        design,
        refgate: gateway.path.clone(),
        tries,
        jobs: jobs.map_or(cores, usize::from),
        interrupted,
    };
    Ok(match runner::run(&request, out)? {
        Ended::Passed => status::PASSED,
        Ended::Failed => status::FAILED,
        Ended::Inconclusive => status::INCONCLUSIVE,
        Ended::Interrupted => status::INTERRUPTED,
    })
}

/// The first signal asks for an orderly end, the second ends at once.
fn watch_for_interrupts(interrupted: &Arc<AtomicBool>) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(
            signal,
            i32::from(status::INTERRUPTED),
            Arc::clone(interrupted),
        )?;
        signal_hook::flag::register(signal, Arc::clone(interrupted))?;
    }
    Ok(())
}

/// The executable that acts as the gateway, and the directory that it lies in if it had to be made.
struct Gateway {
    path: PathBuf,
    _made: Option<tempfile::TempDir>,
}

impl Gateway {
    fn find(given: Option<&Path>, needed: bool) -> Result<Self, String> {
        if let Some(path) = given {
            return if path.is_file() {
                let path = std::path::absolute(path).map_err(|error| format!("error: {error}"))?;
                Ok(Self { path, _made: None })
            } else {
                Err(format!(
                    "error: there is no gateway at `{}`\n  = help: build it with `cargo build --bin refgate`, or leave \
                     `--refgate` out to use the built-in one",
                    path.display()
                ))
            };
        }
        if !needed {
            return Ok(Self { path: PathBuf::new(), _made: None });
        }
        let trouble = |error: io::Error| format!("error: cannot make the built-in gateway callable: {error}");
        let directory = tempfile::Builder::new().prefix("portcullis-").tempdir().map_err(trouble)?;
        let path = directory.path().join(BUILT_IN);
        let own = std::env::current_exe().map_err(trouble)?;
        link(&own, &path).map_err(trouble)?;
        Ok(Self { path, _made: Some(directory) })
    }
}

/// Under this name this program is the reference gateway.
pub const BUILT_IN: &str = "refgate";

#[cfg(unix)]
fn link(original: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(original, link)
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
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
        writeln!(out, "{:<32} {}", design.name(), design.describe())?;
    }
    Ok(status::PASSED)
}

fn replay(out: &mut impl Write, token: &str) -> io::Result<u8> {
    let token = match Token::parse(token) {
        Ok(token) => token,
        Err(error) => {
            complain(&format!(
                "error: not a token: {error}\n  = help: copy the last line of a failure block, without `portcullis replay`"
            ));
            return Ok(status::USAGE);
        }
    };
    Ok(match replayed::replay(&token, out)? {
        Outcome::StillFails => status::FAILED,
        Outcome::Fixed => status::PASSED,
        Outcome::NotApplicable => status::INCONCLUSIVE,
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
