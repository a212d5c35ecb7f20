//! Every file below a directory, its bytes and its mtime at one moment: two of them show what was changed in between.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::hash::Hasher;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use siphasher::sip128::{Hasher128, SipHasher13};

/// Deeper directories are not looked into; a gateway makes two levels.
const DEPTH: u32 = 8;

/// What lies in a few directories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    found: BTreeMap<PathBuf, Found>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Directory,
    File { bytes: u64, digest: u128, modified: (i64, i64) },
    Other,
}

impl Snapshot {
    /// What lies below these directories now. What disappears meanwhile is not there.
    pub(super) fn of(directories: &[PathBuf]) -> Self {
        let mut snapshot = Self::default();
        for directory in directories {
            snapshot.add(directory, DEPTH);
        }
        snapshot
    }

    fn add(&mut self, directory: &Path, depth: u32) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if metadata.is_dir() && depth > 0 {
                self.add(&path, depth - 1);
            }
            if let Some(found) = look(&path, &metadata) {
                self.found.insert(path, found);
            }
        }
    }

    /// What became of a file that was there, or what came that a refused start may not leave. `is_foreign` tells which
    /// files somebody else may have written.
    pub(super) fn harm(&self, later: &Self, is_foreign: impl Fn(&Path) -> bool) -> Option<String> {
        let own = |(path, _): &(&PathBuf, &Found)| !is_foreign(path);
        for (path, before) in self.found.iter().filter(own) {
            let what = match later.found.get(path) {
                Some(after) if after == before => continue,
                Some(Found::File { bytes, digest, .. }) => match before {
                    Found::File { bytes: old, digest: other, .. } if (old, other) == (bytes, digest) => {
                        "has a new modification time"
                    }
                    Found::Directory | Found::File { .. } | Found::Other => "has other contents",
                },
                Some(Found::Directory | Found::Other) => "is another file",
                None => "is gone",
            };
            return Some(format!("{} {what}", path.display()));
        }
        let harmful = later.found.iter().filter(own).find(|(path, found)| {
            !self.found.contains_key(*path)
                && !matches!(found, Found::Directory | Found::File { bytes: 0, .. })
        });
        harmful.map(|(path, _)| format!("{} was left behind", path.display()))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the named edge: what a gateway leaves is looked at from outside"
)]
fn look(path: &Path, metadata: &Metadata) -> Option<Found> {
    if metadata.is_dir() {
        return Some(Found::Directory);
    }
    if !metadata.is_file() {
        return Some(Found::Other);
    }
    let bytes = fs::read(path).ok()?;
    let mut hasher = SipHasher13::new();
    hasher.write(&bytes);
    Some(Found::File {
        bytes: bytes.len() as u64,
        digest: hasher.finish128().as_u128(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    })
}

/// The inode of a file; `None` if there is none.
pub(super) fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|metadata| metadata.ino())
}

/// Deletes a file. That there is none is no error.
#[expect(clippy::disallowed_methods, reason = "the named edge: an operator deletes a file")]
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Gives a file other contents where it is. That there is none is no error.
#[expect(clippy::disallowed_methods, reason = "the named edge: somebody tampers with a file")]
pub(super) fn overwrite(path: &Path, change: impl FnOnce(&[u8]) -> Vec<u8>) -> std::io::Result<()> {
    match fs::read(path) {
        Ok(old) => fs::write(path, change(&old)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes a directory, if it is not there.
#[expect(clippy::disallowed_methods, reason = "the named edge: the directories that a scenario begins with")]
pub(super) fn make_directory(path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(path)
}

/// Creates a file and the directory that it is in.
#[expect(clippy::disallowed_methods, reason = "the named edge: the files that a scenario begins with")]
pub(super) fn create(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test makes real files")]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::Snapshot;

    fn nobody(_: &Path) -> bool {
        false
    }

    #[test]
    fn empty_files_and_directories_do_no_harm_and_bytes_do() {
        let directory = tempfile::tempdir().unwrap();
        let roots = [directory.path().to_owned()];
        fs::write(directory.path().join("kept"), "kept").unwrap();
        let before = Snapshot::of(&roots);
        fs::create_dir(directory.path().join("deeper")).unwrap();
        fs::write(directory.path().join("deeper/lock"), "").unwrap();
        assert_eq!(before.harm(&Snapshot::of(&roots), nobody), None);
        fs::write(directory.path().join("deeper/lock"), "x").unwrap();
        let later = Snapshot::of(&roots);
        assert!(before.harm(&later, nobody).unwrap().ends_with("deeper/lock was left behind"));
        assert_eq!(before.harm(&later, |path| path.ends_with("lock")), None);
    }

    #[test]
    fn a_file_that_existed_keeps_its_bytes_its_mtime_and_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let roots = [directory.path().to_owned()];
        let file = directory.path().join("kept");
        fs::write(&file, "kept").unwrap();
        let before = Snapshot::of(&roots);
        let changed = |ending: &str| {
            let harm = before.harm(&Snapshot::of(&roots), nobody).unwrap();
            assert!(harm.ends_with(ending), "{harm}");
        };
        let touched = fs::File::options().write(true).open(&file).unwrap();
        touched.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        changed("kept has a new modification time");
        fs::write(&file, "lost").unwrap();
        changed("kept has other contents");
        fs::remove_file(&file).unwrap();
        changed("kept is gone");
    }
}
