//! Finds and reads scenario files. The only place of the format that touches a disk.
//!
//! A path that was asked for yields at least one scenario or an error that says why not: nothing is skipped silently
//! except hidden names, sweeps and what does not end in `.toml` inside a directory. Every file is read once, whatever path leads
//! to it, and the problems of all files are reported together.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::diagnostics::closest;
use super::model::Scenario;
use super::parse::{LIBRARY, name_from, name_of, parse_as};
use super::problem::{Paint, Problem, render_bare};
use super::sweeps::is_sweep;

/// No scenario is larger than this, in bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why the scenarios cannot be run. Every reason, not the first.
#[derive(Debug, thiserror::Error)]
#[error("{}", count_of(.errors))]
pub struct LoadErrors {
    /// In the order in which the files were asked for.
    pub errors: Vec<LoadError>,
}

/// Why one path yields no scenario.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Nothing is there.
    #[error("there is no file or directory `{}`", .path.display())]
    Missing {
        /// The path.
        path: PathBuf,
        /// A path that may have been meant.
        meant: Option<PathBuf>,
    },
    /// The system does not let it be read.
    #[error("`{}` cannot be read: {kind}", .path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system says.
        kind: io::ErrorKind,
    },
    /// A device, a pipe, a socket.
    #[error("`{}` is neither a file nor a directory", .path.display())]
    Special {
        /// The path.
        path: PathBuf,
    },
    /// A file that was asked for by name but is called otherwise.
    #[error("`{}` is not called like a scenario", .path.display())]
    OtherEnding {
        /// The path.
        path: PathBuf,
    },
    /// Larger than [`MAX_FILE_BYTES`].
    #[error("`{}` is larger than {MAX_FILE_BYTES} bytes", .path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
    },
    /// Not text.
    #[error("`{}` is not UTF-8 text: byte {offset} fits no character", .path.display())]
    NotText {
        /// The path.
        path: PathBuf,
        /// The first byte that fits no character, counted from 0.
        offset: usize,
    },
    /// Nothing in it.
    #[error("`{}` is empty", .path.display())]
    Empty {
        /// The path.
        path: PathBuf,
    },
    /// A directory without scenarios.
    #[error("there is no scenario in the directory `{}`", .path.display())]
    NoScenarios {
        /// The path.
        path: PathBuf,
    },
    /// A file that is no scenario.
    #[error("`{}` has {}", .path.display(), problems_in_words(.problems.len()))]
    Invalid {
        /// The path.
        path: PathBuf,
        /// Its whole text.
        text: String,
        /// What is wrong with it, in the order of the file.
        problems: Vec<Problem>,
    },
}

impl LoadErrors {
    /// Draws all of them, a blank line between any two. Ends without a line break.
    pub fn render(&self, paint: Paint) -> String {
        let drawn: Vec<_> = self.errors.iter().map(|error| error.render(paint)).collect();
        drawn.join("\n\n")
    }
}

impl LoadError {
    /// Draws it: place, caret and remedy. Ends without a line break.
    pub fn render(&self, paint: Paint) -> String {
        match self {
            Self::Invalid { path, text, problems } => {
                let drawn: Vec<_> =
                    problems.iter().map(|problem| problem.render(path, text, paint)).collect();
                drawn.join("\n\n")
            }
            Self::Missing { .. }
            | Self::Unreadable { .. }
            | Self::Special { .. }
            | Self::OtherEnding { .. }
            | Self::TooLarge { .. }
            | Self::NotText { .. }
            | Self::Empty { .. }
            | Self::NoScenarios { .. } => render_bare(&self.to_string(), &self.help(), paint),
        }
    }

    /// What to do about it, as a sentence or a fragment of one.
    pub fn help(&self) -> String {
        match self {
            Self::Missing { meant: Some(meant), .. } => format!("did you mean `{}`?", meant.display()),
            Self::Missing { meant: None, .. } => {
                "check the path; it is taken from the current directory".to_owned()
            }
            Self::Unreadable { kind: io::ErrorKind::PermissionDenied, .. } => {
                "make it readable for this user".to_owned()
            }
            Self::Unreadable { .. } => "check what it is and where it leads".to_owned(),
            Self::Special { .. } => "name a scenario file, or a directory that holds some".to_owned(),
            Self::OtherEnding { path } if is_sweep(path) => {
                format!("it is a sweep: `portcullis sweep {}`", path.display())
            }
            Self::OtherEnding { .. } => {
                "a scenario file ends in `.toml`, and a sweep in `.sweep.toml`".to_owned()
            }
            Self::TooLarge { .. } => "a scenario is a page of text; is this the right file?".to_owned(),
            Self::NotText { .. } => "a scenario is a text file in UTF-8; is this the right file?".to_owned(),
            Self::Empty { .. } => "a scenario begins with `schema = 1`".to_owned(),
            Self::NoScenarios { .. } => {
                "scenario files end in `.toml`; hidden files do not count, and sweeps are none".to_owned()
            }
            Self::Invalid { .. } => "correct what is marked".to_owned(),
        }
    }
}

/// Reads all scenarios in the given files and directories, directories recursively and in the order of names.
///
/// # Errors
///
/// Every reason why one of the paths, or a file below it, is no scenario.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Scenario>, LoadErrors> {
    let (scenarios, errors) = load_what_is_valid(paths);
    if errors.errors.is_empty() { Ok(scenarios) } else { Err(errors) }
}

/// The same, with the scenarios that are valid beside the errors.
pub fn load_what_is_valid(paths: &[PathBuf]) -> (Vec<Scenario>, LoadErrors) {
    let mut library = Library::default();
    for path in paths {
        library.add(path);
    }
    (library.scenarios, LoadErrors { errors: library.errors })
}

