//! A whole `refgate` as a process of the simulated network: its configuration, what it owns, and what is wrong with it, if anything.

use std::path::{Path, PathBuf};

use gateway::control::{About, Control, SessionLimits};
use gateway::server::{Limits, Server, Service};
use gateway::settings::{self, ConfigFile, Flags, Found, Surroundings};
use gateway::{Claim, OnConflict, RemoteFileSystem};
use portcullis_os::{Call, Errno, Os, Reply};
use serde_json::{Value, json};
use sim::network::Node;
use sim::{Fake, Kernel, Rule};

use crate::bots::{PORT, token};
use crate::plan::{Gateway, Plan, SERVICE, Slip};

/// What clients must know.
pub(crate) const WORD: &str = "open sesame";
/// What the name of the journal of each epoch begins with.
const JOURNAL: &str = "journal.";
/// What the files begin with in which a gateway keeps what is to be remembered.
const MEMORY: &str = "control.";
/// The job of every gateway that has one.
pub(crate) const JOB: &str = "rounds";

/// Where a state is: the same for all gateways of one label on one host, and on shared storage for those of all hosts.
pub(crate) fn state_path(plan: &Plan, gateway: &Gateway) -> PathBuf {
    let label = &gateway.state;
    if plan.shared.contains(label) {
        return Path::new("/shared").join(label);
    }
    Path::new("/home").join(&gateway.host).join(label)
}

/// Where a gateway works: what shares a state works in one place.
pub(crate) fn workspace_path(plan: &Plan, gateway: &Gateway) -> PathBuf {
    let label = &gateway.state;
    if plan.shared.contains(label) {
        return Path::new("/shared").join(format!("{label}-work"));
    }
    Path::new("/work").join(&gateway.host).join(label)
}

fn config_path(plan: &Plan, gateway: &Gateway) -> PathBuf {
    state_path(plan, gateway).join("openclaw.json")
}

/// What stands in the configuration.
fn config(plan: &Plan, gateway: &Gateway) -> Value {
    let account = |bot: &String| {
        let root = format!("http://{SERVICE}:{PORT}");
        (bot.clone(), json!({ "botToken": token(bot), "apiRoot": root }))
    };
    let accounts: serde_json::Map<String, Value> = gateway.bots.iter().map(account).collect();
    let mut config = json!({
        "gateway": { "port": gateway.port, "bind": "lan", "auth": { "token": WORD } },
        "agents": { "defaults": { "workspace": workspace_path(plan, gateway) } },
    });
    if !accounts.is_empty() {
        config["channels"] = json!({ "telegram": { "accounts": accounts } });
    }
    if let Some(every_ms) = gateway.every_ms {
        config["cron"] =
            json!({ "jobs": [{ "id": JOB, "name": JOB, "everyMs": every_ms, "message": "go" }] });
    }
    config
}

/// Sets the scene for a gateway.
pub(crate) fn furnish(plan: &Plan, gateway: &Gateway, kernel: &mut Kernel, user: portcullis_os::Uid) {
    for directory in [state_path(plan, gateway), workspace_path(plan, gateway)] {
        kernel.make_directory(&directory, 0o700, user);
    }
    let path = config_path(plan, gateway);
    if kernel.contents(&path).is_none() {
        kernel.write_file(&path, config(plan, gateway).to_string().as_bytes());
    }
}

/// What a gateway that starts now wants to own, and what it is. As on a command line, but that there is no machine around it.
pub(crate) fn settle(plan: &Plan, gateway: &Gateway, kernel: &Kernel) -> Result<(Claim, About), String> {
    let variables = [
        (settings::STATE_DIR, state_path(plan, gateway)),
        (settings::CONFIG_PATH, config_path(plan, gateway)),
    ];
    let around = Surroundings {
        variables: variables.into_iter().map(|(name, path)| (name, path.into_os_string())).collect(),
        home: Some(Path::new("/home").join(&gateway.host)),
        directory: Some("/".into()),
    };
    let read = |path: &Path| Found {
        path: path.to_owned(),
        file: kernel.contents(path).map_or(ConfigFile::Absent, ConfigFile::Bytes),
    };
    let settled = settings::resolve(&Flags::default(), &around, read).map_err(|error| error.to_string())?;
    let (claim, about) = gateway::cli::divide_on(settled, gateway.host.clone(), Path::to_owned);
    let on_conflict = if gateway.takes_over { OnConflict::TakeOver } else { OnConflict::Refuse };
    Ok((Claim { on_conflict, remote: RemoteFileSystem::Allowed, ..claim }, about))
}

/// Runs a gateway to its end.
pub(crate) async fn run(node: Node, claim: Claim, about: About, slip: Option<Slip>) -> u8 {
    match slip {
        None => serve(node, claim, about).await,
        Some(Slip::NoEpoch) => serve(Fake::new(node, NoEpoch), claim, about).await,
        Some(Slip::NoOutbox) => serve(Fake::new(node, NoOutbox), claim, about).await,
    }
}

async fn serve<O: Os>(os: O, claim: Claim, about: About) -> u8 {
    let service = Service::Gateway(Control::new(about, SessionLimits::openclaw()));
    match gateway::run(os, claim, Server::new(Limits::personal(), service)).await {
        Ok(()) => 0,
        Err(refusal) => refusal.exit_status(),
    }
}

/// An owner that never sees that another one has begun.
#[derive(Clone, Debug)]
struct NoEpoch;

impl Rule for NoEpoch {
    fn rewrite(&mut self, call: Call) -> Call {
        if let Call::Watch { period_ms, .. } = call {
            return Call::Watch { places: Vec::new(), period_ms };
        }
        call
    }

    fn instead(&mut self, call: &Call) -> Option<Result<Reply, Errno>> {
        let Call::Stat { path, .. } = call else { return None };
        let name = path.file_name()?.to_string_lossy();
        let is_of_an_epoch = name.starts_with(JOURNAL) || name.starts_with(MEMORY);
        is_of_an_epoch.then_some(Err(Errno::NotFound))
    }

    fn saw(&mut self, _: &Call, _: &Result<Reply, Errno>) {}
}

/// A gateway that finds nothing of what it has written down before.
#[derive(Clone, Debug)]
struct NoOutbox;

impl Rule for NoOutbox {
    fn instead(&mut self, _: &Call) -> Option<Result<Reply, Errno>> {
        None
    }

    fn saw(&mut self, _: &Call, _: &Result<Reply, Errno>) {}

    fn distort(&mut self, call: &Call, reply: Reply) -> Reply {
        match (call, reply) {
            (Call::ReadDirectory { .. }, Reply::Names(mut names)) => {
                names.retain(|name| !name.to_string_lossy().starts_with(MEMORY));
                Reply::Names(names)
            }
            (_, reply) => reply,
        }
    }
}
