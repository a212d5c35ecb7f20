//! The only code of this module that writes files: each whole or not at all, readable by their user alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::Problem;

/// The longest secret that is kept, in bytes.
const LONGEST: u64 = 4096;

/// Whether anything has that name, a link that leads nowhere too.
pub(super) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Makes a directory and those around it, for this user alone. One that is there stays as it is.
pub(super) fn make_private(path: &Path) -> Result<(), Problem> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_private(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => {
            Err(system("create", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether a file holds something that only its user can read.
pub(super) fn is_private_text(path: &Path) -> bool {
    let read = || -> io::Result<bool> {
        let status = fs::symlink_metadata(path)?;
        if !status.is_file() || status.permissions().mode() & 0o077 != 0 || status.len() > LONGEST {
            return Ok(false);
        }
        let mut text = String::new();
        open(OpenOptions::new().read(true), path)?.take(LONGEST).read_to_string(&mut text)?;
        Ok(!text.trim_end_matches(['\r', '\n']).is_empty())
    };
    read().unwrap_or(false)
}

/// Puts a file there. One that exists is replaced only if `replace` says so; a configuration that was is answered, under the
/// name under which it is kept.
pub(super) fn put(path: &Path, text: &str, replace: bool) -> Result<Option<PathBuf>, Problem> {
    let beside = |ending: &str| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(ending);
        path.with_file_name(name)
    };
    let temporary = beside(".setup.tmp");
    // There is one setup at a time, so what has that name was left by one that died.
    let _ = remove(&temporary);
    let put = || -> Result<Option<PathBuf>, Problem> {
        write(&temporary, text).map_err(system("write", &temporary))?;
        let mut backup = None;
        if replace && exists(path) {
            let kept = beside(".bak");
            let _ = remove(&kept);
            fs::hard_link(path, &kept).map_err(system("keep", path))?;
            rename(&temporary, path).map_err(system("replace", path))?;
            backup = Some(kept);
        } else {
            match fs::hard_link(&temporary, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(Problem::Exists(path.to_owned()));
                }
                linked => linked.map_err(system("create", path))?,
            }
        }
        Ok(backup)
    };
    let done = put();
    let _ = remove(&temporary);
    let backup = done?;
    sync(path.parent().unwrap_or(path)).map_err(system("sync", path))?;
    Ok(backup)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = open(OpenOptions::new().write(true).create_new(true).mode(0o600), path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync(directory: &Path) -> io::Result<()> {
    open(OpenOptions::new().read(true), directory)?.sync_all()
}

#[expect(clippy::disallowed_methods, reason = "the named edge: a configuration is a file")]
fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}

#[expect(clippy::disallowed_methods, reason = "the named edge: a configuration is a file")]
fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

#[expect(clippy::disallowed_methods, reason = "the named edge: a configuration is a file")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

fn system(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> Problem {
    let path = path.to_owned();
    move |error| Problem::System { doing, path: path.clone(), error }
}
