//! The log of a gateway in its state directory: lines that are appended whole, into files that do not grow without end and
//! that only their user can read.
//!
//! Everything is reached through a descriptor of the directory that is owned. Wherever that directory is moved, nothing is
//! written into another one, which may have another owner. What is removed is made anew. Half a line gets an end, and nothing is
//! cut off: an owner that was paused may find the lines of its successor behind its own.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use portcullis_os::FileId;

use super::ring::Ring;
use crate::lock::{EPOCH_FILE, journal};
use crate::settings::{LOG_DIRECTORY, LOG_NAME};

/// A file that would become longer is put aside, in bytes.
pub(super) const LONGEST: u64 = 8 * 1024 * 1024;
/// How many files are kept besides.
const KEPT: u32 = 4;
/// The longest header of a journal that is looked at, in bytes.
const HEADER: u64 = 64 * 1024;

/// The log of a state directory that is owned.
#[derive(Debug)]
pub(super) struct LogFile {
    state: File,
    open: Option<Opened>,
    longest: u64,
}

#[derive(Debug)]
struct Opened {
    file: File,
    id: FileId,
    size: u64,
}

impl LogFile {
    /// The log in a state directory, which must be the one with that identity.
    pub(super) fn in_state(state: &Path, id: FileId, longest: u64) -> io::Result<Self> {
        let state = open(OpenOptions::new().read(true), state)?;
        if identity(&state.metadata()?) != id {
            return Err(io::Error::other("the state directory is another one now"));
        }
        Ok(Self { state, open: None, longest })
    }

    /// The epoch that its owner has begun, by the newest journal.
    pub(super) fn epoch(&self, instance: &str) -> Option<u64> {
        let mut bytes = Vec::new();
        let journal = open(OpenOptions::new().read(true), &self.beside(EPOCH_FILE)).ok()?;
        journal.take(HEADER).read_to_end(&mut bytes).ok()?;
        journal::begun(&bytes).filter(|header| header.instance == instance).map(|header| header.epoch)
    }

    /// What is in the file at present, or its end.
    pub(super) fn end(&mut self) -> io::Result<Ring> {
        let opened = self.opened()?;
        let start = opened.size.saturating_sub(Ring::most());
        let mut bytes = vec![0; usize::try_from(opened.size - start).unwrap_or(0)];
        opened.file.read_exact_at(&mut bytes, start)?;
        Ok(Ring::new(start, bytes))
    }

    /// Appends a line, with its end. Answers how long the file was before.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<u64> {
        let longest = self.longest;
        let opened = self.opened()?;
        if opened.size > 0 && opened.size + line.len() as u64 > longest {
            self.open = None;
            self.put_aside()?;
        }
        let opened = self.opened()?;
        let written = opened.file.write_all(line).and_then(|()| opened.file.stream_position());
        match written {
            // Others may have written meanwhile.
            Ok(end) => opened.size = end,
            Err(error) => {
                // Whoever opens it next ends what is half a line.
                self.open = None;
                return Err(error);
            }
        }
        Ok(opened.size.saturating_sub(line.len() as u64))
    }

    /// The file, if it is still the one of that name, or a new one.
    fn opened(&mut self) -> io::Result<&mut Opened> {
        let path = self.at(LOG_NAME);
        let is_there =
            |opened: &Opened| fs::symlink_metadata(&path).is_ok_and(|status| identity(&status) == opened.id);
        let opened = match self.open.take().filter(is_there) {
            Some(opened) => opened,
            None => self.create(&path)?,
        };
        Ok(self.open.insert(opened))
    }

    fn create(&self, path: &Path) -> io::Result<Opened> {
        match DirBuilder::new().mode(0o700).create(self.beside(LOG_DIRECTORY)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        match fs::symlink_metadata(path) {
            // A pipe would be waited for, and a link leads elsewhere.
            Ok(status) if !status.is_file() => return Err(io::Error::other("it is not a regular file")),
            Ok(_) | Err(_) => {}
        }
        let mut file = open(OpenOptions::new().read(true).append(true).create(true).mode(0o600), path)?;
        let status = file.metadata()?;
        let mut size = status.len();
        // Whoever died while it wrote has left half a line.
        let mut last = [b'\n'];
        if size > 0 && file.read_exact_at(&mut last, size - 1).is_ok() && last != [b'\n'] {
            file.write_all(b"\n")?;
            size += 1;
        }
        Ok(Opened { file, id: identity(&status), size })
    }

    /// Gives each file the next number, and drops the last.
    fn put_aside(&self) -> io::Result<()> {
        for number in (0..KEPT).rev() {
            match rename(&self.at(&numbered(number)), &self.at(&numbered(number + 1))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// A file of the log.
    fn at(&self, name: &str) -> PathBuf {
        self.beside(LOG_DIRECTORY).join(name)
    }

    /// A name in the state directory, whatever that is called now (proc(5), `/proc/self/fd`).
    fn beside(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.state.as_raw_fd())).join(name)
    }
}

/// The file that was put aside so many times; 0: the present one.
fn numbered(number: u32) -> String {
    match LOG_NAME.rsplit_once('.') {
        Some((stem, ending)) if number > 0 => format!("{stem}.{number}.{ending}"),
        Some(_) | None => LOG_NAME.to_owned(),
    }
}

fn identity(status: &fs::Metadata) -> FileId {
    FileId { device: status.dev(), inode: status.ino() }
}

#[expect(clippy::disallowed_methods, reason = "the named edge: a log is a file")]
fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}

