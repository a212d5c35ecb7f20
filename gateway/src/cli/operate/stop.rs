//! `refgate gateway stop`: asks the owner of this state directory to stop, and waits until the kernel says that it is gone.

use std::process::ExitCode;

use clap::Args;
use portcullis_os::Signal;
use serde_json::json;

use super::report::Report;
use super::signalled::{Wait, ask, look};
use super::status::{as_json, units};
use super::{Desk, Outcome, Unfit, work};
use crate::install::Restart;
use crate::standing::Kind;

/// What it can be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Stop {
    #[command(flatten)]
    wait: Wait,
}

pub(in crate::cli) fn run(Stop { wait }: Stop) -> ExitCode {
    work(wait.own.format(), |desk| async move { stop(&desk, &wait).await })
}

async fn stop(desk: &Desk, wait: &Wait) -> Result<Outcome, Unfit> {
    let (before, claim) = look(desk, &wait.own).await?;
    let mut report = Report::new(&before, "gateway-stop", 1, "refgate gateway status");
    if before.kind() == Kind::None {
        report.exit = 0;
        return Ok(report.outcome(desk.format));
    }
    let asked = match ask(desk, &claim, &before, Signal::Terminate).await {
        Ok(asked) => asked,
        Err(why) => {
            report.say(format!("{}; nothing was stopped: {why}", before.message()));
            return Ok(report.outcome(desk.format));
        }
    };
    let who = before.holder().map_or_else(String::new, |holder| format!("{} ", holder.in_short()));
    match asked.is_gone(&desk.os, wait.wait_s.saturating_mul(1000)).await {
        Ok(true) => {}
        Ok(false) => {
            report.say(format!("{who}was told to stop, and is not gone after {} s", wait.wait_s));
            report.next("refgate gateway status");
            return Ok(report.outcome(desk.format));
        }
        Err(errno) => {
            report.say(format!("{who}was told to stop, and whether it is gone cannot be seen: {errno}"));
            report.next("refgate gateway status");
            return Ok(report.outcome(desk.format));
        }
    }
    let (after, _) = look(desk, &wait.own).await?;
    let mut report = Report::new(&after, "gateway-stop", 0, "refgate gateway status");
    report.say(format!("{who}has stopped: nobody owns {} any more", claim.state.display()));
    report.next("refgate gateway start");
    if let Some(owner) = after.owner() {
        report.exit = 1;
        report.say(format!("{who}has stopped, and meanwhile {}", owner.refusal.what));
        report.next("refgate gateway status");
    }
    let units = units(&claim);
    for unit in &units {
        if let Restart::Always(word) = &unit.restart {
            let name = unit.name();
            report.row(
                "service",
                format!("{name} has Restart={word}: if it ran this gateway, it starts it again"),
            );
            report.replace_next(format!("systemctl --user stop {name}"));
        }
    }
    report.put("service", units.iter().map(as_json).collect());
    report.put("stopped", json!(before.holder().map(|holder| holder.pid.get())));
    Ok(report.outcome(desk.format))
}
