//! `refgate why` and `refgate doctor`: what is in the way, and what may be put right.

#[cfg(target_os = "linux")]
use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

#[cfg(not(target_os = "linux"))]
use super::SOFTWARE;
#[cfg(target_os = "linux")]
use super::serve;
use super::target::Target;
#[cfg(target_os = "linux")]
use crate::claim::Claim;
use crate::doctor::Mode;
#[cfg(target_os = "linux")]
use crate::log::Format;
use crate::log::Log;
#[cfg(target_os = "linux")]
use crate::settings::SettingsError;
#[cfg(target_os = "linux")]
use crate::why::Report;

#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    target: Target,

    /// Put right what may be: the permissions of the state directory, and leftovers of interrupted writes in one that
    /// nobody owns
    #[arg(long)]
    fix: bool,
}

/// What is said below the options of `why`.
pub(super) const WHY_HELP: &str = "\
The verdict is the code that a start would be refused with, or `free`; each is proved, likely or
unknown. What cannot be seen without taking a lock is listed as not seen.

Exit status:
   0  nothing stands in the way of a start
   2  the command line, the environment or the configuration was not understood
  70, 74, 75, 77, 78
      a start would be refused, and would exit like this: see `refgate gateway --help`";

/// What is said below the options of `doctor`.
pub(super) const DOCTOR_HELP: &str = "\
No process is ended, and no lock file is removed.

Exit status:
   0  the gateway runs, or could start, and nothing is left to be put right
   1  the same, but something could be put right and is not
   2  the command line, the environment or the configuration was not understood
  70, 74, 75, 77, 78
      a start would be refused, and would exit like this: see `refgate gateway --help`";

/// Asks the doctor.
pub(super) fn doctor(Doctor { target, fix }: Doctor) -> ExitCode {
    look(target, Some(if fix { Mode::Fix } else { Mode::Look }))
}

/// Looks and tells, and puts right what may be if it is the doctor who was asked.
#[cfg(target_os = "linux")]
pub(super) fn look(target: Target, doctor: Option<Mode>) -> ExitCode {
    let log = Log::to_standard_streams(target.format());
    let (format, options) = (target.format(), target.options());
    let told = target.claim(&log).ok_or(SettingsError::EXIT_STATUS).and_then(|claim| {
        let runtime = serve::runtime(&log).map_err(|refusal| {
            log.refused(&refusal, None);
            refusal.exit_status()
        })?;
        let os = portcullis_os::Linux::new(|_| ());
        Ok(runtime.block_on(told(&os, &claim, &options, format, doctor)))
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
    options: &str,
    format: Format,
    doctor: Option<Mode>,
) -> (String, u8) {
    match doctor {
        None => {
            let survey = crate::lock::survey(os, claim).await;
            let report = Report::new(claim, &survey, options);
            let text = match format {
                Format::Text => report.to_text(),
                Format::Json => report.to_json(),
            };
            (text, report.exit_status())
        }
        Some(mode) => {
            let examination = crate::doctor::examine(os, claim, mode, options).await;
            let text = match format {
                Format::Text => examination.to_text(claim),
                Format::Json => examination.to_json(claim),
            };
            (text, examination.exit_status(claim))
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn look(target: Target, _: Option<Mode>) -> ExitCode {
    let log = Log::to_standard_streams(target.format());
    log.failed(SOFTWARE, "locks can be looked at on Linux only: they are Linux's");
    log.flush();
    ExitCode::from(SOFTWARE)
}