#[derive(Default)]
struct Library {
    scenarios: Vec<Scenario>,
    errors: Vec<LoadError>,
    /// The files read so far, by their real paths.
    read: BTreeSet<PathBuf>,
    names: BTreeSet<String>,
}

impl Library {
    /// Adds what was asked for.
    fn add(&mut self, path: &Path) {
        match what_is(path) {
            Ok(Kind::Directory) => {
                if self.add_directory(path, path, &mut Vec::new()) == 0 {
                    self.errors.push(LoadError::NoScenarios { path: path.to_owned() });
                }
            }
            Ok(Kind::File) if !is_scenario(path) => {
                self.errors.push(LoadError::OtherEnding { path: path.to_owned() });
            }
            Ok(Kind::File) => self.add_file(path, None),
            Err(error) => self.errors.push(error),
        }
    }

    /// Adds every scenario below a directory, and answers how many files or errors there were.
    fn add_directory(&mut self, root: &Path, directory: &Path, above: &mut Vec<PathBuf>) -> usize {
        let real = real_path(directory);
        // A symbolic link that leads back up has been walked already.
        if above.contains(&real) {
            return 0;
        }
        let names = match names_in(directory) {
            Ok(names) => names,
            Err(error) => {
                self.errors.push(error);
                return 1;
            }
        };
        above.push(real);
        let mut found = 0;
        for path in names.iter().map(|name| directory.join(name)) {
            match what_is(&path) {
                Ok(Kind::Directory) => found += self.add_directory(root, &path, above),
                Ok(Kind::File) if is_scenario(&path) => {
                    found += 1;
                    self.add_file(&path, Some(root));
                }
                Err(error) if is_scenario(&path) => {
                    found += 1;
                    self.errors.push(error);
                }
                Ok(Kind::File) | Err(_) => {}
            }
        }
        above.pop();
        found
    }

    fn add_file(&mut self, path: &Path, root: Option<&Path>) {
        if !self.read.insert(real_path(path)) {
            return;
        }
        let text = match read_file(path) {
            Ok(text) => text,
            Err(error) => return self.errors.push(error),
        };
        match parse_as(&self.free_name(path, root), path, &text) {
            Ok(scenario) => self.scenarios.push(scenario),
            Err(problems) => {
                self.errors.push(LoadError::Invalid { path: path.to_owned(), text, problems });
            }
        }
    }

    /// The name of a file; if another file has it already, its whole path.
    fn free_name(&mut self, path: &Path, root: Option<&Path>) -> String {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let in_library = absolute.parent().is_some_and(|folder| folder.iter().any(|part| part == LIBRARY));
        let relative = root.filter(|_| !in_library).and_then(|root| path.strip_prefix(root).ok());
        let name = relative.map_or_else(|| name_of(&absolute), parts_of);
        if self.names.insert(name.clone()) {
            return name;
        }
        let whole = parts_of(path);
        let numbered = (2..).map(|number| format!("{whole}-{number}"));
        let mut candidates = std::iter::once(whole.clone()).chain(numbered);
        candidates.find(|name| self.names.insert(name.clone())).unwrap_or(whole)
    }
}

fn parts_of(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    name_from(&parts)
}

pub(super) enum Kind {
    File,
    Directory,
}

pub(super) fn what_is(path: &Path) -> Result<Kind, LoadError> {
    let status = std::fs::metadata(path).map_err(|error| from_system(path, &error))?;
    if status.is_dir() {
        Ok(Kind::Directory)
    } else if status.is_file() {
        Ok(Kind::File)
    } else {
        Err(LoadError::Special { path: path.to_owned() })
    }
}

pub(super) fn real_path(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The names in a directory that are not hidden, in the order of the names without their endings.
pub(super) fn names_in(directory: &Path) -> Result<Vec<OsString>, LoadError> {
    let failed = |error: io::Error| from_system(directory, &error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name());
    }
    names.retain(|name| !name.as_encoded_bytes().starts_with(b"."));
    names.sort_by(|a, b| Path::new(a).file_stem().cmp(&Path::new(b).file_stem()).then_with(|| a.cmp(b)));
    Ok(names)
}

fn is_scenario(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("toml")) && !is_sweep(path)
}

#[expect(clippy::disallowed_methods, reason = "scenario and target files are read here and nowhere else")]
pub(crate) fn read_file(path: &Path) -> Result<String, LoadError> {
    let failed = |error: io::Error| from_system(path, &error);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    let path = path.to_owned();
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge { path });
    }
    let text = String::from_utf8(bytes).map_err(|error| LoadError::NotText {
        path: path.clone(),
        offset: error.utf8_error().valid_up_to(),
    })?;
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        Err(LoadError::Empty { path })
    } else {
        Ok(text)
    }
}

fn from_system(path: &Path, error: &io::Error) -> LoadError {
    let path = path.to_owned();
    if error.kind() == io::ErrorKind::NotFound {
        let meant = meant(&path);
        return LoadError::Missing { path, meant };
    }
    LoadError::Unreadable { path, kind: error.kind() }
}

/// A neighbour whose name is close to one that does not exist.
fn meant(path: &Path) -> Option<PathBuf> {
    let wrong = path.file_name()?.to_str()?;
    let folder = path.parent()?;
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let names = names_in(listed).unwrap_or_default();
    // The name itself is listed if it is a link that leads nowhere.
    let others = names.iter().filter_map(|name| name.to_str()).filter(|name| *name != wrong);
    closest(wrong, others).map(|name| folder.join(name))
}

fn problems_in_words(count: usize) -> String {
    if count == 1 { "a problem".to_owned() } else { format!("{count} problems") }
}

fn count_of(errors: &[LoadError]) -> String {
    let mut text = String::new();
    for error in errors {
        let comma = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{comma}{error}");
    }
    text
}