#[expect(clippy::disallowed_methods, reason = "the named edge: a log is a file")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test looks at what was written")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::{FileId, LogFile, identity};

    fn log(state: &Path) -> LogFile {
        let id = identity(&fs::metadata(state).unwrap());
        LogFile::in_state(state, id, 10).unwrap()
    }

    fn read(state: &Path, name: &str) -> String {
        fs::read_to_string(state.join("logs").join(name)).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn whoever_was_paused_writes_behind_its_successor_and_knows_where() {
        let state = tempfile::tempdir().unwrap();
        let (mut paused, mut successor) = (log(state.path()), log(state.path()));
        assert_eq!(paused.append(b"a\n").unwrap(), 0);
        assert_eq!(successor.append(b"bc\n").unwrap(), 2);
        assert_eq!(paused.append(b"d\n").unwrap(), 5);
        assert_eq!(read(state.path(), "gateway.jsonl"), "a\nbc\nd\n");
    }

    #[test]
    fn a_file_that_would_become_too_long_is_put_aside_and_four_of_them_are_kept() {
        let state = tempfile::tempdir().unwrap();
        let mut log = log(state.path());
        for number in 0..7 {
            assert_eq!(log.append(format!("{number} a\n").as_bytes()).unwrap(), 0);
            assert_eq!(log.append(format!("{number} b\n").as_bytes()).unwrap(), 4);
        }
        let names =
            ["gateway.jsonl", "gateway.1.jsonl", "gateway.2.jsonl", "gateway.3.jsonl", "gateway.4.jsonl"];
        for (number, name) in names.into_iter().enumerate() {
            assert_eq!(read(state.path(), name), format!("{0} a\n{0} b\n", 6 - number));
            assert_eq!(mode(&state.path().join("logs").join(name)), 0o600);
        }
        assert_eq!(fs::read_dir(state.path().join("logs")).unwrap().count(), 5);
        assert_eq!(mode(&state.path().join("logs")), 0o700);
        assert_eq!(
            log.append(&[b'x'; 100]).unwrap(),
            0,
            "a line that is too long for a file has one of its own"
        );
    }

    #[test]
    fn what_is_removed_is_made_anew_in_the_directory_that_is_owned_wherever_that_is() {
        let room = tempfile::tempdir().unwrap();
        let (state, moved) = (room.path().join("state"), room.path().join("moved"));
        fs::create_dir(&state).unwrap();
        let mut log = log(&state);
        log.append(b"one\n").unwrap();
        fs::remove_dir_all(state.join("logs")).unwrap();
        assert_eq!(log.append(b"two\n").unwrap(), 0);
        fs::rename(&state, &moved).unwrap();
        fs::create_dir(&state).unwrap();
        assert_eq!(log.append(b"three\n").unwrap(), 4);
        assert_eq!(read(&moved, "gateway.jsonl"), "two\nthree\n");
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
        assert!(LogFile::in_state(&state, FileId { device: 0, inode: 0 }, 10).is_err());
    }

    #[test]
    fn half_a_line_is_ended_and_the_end_of_the_file_is_remembered() {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir(state.path().join("logs")).unwrap();
        fs::write(state.path().join("logs/gateway.jsonl"), "one\ntw").unwrap();
        let mut log = log(state.path());
        assert_eq!(log.end().unwrap().end(), 7);
        log.append(b"3\n").unwrap();
        assert_eq!(read(state.path(), "gateway.jsonl"), "one\ntw\n3\n");
    }

    #[test]
    fn what_is_no_file_is_not_written_to() {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir_all(state.path().join("logs/gateway.jsonl")).unwrap();
        let mut log = log(state.path());
        assert!(log.append(b"one\n").is_err());
        fs::remove_dir(state.path().join("logs/gateway.jsonl")).unwrap();
        assert_eq!(log.append(b"two\n").unwrap(), 0);
    }
}
