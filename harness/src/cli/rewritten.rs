//! Writes a file anew so that at every instant either the old text is there or the whole new one.
//!
//! A link stays a link: what it leads to is written. Permissions stay; the owner becomes whoever writes. A file that somebody
//! has changed meanwhile is left as it is.

use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Replaces the old text of a file by a new one.
///
/// # Errors
///
/// What the system says, or that the old text is not there any more; the file is as it was then.
#[expect(clippy::disallowed_methods, reason = "the edge where a user's own file is written anew")]
pub(super) fn rewrite(path: &Path, old: &str, text: &str) -> io::Result<()> {
    let real = std::fs::canonicalize(path)?;
    let permissions = std::fs::metadata(&real)?.permissions();
    let folder = real.parent().unwrap_or_else(|| Path::new("."));
    let mut beside = NamedTempFile::new_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside.as_file().set_permissions(permissions)?;
    beside.as_file().sync_all()?;
    if std::fs::read(&real)? != old.as_bytes() {
        return Err(io::Error::other("somebody has changed it meanwhile"));
    }
    beside.persist(&real).map_err(|error| error.error)?;
    Ok(())
}

/// Writes a file that is not there yet: all of it, or nothing.
///
/// # Errors
///
/// What the system says; `AlreadyExists` if something has that name.
pub(super) fn create(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut beside = builder.tempfile_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(())
}
