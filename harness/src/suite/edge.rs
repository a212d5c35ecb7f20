//! What the tests of somebody's package take from their environment, and nothing else does.
#![expect(
    clippy::disallowed_methods,
    reason = "the named edge: cargo tells a test about itself by its environment"
)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The token of an execution that is to be taken again.
pub(super) const REPLAY: &str = "PORTCULLIS_REPLAY";

/// A variable.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Whether nextest asks: it believes the list of tests, not what a test says of itself.
pub(super) fn is_nextest() -> bool {
    variable("NEXTEST").is_some()
}

/// A path as seen from the manifest of the package under test. It stays as it is where that is the current directory, as it is
/// under `cargo test`, so that reports and tokens are the same on every machine.
pub(crate) fn from_manifest(path: &Path) -> PathBuf {
    variable("CARGO_MANIFEST_DIR")
        .map_or_else(|| path.to_owned(), |manifest| from(Path::new(&manifest), path))
}

/// A path as seen from a directory.
pub(super) fn from(directory: &Path, path: &Path) -> PathBuf {
    let is_here = std::env::current_dir().is_ok_and(|here| here == directory);
    if is_here { path.to_owned() } else { directory.join(path) }
}
