//! Which gateway a command is about: the options that say so, and what they come to with the environment and the configuration.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::claim::{Claim, DirectoryLock, RemoteFileSystem};
use crate::control::About;
use crate::log::{Format, Log};
use crate::settings::{self, Flags, Settings};
use crate::standing::option;

/// Which gateway is meant, and in which form it is told.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The base port, 1 to 65425; the 110 ports above it are reserved as well
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    port: Option<String>,

    /// The profile: a state directory and a port of its own. `default` is none
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// Rely on the lock file alone where directories cannot be locked. Whoever deletes that file then lets a second
    /// gateway in
    #[arg(long)]
    allow_file_lock: bool,

    /// Trust the locks of a network file system. Where they do not reach every machine that mounts it, two gateways own
    /// one directory
    #[arg(long)]
    allow_remote_fs: bool,

    /// Say it as JSON on stdout, one object a line, and not as text
    #[arg(long)]
    json: bool,
}

impl Target {
    pub(super) const fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Text }
    }

    /// The options that another command needs in order to mean the same, with a space before each.
    pub(super) fn options(&self) -> String {
        let port = self.port.as_deref().map(|port| option("--port", port));
        let profile = self.profile.as_deref().map(|profile| option("--profile", profile));
        let mut options: String = [port, profile].into_iter().flatten().collect();
        for (is_set, name) in
            [(self.allow_file_lock, " --allow-file-lock"), (self.allow_remote_fs, " --allow-remote-fs")]
        {
            if is_set {
                options += name;
            }
        }
        options
    }

    /// What a gateway of these settings would own; `None`: they are not understood, and the log says why.
    pub(super) fn claim(self, log: &Log) -> Option<Claim> {
        self.settle(log).map(|(claim, _)| claim)
    }

    /// The same, and what it would be.
    pub(super) fn settle(self, log: &Log) -> Option<(Claim, About)> {
        let flags = Flags { port: self.port, profile: self.profile };
        let settings = match settings::resolve(&flags, &settings::edge::surroundings(), settings::edge::read)
        {
            Ok(settings) => settings,
            Err(error) => {
                log.unsettled(&error);
                return None;
            }
        };
        for note in &settings.notes {
            log.note(note);
        }
        let directory_lock =
            if self.allow_file_lock { DirectoryLock::Optional } else { DirectoryLock::Required };
        let remote = if self.allow_remote_fs { RemoteFileSystem::Allowed } else { RemoteFileSystem::Refused };
        let (claim, about) = divide(settings);
        Some((Claim { directory_lock, remote, ..claim }, about))
    }
}

/// What a gateway of these settings owns on this machine, and what it is.
pub(super) fn divide(settings: Settings) -> (Claim, About) {
    divide_on(settings, settings::edge::host_name(), settings::edge::place)
}

/// What a gateway of these settings owns, and what it is, on the machine of that name, where `place` answers where a path leads.
pub fn divide_on(settings: Settings, host: String, place: impl Fn(&Path) -> PathBuf) -> (Claim, About) {
    let Settings {
        profile: _,
        state,
        config,
        ports,
        pinned,
        workspaces,
        listen,
        auth,
        document,
        port_origin: _,
        cron,
        channels,
        // Clients say it; a gateway only knows what it is compared with.
        word: _,
        notes: _,
        explained: _,
    } = settings;
    let workspaces = workspaces.iter().map(|path| place(path)).collect();
    let canvas = Some(state.join("canvas"));
    let document = document.into_value();
    let about = About { auth, host, config: config.clone(), document, canvas, cron, channels };
    (Claim { pinned, workspaces, listen, ..Claim::plain(state, config, ports) }, about)
}
