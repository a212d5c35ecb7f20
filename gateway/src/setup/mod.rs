//! A profile gets a configuration: ports that nobody has or remembers, a secret that nobody is shown, a workspace of its own.
//!
//! The configuration is what a profile remembers of its ports, so it is written once and whole: under a temporary name, then
//! linked, which fails where one exists. One that exists is replaced only if that is asked for, is kept beside the new one, and
//! never while a gateway goes by it.
//!
//! # Invariants
//!
//! - Two profiles that were set up under one home never overlap, because one is set up after the other and sees its ports.
//! - Whatever fails, the configuration is the old one or the new one, and no secret lies where others may read it.

mod edge;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_os::{Descriptor, Errno, Os, Port};
use serde_json::json;

use crate::claim::{Claim, GATEWAY_SPAN, PortBlock};
use crate::lock;
use crate::ports::{self, Remembered, Reserved};
use crate::refusal::{Reason, Refusal};
use crate::settings::{self, ConfigFile, Found, Origin, Settings};

/// How often it is tried to become the only setup of this user.
const ATTEMPTS: u32 = 100;
/// How long to wait between two attempts, in milliseconds.
const PAUSE_MS: u32 = 50;

/// What the provider of the secret is called in the configuration.
const PROVIDER: &str = "gateway";

/// What clients will have to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Nothing.
    None,
    /// A token that is made here.
    Token,
    /// This password.
    Password(String),
}

/// Where the gateway will listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// On loopback.
    Loopback,
    /// On every address.
    Lan,
}

/// What a setup is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The settings of the profile without its configuration.
    pub settings: Settings,
    /// Where the gateway will listen.
    pub bind: Bind,
    /// What clients will have to know.
    pub auth: Auth,
    /// The workspace, absolute.
    pub workspace: PathBuf,
    /// The home directory, in which the other profiles are.
    pub home: Option<PathBuf>,
    /// Whether a configuration that exists is replaced.
    pub replace: bool,
}

/// What was set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The configuration.
    pub config: PathBuf,
    /// The ports.
    pub ports: PortBlock,
    /// The file with the secret, if there is one.
    pub secret: Option<PathBuf>,
    /// Whether that file was there before, and is as it was.
    pub kept_secret: bool,
    /// The configuration that was there before.
    pub backup: Option<PathBuf>,
}

/// Why nothing was set up.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// There is a configuration.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// A port was asked for, and somebody has it.
    #[error("ports {ports} overlap {other}, {whose}")]
    Taken {
        /// The block that was asked for.
        ports: PortBlock,
        /// What is in the way.
        other: PortBlock,
        /// Whose it is.
        whose: String,
        /// Where there is room.
        free: Option<Port>,
    },
    /// There is no room for a block.
    #[error("there is no room for {} ports in a row", GATEWAY_SPAN + 1)]
    NoRoom,
    /// A gateway goes by the configuration or owns the state directory.
    #[error("{0}")]
    InUse(Box<Refusal>),
    /// Somebody else sets up a profile.
    #[error("another setup of this user is under way")]
    Busy,
    /// A path cannot be written into a configuration.
    #[error("{} is no text, and a configuration can hold nothing else", .0.display())]
    Unwritable(PathBuf),
    /// What would be written could not be read.
    #[error("{0}")]
    Settings(settings::SettingsError),
    /// The system refuses.
    #[error("cannot {doing} {}: {error}", path.display())]
    System {
        /// What was to be done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
}

impl Problem {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Exists(_) => {
                "look at it with `refgate config explain`; --force replaces it and keeps it as a .bak file"
                    .to_owned()
            }
            Self::Taken { free: Some(free), .. } => {
                format!("--port {free} has room, and without --port a free one is taken")
            }
            Self::Taken { free: None, .. } | Self::NoRoom => {
                "give another profile up, or stop a gateway".to_owned()
            }
            Self::InUse(refusal) => format!("stop it first; to look at it: {}", refusal.next),
            Self::Busy => "try again".to_owned(),
            Self::Unwritable(_) => "choose a path of plain text".to_owned(),
            Self::Settings(_) => "choose otherwise".to_owned(),
            Self::System { path, .. } => format!("ls -ld '{}'", path.display()),
        }
    }

    /// The exit status, with the meanings of those of a gateway.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Exists(_) | Self::Taken { .. } | Self::NoRoom => 78,
            Self::InUse(refusal) => refusal.exit_status(),
            Self::Busy => 75,
            Self::Unwritable(_) | Self::Settings(_) => 2,
            Self::System { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => 77,
            Self::System { .. } => 74,
        }
    }
}

