//! `refgate gateway probe`: whether gateways can be reached and read, and whether they are one or several.
//!
//! One gateway that is reached by two addresses is one: what counts is the host and the instance that it names as its own.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::aim::{Own, Way};
use super::report::{error_in_words, plain};
use super::status::capability;
use super::{Desk, Outcome, Unfit, work};
use crate::client::{CallError, Caller, Deadlines, Session, scopes_of};
use crate::log::Format;
use crate::standing::{Aim, Asking, Depth, Kind, Rows, Standing, block, observe};
use crate::text::one_line;

/// What is said below the options.
pub(in crate::cli) const HELP: &str = "\
Each target is reachable (it lets this client in, and all reads work), degraded (it lets this client
in, and a read does not work) or down. Without --url the target is the gateway of these settings.

Exit status:
   0  every target is reachable
   1  one is not: a wrong secret is no success
   2  the command line, the environment or the configuration was not understood";

/// The code of the warning that several gateways answer.
const MULTIPLE: &str = "multiple_gateways";

/// At most so many addresses are probed.
const MOST: usize = 32;

/// What is read.
const READS: [&str; 4] = ["health", "status", "system-presence", "config.get"];

/// What it can be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Probe {
    #[command(flatten)]
    own: Own,

    /// Probe whoever answers there, as ws://HOST:PORT, and not the gateway of these settings; may be given again. Another
    /// host needs --token-file
    #[arg(long = "url", value_name = "URL")]
    urls: Vec<String>,

    #[command(flatten)]
    way: Way,
}

/// What came of one target.
struct Target {
    standing: Standing,
    /// What was read, by method.
    read: BTreeMap<&'static str, Value>,
    /// Which read did not work, and why.
    failed: Option<(&'static str, CallError)>,
}

/// How a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reachable,
    Degraded,
    Down,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Reachable => "reachable",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

pub(in crate::cli) fn run(options: Probe) -> ExitCode {
    work(options.own.format(), |desk| async move { probe(&desk, &options).await })
}

async fn probe(desk: &Desk, Probe { own, urls, way }: &Probe) -> Result<Outcome, Unfit> {
    if urls.len() > MOST {
        return Err(
            desk.misused(&format!("more than {MOST} times --url"), "probe some of them, then the others")
        );
    }
    // All are settled before one is dialled: a mistake in the last one opens no socket.
    let aims = if urls.is_empty() {
        vec![own.aim(desk, way.word(desk)?)?.0]
    } else {
        urls.iter().map(|url| way.aim(desk, own, url)).collect::<Result<Vec<_>, _>>()?
    };
    let mut targets = Vec::new();
    for aim in &aims {
        targets.push(look(desk, aim, way.deadlines()).await);
    }
    let warnings = warnings(&targets);
    let exit = u8::from(targets.iter().any(|target| target.state() != State::Reachable));
    let text = match desk.format {
        Format::Text => to_text(&targets, &warnings),
        Format::Json => to_json(&targets, &warnings, exit).to_string(),
    };
    Ok(Outcome { out: format!("{text}\n"), exit, ..Outcome::default() })
}

async fn look(desk: &Desk, aim: &Aim, deadlines: Deadlines) -> Target {
    let asking =
        Asking { caller: Caller::Probe, scopes: scopes_of(READS[0]), deadlines, depth: Depth::Plain };
    let (standing, session) = observe(&desk.os, aim, asking).await;
    let mut target = Target { standing, read: BTreeMap::new(), failed: None };
    if let Some(session) = session {
        read(session, &mut target).await;
    }
    target
}

async fn read(mut session: Session, target: &mut Target) {
    for method in READS {
        match session.call(method, Some(&json!({}))).await {
            Ok(value) => drop(target.read.insert(method, value)),
            Err(error) => {
                target.failed = Some((method, error));
                break;
            }
        }
    }
    session.leave().await;
}

impl Target {
    fn state(&self) -> State {
        match (self.read.len(), &self.failed) {
            (_, Some(_)) => State::Degraded,
            (0, None) => State::Down,
            (_, None) => State::Reachable,
        }
    }

    /// How the gateway sees itself.
    fn own(&self) -> Value {
        let listed = self.read.get("system-presence").map(crate::client::own_entry).unwrap_or_default();
        if listed.is_null() {
            return self.standing.hello().map(|hello| hello.own.clone()).unwrap_or_default();
        }
        listed
    }

    /// Which gateway it is, if it says so.
    fn identity(&self) -> Option<(String, String)> {
        let own = self.own();
        Some((own["host"].as_str()?.to_owned(), own["instanceId"].as_str()?.to_owned()))
    }

