//! The command line: it says what it will do before it does anything, and its exit status says how that went.

#[cfg(target_os = "linux")]
mod install;
mod serve;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
#[cfg(target_os = "linux")]
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::claim::{Claim, DirectoryLock, Force, OnConflict, RemoteFileSystem};
use crate::control::About;
use crate::doctor::Mode;
use crate::log::{Format, Log};
#[cfg(target_os = "linux")]
use crate::refusal::Refusal;
use crate::settings::{self, Flags, Settings, SettingsError};
#[cfg(target_os = "linux")]
use crate::why::Report;

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

    /// Say why a gateway would not start here, and who is in the way. Takes nothing and changes nothing
    #[command(after_help = WHY_HELP)]
    Why(Target),

    /// Say what to do about whoever is in the way, and put right what may be put right without harm
    #[command(after_help = DOCTOR_HELP)]
    Doctor(Doctor),

    /// Show who has owned the state directory, and how that ended
    History(History),
}

#[derive(Debug, Args)]
struct History {
    /// The profile: a state directory of its own. `default` is none
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

/// Which gateway is meant, and in which form it is told.
#[derive(Debug, Args)]
struct Target {
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

    /// Trust the locks of a network file system. Where they do not reach every machine that mounts it, two gateways own
    /// one directory
    #[arg(long)]
    allow_remote_fs: bool,

    /// Say it as JSON on stdout, one object a line, and not as text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
struct Gateway {
    #[cfg(target_os = "linux")]
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    target: Target,

    /// End an owner of the state directory that is stopped, or that is the expected instance, and start. Never ends
    /// anything else: no program on a port, no process of another user, no orphan
    #[arg(long)]
    force: bool,

    /// The instance that --force may end although it runs, as `refgate why` names it. Without it --force asks for a
    /// terminal
    #[arg(long, value_name = "ID", requires = "force")]
    expect_instance: Option<String>,

    /// What to do while another gateway owns the state directory or has reserved a port: refuse to start, or park: wait
    /// until it has ended, and start then. For supervisors that ignore exit statuses
    #[arg(long, value_name = "HOW", value_enum, default_value = "refuse", hide_possible_values = true)]
    #[arg(conflicts_with = "force")]
    on_conflict: Conflict,

    /// Have the gateway that serves the same state, configuration and ports hand everything over, and go on in its place:
    /// no connection is refused, and nobody else gets in between. Starts as usual where none runs
    #[arg(long, conflicts_with_all = ["force", "on_conflict"])]
    takeover: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Conflict {
    Refuse,
    Park,
}

/// What can be done about a gateway instead of running it.
#[cfg(target_os = "linux")]
#[derive(Debug, Subcommand)]
enum Action {
    /// Write a systemd user unit for this gateway. Starts nothing
    #[command(after_help = install::HELP)]
    Install(install::Install),
}

#[derive(Debug, Args)]
struct Doctor {
    #[command(flatten)]
    target: Target,

