//! A line that is whole or is none: what a crash, a full disk or a loss of power has torn is told apart by its checksum.
//!
//! A line is eight hexadecimal digits, a blank, a text without line breaks, and a line break. The digits are the CRC-32 of
//! the text (that of IEEE 802.3, as in gzip). A torn line hides only itself: the next one begins after the next break.

/// The polynomial of CRC-32, the lowest bit first.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// Digits of the checksum and the blank after them.
const PREFIX: usize = 9;

/// A text as a line.
pub(super) fn framed(text: &[u8]) -> Vec<u8> {
    let mut line = format!("{:08x} ", crc32(text)).into_bytes();
    line.extend_from_slice(text);
    line.push(b'\n');
    line
}

/// The text of a line, which is given without its break; `None` if it is torn.
pub(super) fn unframed(line: &[u8]) -> Option<&[u8]> {
    let (prefix, text) = line.split_at_checked(PREFIX)?;
    (*prefix == *format!("{:08x} ", crc32(text)).as_bytes()).then_some(text)
}

/// The text of the line that some bytes begin with; `None` if it is torn or has no end.
pub(super) fn first(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    unframed(&bytes[..end])
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            let carry = crc & 1;
            (crc >> 1) ^ (POLYNOMIAL * carry)
        })
    })
}

/// Lines that arrive in pieces.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
    /// The present line is longer than any that was written here, and is skipped to its end.
    skips: bool,
}

impl Lines {
    /// Takes a piece, and hands out the text of each line that is whole. Keeps at most `longest` bytes.
    pub(super) fn take(&mut self, piece: &[u8], longest: usize, mut each: impl FnMut(&[u8])) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let (part, ends) = match part.strip_suffix(b"\n") {
                Some(part) => (part, true),
                None => (part, false),
            };
            self.skips |= self.rest.len() + part.len() > longest;
            if self.skips {
                self.rest.clear();
            } else {
                self.rest.extend_from_slice(part);
            }
            if ends {
                if let Some(text) = unframed(&self.rest) {
                    each(text);
                }
                self.rest.clear();
                self.skips = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Lines, crc32, first, framed, unframed};

    #[test]
    fn the_checksum_is_that_of_gzip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(framed(b"{}"), b"a3a6bf43 {}\n");
    }

    #[test]
    fn a_line_that_lost_its_end_its_beginning_or_a_byte_is_none() {
        let line = framed(b"{\"event\":\"ready\"}");
        let whole = &line[..line.len() - 1];
        assert_eq!(unframed(whole), Some(&b"{\"event\":\"ready\"}"[..]));
        for end in 0..whole.len() {
            assert_eq!(unframed(&whole[..end]), None, "cut after {end}");
        }
        let mut zeroed = whole.to_vec();
        zeroed[12] = 0;
        assert_eq!(unframed(&zeroed), None);
        assert_eq!(first(whole), None, "it has no end");
        assert_eq!(first(&line), Some(&b"{\"event\":\"ready\"}"[..]));
    }

    #[test]
    fn a_line_that_is_too_long_hides_itself_alone() {
        let bytes = [framed(b"one"), framed(&[b'x'; 100]), framed(b"two")].concat();
        for size in [1, 7, 200] {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for piece in bytes.chunks(size) {
                lines.take(piece, 50, |text| seen.push(text.to_vec()));
            }
            assert_eq!(seen, [b"one", b"two"], "in pieces of {size}");
        }
    }

    proptest! {
        #[test]
        fn lines_survive_what_is_torn_between_them(
            texts in proptest::collection::vec("[a-z]{0,8}", 1..6),
            torn in "[a-z ]{0,20}",
            size in 1_usize..9,
        ) {
            let mut bytes = Vec::new();
            for text in &texts {
                bytes.extend(framed(text.as_bytes()));
                bytes.extend(torn.as_bytes());
                bytes.push(b'\n');
            }
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for piece in bytes.chunks(size) {
                lines.take(piece, 64, |text| seen.push(String::from_utf8_lossy(text).into_owned()));
            }
            prop_assert_eq!(seen, texts);
        }
    }
}
