//! Finds and reads the files of sweeps, which stand beside scenarios and are none: their names end in [`SWEEP_ENDING`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::load::{Kind, LoadError, names_in, read_file, real_path, what_is};

/// What the name of every file of a sweep ends in.
pub(crate) const SWEEP_ENDING: &str = ".sweep.toml";

pub(super) fn is_sweep(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(SWEEP_ENDING.as_bytes()))
}

/// Every file of a sweep that was named or lies in a directory that was, once, with its text.
pub(crate) fn sweep_files(paths: &[PathBuf]) -> Result<Vec<(PathBuf, String)>, LoadError> {
    let (mut found, mut known) = (Vec::new(), BTreeSet::new());
    for path in paths {
        match what_is(path)? {
            Kind::File if !is_sweep(path) => return Err(LoadError::OtherEnding { path: path.clone() }),
            Kind::File => add(path, &mut found, &mut known)?,
            Kind::Directory => walk(path, &mut found, &mut known)?,
        }
    }
    Ok(found)
}

fn add(
    path: &Path,
    found: &mut Vec<(PathBuf, String)>,
    known: &mut BTreeSet<PathBuf>,
) -> Result<(), LoadError> {
    if known.insert(real_path(path)) {
        found.push((path.to_owned(), read_file(path)?));
    }
    Ok(())
}

fn walk(
    directory: &Path,
    found: &mut Vec<(PathBuf, String)>,
    known: &mut BTreeSet<PathBuf>,
) -> Result<(), LoadError> {
    // A symbolic link that leads back up has been walked already.
    if !known.insert(real_path(directory)) {
        return Ok(());
    }
    for path in names_in(directory)?.into_iter().map(|name| directory.join(name)) {
        match what_is(&path) {
            Ok(Kind::Directory) => walk(&path, found, known)?,
            Ok(Kind::File) if is_sweep(&path) => add(&path, found, known)?,
            Err(error) if is_sweep(&path) => return Err(error),
            Ok(Kind::File) | Err(_) => {}
        }
    }
    Ok(())
}