/// Sets up a profile.
///
/// # Errors
///
/// Why not. What exists is then as it was, except that an empty state directory or a secret that nothing refers to can be left.
pub async fn set_up<O: Os>(os: &O, request: &Request) -> Result<Done, Problem> {
    let config = &request.settings.config;
    if !request.replace && edge::exists(config) {
        return Err(Problem::Exists(config.clone()));
    }
    // Whoever does not answer holds up this setup, and not those that wait for it.
    let reserved = reserved(os).await?;
    let only = alone(os, request).await?;
    check_unused(os, request).await?;
    let ports = choose_ports(request, reserved)?;
    let secret = match &request.auth {
        Auth::None => None,
        Auth::Token => Some(request.settings.state.join("gateway.token")),
        Auth::Password(_) => Some(request.settings.state.join("gateway.password")),
    };
    let text = text(request, ports, secret.as_deref())?;
    check(request, secret.as_deref(), &text)?;
    edge::make_private(&request.settings.state)?;
    if let Some(parent) = config.parent() {
        edge::make_private(parent)?;
    }
    let kept_secret = match &secret {
        Some(path) => write_secret(os, request, path).await?,
        None => false,
    };
    let backup = edge::put(config, &text, request.replace)?;
    drop(only);
    Ok(Done { config: config.clone(), ports, secret, kept_secret, backup })
}

/// One setup at a time, so that the next one sees the ports of this one. The name is gone with the process.
async fn alone<O: Os>(os: &O, request: &Request) -> Result<Descriptor<O>, Problem> {
    let system = |errno: Errno| Problem::System {
        doing: "reserve a place for the setup of",
        path: request.settings.state.clone(),
        error: io::Error::other(errno.to_string()),
    };
    let uid = os.own_uid().await.map_err(system)?;
    for _ in 0..ATTEMPTS {
        match os.listen_unix(format!("refgate.v1.setup.{uid}"), 1).await {
            Ok(socket) => return Ok(socket),
            Err(Errno::AddressInUse) => os.sleep(PAUSE_MS).await.map_err(system)?,
            Err(errno) => return Err(system(errno)),
        }
    }
    Err(Problem::Busy)
}

/// Nobody owns the state directory or goes by the configuration.
async fn check_unused<O: Os>(os: &O, request: &Request) -> Result<(), Problem> {
    let Settings { state, config, ports, .. } = &request.settings;
    let claim = Claim::plain(state.clone(), config.clone(), *ports);
    let survey = lock::survey(os, &claim).await;
    let mut refusals = survey.blocked.into_iter().map(|blocked| blocked.refusal);
    match refusals.find(|refusal| is_about_the_profile(refusal.reason)) {
        Some(refusal) => Err(Problem::InUse(Box::new(refusal))),
        None => Ok(()),
    }
}

/// Whether a refusal is about the state directory or the configuration, and says that somebody has it.
fn is_about_the_profile(reason: Reason) -> bool {
    [
        Reason::HeldReady,
        Reason::HeldStarting,
        Reason::HeldDraining,
        Reason::HeldHung,
        Reason::HeldStopped,
        Reason::HeldUnknown,
        Reason::HeldOrphan,
        Reason::HeldWriters,
        Reason::ConfigShared,
    ]
    .contains(&reason)
}

/// What the gateways of this machine have reserved, and the ports of whoever was asked.
async fn reserved<O: Os>(os: &O) -> Result<(Reserved, BTreeSet<u16>), Problem> {
    let tokens = tokens()?;
    match Reserved::ask(os, &tokens).await {
        Ok(reserved) => Ok((reserved, tokens)),
        Err(errno) => Err(unread("/proc/net/unix", io::Error::other(errno.to_string()))),
    }
}

fn tokens() -> Result<BTreeSet<u16>, Problem> {
    ports::edge::tokens().map_err(|error| unread("/proc/net/unix", error))
}

fn unread(path: impl Into<PathBuf>, error: io::Error) -> Problem {
    Problem::System { doing: "read", path: path.into(), error }
}

