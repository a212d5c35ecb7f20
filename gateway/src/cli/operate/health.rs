//! `refgate health`: whether the gateway says that it is healthy.

use std::process::ExitCode;

use clap::Args;

use super::aim::Reach;
use super::report::{Report, enter, plain};
use super::{channels, work};
use crate::standing::Depth;

/// What it can be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Health {
    #[command(flatten)]
    reach: Reach,
}

const METHOD: &str = "health";

pub(in crate::cli) fn run(Health { reach }: Health) -> ExitCode {
    work(reach.format(), |desk| async move {
        let (standing, session) = enter(&desk, &reach, &[METHOD], Depth::Plain).await?;
        let mut report = Report::new(&standing, "health", 1, "refgate channels status --probe");
        let Some(mut session) = session else { return Ok(report.outcome(desk.format)) };
        match session.call(METHOD, None).await {
            Ok(health) if health["ok"] == true => {
                report.exit = 0;
                report.say(format!("{}, and says that it is healthy", standing.message()));
                report.row("agents", health["agents"].as_array().map_or(0, Vec::len).to_string());
                report.row("sessions", plain(&health["sessions"]["count"]));
                for line in channels::of_health(&health) {
                    report.row("channel", line);
                }
                report.put("health", health);
            }
            Ok(health) => {
                report.say(format!("{}, and does not say that it is healthy", standing.message()));
                report.next("refgate logs --limit 50");
                report.put("health", health);
            }
            Err(error) => report.failed(METHOD, &error),
        }
        session.leave().await;
        Ok(report.outcome(desk.format))
    })
}
