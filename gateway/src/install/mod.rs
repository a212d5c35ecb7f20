//! A systemd user unit for a gateway, written whole or not at all, and never where another one would be in its way.
//!
//! The unit says all that the environment says here, because the service manager has another one. Nothing is started:
//! what to run next is told. Files are reached directly, at this edge, because no gateway runs while it is done.
//!
//! # Invariants
//!
//! - Only a file that was written here is replaced, by one rename.
//! - A unit that owns something of what this one would own is named, and nothing is written.

mod found;
mod unit;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::claim::Claim;
use crate::settings::{self, Origin, Settings, Surroundings};
pub use found::{Installed, Removal, Removed, Restart, installed};
use unit::{Owns, Unit, Written};

/// A file that is longer is no unit.
const LONGEST: u64 = 1 << 20;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Another unit owns some of it.
    #[error("{} is for a gateway that owns {shared}", file.display())]
    Collides {
        /// The file of that unit.
        file: PathBuf,
        /// What both would own.
        shared: String,
    },
    /// There is a file of that name that was not written here.
    #[error("{} was not written by this program", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// There is a file that a later version has written.
    #[error("{} was written by another version of this program", file.display())]
    Otherwise {
        /// The file.
        file: PathBuf,
    },
    /// Something cannot be written into a unit.
    #[error("{what} is {value:?}, which no unit can hold")]
    Unwritable {
        /// What it is.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// Another installation is under way.
    #[error("another installation into {} is under way", directory.display())]
    Busy {
        /// Where.
        directory: PathBuf,
    },
    /// Nobody knows where units lie.
    #[error("there is no home directory and no XDG_CONFIG_HOME")]
    NoPlace,
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
            Self::Collides { .. } => {
                "give this gateway a profile of its own (--profile NAME), or remove the other unit".to_owned()
            }
            Self::Foreign { file } | Self::Otherwise { file } => {
                format!("look at it, and move it away if nobody needs it: {}", file.display())
            }
            Self::Unwritable { .. } => "choose a path of plain text in one line".to_owned(),
            Self::Busy { .. } => "try again".to_owned(),
            Self::NoPlace => "set HOME".to_owned(),
            Self::System { path, .. } => format!("ls -ld '{}'", path.display()),
        }
    }

    /// The exit status, with the meanings of those of a gateway.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Collides { .. }
            | Self::Foreign { .. }
            | Self::Otherwise { .. }
            | Self::Unwritable { .. } => 78,
            Self::Busy { .. } => 75,
            Self::NoPlace => 2,
            Self::System { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => 77,
            Self::System { .. } => 74,
        }
    }
}

/// What an installation is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The settings of the gateway.
    pub settings: &'a Settings,
    /// What it would own.
    pub claim: &'a Claim,
    /// Where the settings come from.
    pub around: &'a Surroundings,
    /// The executable that runs it.
    pub program: &'a Path,
    /// The options that it is started with, besides those that follow from the settings.
    pub options: Vec<&'static str>,
}

/// A unit that is ready to be written.
#[derive(Clone, Debug)]
pub struct Prepared {
    file: PathBuf,
    /// The other directories with units.
    others: Vec<PathBuf>,
    owns: Owns,
    text: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// There was none.
    Written,
    /// There was one.
    Replaced,
    /// It was there already.
    Unchanged,
}

