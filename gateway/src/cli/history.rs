//! `refgate history`: who has owned a state directory.

#[cfg(target_os = "linux")]
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

#[cfg(not(target_os = "linux"))]
use super::SOFTWARE;
#[cfg(target_os = "linux")]
use super::serve;
use crate::log::{Format, Log};
#[cfg(target_os = "linux")]
use crate::refusal::Refusal;
use crate::settings::{self, Flags, SettingsError};

#[derive(Debug, Args)]
pub(super) struct History {
    /// The profile: a state directory of its own. `default` is none
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

pub(super) fn run(options: History) -> ExitCode {
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
