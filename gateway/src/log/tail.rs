//! The end of a log: whole lines, the newest ones, and what was skipped to get there.
//!
//! Whoever follows a log asks again with the `cursor` of the last answer. A log that has become shorter was begun anew, which is
//! said too (`reset`). A line that is still being written is left for the next time.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde::Serialize;

/// The most lines that are told at once.
pub const MOST_LINES: usize = 5_000;
/// The most bytes that are looked at.
pub const MOST_BYTES: usize = 1_000_000;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// From where on, in bytes from the beginning of the log; `None`: only its end.
    pub cursor: Option<u64>,
    /// At most so many lines.
    pub limit: usize,
    /// Of at most so many bytes, with their line ends.
    pub max_bytes: usize,
}

impl Default for Wanted {
    /// The end of a log, as much of it as is told without a word.
    fn default() -> Self {
        Self { cursor: None, limit: 500, max_bytes: 250_000 }
    }
}

/// The end of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tail {
    /// The log.
    pub file: String,
    /// Where to go on.
    pub cursor: u64,
    /// How long the log is, in bytes.
    pub size: u64,
    /// Lines without their ends, the newest last.
    pub lines: Vec<String>,
    /// Whether there are lines before these that are not told.
    #[serde(skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// Whether the log was begun anew since the cursor was told.
    #[serde(skip_serializing_if = "is_false")]
    pub reset: bool,
    /// How many bytes behind the cursor are not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped_bytes: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Reads the end of a log file. One that is not there is empty.
///
/// # Errors
///
/// What the system says.
pub fn read(path: &Path, wanted: &Wanted) -> io::Result<Tail> {
    let file = path.display().to_string();
    let mut log = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(tail(file, &[], 0, wanted)),
        opened => opened?,
    };
    if !log.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let size = log.metadata()?.len();
    // One byte more shows whether a line begins there.
    let start = earliest(size, wanted).saturating_sub(1);
    log.seek(SeekFrom::Start(start))?;
    let mut window = Vec::new();
    log.take(size - start).read_to_end(&mut window)?;
    Ok(tail(file, &window, start, wanted))
}

#[expect(clippy::disallowed_methods, reason = "the named edge: a log is a file")]
fn open(path: &Path) -> io::Result<File> {
    // A pipe would be waited for.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    OpenOptions::new().read(true).open(path)
}

/// The first byte that can be told.
fn earliest(size: u64, wanted: &Wanted) -> u64 {
    let cursor = wanted.cursor.filter(|cursor| *cursor <= size).unwrap_or(0);
    cursor.max(size.saturating_sub(wanted.max_bytes.min(MOST_BYTES) as u64))
}