impl Request<'_> {
    /// The unit, in the directory where user units lie. `others` are those that the service manager reads units from besides.
    ///
    /// # Errors
    ///
    /// What cannot be written into a unit.
    pub fn prepare(&self, directory: &Path, others: Vec<PathBuf>) -> Result<Prepared, Problem> {
        let Settings { profile, port_origin, .. } = self.settings;
        let claim = self.claim;
        let (state, config) =
            (plain("the state directory", &claim.state)?, plain("the configuration", &claim.config)?);
        let mut arguments = ["refgate", "gateway"].map(str::to_owned).to_vec();
        if let Some(profile) = profile {
            arguments.extend(["--profile".to_owned(), profile.as_str().to_owned()]);
        }
        if matches!(port_origin, Origin::Flag(_) | Origin::Variable(_)) {
            arguments.extend(["--port".to_owned(), claim.ports.base().to_string()]);
        }
        arguments.extend(self.options.iter().map(|option| (*option).to_owned()));
        let is_set = |name: &str| self.around.has(name);
        // Whatever the environment of the service manager says: what is compared here is what will be owned.
        let mut environment =
            vec![(settings::STATE_DIR, state.clone()), (settings::CONFIG_PATH, config.clone())];
        // That of the environment comes first.
        if let (true, Some(path)) = (is_set(settings::WORKSPACE_DIR), self.settings.workspaces.first()) {
            environment.push((settings::WORKSPACE_DIR, plain("the workspace", path)?));
        }
        let name = profile.as_ref().map_or_else(String::new, |profile| format!("-{}", profile.as_str()));
        let ports = (claim.ports.base().get(), claim.ports.last());
        let pinned = claim.pinned_outside().map(portcullis_os::Port::get).collect();
        let unset = settings::VARIABLES.into_iter().filter(|name| !settings::SECRETS.contains(name));
        let unset = unset.filter(|name| environment.iter().all(|(set, _)| set != name)).collect();
        let unit = Unit {
            description: format!("refgate{name}, the gateway on port {}", ports.0),
            program: plain("the path of this program", self.program)?,
            arguments,
            environment,
            unset,
            // However it is spelt, one directory is one.
            owns: Owns {
                format: 1,
                state: plain("the state directory", &settings::edge::place(&claim.state))?,
                config,
                ports,
                pinned,
            },
        };
        let file = directory.join(format!("refgate{name}.service"));
        Ok(Prepared { file, others: apart(directory, others), text: unit.text(), owns: unit.owns })
    }
}

/// A path as it stands in a unit.
fn plain(what: &'static str, path: &Path) -> Result<String, Problem> {
    match path.to_str().filter(|text| !text.chars().any(char::is_control)) {
        Some(text) => Ok(text.to_owned()),
        None => Err(Problem::Unwritable { what, value: path.to_string_lossy().into_owned() }),
    }
}

impl Prepared {
    /// Where it will lie.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What it will say.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The commands that put it to use.
    pub fn next(&self) -> [String; 2] {
        let name = self.file.file_name().unwrap_or_default().display();
        ["systemctl --user daemon-reload".to_owned(), format!("systemctl --user enable --now {name}")]
    }

    /// Looks whether it may be written, and what that would do. Changes nothing.
    ///
    /// # Errors
    ///
    /// What is in the way.
    pub fn check(&self) -> Result<Done, Problem> {
        let mut done = Done::Written;
        for file in names(self.directory())? {
            if file == self.file {
                done = self.check_own(&file)?;
            } else {
                self.check_other(file)?;
            }
        }
        for directory in &self.others {
            // What this user cannot list its service manager cannot list either.
            for file in names(directory).unwrap_or_default() {
                self.check_other(file)?;
            }
        }
        Ok(done)
    }

    /// Whether a unit beside it owns nothing of what this one would own. One of the same name in another directory would
    /// hide it, or be hidden by it.
    fn check_other(&self, file: PathBuf) -> Result<(), Problem> {
        if file.extension().is_none_or(|extension| extension != "service") {
            return Ok(());
        }
        let has_its_name = file.file_name() == self.file.file_name();
        // What this user cannot read its service manager cannot read either.
        match unit::read(&contents(&file).ok().flatten().unwrap_or_default()) {
            Written::Elsewhere if has_its_name => Err(Problem::Foreign { file }),
            Written::Elsewhere => Ok(()),
            Written::HereOtherwise => Err(Problem::Otherwise { file }),
            Written::Here(theirs) => match self.owns.shared_with(&theirs) {
                Some(shared) => Err(Problem::Collides { file, shared }),
                None if has_its_name => {
                    Err(Problem::Collides { file, shared: "the name of this unit".to_owned() })
                }
                None => Ok(()),
            },
        }
    }

