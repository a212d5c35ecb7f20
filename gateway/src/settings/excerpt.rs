//! A place in a file is shown with as much of its line as fits on a screen, however long the line is.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use crate::text::one_line;

/// How many characters of a line are shown before the place.
const BEFORE: usize = 40;

/// How many characters of a line are shown from the place on.
const AFTER: usize = 60;

/// What stands for the part of a line that is not shown.
const ELLIPSIS: &str = "…";

/// A place in a file, with the line that it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The column of the first character that is meant, counted from 1.
    pub column: usize,
    /// The text of that line without its end, or of a long line what is around the place.
    pub text: String,
    /// The bytes of `text` that are meant. Can be empty at its end.
    pub span: Range<usize>,
}

impl Excerpt {
    /// The place `range` in `text`, as far as it is on its first line.
    pub(super) fn new(path: PathBuf, text: &str, range: Range<usize>) -> Self {
        let before = text.get(..range.start).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = text.get(start..).unwrap_or_default();
        let line = line.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let from = (before.len() - start).min(line.len());
        let to = (from + range.len()).min(line.len());
        let to = if line.is_char_boundary(to) { to } else { line.len() };
        let (head, tail) = line.split_at_checked(from).unwrap_or((line, ""));
        let (text, span) = window(head, tail, to - from);
        Self { path, line: before.matches('\n').count() + 1, column: head.chars().count() + 1, text, span }
    }

    /// The path as a part of one line.
    pub(super) fn shown_path(&self) -> String {
        one_line(&self.path.to_string_lossy())
    }

    /// The place as it would be if `text` were the whole line.
    pub(super) fn place_in_text(&self) -> String {
        let before = self.text.get(..self.span.start).unwrap_or_default();
        format!("{}:{}:{}", self.shown_path(), self.line, before.chars().count() + 1)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.shown_path(), self.line, self.column)
    }
}

/// What is shown of the line `head` + `tail`, and where the first `length` bytes of `tail` are in it.
fn window(head: &str, tail: &str, length: usize) -> (String, Range<usize>) {
    let start = head.char_indices().rev().nth(BEFORE - 1).map_or(0, |(start, _)| start);
    let end = tail.char_indices().nth(AFTER).map_or(tail.len(), |(end, _)| end);
    let left = if start > 0 { ELLIPSIS } else { "" };
    let right = if end < tail.len() { ELLIPSIS } else { "" };
    let (head, tail) = (head.get(start..).unwrap_or_default(), tail.get(..end).unwrap_or_default());
    let from = left.len() + head.len();
    (format!("{left}{head}{tail}{right}"), from..from + length.min(end))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::Excerpt;

    fn excerpt(text: &str, range: std::ops::Range<usize>) -> Excerpt {
        Excerpt::new(PathBuf::from("/c"), text, range)
    }

    #[test]
    fn of_a_long_line_only_the_part_around_the_place_is_kept() {
        let text = format!("a\n{}KEY{}\nb", "ä".repeat(1000), "ö".repeat(1000));
        let start = text.find("KEY").unwrap();
        let place = excerpt(&text, start..start + 3);
        assert_eq!(place.text, format!("…{}KEY{}…", "ä".repeat(40), "ö".repeat(57)));
        assert_eq!(place.text.get(place.span.clone()), Some("KEY"));
        assert_eq!(place.to_string(), "/c:2:1001");
    }

    #[test]
    fn a_short_line_is_kept_as_it_is() {
        let place = excerpt("a\n  key: 1\r\nb", 4..7);
        assert_eq!((place.text.as_str(), place.span.clone()), ("  key: 1", 2..5));
        assert_eq!(place.to_string(), "/c:2:3");
    }

    proptest! {
        #[test]
        fn a_place_is_always_inside_a_short_text(text in "[ab\n\räß€]{0,300}", start in 0_usize..300, length in 0_usize..200) {
            let place = excerpt(&text, start..start + length);
            prop_assert!(place.text.chars().count() <= 102);
            prop_assert!(place.text.get(place.span.clone()).is_some(), "{place:?}");
        }
    }
}
