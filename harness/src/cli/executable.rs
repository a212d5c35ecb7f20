//! The executable that acts as the gateway: one that is named, or this program itself under another name.

use std::io;
use std::path::{Path, PathBuf};

/// Under this name this program is the reference gateway.
pub const BUILT_IN: &str = "refgate";

const REMEDY: &str =
    "build it with `cargo build --bin refgate`, or leave `--refgate` out to use the built-in one";

/// The executable, and the directory that it lies in if it had to be made.
pub(super) struct Executable {
    pub(super) path: PathBuf,
    _made: Option<tempfile::TempDir>,
}

impl Executable {
    /// The one that is named.
    ///
    /// # Errors
    ///
    /// That nothing can be run there, as a message with its remedy.
    pub(super) fn named(path: &Path) -> Result<Self, String> {
        if !path.is_file() {
            return Err(format!("error: there is no gateway at `{}`\n  = help: {REMEDY}", path.display()));
        }
        if !is_executable(path) {
            return Err(format!(
                "error: `{}` cannot be run: it is not executable\n  = help: {REMEDY}",
                path.display()
            ));
        }
        let path = std::path::absolute(path).map_err(|error| format!("error: {error}"))?;
        Ok(Self { path, _made: None })
    }

    /// This program, under the name that makes it the gateway.
    ///
    /// # Errors
    ///
    /// Why it cannot be called so, as a message.
    pub(super) fn built_in() -> Result<Self, String> {
        let trouble = |error: io::Error| format!("error: cannot make the built-in gateway callable: {error}");
        let directory = tempfile::Builder::new().prefix("portcullis-").tempdir().map_err(trouble)?;
        let path = directory.path().join(BUILT_IN);
        let own = std::env::current_exe().map_err(trouble)?;
        link(&own, &path).map_err(trouble)?;
        Ok(Self { path, _made: Some(directory) })
    }

    /// None, where no process of it will be started.
    pub(super) const fn none() -> Self {
        Self { path: PathBuf::new(), _made: None }
    }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    true
}

#[cfg(unix)]
fn link(original: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(original, link)
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
