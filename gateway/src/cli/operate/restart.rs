//! `refgate gateway restart`: asks the owner of this state directory to begin anew in place, and waits for the epoch after.

use std::process::ExitCode;

use clap::Args;
use portcullis_os::{Os as _, Signal};
use serde_json::json;

use super::report::Report;
use super::signalled::{PAUSE_MS, Wait, ask, look, owner};
use super::{Desk, Outcome, Unfit, work};
use crate::lock::{self, Survey};
use crate::refusal::Reason;
use crate::standing::Kind;

/// What it can be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Restart {
    #[command(flatten)]
    wait: Wait,
}

pub(in crate::cli) fn run(Restart { wait }: Restart) -> ExitCode {
    work(wait.own.format(), |desk| async move { restart(&desk, &wait).await })
}

/// What has come of it.
enum End {
    Ready(u64),
    Gone,
    Late,
}

async fn restart(desk: &Desk, wait: &Wait) -> Result<Outcome, Unfit> {
    let (before, claim) = look(desk, &wait.own).await?;
    let mut report = Report::new(&before, "gateway-restart", 1, "refgate gateway status");
    // A busy one may be slow to answer on its lock and prompt on its port.
    let is_ready = before.kind() == Kind::Ready
        || before.owner().is_some_and(|owner| owner.refusal.reason == Reason::HeldReady);
    let asked = match owner(&before) {
        Ok(_) if !is_ready => Err("only a gateway that is ready can begin anew in place".to_owned()),
        Ok(_) => ask(desk, &claim, &before, Signal::User1).await,
        Err(why) => Err(why),
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(why) => {
            report.say(format!("{}; nothing was restarted: {why}", before.message()));
            return Ok(report.outcome(desk.format));
        }
    };
    let epoch = before.survey().map_or(0, epoch);
    let mut left_ms = wait.wait_s.saturating_mul(1000);
    let end = loop {
        let survey = lock::survey(&desk.os, &claim).await;
        let is_ready =
            survey.blocked.first().is_some_and(|blocked| blocked.refusal.reason == Reason::HeldReady);
        if is_ready && self::epoch(&survey) > epoch {
            break End::Ready(self::epoch(&survey));
        }
        if asked.is_gone(&desk.os, 0).await == Ok(true) {
            break End::Gone;
        }
        if left_ms == 0 {
            break End::Late;
        }
        left_ms = left_ms.saturating_sub(PAUSE_MS);
        // A sleep that fails has only made the pause shorter.
        let _ = desk.os.sleep(PAUSE_MS).await;
    };
    let (after, _) = look(desk, &wait.own).await?;
    let who = before.subject();
    let mut report = Report::new(&after, "gateway-restart", 1, "refgate health");
    match end {
        End::Ready(now) => {
            report.exit = 0;
            report.say(format!("{who} has begun anew and is ready: epoch {now} after {epoch}"));
            report.put("epoch", json!(now));
        }
        End::Gone => {
            report.say(format!("{who} ended and did not begin anew: {}", after.message()));
        }
        End::Late => {
            report.say(format!(
                "{who} has not begun anew within {} s: epoch {epoch} goes on; its log says why",
                wait.wait_s
            ));
            report.next("refgate logs --limit 50");
        }
    }
    Ok(report.outcome(desk.format))
}

/// The epoch that was begun last.
fn epoch(survey: &Survey) -> u64 {
    survey.begun.as_ref().map_or(0, |begun| begun.epoch)
}
