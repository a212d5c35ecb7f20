//! `refgate ports`: who has reserved which ports on this host. Takes nothing and changes nothing.

use std::process::ExitCode;

use clap::Args;

use super::config::say;
use super::serve;
use crate::log::{Format, Log};
use crate::ports::{Report, Reserved, edge};
use crate::refusal::Refusal;
use crate::settings::{self, Flags, SettingsError};

/// What is said below the options.
pub(super) const HELP: &str = "\
Each gateway reserves its base port and the 110 above it, whether they are in use yet or not:
base + 2 is the control service of browsers, base + 11 to base + 110 are browsers. What is seen is
what is reserved in this network namespace.

Exit status:
   0  here they are, or there are none
   2  the command line, the environment or the configuration was not understood
  70  an error of the system";

/// What it can be told.
#[derive(Debug, Args)]
pub(super) struct Ports {
    /// The base port of this profile, 1 to 65425
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    port: Option<String>,

    /// Say it as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: Ports, profile: Option<String>) -> ExitCode {
    let log = Log::to_standard_streams(if options.json { Format::Json } else { Format::Text });
    let told = told(&options, profile, &log);
    log.flush();
    match told {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(status) => ExitCode::from(status),
    }
}

fn told(options: &Ports, profile: Option<String>, log: &Log) -> Result<String, u8> {
    let flags = Flags { port: options.port.clone(), profile };
    let around = settings::edge::surroundings();
    let settings = settings::resolve(&flags, &around, settings::edge::read).map_err(|error| {
        log.unsettled(&error);
        SettingsError::EXIT_STATUS
    })?;
    let refused = |refusal: Refusal| {
        log.refused(&refusal, None);
        refusal.exit_status()
    };
    let tokens = edge::tokens().map_err(|error| {
        log.failed(SOFTWARE, &format!("cannot read /proc/net/unix: {error}"));
        SOFTWARE
    })?;
    let runtime = serve::runtime(log).map_err(refused)?;
    let os = portcullis_os::Linux::new(|_| ());
    let asked = runtime.block_on(Reserved::ask(&os, &tokens));
    let reserved =
        asked.map_err(|errno| refused(Refusal::from_errno("ask", "whoever has reserved ports", errno)))?;
    // What cannot be listed remembers nothing that could be told.
    let remembered = around.home.as_deref().and_then(|home| edge::remembered(home).ok()).unwrap_or_default();
    let report = Report { reserved: &reserved, remembered: &remembered, settings: &settings };
    Ok(if options.json { report.to_json() } else { report.to_text() })
}

/// The exit status for an error of the system (`EX_SOFTWARE` of sysexits.h).
const SOFTWARE: u8 = 70;
