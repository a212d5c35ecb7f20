//! Every setting comes from exactly one place, and nothing that was written down is ignored silently.
//!
//! A pure function turns flags, environment, home directory and configuration text into [`Settings`]. All problems of
//! one start are found in one pass, and each names its place, the value and what to write instead. What reads the
//! environment and the file is [`edge`], and nothing else does.
//!
//! # Invariants
//!
//! - `config-identity`: a profile never resolves to another profile's directory, unless somebody said so explicitly.

mod auth;
mod channels;
mod checked;
mod config;
mod cron;
pub mod edge;
mod excerpt;
mod explain;
mod expression;
#[cfg(test)]
mod fuzz;
mod paths;
mod port;
mod problem;
mod profile;
mod scan;
mod schema;
#[cfg(test)]
mod secret_tests;
mod secrets;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use portcullis_os::Port;

use crate::auth::{Auth, Word};
use crate::claim::{GATEWAY_SPAN, Listen, PortBlock};

pub use channels::{ApiRoot, ChannelAccount};
pub use config::{ConfigFile, Found, remembered};
pub use cron::{CronJob, Schedule};
pub use excerpt::Excerpt;
use explain::Explained;
pub use explain::{Given, Setting};
pub use expression::Expression;
pub use paths::{CONFIG_NAME, LOG_DIRECTORY, LOG_NAME, profile_of, state_name};
pub use port::DEFAULT_PORT;
use problem::Problems;
pub use problem::{Origin, Problem, SettingsError};
pub use profile::Profile;
pub use schema::json_schema;
pub use secrets::Document;

/// The variable that names the profile.
pub const PROFILE: &str = "OPENCLAW_PROFILE";
/// The variable that names the state directory.
pub const STATE_DIR: &str = "OPENCLAW_STATE_DIR";
/// The variable that names the configuration file.
pub const CONFIG_PATH: &str = "OPENCLAW_CONFIG_PATH";
/// The variable that names the port.
pub const GATEWAY_PORT: &str = "OPENCLAW_GATEWAY_PORT";
/// The variable that names a workspace, besides those of the configuration.
pub const WORKSPACE_DIR: &str = "OPENCLAW_WORKSPACE_DIR";

/// The variable that holds the token of clients.
pub const GATEWAY_TOKEN: &str = "OPENCLAW_GATEWAY_TOKEN";
/// The variable that holds the password of clients.
pub const GATEWAY_PASSWORD: &str = "OPENCLAW_GATEWAY_PASSWORD";

/// Every variable that is read.
pub const VARIABLES: [&str; 7] =
    [PROFILE, STATE_DIR, CONFIG_PATH, GATEWAY_PORT, WORKSPACE_DIR, GATEWAY_TOKEN, GATEWAY_PASSWORD];

/// Those of them that hold a secret: they are written into no file.
pub const SECRETS: [&str; 2] = [GATEWAY_TOKEN, GATEWAY_PASSWORD];

/// The settings on the command line, as they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--port`.
    pub port: Option<String>,
    /// `--profile`.
    pub profile: Option<String>,
}

/// What a process finds around it when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The variables of [`VARIABLES`] that are set. An empty one counts as not set.
    pub variables: BTreeMap<&'static str, OsString>,
    /// The home directory of the user.
    pub home: Option<PathBuf>,
    /// The current directory.
    pub directory: Option<PathBuf>,
}

impl Surroundings {
    /// Whether a variable is set to anything.
    pub fn has(&self, name: &str) -> bool {
        self.variable(name).is_some()
    }

    /// What a variable is set to.
    pub fn value(&self, name: &str) -> Option<&OsString> {
        self.variable(name)
    }

    fn variable(&self, name: &str) -> Option<&OsString> {
        self.variables.get(name).filter(|value| !value.is_empty())
    }
}

/// What a start needs to know, every part of it settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The profile; `None` for the default one.
    pub profile: Option<Profile>,
    /// The state directory, absolute.
    pub state: PathBuf,
    /// The configuration file, absolute and without symbolic links: however it is spelt, one file is one
    /// configuration. It may be absent.
    pub config: PathBuf,
    /// The ports to reserve.
    pub ports: PortBlock,
    /// The ports on this machine that the configuration gives to browsers, in the order of the file.
    pub pinned: Vec<Port>,
    /// The directories that agents work in, absolute, as the configuration spells them.
    pub workspaces: Vec<PathBuf>,
    /// Where to listen.
    pub listen: Listen,
    /// Who may come in.
    pub auth: Auth,
    /// The word that lets clients in, for commands that are clients themselves.
    pub word: Option<Word>,
    /// What is to be done at certain times.
    pub cron: Vec<CronJob>,
    /// Which bots are polled, and answered for.
    pub channels: Vec<ChannelAccount>,
    /// What the configuration says, secrets replaced.
    pub document: Document,
    /// Where the base port comes from.
    pub port_origin: Origin,
    /// What a user may not expect, though it is as documented.
    pub notes: Vec<String>,
    /// Each setting, where it comes from, and what it overrides.
    pub explained: Vec<Setting>,
}

