//! The units that are there already: which one runs the gateway of a state directory, what it does when that gateway stops, and
//! how it is removed again.
//!
//! # Invariants
//!
//! - Only a file that was written here, for this very state directory, is removed, and the links that enable it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::unit::{self, Written};
use super::{Problem, contents, names, open, remove, system};
use crate::claim::Claim;
use crate::settings;

/// What a service manager does once a gateway has ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It starts it again also if it has stopped as it was told to: `Restart=` with this value.
    Always(String),
    /// It leaves one that has stopped as it was told to.
    OnFailure,
}

/// A unit that runs the gateway of a state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The file.
    pub file: PathBuf,
    /// What happens after a stop.
    pub restart: Restart,
}

impl Installed {
    /// The name that the service manager knows it by.
    pub fn name(&self) -> String {
        self.file.file_name().unwrap_or_default().display().to_string()
    }
}

/// The units that say of themselves that they run the gateway of this state directory, in these directories.
pub fn installed(directories: &[PathBuf], claim: &Claim) -> Vec<Installed> {
    let mut found: Vec<Installed> = Vec::new();
    // What this user cannot read its service manager cannot read either.
    for file in directories.iter().flat_map(|directory| names(directory).unwrap_or_default()) {
        if file.extension().is_none_or(|extension| extension != "service") {
            continue;
        }
        let Some(text) = contents(&file).ok().flatten() else { continue };
        if is_for(&text, &settings::edge::place(&claim.state)) && found.iter().all(|known| known.file != file)
        {
            found.push(Installed { restart: restart(&text), file });
        }
    }
    found
}

/// Whether a unit was written here and runs the gateway of this state directory.
fn is_for(text: &str, state: &Path) -> bool {
    matches!(unit::read(text), Written::Here(owns) if Path::new(&owns.state) == state)
}

/// What a unit says of the end of its gateway. The last word counts, as for systemd.
fn restart(text: &str) -> Restart {
    let values = text.lines().filter_map(|line| line.trim().strip_prefix("Restart="));
    match values.map(str::trim).next_back() {
        Some(word @ ("always" | "on-success")) => Restart::Always(word.to_owned()),
        Some(_) | None => Restart::OnFailure,
    }
}

/// What a removal has done, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The unit.
    pub file: PathBuf,
    /// The links that enable it.
    pub links: Vec<PathBuf>,
}

/// Whether it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is done.
    Done,
    /// It is only said what would be done.
    Dry,
}

impl super::Prepared {
    /// Removes the unit of that name and the links that enable it. `Ok(None)`: there is none.
    ///
    /// # Errors
    ///
    /// It was not written here, or not for this state directory, or the system refuses.
    pub fn uninstall(&self, removal: Removal) -> Result<Option<Removed>, Problem> {
        let file = self.file();
        let status = match fs::symlink_metadata(file) {
            Ok(status) => status,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(system("examine", file)(error)),
        };
        // A link is somebody's decision, wherever it leads.
        let text = if status.is_file() { contents(file)? } else { None };
        if !text.is_some_and(|text| is_for(&text, Path::new(&self.owns.state))) {
            return Err(Problem::Foreign { file: file.to_owned() });
        }
        let links = self.links()?;
        if removal == Removal::Done {
            // First the links: without its file a unit cannot be disabled any more.
            for path in links.iter().map(PathBuf::as_path).chain([file]) {
                remove(path).map_err(system("remove", path))?;
            }
            let directory = open(fs::OpenOptions::new().read(true), self.directory());
            let synced = directory.and_then(|directory| directory.sync_all());
            synced.map_err(system("sync", self.directory()))?;
        }
        Ok(Some(Removed { file: file.to_owned(), links }))
    }

    /// The links beside the unit that enable it: `*.wants/NAME`, as `systemctl enable` makes them.
    fn links(&self) -> Result<Vec<PathBuf>, Problem> {
        let name = self.file().file_name().unwrap_or_default();
        let mut links = Vec::new();
        for directory in names(self.directory())? {
            let link = directory.join(name);
            let leads_here = || fs::read_link(&link).is_ok_and(|to| directory.join(to) == self.file());
            if directory.extension().is_some_and(|extension| extension == "wants") && leads_here() {
                links.push(link);
            }
        }
        Ok(links)
    }
}

#[cfg(test)]
mod tests {
    use super::{Restart, restart};

    #[test]
    fn the_last_word_on_restarts_counts() {
        for (text, expected) in [
            ("Restart=on-failure\n", Restart::OnFailure),
            ("Restart=on-failure\nRestart=always\n", Restart::Always("always".to_owned())),
            (" Restart=on-success \n", Restart::Always("on-success".to_owned())),
            ("# Restart=always\n", Restart::OnFailure),
            ("", Restart::OnFailure),
        ] {
            assert_eq!(restart(text), expected, "{text}");
        }
    }
}
