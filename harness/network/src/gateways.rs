//! A whole `refgate` as a process that is made here: its configuration, what it owns, and what is wrong with it, if anything.

use std::path::Path;

use gateway::control::{About, Control, SessionLimits};
use gateway::server::{Limits, Server, Service};
use gateway::settings::{self, ConfigFile, Flags, Found, Surroundings};
use gateway::{Claim, OnConflict, RemoteFileSystem};
use portcullis_os::Os;
use serde_json::{Value, json};
use sim::{Fake, Kernel};

use crate::bots::token;
use crate::mute::Mute;
use crate::one_writer::OneWriter;
use crate::plan::{Gateway, Slip};
use crate::slips::Slips;
use crate::world::Site;

/// What clients must know.
pub(crate) const WORD: &str = "open sesame";
/// The job of every gateway that has one.
pub(crate) const JOB: &str = "rounds";

/// What stands in the configuration.
pub(crate) fn config(gateway: &Gateway, site: &Site) -> Value {
    let account = |bot: &String| {
        let root = format!("http://{}", site.service);
        (bot.clone(), json!({ "botToken": token(bot), "apiRoot": root }))
    };
    let accounts: serde_json::Map<String, Value> = gateway.bots.iter().map(account).collect();
    let mut config = json!({
        "gateway": { "port": site.port, "bind": site.bind, "auth": { "token": WORD } },
        "agents": { "defaults": { "workspace": site.workspace } },
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

/// What a gateway that starts now wants to own, and what it is. As on a command line, but that there is no machine around it.
pub(crate) fn settle(gateway: &Gateway, site: &Site, kernel: &Kernel) -> Result<(Claim, About), String> {
    let variables = [(settings::STATE_DIR, site.state.clone()), (settings::CONFIG_PATH, site.config())];
    let around = Surroundings {
        variables: variables.into_iter().map(|(name, path)| (name, path.into_os_string())).collect(),
        home: site.state.parent().map(Path::to_owned),
        directory: Some("/".into()),
    };
    // Gateways of one state have one configuration and need not have one port.
    let flags = Flags { port: Some(site.port.to_string()), ..Flags::default() };
    let read = |path: &Path| Found {
        path: path.to_owned(),
        file: kernel.contents(path).map_or(ConfigFile::Absent, ConfigFile::Bytes),
    };
    let settled = settings::resolve(&flags, &around, read).map_err(|error| error.to_string())?;
    let (claim, about) = gateway::cli::divide_on(settled, gateway.host.clone(), Path::to_owned);
    let on_conflict = if gateway.takes_over { OnConflict::TakeOver } else { OnConflict::Refuse };
    Ok((Claim { on_conflict, remote: RemoteFileSystem::Allowed, ..claim }, about))
}

/// Runs a gateway to its end.
pub(crate) async fn run<O: Os>(os: O, claim: Claim, about: About, slips: Vec<Slip>) -> u8 {
    if slips.is_empty() {
        return serve(os, claim, about).await;
    }
    let os = Fake::new(os, Slips::of(&slips));
    if slips.contains(&Slip::OneWriter) {
        return serve(OneWriter::new(os), claim, about).await;
    }
    if slips.contains(&Slip::Mute) {
        return serve(Mute::new(os), claim, about).await;
    }
    serve(os, claim, about).await
}

async fn serve<O: Os>(os: O, claim: Claim, about: About) -> u8 {
    let service = Service::Gateway(Control::new(about, SessionLimits::openclaw()));
    match gateway::run(os, claim, Server::new(Limits::personal(), service)).await {
        Ok(()) => 0,
        Err(refusal) => refusal.exit_status(),
    }
}
