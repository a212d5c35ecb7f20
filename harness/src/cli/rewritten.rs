//! Writes a file anew so that at every instant either the old text is there or the whole new one.
//!
//! A link stays a link: what it leads to is written. Permissions stay; the owner becomes whoever writes.

use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Replaces the text of a file that exists.
///
/// # Errors
///
/// What the system says; the file is as it was then.
pub(super) fn rewrite(path: &Path, text: &str) -> io::Result<()> {
    let real = std::fs::canonicalize(path)?;
    let permissions = std::fs::metadata(&real)?.permissions();
    let folder = real.parent().unwrap_or_else(|| Path::new("."));
    let mut beside = NamedTempFile::new_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside.as_file().set_permissions(permissions)?;
    beside.as_file().sync_all()?;
    beside.persist(&real).map_err(|error| error.error)?;
    Ok(())
}
