//! `refgate gateway uninstall`: removes the unit that `install` wrote for this state directory, and no other file.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::aim::Own;
use super::{Outcome, Unfit, work};
use crate::install::Removal;
use crate::log::Format;
use crate::standing::block;

/// What is said below the options.
pub(in crate::cli) const HELP: &str = "\
The links that enable the unit go with it. A gateway that runs is not stopped.

Exit status:
   0  the unit is gone, or could be removed, or there is none
   2  the command line, the environment or the configuration was not understood
  74  the system refuses
  77  permission denied
  78  the file was not written by this program, or is for another state directory";

/// What it can be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Uninstall {
    #[command(flatten)]
    own: Own,

    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

pub(in crate::cli) fn run(Uninstall { own, dry_run }: Uninstall) -> ExitCode {
    work(own.format(), |desk| async move {
        let prepared = super::super::install::prepare_by(own.port, own.profile, &desk.log).map_err(Unfit)?;
        let removal = if dry_run { Removal::Dry } else { Removal::Done };
        let name = prepared.file().file_name().unwrap_or_default().display().to_string();
        let file = prepared.file().display().to_string();
        let (message, removed, next) = match prepared.uninstall(removal) {
            Ok(None) => (format!("there is no {file}"), Vec::new(), "refgate gateway install".to_owned()),
            Ok(Some(removed)) => {
                let verb = if dry_run { "would remove" } else { "removed" };
                let next = if dry_run {
                    "refgate gateway uninstall".to_owned()
                } else {
                    format!("systemctl --user daemon-reload && systemctl --user stop {name}")
                };
                let all = removed.links.iter().chain([&removed.file]).map(|path| path.display().to_string());
                (format!("{verb} {file}"), all.collect(), next)
            }
            Err(problem) => {
                let status = problem.exit_status();
                desk.log.failed(status, &problem.to_string());
                desk.log.note(&problem.help());
                return Err(Unfit(status));
            }
        };
        let text = match desk.format {
            Format::Text => {
                let rows = removed.iter().map(|path: &String| ("file".to_owned(), path.clone())).collect();
                block(&message, &rows, &next)
            }
            Format::Json => json!({
                "event": "gateway-uninstall",
                "schema": 1,
                "ok": true,
                "exit": 0,
                "message": message,
                "files": removed,
                "next": next,
            })
            .to_string(),
        };
        Ok(Outcome { out: format!("{text}\n"), ..Outcome::default() })
    })
}
