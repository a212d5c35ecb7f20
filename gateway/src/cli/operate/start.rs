//! `refgate gateway start`: says how the gateway is started here, unless it runs. Programs are started by people and by service
//! managers, never by this one.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::aim::Own;
use super::report::Report;
use super::signalled::look;
use super::status::{as_json, units};
use super::{Desk, Outcome, Unfit, work};
use crate::standing::Kind;

/// What it can be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Start {
    #[command(flatten)]
    own: Own,
}

pub(in crate::cli) fn run(Start { own }: Start) -> ExitCode {
    work(own.format(), |desk| async move { start(&desk, &own).await })
}

async fn start(desk: &Desk, own: &Own) -> Result<Outcome, Unfit> {
    let (standing, claim) = look(desk, own).await?;
    // One that is about to end is none that somebody can count on.
    let runs = standing.runs() && standing.kind() != Kind::Draining;
    let next = "refgate gateway status --require-rpc";
    let mut report = Report::new(&standing, "gateway-start", u8::from(!runs), next);
    let units = units(&claim);
    if standing.kind() == Kind::None {
        match units.first() {
            Some(unit) => report.replace_next(format!("systemctl --user start {}", unit.name())),
            None => report.next("refgate gateway"),
        }
    }
    for unit in &units {
        report.row("service", format!("{} ({})", unit.name(), unit.file.display()));
    }
    if units.is_empty() {
        report.row(
            "service",
            "no unit of this state directory is installed; `refgate gateway install` writes one",
        );
    }
    report.put("service", json!(units.iter().map(as_json).collect::<Vec<_>>()));
    Ok(report.outcome(desk.format))
}