/// Settles every setting. `read` is asked for the configuration and for files that hold secrets, and is the only way out of
/// this function.
///
/// # Errors
///
/// Every problem that was found, the first of them in full.
pub fn resolve(
    flags: &Flags,
    around: &Surroundings,
    mut read: impl FnMut(&Path) -> Found,
) -> Result<Settings, SettingsError> {
    let mut problems = Problems::default();
    let mut notes = Vec::new();
    let profile = profile::choose(flags, around, &mut problems);
    let paths = paths::choose(profile.as_ref(), around, &mut problems);
    let explicit = port::explicit(flags, around, &mut problems, &mut notes);
    let (config, configured) = read_config(&paths, around, &mut read, &mut problems);
    notes.extend(configured.notes);
    let workspaces = workspaces(configured.workspaces, around, &mut problems);
    if flags.profile.is_some() {
        notes.extend(inherited(flags, around));
    }
    let profile = profile.unwrap_or_default();
    let mut explained = Explained::default();
    let ports: Vec<_> = explicit.into_iter().chain(configured.port).collect();
    let (port, port_origin) =
        ports.first().cloned().unwrap_or_else(|| port::without_a_word(profile.as_ref()));
    let block = PortBlock::new(port, GATEWAY_SPAN);
    if block.is_none() {
        problems.push(Problem::BlockTooHigh { origin: port_origin.clone(), port });
    }
    explained.places(flags, around, profile.as_ref(), &paths, config.as_deref());
    explained.ports(ports, (port, &port_origin), block, &configured.pinned);
    explained.listen(configured.listen.clone());
    let listen = configured.listen.map_or(Listen::Loopback, |(listen, _)| listen);
    let (auth, word) =
        auth::choose(configured.auth, listen, around, &mut read, &mut problems, &mut explained);
    let mut secrets = auth::Secrets::new(around, &mut read, &mut problems, &mut explained);
    let channels = channels::choose(configured.channels, &mut secrets, &mut notes);
    explained.workspaces(&workspaces);
    problems.into_result()?;
    let (Some(state), Some(config), Some(ports)) = (paths.state, config, block) else {
        unreachable!("a setting that could not be settled has left a problem");
    };
    Ok(Settings {
        profile,
        explained: explained.with_log(&state),
        state,
        config,
        ports,
        pinned: configured.pinned,
        workspaces: workspaces.into_iter().map(|(path, _)| path).collect(),
        listen,
        auth,
        word,
        cron: configured.cron,
        channels,
        document: configured.document,
        port_origin,
        notes,
    })
}

/// A path that was given as an argument, absolute.
///
/// # Errors
///
/// Why it cannot be.
pub fn absolute(flag: &'static str, value: &OsStr, around: &Surroundings) -> Result<PathBuf, SettingsError> {
    let mut problems = Problems::default();
    let path = paths::absolute(flag, Origin::Flag(flag), value, around, &mut problems);
    problems.into_result()?;
    Ok(path.unwrap_or_default())
}

/// The configuration, without links, and what it says.
fn read_config(
    paths: &paths::Paths,
    around: &Surroundings,
    read: &mut impl FnMut(&Path) -> Found,
    problems: &mut Problems,
) -> (Option<PathBuf>, config::Configured) {
    let Some(path) = &paths.config else { return (None, config::Configured::default()) };
    let mut found = read(path);
    if found.file == ConfigFile::NoDirectory && around.variable(CONFIG_PATH).is_none() {
        // Nobody asked for this configuration. What is wrong with the state directory, the lock will say.
        found.file = ConfigFile::Absent;
    }
    (Some(found.path), config::configured(path, found.file, problems))
}

/// The directories that agents work in, absolute: that of the environment and those of the configuration.
fn workspaces(
    configured: Vec<(String, Excerpt)>,
    around: &Surroundings,
    problems: &mut Problems,
) -> Vec<(PathBuf, Origin)> {
    let from_environment =
        around.variable(WORKSPACE_DIR).cloned().map(|value| (Origin::Variable(WORKSPACE_DIR), value));
    let from_config = configured.into_iter().map(|(path, at)| (Origin::Config(at), OsString::from(path)));
    let written = from_environment.into_iter().chain(from_config);
    written
        .filter_map(|(origin, value)| {
            Some((paths::absolute(WORKSPACE_DIR, origin.clone(), &value, around, problems)?, origin))
        })
        .collect()
}

/// What a profile does not decide because the environment does: documented, and a surprise all the same.
fn inherited<'a>(flags: &'a Flags, around: &'a Surroundings) -> impl Iterator<Item = String> + 'a {
    let profile = flags.profile.as_deref().unwrap_or_default();
    let port = (flags.port.is_none()).then_some(GATEWAY_PORT);
    [Some(STATE_DIR), Some(CONFIG_PATH), port].into_iter().flatten().filter_map(move |name| {
        let value = around.variable(name)?;
        Some(format!("--profile {profile} does not change {name}={}: the environment wins", value.display()))
    })
}
