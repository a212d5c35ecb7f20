//! `refgate gateway`: owns everything and serves, or does something about a gateway instead.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::target::Target;
use super::{USAGE, serve};
#[cfg(target_os = "linux")]
use super::{install, operate};
use crate::claim::{Claim, Force, OnConflict};
use crate::log::Log;
use crate::settings::SettingsError;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Gateway {
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
pub(super) enum Conflict {
    Refuse,
    Park,
}

/// What can be done about a gateway instead of running it.
#[cfg(target_os = "linux")]
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Write a systemd user unit for this gateway. Starts nothing
    #[command(after_help = install::HELP)]
    Install(install::Install),

    /// Remove the systemd user unit that `install` wrote. Stops nothing
    #[command(after_help = operate::uninstall::HELP)]
    Uninstall(operate::uninstall::Uninstall),

    /// Say whether a gateway of these settings runs, by what the kernel shows and by what it answers
    #[command(after_help = operate::status::HELP)]
    Status(operate::status::Status),

    /// Reach gateways and try what can be read of them
    #[command(after_help = operate::probe::HELP)]
    Probe(operate::probe::Probe),

    /// Call a method of the gateway
    #[command(after_help = operate::HELP)]
    Call(operate::call::Call),

    /// Ask the gateway whether it is healthy
    #[command(after_help = operate::HELP)]
    Health(operate::health::Health),

    /// Say how the gateway is started here, unless it runs. Starts nothing
    #[command(after_help = operate::HELP)]
    Start(operate::start::Start),

    /// Stop the gateway that owns this state directory, and wait until it is gone
    #[command(after_help = operate::HELP)]
    Stop(operate::stop::Stop),

    /// Have the gateway begin anew in place, and wait until it is ready again
    #[command(after_help = operate::HELP)]
    Restart(operate::restart::Restart),
}

/// What is said below the options.
pub(super) const HELP: &str = "\
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
Its bots (`channels.telegram`) are polled as long as all that is owned, and by nobody else.
Without a token or a password every program of this machine may connect; listening elsewhere than
on loopback is refused then.

What happens to it and its clients is written into logs/gateway.jsonl in the state directory.

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

pub(super) fn run(options: Gateway) -> ExitCode {
    let log = Log::to_standard_streams(options.target.format());
    abort_on_panic(log.clone());
    let status = own_and_serve(options, &log);
    log.flush();
    status
}

fn own_and_serve(options: Gateway, log: &Log) -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(action) = options.action {
        return act(action, log);
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

#[cfg(target_os = "linux")]
fn act(action: Action, log: &Log) -> ExitCode {
    match action {
        Action::Install(options) => install::run(options, log),
        Action::Uninstall(options) => operate::uninstall::run(options),
        Action::Status(options) => operate::status::run(options),
        Action::Probe(options) => operate::probe::run(options),
        Action::Call(options) => operate::call::run(options),
        Action::Health(options) => operate::health::run(options),
        Action::Start(options) => operate::start::run(options),
        Action::Stop(options) => operate::stop::run(options),
        Action::Restart(options) => operate::restart::run(options),
    }
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
