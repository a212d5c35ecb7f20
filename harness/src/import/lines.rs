//! Reads a log line by line, however large it is and whatever is in it.
//!
//! A line that is too long is counted and skipped, and so is what is no text: neither is kept, and neither ends the reading.
//!
//! # Invariants
//!
//! - At most [`LONGEST`] bytes of a log are held at a time.

use std::io::{self, BufRead};

/// The longest line that is read, in bytes. A refusal of `refgate` with all its evidence has some two thousand.
pub const LONGEST: usize = 64 * 1024;

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line of text, without its end.
    Text(String),
    /// More bytes than [`LONGEST`].
    TooLong,
    /// No UTF-8.
    NotText,
}

/// The lines of a log.
pub(super) struct Lines<R> {
    log: R,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Begins to read.
    pub(super) fn new(log: R) -> Self {
        Self { log, buffer: Vec::new() }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    ///
    /// What the reader says.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line>> {
        self.buffer.clear();
        let mut is_too_long = false;
        let mut has_any = false;
        loop {
            let bytes = self.log.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            has_any = true;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(bytes.len());
            if self.buffer.len() + taken > LONGEST {
                is_too_long = true;
                self.buffer.clear();
            } else if !is_too_long {
                self.buffer.extend_from_slice(&bytes[..taken]);
            }
            let consumed = taken + usize::from(end.is_some());
            self.log.consume(consumed);
            if end.is_some() {
                break;
            }
        }
        if !has_any {
            return Ok(None);
        }
        if is_too_long {
            return Ok(Some(Line::TooLong));
        }
        if self.buffer.last() == Some(&b'\r') {
            self.buffer.pop();
        }
        Ok(Some(match std::str::from_utf8(&self.buffer) {
            Ok(text) => Line::Text(text.to_owned()),
            Err(_) => Line::NotText,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::{LONGEST, Line, Lines};

    fn lines(bytes: &[u8]) -> Vec<Line> {
        let mut lines = Lines::new(BufReader::with_capacity(7, Cursor::new(bytes.to_vec())));
        std::iter::from_fn(|| lines.next_line().unwrap()).collect()
    }

    #[test]
    fn lines_end_where_they_end_and_the_last_one_needs_no_end() {
        let text = |text: &str| Line::Text(text.to_owned());
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"\n"), [text("")]);
        assert_eq!(lines(b"one\r\n\ntwo"), [text("one"), text(""), text("two")]);
        assert_eq!(lines(b"a\xff\nb\n"), [Line::NotText, text("b")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_one_is_read() {
        let longest = "x".repeat(LONGEST);
        let log = format!("{longest}\n{longest}x\nlast");
        assert_eq!(
            lines(log.as_bytes()),
            [Line::Text(longest), Line::TooLong, Line::Text("last".to_owned())]
        );
    }
}
