//! Targets on the command line: `--on FILE` names one, `--require` demands what it can do, `target check` tests it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
use clap::{Args, Subcommand};

use super::{complain, interrupts, status};
use crate::real::{self, Finding, Isolation, Line, Options};
use crate::report::count;
use crate::scenario::Paint;
use crate::target::{self, Capability, Target};

const GREEN: Style = AnsiColor::Green.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();

/// How helpers of a self-test choose where they run.
const SEED: u64 = 0x5eed_0001;

#[derive(Debug, Args)]
pub(super) struct TargetOptions {
    #[command(subcommand)]
    command: TargetCommand,
}

#[derive(Debug, Subcommand)]
enum TargetCommand {
    /// Start the gateway that a target file describes, and tell what is not as it says
    #[command(after_help = STATUSES)]
    Check {
        /// The target file
        file: PathBuf,
        /// Only read the file
        #[arg(long)]
        read_only: bool,
    },
}

const STATUSES: &str = "Exit status:
  0    the gateway does what the file says
  1    it does not; each line says what to change
  2    wrong usage, or a mistake in the file
  5    the program that it starts is not there, or this machine cannot run the test
  130  interrupted

Examples:
  portcullis target check targets/refgate.toml --read-only";

/// Reads a target and finds its program, or complains.
pub(super) fn read(file: &Path) -> Result<Target, u8> {
    let mut target = target::load(file).map_err(|error| {
        complain(&error.render(Paint::Coloured));
        status::USAGE
    })?;
    #[expect(clippy::disallowed_methods, reason = "the named edge: a gateway inherits what its target says")]
    let variable = |name: &str| std::env::var_os(name);
    equip(&mut target, variable).map_err(|why| {
        complain(&why);
        status::ENVIRONMENT
    })?;
    Ok(target)
}

/// Puts what it takes from this machine into a target: the path of its program, and variables.
fn equip(target: &mut Target, variable: impl Fn(&str) -> Option<OsString>) -> Result<(), String> {
    let path = variable("PATH").unwrap_or_default();
    target::locate(target, &path)?;
    target.inherit(|name| if name == "PATH" { Some(path.clone()) } else { variable(name) });
    Ok(())
}

/// What a run demands and one of its executors cannot do, as a message.
pub(super) fn missing(required: &[Capability], targets: &[&Target]) -> Result<Option<String>, String> {
    for capability in required {
        if capability.is_of_machine() {
            let options = options(Target::refgate("".as_ref()), &Arc::new(AtomicBool::new(false)));
            if let Some(why) = real::lacks(&options, *capability)? {
                return Ok(Some(format!(
                    "error: this machine lacks `{capability}`, which `--require` demands: {why}\n  = help: allow \
                     unprivileged user namespaces (for instance `sysctl kernel.unprivileged_userns_clone=1`, or a \
                     container with its seccomp profile opened for them)"
                )));
            }
        }
        for target in targets {
            if let Some(remedy) = capability.missing_in(target) {
                return Ok(Some(format!(
                    "error: the target {} lacks `{capability}`, which `--require` demands\n  = help: add {remedy} to {}",
                    target.name,
                    target.file.display()
                )));
            }
        }
    }
    Ok(None)
}

fn options(target: Target, interrupted: &Arc<AtomicBool>) -> Options {
    Options {
        target,
        helper: Options::ITSELF.into(),
        tries: None,
        seed: SEED,
        isolation: Isolation::WherePossible,
        interrupted: Arc::clone(interrupted),
    }
}

/// Does what was asked for with targets.
pub(super) fn run(out: &mut impl Write, options: &TargetOptions) -> io::Result<u8> {
    match &options.command {
        TargetCommand::Check { file, read_only } => check(out, file, *read_only),
    }
}

fn check(out: &mut impl Write, file: &Path, read_only: bool) -> io::Result<u8> {
    if read_only {
        return match target::load(file) {
            Ok(target) => {
                let known = count(target.known.len(), "known deviation");
                writeln!(out, "{} in {}: no mistake, {known}", target.name, file.display())?;
                Ok(status::PASSED)
            }
            Err(error) => {
                complain(&error.render(Paint::Coloured));
                Ok(status::USAGE)
            }
        };
    }
    let target = match read(file) {
        Ok(target) => target,
        Err(status) => return Ok(status),
    };
    let interrupted = match interrupts::watched() {
        Ok(interrupted) => interrupted,
        Err(status) => return Ok(status),
    };
    writeln!(out, "target {} in {}", target.name, file.display())?;
    let (lines, isolation) = match real::check(&options(target, &interrupted)) {
        Ok(answer) => answer,
        Err(_) if interrupted.load(Ordering::Relaxed) => return Ok(status::INTERRUPTED),
        Err(why) => {
            complain(&format!("error: the target cannot be tested here: {why}"));
            return Ok(status::ENVIRONMENT);
        }
    };
    if isolation == Isolation::Never {
        writeln!(
            out,
            "   {YELLOW}note{YELLOW:#}  namespaces are not allowed here: it ran among everybody else"
        )?;
    }
    for line in &lines {
        tell(out, line)?;
    }
    let bad = lines.iter().filter(|line| line.finding == Finding::Bad).count();
    if bad == 0 {
        writeln!(out, "the gateway does what {} says", file.display())?;
        return Ok(status::PASSED);
    }
    writeln!(
        out,
        "{} not as {} says",
        if bad == 1 { "1 thing is".to_owned() } else { format!("{bad} things are") },
        file.display()
    )?;
    Ok(status::FAILED)
}

fn tell(out: &mut impl Write, line: &Line) -> io::Result<()> {
    let (style, word) = match line.finding {
        Finding::Good => (GREEN, "good"),
        Finding::Bad => (RED, " bad"),
        Finding::Silent => (YELLOW, "   -"),
        Finding::Skipped => (YELLOW, "skip"),
    };
    writeln!(out, "   {style}{word}{style:#}  {:<19} {}", line.what, line.seen)?;
    if !line.remedy.is_empty() {
        writeln!(out, "         {:<19} remedy: {}", "", line.remedy)?;
    }
    Ok(())
}

/// Whether a word after `--on` is the path of a target.
pub(super) fn is_file(word: &str) -> bool {
    Path::new(word).extension() == Some(OsStr::new("toml"))
}