/// The end of a log of which `window` is what comes from byte `start` on. A line begins there, or the byte that is asked for
/// comes later.
pub(super) fn tail(file: String, window: &[u8], start: u64, wanted: &Wanted) -> Tail {
    let size = start + window.len() as u64;
    let reset = wanted.cursor.is_some_and(|cursor| cursor > size);
    let from = wanted.cursor.filter(|cursor| *cursor <= size).unwrap_or(0);
    let earliest = earliest(size, wanted).max(start);
    let at = |offset: u64| usize::try_from(offset.saturating_sub(start)).unwrap_or(window.len());
    let end = window.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let mut first = at(earliest);
    let begins_line = first == 0 || window.get(first - 1) == Some(&b'\n');
    if !begins_line {
        let rest = window.get(first..).unwrap_or_default();
        first = rest.iter().position(|byte| *byte == b'\n').map_or(window.len(), |end| first + end + 1);
    }
    let mut whole: Vec<&[u8]> = match window.get(first..end) {
        Some(b"") | None => Vec::new(),
        Some(bytes) => bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n').collect(),
    };
    let more = whole.len().saturating_sub(wanted.limit.clamp(1, MOST_LINES));
    let left_out: usize = whole.drain(..more).map(|line| line.len() + 1).sum();
    let told_from = (start + (first + left_out) as u64).min(size);
    let skipped = told_from.saturating_sub(from);
    Tail {
        file,
        // What is skipped because it is no whole line is not asked for again.
        cursor: (start + end.max(first) as u64).max(from),
        size,
        lines: whole.into_iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect(),
        truncated: skipped > 0,
        reset,
        skipped_bytes: (skipped > 0 && wanted.cursor.is_some() && !reset).then_some(skipped),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Tail, Wanted, read, tail};

    fn told(log: &str, start: usize, cursor: Option<u64>, limit: usize, max_bytes: usize) -> Tail {
        let wanted = Wanted { cursor, limit, max_bytes };
        tail("log".to_owned(), &log.as_bytes()[start..], start as u64, &wanted)
    }

    #[test]
    fn the_newest_lines_are_told_and_what_was_skipped() {
        let log = "one\ntwo\nthree\n";
        for (cursor, limit, max_bytes, lines, next, truncated, skipped) in [
            (None, 10, 100, vec!["one", "two", "three"], 14, false, None),
            (None, 2, 100, vec!["two", "three"], 14, true, None),
            (None, 10, 7, vec!["three"], 14, true, None),
            (None, 10, 6, vec!["three"], 14, true, None),
            (None, 10, 5, vec![], 14, true, None),
            (Some(0), 10, 100, vec!["one", "two", "three"], 14, false, None),
            (Some(4), 10, 100, vec!["two", "three"], 14, false, None),
            (Some(4), 1, 100, vec!["three"], 14, true, Some(4)),
            (Some(5), 10, 100, vec!["three"], 14, true, Some(3)),
            (Some(14), 10, 100, vec![], 14, false, None),
        ] {
            let told = told(log, 0, cursor, limit, max_bytes);
            let expected: Vec<String> = lines.into_iter().map(str::to_owned).collect();
            assert_eq!(
                (told.lines, told.cursor, told.truncated, told.skipped_bytes, told.reset, told.size),
                (expected, next, truncated, skipped, false, 14),
                "{cursor:?} {limit} {max_bytes}"
            );
        }
    }

    #[test]
    fn a_log_that_was_begun_anew_is_told_from_its_end_and_says_so() {
        let told = told("one\ntwo\n", 0, Some(9), 1, 100);
        assert_eq!(
            (told.lines, told.cursor, told.reset, told.truncated),
            (vec!["two".to_owned()], 8, true, true)
        );
        assert_eq!(told.skipped_bytes, None);
    }

    #[test]
    fn a_line_that_is_being_written_is_told_once_it_is_whole() {
        let first = told("one\ntw", 0, None, 10, 100);
        assert_eq!((first.lines, first.cursor, first.size), (vec!["one".to_owned()], 4, 6));
        let then = told("one\ntwo\n", 0, Some(4), 10, 100);
        assert_eq!((then.lines, then.cursor), (vec!["two".to_owned()], 8));
        assert_eq!(told("on", 0, None, 10, 100).cursor, 0);
    }

    #[test]
    fn a_file_that_is_not_there_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let told = read(&folder.path().join("log"), &Wanted::default()).unwrap();
        assert_eq!((told.lines.len(), told.cursor, told.size, told.reset), (0, 0, 0, false));
        let told =
            read(&folder.path().join("log"), &Wanted { cursor: Some(1), ..Wanted::default() }).unwrap();
        assert!(told.reset);
        assert!(read(folder.path(), &Wanted::default()).is_err());
    }

    proptest! {
        #[test]
        #[expect(clippy::disallowed_methods, reason = "a test sets its stage")]
        fn a_file_and_a_part_of_it_are_told_alike(
            log in "[a\n]{0,60}",
            cursor in prop::option::of(0_u64..70),
            limit in 1_usize..8,
            max_bytes in 1_usize..70,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log");
            std::fs::write(&path, &log).unwrap();
            let wanted = Wanted { cursor, limit, max_bytes };
            let whole = tail(path.display().to_string(), log.as_bytes(), 0, &wanted);
            prop_assert_eq!(read(&path, &wanted).unwrap(), whole.clone());
            prop_assert!(whole.cursor <= whole.size && whole.lines.len() <= limit);
            prop_assert!(whole.lines.iter().map(|line| line.len() + 1).sum::<usize>() <= max_bytes);
        }

        #[test]
        fn whoever_follows_a_log_sees_each_line_once(lines in prop::collection::vec("[a-c]{0,5}", 0..20), parts in prop::collection::vec(1_usize..9, 1..20)) {
            let log: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let (mut seen, mut cursor, mut written) = (Vec::new(), 0, 0);
            for part in parts.into_iter().chain([log.len()]) {
                written = (written + part).min(log.len());
                let told = told(&log[..written], 0, Some(cursor), 100, 1000);
                prop_assert_eq!((told.skipped_bytes, told.reset), (None, false));
                seen.extend(told.lines);
                cursor = told.cursor;
            }
            prop_assert_eq!(seen, lines);
        }
    }
}
