//! The command line: it says what it will do before it does anything, and its exit status says how that went.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::claim::{Claim, DirectoryLock};
use crate::log::{Format, Log};
#[cfg(target_os = "linux")]
use crate::refusal::{Reason, Refusal};
use crate::settings::{self, Flags, Settings, SettingsError};

/// The reference gateway: one live process owns a state directory, a configuration and a block of ports, and everybody
/// else is told the truth about why it was refused.
#[derive(Debug, Parser)]
#[command(name = "refgate", version, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Own the state directory, the configuration and the ports, and serve until SIGTERM or SIGINT
    #[command(after_help = GATEWAY_HELP)]
    Gateway(Gateway),
}

#[derive(Debug, Args)]
struct Gateway {
    /// The base port, 1 to 65425; the 110 ports above it are reserved as well
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    port: Option<String>,

    /// The profile: a state directory and a port of its own. `default` is none
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// Rely on the lock file alone where directories cannot be locked. Whoever deletes that file then lets a second
    /// gateway in
    #[arg(long)]
    allow_file_lock: bool,

    /// Say what happens as one JSON object a line on stdout, not as text on stderr
    #[arg(long)]
    json: bool,
}

const GATEWAY_HELP: &str = "\
Environment (an empty variable counts as not set):
  OPENCLAW_PROFILE        the profile, unless --profile is given
  OPENCLAW_STATE_DIR      the state directory [default: ~/.refgate, or ~/.refgate-NAME]
  OPENCLAW_CONFIG_PATH    the configuration, JSON5 [default: openclaw.json in the state directory]
  OPENCLAW_GATEWAY_PORT   the base port, as N, HOST:N or [IPV6]:N

The base port is that of --port, else of OPENCLAW_GATEWAY_PORT, else `gateway.port` of the
configuration, else one that follows from the name of the profile, else 18789.

Exit status:
   0  stopped as it was told to
   2  the command line, the environment or the configuration was not understood
  70  an error of the system, see the evidence
  74  read-only or full file system, or no more descriptors
  75  refused for now: trying again later may succeed
  77  permission denied, or a state directory that others may write to
  78  refused until somebody changes something: supervisors should not restart it";

/// Runs the command that `arguments` ask for, the first of them being the name of the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Arguments::try_parse_from(arguments) {
        Ok(Arguments { command: Command::Gateway(options) }) => gateway(options),
        Err(error) => {
            // Whoever closed the stream does not want to read it.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE))
        }
    }
}

/// The exit status for a command line that is not understood.
const USAGE: u8 = 2;

/// The exit status for an error of the system (`EX_SOFTWARE` of sysexits.h).
#[cfg(not(target_os = "linux"))]
const SOFTWARE: u8 = 70;

fn gateway(options: Gateway) -> ExitCode {
    let log = Log::to_standard_streams(if options.json { Format::Json } else { Format::Text });
    abort_on_panic(log.clone());
    let status = own_and_serve(options, &log);
    log.flush();
    status
}

fn own_and_serve(options: Gateway, log: &Log) -> ExitCode {
    let flags = Flags { port: options.port, profile: options.profile };
    let settings = match settings::resolve(&flags, &settings::edge::surroundings(), settings::edge::read) {
        Ok(settings) => settings,
        Err(error) => {
            log.unsettled(&error);
            return ExitCode::from(SettingsError::EXIT_STATUS);
        }
    };
    for note in &settings.notes {
        log.note(note);
    }
    let directory_lock =
        if options.allow_file_lock { DirectoryLock::Optional } else { DirectoryLock::Required };
    serve(log, claim(settings, directory_lock))
}

fn claim(settings: Settings, directory_lock: DirectoryLock) -> Claim {
    Claim {
        state: settings.state,
        config: settings.config,
        ports: settings.ports,
        directory_lock,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

#[cfg(target_os = "linux")]
fn serve(log: &Log, claim: Claim) -> ExitCode {
    use crate::server::{Limits, Server};

    let runtime = match runtime(log) {
        Ok(runtime) => runtime,
        Err(refusal) => {
            log.refused(&refusal);
            return ExitCode::from(refusal.exit_status());
        }
    };
    let os = portcullis_os::Linux::new({
        let (log, claim) = (log.clone(), claim.clone());
        move |notice| log.notice(notice, &claim)
    });
    let outcome = runtime.block_on(crate::run(os, claim, Server::new(Limits::personal())));
    // What still runs belongs to clients that were told to go; it must not keep the process alive.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            log.refused(&refusal);
            ExitCode::from(refusal.exit_status())
        }
    }
}

/// Builds the runtime. tokio answers some wants of the system with an error and some with a panic. Such a panic must
/// not unwind: it would wait for ever for the threads that did start.
#[cfg(target_os = "linux")]
fn runtime(log: &Log) -> Result<tokio::runtime::Runtime, Refusal> {
    let aborting = std::panic::take_hook();
    std::panic::set_hook(Box::new({
        let log = log.clone();
        move |panic| refuse_and_exit(&log, panic.payload_as_str().unwrap_or("for a reason that is not given"))
    }));
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    std::panic::set_hook(aborting);
    built.map_err(|error| no_runtime(&error.to_string()))
}

#[cfg(target_os = "linux")]
#[expect(clippy::exit, reason = "nothing is owned yet, and the way back through `main` would not end")]
fn refuse_and_exit(log: &Log, why: &str) {
    let refusal = no_runtime(why);
    log.refused(&refusal);
    log.flush();
    std::process::exit(i32::from(refusal.exit_status()));
}

/// A runtime is threads and descriptors, so what keeps it from starting is a limit on one of the two.
#[cfg(target_os = "linux")]
fn no_runtime(why: &str) -> Refusal {
    Refusal {
        reason: Reason::DescriptorLimit,
        what: "cannot start the runtime: too few descriptors or threads are allowed".to_owned(),
        holder: None,
        evidence: vec![why.to_owned()],
        next: "ulimit -n -u".to_owned(),
        do_not: None,
    }
}

#[cfg(not(target_os = "linux"))]
fn serve(log: &Log, _: Claim) -> ExitCode {
    log.failed(SOFTWARE, "a gateway runs on Linux only: its locks are Linux's");
    ExitCode::from(SOFTWARE)
}

/// A gateway that has lost a task to a panic would go on owning what it does not serve, so the whole process ends, and
/// the kernel frees its locks.
fn abort_on_panic(log: Log) {
    std::panic::set_hook(Box::new(move |panic| {
        log.failed(ABORTED, &format!("internal error: {panic}"));
        log.flush();
        std::process::abort();
    }));
}

/// What a shell reports for a process that ended with `SIGABRT`.
const ABORTED: u8 = 134;

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
