//! `refgate gateway status`: whether a gateway of these settings runs, by its locks, by its unit, and by what it answers.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::aim::Reach;
use super::report::{Report, error_as_json, error_in_words};
use super::{Desk, Outcome, Unfit, work};
use crate::claim::Claim;
use crate::client::{Caller, Session, scopes_of};
use crate::doctor::{self, Mode};
use crate::install::{Installed, Restart, installed};
use crate::settings;
use crate::standing::{Asking, Depth, Kind, Standing, observe};

/// What is said below the options.
pub(in crate::cli) const HELP: &str = "\
A gateway runs if the kernel shows a process that owns the state directory and is not stopped. It
answers if it lets this client in and carries out `status`.

Exit status:
   0  a gateway of these settings runs, and with --require-rpc it answers too
   1  it does not: the first line says what there is instead, the last what to do next
   2  the command line, the environment or the configuration was not understood";

/// What it can be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Status {
    /// Also ask by HTTP, look at every unit that the service manager reads, and let the doctor look
    #[arg(long)]
    deep: bool,

    /// Fail unless the gateway lets this client in and carries out a call
    #[arg(long)]
    require_rpc: bool,

    #[command(flatten)]
    reach: Reach,
}

const METHOD: &str = "status";

pub(in crate::cli) fn run(options: Status) -> ExitCode {
    work(options.reach.format(), |desk| async move { status(&desk, options).await })
}

async fn status(desk: &Desk, Status { deep, require_rpc, reach }: Status) -> Result<Outcome, Unfit> {
    let aim = reach.aim(desk)?;
    let depth = if deep { Depth::Deep } else { Depth::Plain };
    let deadlines = reach.way.deadlines();
    // OpenClaw lets a probe in and has it read nothing.
    let caller = if require_rpc { Caller::Cli } else { Caller::Probe };
    let asking = Asking { caller, scopes: scopes_of(METHOD), deadlines, depth };
    let (standing, mut session) = observe(&desk.os, &aim, asking).await;
    let mut report = Report::new(&standing, "gateway-status", u8::from(!standing.runs()), "refgate health");
    let read = if require_rpc { read(session.as_mut(), &mut report).await } else { None };
    if require_rpc && read != Some(true) {
        report.exit = 1;
    }
    report.put("rpc", rpc(&standing, require_rpc, read));
    if let Some(claim) = &aim.claim {
        let units = installed(&directories(deep), claim);
        for unit in &units {
            report.row("service", in_words(unit));
        }
        if units.is_empty() {
            report.row("service", "no unit of this state directory is installed");
        }
        report.put("service", units.iter().map(as_json).collect());
        if deep {
            let examination = doctor::examine(&desk.os, claim, Mode::Look, &aim.options).await;
            report.row("doctor", format!("would exit with {}", examination.exit_status(claim)));
            report.put("doctor", json!({ "exit": examination.exit_status(claim) }));
        }
    }
    if let Some(session) = session {
        session.leave().await;
    }
    Ok(report.outcome(desk.format))
}

/// Whether a read works; `None`: nobody was let in.
async fn read(session: Option<&mut Session>, report: &mut Report<'_>) -> Option<bool> {
    match session?.call(METHOD, None).await {
        Ok(_) => {
            report.row("read", "status was answered");
            Some(true)
        }
        Err(error) => {
            report.row("read", error_in_words(&error));
            report.failed(METHOD, &error);
            report.put("error", error_as_json(&error));
            Some(false)
        }
    }
}

/// How far it went: to be let in, or to read.
fn rpc(standing: &Standing, is_read: bool, read: Option<bool>) -> Value {
    let mut rpc = standing.rpc_as_json();
    let is_in = standing.hello().is_some() && standing.kind() == Kind::Ready;
    rpc["ok"] = json!(is_in && (!is_read || read == Some(true)));
    rpc["kind"] = json!(if is_read { "read" } else { "connect" });
    rpc["capability"] = json!(capability(standing));
    rpc["url"] = json!(standing.aim().address.to_string());
    rpc["latencyMs"] = json!(standing.latency().as_millis());
    rpc
}

/// What this client may do there, in the words of `OpenClaw`.
pub(super) fn capability(standing: &Standing) -> &'static str {
    use crate::client::Ended;
    match (standing.hello(), standing.ended()) {
        (Some(hello), _) if hello.scopes.is_empty() => "connected_no_operator_scope",
        (Some(_), _) => "read_only",
        (None, Some(Ended::Unauthorized(refused))) if refused.detail() == "PAIRING_REQUIRED" => {
            "pairing_pending"
        }
        (None, _) => "unknown",
    }
}

/// Where units are looked for: where `install` writes, or wherever the service manager reads.
pub(super) fn directories(deep: bool) -> Vec<PathBuf> {
    let own = settings::edge::user_units().into_iter();
    if deep { own.chain(settings::edge::unit_path()).collect() } else { own.collect() }
}

/// The units of a claim, where `install` writes them.
pub(super) fn units(claim: &Claim) -> Vec<Installed> {
    installed(&directories(false), claim)
}

fn in_words(unit: &Installed) -> String {
    let after = match &unit.restart {
        Restart::Always(word) => format!("Restart={word}: it starts a gateway again that was told to stop"),
        Restart::OnFailure => "it leaves a gateway that was told to stop".to_owned(),
    };
    format!("{} ({}); {after}", unit.name(), unit.file.display())
}

pub(super) fn as_json(unit: &Installed) -> Value {
    let restart = match &unit.restart {
        Restart::Always(word) => word,
        Restart::OnFailure => "on-failure",
    };
    json!({ "unit": unit.name(), "file": unit.file.to_string_lossy(), "restart": restart })
}
