//! `refgate status`: what runs here, what it answers and what its channels do, on one screen.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::aim::Reach;
use super::report::{Report, enter, plain};
use super::{Desk, Outcome, Unfit, channels, status, work};
use crate::client::Session;
use crate::history;
use crate::standing::Depth;

/// How many of the last owners are shown.
const OWNERS: usize = 5;

/// What it can be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Overview {
    /// Also show who has owned the state directory, and the unit that runs the gateway
    #[arg(long)]
    all: bool,

    /// Also ask by HTTP, and have the gateway try each account of each channel
    #[arg(long)]
    deep: bool,

    #[command(flatten)]
    reach: Reach,
}

const METHOD: &str = "status";

pub(in crate::cli) fn run(options: Overview) -> ExitCode {
    work(options.reach.format(), |desk| async move { overview(&desk, options).await })
}

async fn overview(desk: &Desk, Overview { all, deep, reach }: Overview) -> Result<Outcome, Unfit> {
    let depth = if deep { Depth::Deep } else { Depth::Plain };
    let (standing, session) = enter(desk, &reach, &[METHOD, channels::METHOD], depth).await?;
    let mut report = Report::new(&standing, "status", 1, "refgate channels status --probe");
    if let Some(mut session) = session {
        report.exit = 0;
        let longest = reach.way.deadlines().call.as_millis();
        ask(&mut session, &mut report, deep, longest).await;
        session.leave().await;
    }
    if let Some(claim) = standing.aim().claim.as_ref().filter(|_| all) {
        let lines = history::lines(&desk.os, &claim.state).await.unwrap_or_default();
        let from = lines.len().saturating_sub(OWNERS);
        for line in &lines[from..] {
            report.row("history", line.clone());
        }
        report.put("history", json!(lines[from..]));
        let units = status::units(claim);
        for unit in &units {
            report.row("service", unit.name());
        }
        report.put("service", units.iter().map(status::as_json).collect());
    }
    Ok(report.outcome(desk.format))
}

async fn ask(session: &mut Session, report: &mut Report<'_>, deep: bool, longest_ms: u128) {
    match session.call(METHOD, None).await {
        Ok(said) => {
            // Not every gateway tells these.
            for (name, value, unit) in
                [("uptime", &said["uptimeMs"], " ms"), ("sessions", &said["sessions"]["count"], "")]
            {
                if !value.is_null() {
                    report.row(name, format!("{}{unit}", plain(value)));
                }
            }
            report.put("status", said);
        }
        Err(error) => return report.failed(METHOD, &error),
    }
    match session.call(channels::METHOD, Some(&channels::params(deep, longest_ms))).await {
        Ok(said) => {
            let accounts = channels::accounts(&said);
            if accounts.is_empty() {
                report.row("channels", "none");
            }
            for account in &accounts {
                report.row("channels", &account.line);
            }
            report.put("channels", said);
        }
        Err(error) => report.failed(channels::METHOD, &error),
    }
}
