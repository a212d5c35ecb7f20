//! The only code of these commands that touches files: a secret that is read, evidence that is appended.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::auth::Word;

/// The longest secret that is read, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Reads a secret: the first line of a file. The second part is a note if others may read it too.
pub(super) fn secret(path: &Path) -> Result<(Word, Option<String>), String> {
    let shown = path.display();
    let failed = |error: io::Error| format!("cannot read {shown}: {error}");
    // A pipe is not waited for: opening one without a writer would never return.
    let status = std::fs::metadata(path).map_err(failed)?;
    if !status.is_file() {
        return Err(format!("{shown} is not a regular file"));
    }
    let mut text = String::new();
    let file = open(OpenOptions::new().read(true), path).map_err(failed)?;
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LONGEST {
        return Err(format!("{shown} is longer than {LONGEST} bytes, which no secret is"));
    }
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return Err(format!("the first line of {shown} is empty"));
    }
    let note = (status.mode() & 0o077 != 0).then(|| format!("others may read {shown}: chmod 600 it"));
    Ok((Word::new(line), note))
}

/// Appends a line to a file that is created for this user alone.
pub(super) fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = open(OpenOptions::new().append(true).create(true).mode(0o600), path)?;
    // One call, so that lines of two watchers do not mix.
    file.write_all(format!("{line}\n").as_bytes())
}

#[expect(clippy::disallowed_methods, reason = "the named edge: a secret and evidence are files")]
fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}