    /// Put right what may be: the permissions of the state directory, and leftovers of interrupted writes in one that
    /// nobody owns
    #[arg(long)]
    fix: bool,
}

const WHY_HELP: &str = "\
The verdict is the code that a start would be refused with, or `free`; each is proved, likely or
unknown. What cannot be seen without taking a lock is listed as not seen.

Exit status:
   0  nothing stands in the way of a start
   2  the command line, the environment or the configuration was not understood
  70, 74, 75, 77, 78
      a start would be refused, and would exit like this: see `refgate gateway --help`";

const DOCTOR_HELP: &str = "\
No process is ended, and no lock file is removed.

Exit status:
   0  the gateway runs, or could start, and nothing is left to be put right
   1  the same, but something could be put right and is not
   2  the command line, the environment or the configuration was not understood
  70, 74, 75, 77, 78
      a start would be refused, and would exit like this: see `refgate gateway --help`";

const GATEWAY_HELP: &str = "\
Environment (an empty variable counts as not set):
  OPENCLAW_PROFILE        the profile, unless --profile is given
  OPENCLAW_STATE_DIR      the state directory [default: ~/.refgate, or ~/.refgate-NAME]
  OPENCLAW_CONFIG_PATH    the configuration, JSON5 [default: openclaw.json in the state directory]
  OPENCLAW_GATEWAY_PORT   the base port, as N, HOST:N or [IPV6]:N
  OPENCLAW_WORKSPACE_DIR  a directory that agents work in, besides those of the configuration
  OPENCLAW_GATEWAY_TOKEN, OPENCLAW_GATEWAY_PASSWORD
                          what clients must know [default: gateway.auth.token or .password]
  NOTIFY_SOCKET           where a service manager hears that it is ready, and that it stops

The base port is that of --port, else of OPENCLAW_GATEWAY_PORT, else `gateway.port` of the
configuration, else one that follows from the name of the profile, else 18789.
The configuration also says where to listen (`gateway.bind`: loopback, lan or custom), which
ports browsers have (`browser.cdpUrl` and that or `cdpPort` of each profile) and where agents
work (`agents.defaults.workspace`, and `workspace` of each agent): all of it is owned as well.
Without a token or a password every program of this machine may connect; listening elsewhere than
on loopback is refused then.

SIGTERM and SIGINT end it once its clients are gone. SIGUSR1 restarts it in place: the epoch is
raised, the clients are told to come again, and no token and no listener is given up meanwhile. If
the next epoch cannot be begun, on a full disk for instance, it says so and serves on as before.
With --takeover another process does the same: the one that runs says goodbye to its clients,
hands over every token and listener, and exits with 0. If it cannot, it goes on serving, and the
start is refused; why is in the evidence. SIGUSR2 asks whether it still owns all of that: it writes
a line into its journal if so, and ends with 70 if not.

Exit status:
   0  stopped as it was told to
   2  the command line, the environment or the configuration was not understood
  70  an error of the system, or it lost what it owned: see the evidence
  74  read-only or full file system, or no more descriptors
  75  refused for now: trying again later may succeed
  77  permission denied, or a state directory that others may write to
  78  refused until somebody changes something: supervisors should not restart it";

/// Runs the command that `arguments` ask for, the first of them being the name of the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Arguments::try_parse_from(arguments) {
        Ok(Arguments { command: Command::Gateway(options) }) => gateway(options),
        Ok(Arguments { command: Command::History(options) }) => history(options),
        Ok(Arguments { command: Command::Why(target) }) => look(target, None),
        Ok(Arguments { command: Command::Doctor(Doctor { target, fix }) }) => {
            look(target, Some(if fix { Mode::Fix } else { Mode::Look }))
        }
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
    let log = Log::to_standard_streams(options.target.format());
    abort_on_panic(log.clone());
    let status = own_and_serve(options, &log);
    log.flush();
    status
}

fn own_and_serve(options: Gateway, log: &Log) -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(Action::Install(options)) = options.action {
        return install::run(options, log);
    }
    let Gateway { target, force, expect_instance, on_conflict, takeover, .. } = options;
    // A script that forces whatever it finds would end the gateway that somebody has just started.
    if force && expect_instance.is_none() && !std::io::stdin().is_terminal() {
        log.failed(
            USAGE,
            "--force is for a person at a terminal; in a script, name the instance that may be ended",
        );
        log.note("`refgate why` shows the instance: --force --expect-instance ID");
        return ExitCode::from(USAGE);
    }
    let force = force.then_some(Force { expect: expect_instance });
    let on_conflict = match on_conflict {
        Conflict::Refuse if takeover => OnConflict::TakeOver,
        Conflict::Refuse => OnConflict::Refuse,
        Conflict::Park => OnConflict::Park,
    };
    match target.settle(log) {
        Some((claim, about)) => serve::serve(log, Claim { force, on_conflict, ..claim }, about),
        None => ExitCode::from(SettingsError::EXIT_STATUS),
    }
}

/// Looks and tells, and puts right what may be if it is the doctor who was asked.
#[cfg(target_os = "linux")]
fn look(target: Target, doctor: Option<Mode>) -> ExitCode {
    let log = Log::to_standard_streams(target.format());
    let format = target.format();
    let told = target.claim(&log).ok_or(SettingsError::EXIT_STATUS).and_then(|claim| {
        let runtime = serve::runtime(&log).map_err(|refusal| {
            log.refused(&refusal, None);
            refusal.exit_status()
        })?;
        let os = portcullis_os::Linux::new(|_| ());
        Ok(runtime.block_on(told(&os, &claim, format, doctor)))
    });
    log.flush();
    match told {
        Ok((text, status)) => {
            // Whoever closed the stream does not want to read it.
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::from(status)
        }
        Err(status) => ExitCode::from(status),
    }
}

#[cfg(target_os = "linux")]
async fn told(
    os: &portcullis_os::Linux,
    claim: &Claim,
    format: Format,
    doctor: Option<Mode>,
) -> (String, u8) {
    match doctor {
        None => {
            let survey = crate::lock::survey(os, claim).await;
            let report = Report::new(claim, &survey);
            let text = match format {
                Format::Text => report.to_text(),
                Format::Json => report.to_json(),
            };
            (text, report.exit_status())
        }
        Some(mode) => {
            let examination = crate::doctor::examine(os, claim, mode).await;
            let text = match format {
                Format::Text => examination.to_text(claim),
                Format::Json => examination.to_json(claim),
            };
            (text, examination.exit_status(claim))
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn look(target: Target, _: Option<Mode>) -> ExitCode {
    let log = Log::to_standard_streams(target.format());
    log.failed(SOFTWARE, "locks can be looked at on Linux only: they are Linux's");
    log.flush();
    ExitCode::from(SOFTWARE)
}

impl Target {
    const fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Text }
    }

    /// What a gateway of these settings would own; `None`: they are not understood, and the log says why.
    fn claim(self, log: &Log) -> Option<Claim> {
        self.settle(log).map(|(claim, _)| claim)
    }

    /// The same, and what it would be.
    fn settle(self, log: &Log) -> Option<(Claim, About)> {
        let flags = Flags { port: self.port, profile: self.profile };
        let settings = match settings::resolve(&flags, &settings::edge::surroundings(), settings::edge::read)
        {
            Ok(settings) => settings,
            Err(error) => {
                log.unsettled(&error);
                return None;
            }
        };
        for note in &settings.notes {
            log.note(note);
        }
        let directory_lock =
            if self.allow_file_lock { DirectoryLock::Optional } else { DirectoryLock::Required };
        let remote = if self.allow_remote_fs { RemoteFileSystem::Allowed } else { RemoteFileSystem::Refused };
        let (claim, about) = divide(settings);
        Some((Claim { directory_lock, remote, ..claim }, about))
    }
}

/// What a gateway of these settings owns, and what it is.
fn divide(settings: Settings) -> (Claim, About) {
    let Settings {
        profile: _,
        state,
        config,
        ports,
        pinned,
        workspaces,
        listen,
        auth,
        document,
        port_origin: _,
        notes: _,
    } = settings;
    let workspaces = workspaces.iter().map(|path| settings::edge::place(path)).collect();
    let canvas = Some(state.join("canvas"));
    let (host, document) = (settings::edge::host_name(), document.into_value());
    let about = About { auth, host, config: config.clone(), document, canvas };
    (Claim { pinned, workspaces, listen, ..Claim::plain(state, config, ports) }, about)
}

fn history(options: History) -> ExitCode {
    let log = Log::to_standard_streams(Format::Text);
    let flags = Flags { port: None, profile: options.profile };
    let status = match settings::resolve(&flags, &settings::edge::surroundings(), settings::edge::read) {
        Ok(settings) => show_history(&log, &settings.state),
        Err(error) => {
            log.unsettled(&error);
            ExitCode::from(SettingsError::EXIT_STATUS)
        }
    };
    log.flush();
    status
}

#[cfg(target_os = "linux")]
fn show_history(log: &Log, state: &Path) -> ExitCode {
    let shown = serve::runtime(log).and_then(|runtime| {
        let os = portcullis_os::Linux::new(|_| ());
        let lines = runtime.block_on(crate::history::lines(&os, state));
        lines
            .map_err(|errno| Refusal::from_errno("read the journals in", &state.display().to_string(), errno))
    });
    match shown {
        Ok(lines) => {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            // Whoever closed the stream does not want to read it.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            log.refused(&refusal, None);
            ExitCode::from(refusal.exit_status())
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn show_history(log: &Log, _: &Path) -> ExitCode {
    log.failed(SOFTWARE, "journals are read on Linux only");
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
