//! What was seen during a try, in order, for the report of a failure. Bounded: a gateway that never stops talking is cut.

/// At most so many lines are kept.
const LINES: usize = 1_000;
/// At most so many characters of a line are kept.
const LINE_CHARACTERS: usize = 400;

/// Who did what when.
#[derive(Debug, Default)]
pub(super) struct Record {
    entries: Vec<Entry>,
    dropped: usize,
}

#[derive(Debug)]
struct Entry {
    at_us: u64,
    lane: String,
    event: String,
}

impl Record {
    /// Adds a line.
    pub(super) fn add(&mut self, at_us: u64, lane: &str, event: &str) {
        if self.entries.len() == LINES {
            self.dropped += 1;
            return;
        }
        let safe = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        let event = event.chars().take(LINE_CHARACTERS).map(safe).collect();
        self.entries.push(Entry { at_us, lane: lane.to_owned(), event });
    }

    /// The lines, times in milliseconds after the start of the try.
    pub(super) fn lines(&self) -> Vec<String> {
        let width = self.entries.iter().map(|entry| entry.lane.chars().count()).max().unwrap_or_default();
        let mut lines: Vec<String> = self
            .entries
            .iter()
            .map(|Entry { at_us, lane, event }| {
                let (whole, tenths) = (at_us / 1_000, at_us % 1_000 / 100);
                format!("{whole:>6}.{tenths} ms  {lane:<width$}  {event}")
            })
            .collect();
        if self.dropped > 0 {
            lines.push(format!("and {} more", self.dropped));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::Record;

    #[test]
    fn lanes_are_aligned_and_control_characters_are_harmless() {
        let mut record = Record::default();
        record.add(0, "step", "start a");
        record.add(1_234_567, "a", "says \u{1b}[2J");
        assert_eq!(record.lines(), ["     0.0 ms  step  start a", "  1234.5 ms  a     says \u{fffd}[2J"]);
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let mut record = Record::default();
        for _ in 0..1_003 {
            record.add(0, "a", "x");
        }
        assert_eq!(record.lines().len(), 1_001);
        assert_eq!(record.lines()[1_000], "and 3 more");
    }
}