/// The block that was asked for if nobody has it, or the one that is wanted without a word, or the next one above it.
fn choose_ports(
    request: &Request,
    (reserved, asked): (Reserved, BTreeSet<u16>),
) -> Result<PortBlock, Problem> {
    let settings = &request.settings;
    let profiles = match &request.home {
        Some(home) => ports::edge::remembered(home).map_err(|error| unread(home, error))?,
        None => Vec::new(),
    };
    // Whoever has come meanwhile was not asked, but has what it has.
    let since = tokens()?;
    let since = since.difference(&asked).filter_map(|port| PortBlock::new(Port::new(*port)?, 0));
    let is_other = |other: &&Remembered| other.config != settings.config && other.profile != settings.profile;
    let mut taken: Vec<(PortBlock, String)> = reserved
        .blocks()
        .chain(since)
        .map(|block| (block, "which a gateway has reserved".to_owned()))
        .collect();
    for other in profiles.iter().filter(is_other) {
        taken.extend(other.blocks().map(|block| (block, format!("the ports of {}", other.name()))));
    }
    let blocks: Vec<PortBlock> = taken.iter().map(|(block, _)| *block).collect();
    let is_asked = matches!(settings.port_origin, Origin::Flag(_) | Origin::Variable(_));
    let own = Remembered::of(settings.profile.clone(), &settings::edge::read(&settings.config)).ports;
    let wanted = if is_asked { settings.ports } else { own.unwrap_or(settings.ports) };
    let free = ports::free_base(wanted.base(), &blocks);
    let other = taken.into_iter().find(|(block, _)| block.overlaps(wanted));
    match other.filter(|_| is_asked) {
        Some((other, whose)) => Err(Problem::Taken { ports: wanted, other, whose, free }),
        None => free.and_then(|base| PortBlock::new(base, GATEWAY_SPAN)).ok_or(Problem::NoRoom),
    }
}

/// The configuration.
fn text(request: &Request, ports: PortBlock, secret: Option<&Path>) -> Result<String, Problem> {
    let plain =
        |path: &Path| path.to_str().map(str::to_owned).ok_or_else(|| Problem::Unwritable(path.to_owned()));
    let (mode, key) = match request.auth {
        Auth::None => ("none", None),
        Auth::Token => ("token", Some("token")),
        Auth::Password(_) => ("password", Some("password")),
    };
    let bind = match request.bind {
        Bind::Loopback => "loopback",
        Bind::Lan => "lan",
    };
    let mut config = json!({
        "gateway": {
            "mode": "local",
            "port": ports.base().get(),
            "bind": bind,
            "auth": { "mode": mode },
        },
        "agents": { "defaults": { "workspace": plain(&request.workspace)? } },
    });
    if let (Some(key), Some(path)) = (key, secret) {
        config["gateway"]["auth"][key] = json!({ "source": "file", "provider": PROVIDER, "id": "value" });
        config["secrets"] = json!({
            "providers": { PROVIDER: { "source": "file", "mode": "singleValue", "path": plain(path)? } },
        });
    }
    Ok(format!("{config:#}\n"))
}

/// A gateway will understand what is written, the same way.
fn check(request: &Request, secret: Option<&Path>, text: &str) -> Result<(), Problem> {
    let around = settings::Surroundings {
        home: request.home.clone(),
        variables: [
            (settings::STATE_DIR, request.settings.state.clone().into_os_string()),
            (settings::CONFIG_PATH, request.settings.config.clone().into_os_string()),
        ]
        .into(),
        directory: None,
    };
    // The secret is not there yet.
    let read = |path: &Path| Found {
        path: path.to_owned(),
        file: ConfigFile::Bytes(if Some(path) == secret { b"x".to_vec() } else { text.as_bytes().to_vec() }),
    };
    settings::resolve(&settings::Flags::default(), &around, read).map(drop).map_err(Problem::Settings)
}

/// Writes the secret, unless a token is there already: clients know that one. Answers whether that is so.
async fn write_secret<O: Os>(os: &O, request: &Request, path: &Path) -> Result<bool, Problem> {
    let secret = match &request.auth {
        Auth::Password(password) => password.clone(),
        Auth::Token | Auth::None => {
            if edge::is_private_text(path) {
                return Ok(true);
            }
            let system = |errno: Errno| Problem::System {
                doing: "make a random token for",
                path: path.to_owned(),
                error: io::Error::other(errno.to_string()),
            };
            let halves = [os.random().await.map_err(system)?, os.random().await.map_err(system)?];
            data_encoding::HEXLOWER.encode(&halves.concat())
        }
    };
    edge::put(path, &format!("{secret}\n"), true).map(|_| false)
}
