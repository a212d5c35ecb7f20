//! The latest of what has happened to a gateway and its clients, for whoever asks why something went wrong. Never more than fits.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

/// How many are kept.
pub(super) const CAPACITY: usize = 1000;

/// What has happened, in numbered order.
#[derive(Debug, Default)]
pub(super) struct Ring {
    happenings: VecDeque<Happening>,
    /// How many there were at all.
    count: u64,
}

#[derive(Debug)]
struct Happening {
    seq: u64,
    ts: u64,
    kind: &'static str,
    reason: String,
}

impl Ring {
    /// Notes that something has happened.
    pub(super) fn note(&mut self, kind: &'static str, reason: &str, wall_ms: u64) {
        self.count += 1;
        if self.happenings.len() == CAPACITY {
            self.happenings.pop_front();
        }
        let reason = reason[..reason.floor_char_boundary(super::LONGEST_NAME)].to_owned();
        self.happenings.push_back(Happening { seq: self.count, ts: wall_ms, kind, reason });
    }

    /// The latest of one kind, or of all, after some number.
    pub(super) fn tell(&self, limit: usize, kind: Option<&str>, since: u64, wall_ms: u64) -> Value {
        let is_asked = |h: &&Happening| h.seq > since && kind.is_none_or(|kind| kind == h.kind);
        let asked: Vec<&Happening> = self.happenings.iter().filter(is_asked).collect();
        let mut by_kind = BTreeMap::<&str, u64>::new();
        for happening in &asked {
            *by_kind.entry(happening.kind).or_default() += 1;
        }
        let shown = &asked[asked.len().saturating_sub(limit)..];
        let row = |h: &&Happening| match h.reason.as_str() {
            "" => json!({ "seq": h.seq, "ts": h.ts, "type": h.kind }),
            reason => json!({ "seq": h.seq, "ts": h.ts, "type": h.kind, "reason": reason }),
        };
        json!({
            "generatedAt": wall_ms,
            "capacity": CAPACITY,
            "count": asked.len(),
            "dropped": self.count - self.happenings.len() as u64,
            "firstSeq": asked.first().map(|h| h.seq),
            "lastSeq": asked.last().map(|h| h.seq),
            "events": shown.iter().map(row).collect::<Vec<_>>(),
            "summary": { "byType": by_kind },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{CAPACITY, Ring};

    #[test]
    fn what_no_longer_fits_is_counted_and_the_rest_can_be_asked_for_by_kind_and_number() {
        let mut ring = Ring::default();
        for number in 0..CAPACITY as u64 + 5 {
            ring.note(if number % 2 == 0 { "even" } else { "odd" }, "", number);
        }
        let all = ring.tell(3, None, 0, 9);
        assert_eq!((&all["count"], &all["dropped"]), (&CAPACITY.into(), &5.into()));
        assert_eq!((&all["firstSeq"], &all["lastSeq"]), (&6.into(), &(CAPACITY as u64 + 5).into()));
        assert_eq!(all["events"].as_array().map(Vec::len), Some(3));
        let few = ring.tell(1000, Some("odd"), CAPACITY as u64 + 2, 9);
        assert_eq!(few["summary"]["byType"], serde_json::json!({"odd": 1}), "{few}");
    }
}
