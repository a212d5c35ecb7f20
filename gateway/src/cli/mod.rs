//! The command line: it says what it will do before it does anything, and its exit status says how that went.

mod config;
mod gateway;
mod history;
#[cfg(target_os = "linux")]
mod install;
mod look;
#[cfg(target_os = "linux")]
mod operate;
#[cfg(target_os = "linux")]
mod ports;
mod serve;
#[cfg(target_os = "linux")]
mod setup;
mod target;

pub use target::divide_on;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The reference gateway: one live process owns a state directory, a configuration and a block of ports, and everybody
/// else is told the truth about why it was refused.
#[derive(Debug, Parser)]
#[command(name = "refgate", version, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    /// The profile: a state directory, a configuration and ports of its own. `default` is none. May stand before or after
    /// the command
    #[arg(long, value_name = "NAME", global = true)]
    profile: Option<String>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Own the state directory, the configuration and the ports, and serve until SIGTERM or SIGINT
    #[command(after_help = gateway::HELP)]
    Gateway(Box<gateway::Gateway>),

    /// Ask the gateway whether it is healthy
    #[cfg(target_os = "linux")]
    #[command(after_help = operate::HELP)]
    Health(operate::health::Health),

    /// Show what runs here, what it answers and what its channels do, on one screen
    #[cfg(target_os = "linux")]
    #[command(after_help = operate::HELP)]
    Status(operate::overview::Overview),

    /// Ask what the channels do
    #[cfg(target_os = "linux")]
    #[command(subcommand)]
    Channels(operate::channels::Channels),

    /// Show what the gateway has logged
    #[cfg(target_os = "linux")]
    #[command(after_help = operate::HELP)]
    Logs(operate::logs::Logs),

    /// Look again and again, and say what has gone wrong. Changes nothing and restarts nothing
    #[cfg(target_os = "linux")]
    #[command(after_help = operate::watch::HELP)]
    Watch(operate::watch::Watch),

    /// Say why a gateway would not start here, and who is in the way. Takes nothing and changes nothing
    #[command(after_help = look::WHY_HELP)]
    Why(target::Target),

    /// Say what to do about whoever is in the way, and put right what may be put right without harm
    #[command(after_help = look::DOCTOR_HELP)]
    Doctor(look::Doctor),

    /// Show who has owned the state directory, and how that ended
    History(history::History),

    /// Write the configuration of a profile: ports that nobody has, a secret, a workspace
    #[cfg(target_os = "linux")]
    #[command(visible_alias = "onboard", after_help = setup::HELP)]
    Setup(setup::Setup),

    /// Show who has reserved which ports on this host, and what is in the way of this profile
    #[cfg(target_os = "linux")]
    #[command(after_help = ports::HELP)]
    Ports(ports::Ports),

    /// Ask about the settings: whether they are understood, and where each comes from
    Config(config::Config),
}

/// Runs the command that `arguments` ask for, the first of them being the name of the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (command, profile) = match Arguments::try_parse_from(arguments) {
        Ok(Arguments { profile, command }) => (command, profile),
        Err(error) => {
            // Whoever closed the stream does not want to read it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    match command {
        Command::Gateway(options) => gateway::run(*options),
        #[cfg(target_os = "linux")]
        Command::Health(options) => operate::health::run(options),
        #[cfg(target_os = "linux")]
        Command::Status(options) => operate::overview::run(options),
        #[cfg(target_os = "linux")]
        Command::Channels(options) => operate::channels::run(options),
        #[cfg(target_os = "linux")]
        Command::Logs(options) => operate::logs::run(options),
        #[cfg(target_os = "linux")]
        Command::Watch(options) => operate::watch::run(options),
        Command::Why(target) => look::look(target, None),
        Command::Doctor(options) => look::doctor(options),
        Command::History(options) => history::run(options),
        #[cfg(target_os = "linux")]
        Command::Setup(options) => setup::run(options, profile),
        #[cfg(target_os = "linux")]
        Command::Ports(options) => ports::run(options, profile),
        Command::Config(options) => config::run(options, profile),
    }
}

/// The exit status for a command line that is not understood.
const USAGE: u8 = 2;
/// The exit status for an error of the system (`EX_SOFTWARE` of sysexits.h).
#[cfg(not(target_os = "linux"))]
const SOFTWARE: u8 = 70;

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