    /// Whether the file that is there may be replaced.
    fn check_own(&self, file: &Path) -> Result<Done, Problem> {
        // A link is somebody's decision: systemd masks a unit by one.
        let status = fs::symlink_metadata(file).map_err(system("examine", file))?;
        let text = if status.is_file() { contents(file)? } else { None };
        match text.map(|text| (unit::read(&text), text)) {
            None | Some((Written::Elsewhere, _)) => Err(Problem::Foreign { file: file.to_owned() }),
            Some((_, text)) if text == self.text => Ok(Done::Unchanged),
            Some((Written::Here(_) | Written::HereOtherwise, _)) => Ok(Done::Replaced),
        }
    }

    /// Writes it, unless something is in the way.
    ///
    /// # Errors
    ///
    /// What is in the way. Then nothing was written, unless it is that the name of the unit cannot be made durable.
    pub fn install(&self) -> Result<Done, Problem> {
        let directory = self.directory();
        make_directories(directory)?;
        let lock = open(OpenOptions::new().read(true), directory).map_err(system("open", directory))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Problem::Busy { directory: directory.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(system("lock", directory)(error)),
        }
        let done = self.check()?;
        if done == Done::Unchanged {
            return Ok(done);
        }
        // Whoever holds the lock is the only one, so what has that name was left by an installation that died.
        let temporary = self.file.with_extension("service.tmp");
        let _ = remove(&temporary);
        let renamed = || rename(&temporary, &self.file).map_err(system("replace", &self.file));
        let written = self.write(&temporary).map_err(system("write", &temporary)).and_then(|()| renamed());
        if written.is_err() {
            let _ = remove(&temporary);
        }
        written?;
        lock.sync_all().map_err(system("sync", directory))?;
        Ok(done)
    }

    fn write(&self, temporary: &Path) -> io::Result<()> {
        let mut file = open(OpenOptions::new().write(true).create_new(true).mode(0o644), temporary)?;
        file.write_all(self.text.as_bytes())?;
        file.sync_all()
    }

    fn directory(&self) -> &Path {
        self.file.parent().unwrap_or(&self.file)
    }
}

/// The other directories, each once and without the first.
fn apart(directory: &Path, others: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = vec![settings::edge::place(directory)];
    let mut apart = Vec::new();
    for other in others {
        let place = settings::edge::place(&other);
        if !seen.contains(&place) {
            seen.push(place);
            apart.push(other);
        }
    }
    apart
}

/// The files in a directory, in order. One that is not there has none.
fn names(directory: &Path) -> Result<Vec<PathBuf>, Problem> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(system("list", directory)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(system("list", directory))?.path());
    }
    names.sort();
    Ok(names)
}

/// Creates a directory and those around it, so that an error names the one that could not be created.
fn make_directories(path: &Path) -> Result<(), Problem> {
    if fs::metadata(path).is_ok_and(|status| status.is_dir()) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directories(parent)?;
    }
    match make_directory(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => {
            Err(system("create", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The text of a file; `None` if it is none that can be read as one.
fn contents(path: &Path) -> Result<Option<String>, Problem> {
    let read = || -> io::Result<Option<String>> {
        // A pipe would be waited for.
        if !fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        open(OpenOptions::new().read(true), path)?.take(LONGEST).read_to_end(&mut bytes)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    };
    match read() {
        // A link that leads nowhere is no unit.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map_err(system("read", path)),
    }
}

#[expect(clippy::disallowed_methods, reason = "the named edge: units are files")]
fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

#[expect(clippy::disallowed_methods, reason = "the named edge: units are files")]
fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

#[expect(clippy::disallowed_methods, reason = "the named edge: units are files")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

fn system(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> Problem {
    let path = path.to_owned();
    move |error| Problem::System { doing, path: path.clone(), error }
}