    fn message(&self) -> String {
        match &self.failed {
            None => self.standing.message(),
            Some((method, error)) => {
                format!("{}, and {method} does not work: {}", self.standing.message(), error_in_words(error))
            }
        }
    }

    fn next(&self) -> String {
        self.standing.next("refgate health")
    }

    fn rows(&self) -> Rows {
        let mut rows = vec![("target".to_owned(), self.state().as_str().to_owned())];
        rows.extend(self.standing.rows());
        if let Some((host, instance)) = self.identity() {
            rows.push((
                "self".to_owned(),
                format!("{} as instance {}", plain(&json!(host)), plain(&json!(instance))),
            ));
        }
        if !self.read.is_empty() {
            rows.push(("reads".to_owned(), self.read.keys().copied().collect::<Vec<_>>().join(", ")));
        }
        rows
    }

    fn to_json(&self) -> Value {
        let (rpc, hello) = (self.standing.rpc_as_json(), self.standing.hello());
        let is_limited =
            matches!(&self.failed, Some((_, CallError::Refused(refused))) if refused.code == "FORBIDDEN");
        let mut connect = json!({
            "ok": hello.is_some(),
            "rpcOk": self.state() == State::Reachable,
            "scopeLimited": is_limited,
            "latencyMs": self.standing.latency().as_millis(),
        });
        for (key, value) in [("error", &rpc["error"]), ("close", &rpc["error"]["close"])] {
            if !value.is_null() {
                connect[key] = value.clone();
            }
        }
        let config = self
            .read
            .get("config.get")
            .map(|said| json!({ "path": said["path"], "exists": said["exists"], "valid": said["valid"] }));
        json!({
            "url": self.standing.aim().address.to_string(),
            "state": self.state().as_str(),
            "situation": self.standing.kind().code(),
            "message": self.message(),
            "connect": connect,
            "auth": { "capability": capability(&self.standing), "scopes": hello.map(|hello| &hello.scopes) },
            "server": { "version": hello.and_then(|hello| hello.version.as_deref()) },
            "self": self.own(),
            "config": config,
            "health": self.read.get("health"),
            "summary": self.read.get("status"),
            "presence": self.read.get("system-presence"),
            "next": self.next(),
        })
    }
}

/// What is odd about all targets together: a code and a sentence each.
fn warnings(targets: &[Target]) -> Vec<(&'static str, String)> {
    let mut warnings = Vec::new();
    let identities: BTreeSet<_> = targets.iter().filter_map(Target::identity).collect();
    if identities.len() > 1 {
        let names: Vec<String> =
            identities.iter().map(|(host, instance)| format!("{instance} on {host}")).collect();
        warnings.push((MULTIPLE, format!("these are different gateways: {}", names.join(", "))));
    }
    for target in targets.iter().filter(|target| target.standing.kind() == Kind::Unauthorized) {
        warnings.push(("unauthorized", target.message()));
    }
    for target in targets {
        if let Some((method, error)) = &target.failed {
            let url = &target.standing.aim().address;
            warnings.push(("probe_detail_failed", format!("{url}: {method}: {}", error_in_words(error))));
        }
    }
    warnings
}

fn to_text(targets: &[Target], warnings: &[(&'static str, String)]) -> String {
    let mut blocks = Vec::new();
    if targets.len() > 1 {
        let count = |state| targets.iter().filter(|target| target.state() == state).count();
        let (all, reachable) = (targets.len(), count(State::Reachable));
        let (degraded, down) = (count(State::Degraded), count(State::Down));
        blocks.push(format!(
            "refgate: {reachable} of {all} targets are reachable, {degraded} degraded, {down} down"
        ));
        // What is wrong with one target is told there.
        for (code, what) in warnings.iter().filter(|(code, _)| *code == MULTIPLE) {
            blocks.push(format!("refgate: warning: {code}: {}", one_line(what)));
        }
    }
    blocks.extend(targets.iter().map(|target| block(&target.message(), &target.rows(), &target.next())));
    blocks.join("\n")
}

fn to_json(targets: &[Target], warnings: &[(&'static str, String)], exit: u8) -> Value {
    let first = targets.iter().find(|target| target.state() != State::Reachable).or(targets.first());
    json!({
        "event": "gateway-probe",
        "schema": 1,
        "ok": exit == 0,
        "exit": exit,
        "degraded": targets.iter().any(|target| target.state() == State::Degraded),
        "capability": targets.first().map(|target| capability(&target.standing)),
        "message": first.map(Target::message),
        "warnings": warnings.iter().map(|(code, what)| json!({ "code": code, "message": what })).collect::<Vec<_>>(),
        "targets": targets.iter().map(Target::to_json).collect::<Vec<_>>(),
        "next": first.map(Target::next),
    })
}
