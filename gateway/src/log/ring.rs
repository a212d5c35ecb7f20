//! The end of a log in memory, so that whoever asks for it waits for no disk. It is that of the file, byte for byte, as long
//! as the file can be written.

use super::tail::{Tail, Wanted, tail};

/// How much is kept, in bytes.
const KEPT: usize = 2 * 1024 * 1024;
/// How much more there can be before what is older is dropped.
const SLACK: usize = KEPT / 4;

/// The last lines of a log.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// Where in the log the first of these bytes is. A line begins there.
    start: u64,
    bytes: Vec<u8>,
}

impl Ring {
    /// A log of which this is what comes from byte `start` on.
    pub(super) fn new(start: u64, bytes: Vec<u8>) -> Self {
        let mut ring = Self { start, bytes };
        if start > 0 {
            // What comes first may be the rest of a line.
            ring.drop_to_line(0);
        }
        ring.shrink();
        ring
    }

    /// How much is read of a file that is there.
    pub(super) const fn most() -> u64 {
        KEPT as u64
    }

    /// How long the log is.
    pub(super) const fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// One more line, with its end.
    pub(super) fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.shrink();
    }

    /// The end of it.
    pub(super) fn tail(&self, file: String, wanted: &Wanted) -> Tail {
        tail(file, &self.bytes, self.start, wanted)
    }

    fn shrink(&mut self) {
        if self.bytes.len() > KEPT + SLACK {
            self.drop_to_line(self.bytes.len() - KEPT);
        }
    }

    /// Drops so many bytes, and what is left of the line.
    fn drop_to_line(&mut self, least: usize) {
        let rest = self.bytes.get(least..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(self.bytes.len(), |end| least + end + 1);
        self.bytes.drain(..end);
        self.start += end as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Ring, SLACK};
    use crate::log::tail::Wanted;

    #[test]
    fn what_is_older_is_dropped_line_by_line_and_what_is_told_of_the_rest_stays_the_same() {
        let mut ring = Ring::default();
        let mut all = Vec::new();
        let mut number = 0_u32;
        while all.len() < 2 * KEPT {
            let line = format!("{number:099}\n");
            ring.push(line.as_bytes());
            all.extend_from_slice(line.as_bytes());
            number += 1;
            assert!(ring.bytes.len() <= KEPT + SLACK);
        }
        assert_eq!((ring.end(), ring.start % 100), (all.len() as u64, 0));
        let wanted = Wanted { cursor: Some(all.len() as u64 - 500), ..Wanted::default() };
        let told = ring.tail("log".to_owned(), &wanted);
        assert_eq!((told.lines.len(), told.skipped_bytes), (5, None));
        let told =
            ring.tail("log".to_owned(), &Wanted { cursor: Some(50), limit: 5000, max_bytes: 1_000_000 });
        assert_eq!(told.lines.len(), 5000);
        assert_eq!(told.skipped_bytes, Some(all.len() as u64 - 500_000 - 50));
    }

    #[test]
    fn a_ring_that_begins_inside_a_line_begins_with_the_next() {
        let ring = Ring::new(7, b"ne\ntwo\n".to_vec());
        assert_eq!((ring.start, ring.end()), (10, 14));
        assert_eq!(Ring::new(0, b"one\n".to_vec()).start, 0);
        assert_eq!(Ring::new(7, b"ne".to_vec()).end(), 9);
    }
}
