//! Finds and reads the files of sweeps, which stand beside scenarios and are none: their names end in [`SWEEP_ENDING`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::load::{Kind, LoadError, names_in, read_file, real_path, what_is};

/// What the name of every file of a sweep ends in.
pub(crate) const SWEEP_ENDING: &str = ".sweep.toml";

/// Whether a file of that name is one of a sweep.
pub(crate) fn is_sweep(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(SWEEP_ENDING.as_bytes()))
}

/// Files of sweeps with their texts, and why others are none.
#[derive(Debug, Default)]
pub(crate) struct SweepFiles {
    /// Every file that was named or lies in a directory that was, once, with its text.
    pub(crate) found: Vec<(PathBuf, String)>,
    /// What could not be read.
    pub(crate) errors: Vec<LoadError>,
    known: BTreeSet<PathBuf>,
}

impl SweepFiles {
    /// Reads files, and all of a sweep in directories.
    pub(crate) fn read(paths: &[PathBuf]) -> Self {
        let mut files = Self::default();
        for path in paths {
            match what_is(path) {
                Ok(Kind::File) if !is_sweep(path) => {
                    files.errors.push(LoadError::OtherEnding { path: path.clone() });
                }
                Ok(Kind::File) => files.add(path),
                Ok(Kind::Directory) => files.walk(path),
                Err(error) => files.errors.push(error),
            }
        }
        files
    }

    fn add(&mut self, path: &Path) {
        if self.known.insert(real_path(path)) {
            match read_file(path) {
                Ok(text) => self.found.push((path.to_owned(), text)),
                Err(error) => self.errors.push(error),
            }
        }
    }

    fn walk(&mut self, directory: &Path) {
        // A symbolic link that leads back up has been walked already.
        if !self.known.insert(real_path(directory)) {
            return;
        }
        let names = match names_in(directory) {
            Ok(names) => names,
            Err(error) => return self.errors.push(error),
        };
        for path in names.into_iter().map(|name| directory.join(name)) {
            match what_is(&path) {
                Ok(Kind::Directory) => self.walk(&path),
                Ok(Kind::File) if is_sweep(&path) => self.add(&path),
                Err(error) if is_sweep(&path) => self.errors.push(error),
                Ok(Kind::File) | Err(_) => {}
            }
        }
    }
}
