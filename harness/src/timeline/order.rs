//! What of a timeline must come before what: a partial order, as one count of each log for each event.
//!
//! A log is a total order, so how far a schedule has come is one number for each log.

use crate::scenario::{Seen, Timeline};

/// The order of a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The events of each log, by their places in the timeline.
    logs: Vec<Vec<usize>>,
    /// Where each event stands: its log, and how many come before it there.
    places: Vec<(usize, u16)>,
    /// How many events of each log come before each event.
    needs: Vec<Vec<u16>>,
}

impl Order {
    /// The order of a timeline, whose events are each of a gateway in one of its logs.
    pub fn of(timeline: &Timeline) -> Self {
        let seen: Vec<&Seen> = timeline.events.iter().map(|located| &located.value).collect();
        Self::from_logs(&timeline.logs, &seen, timeline.skew_us)
    }

    /// The same from its parts.
    pub(crate) fn from_logs(names: &[Vec<String>], events: &[&Seen], skew_us: u64) -> Self {
        let log_of = |seen: &Seen| names.iter().position(|log| log.contains(&seen.who)).unwrap_or_default();
        let mut logs = vec![Vec::new(); names.len().max(1)];
        let mut places = Vec::new();
        for (index, seen) in events.iter().enumerate() {
            let log = log_of(seen);
            places.push((log, small(logs[log].len())));
            logs[log].push(index);
        }
        let before = |index: usize, log: usize| {
            let (own, place) = places[index];
            if own == log {
                return place;
            }
            let Some(at_us) = events[index].at_us else { return 0 };
            let precedes = |other: &usize| {
                events[*other].at_us.is_some_and(|earlier| earlier.saturating_add(skew_us) < at_us)
            };
            let last = logs[log].iter().rposition(precedes);
            last.map_or(0, |place| small(place + 1))
        };
        let needs =
            (0..events.len()).map(|index| (0..logs.len()).map(|log| before(index, log)).collect()).collect();
        Self { logs, places, needs }
    }

    /// How many logs there are.
    pub fn logs(&self) -> usize {
        self.logs.len()
    }

    /// The log of an event, and its place there.
    pub fn place(&self, event: usize) -> (usize, u16) {
        self.places[event]
    }

    /// The event that comes next in a log of which so many were seen.
    pub fn next(&self, log: usize, done: u16) -> Option<usize> {
        self.logs[log].get(usize::from(done)).copied()
    }

    /// Whether everything has been seen that comes before an event, and it has not.
    pub fn is_due(&self, event: usize, done: &[u16]) -> bool {
        let (log, place) = self.places[event];
        done[log] == place && self.needs[event].iter().zip(done).all(|(need, done)| need <= done)
    }

    /// Whether an event was seen.
    pub fn is_done(&self, event: usize, done: &[u16]) -> bool {
        let (log, place) = self.places[event];
        done[log] > place
    }

    /// How far each log is when everything was seen.
    pub fn whole(&self) -> Vec<u16> {
        self.logs.iter().map(|log| small(log.len())).collect()
    }

    /// How many events of each log must come before an event.
    pub fn before(&self, event: usize) -> Vec<u16> {
        let mut reached = self.needs[event].clone();
        loop {
            let latest = (0..self.logs.len()).filter_map(|log| self.next(log, reached[log].checked_sub(1)?));
            let mut further = reached.clone();
            latest.for_each(|event| raise(&mut further, &self.needs[event]));
            if further == reached {
                return reached;
            }
            reached = further;
        }
    }

    /// Whether one event must come before another.
    pub fn precedes(&self, one: usize, other: usize) -> bool {
        one != other && self.is_done(one, &self.before(other))
    }
}

/// Raises each number to that of another list.
fn raise(numbers: &mut [u16], to: &[u16]) {
    for (number, least) in numbers.iter_mut().zip(to) {
        *number = (*number).max(*least);
    }
}

/// The parser admits fewer events than that.
fn small(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::Order;
    use crate::scenario::{Happening, Seen};

    fn seen(who: &str, at_us: Option<u64>) -> Seen {
        Seen { who: who.to_owned(), what: Happening::Ready, names: None, at_us }
    }

    #[test]
    fn events_of_two_logs_are_ordered_only_if_they_differ_by_more_than_the_clocks_may() {
        let events = [
            seen("a", Some(0)),
            seen("b", Some(10)),
            seen("a", Some(20)),
            seen("b", Some(21)),
            seen("c", None),
        ];
        let events: Vec<&Seen> = events.iter().collect();
        let logs = ["a", "b", "c"].map(|name| vec![name.to_owned()]);
        let order = Order::from_logs(&logs, &events, 9);
        let pairs: Vec<(usize, usize)> = (0..5)
            .flat_map(|one| (0..5).map(move |other| (one, other)))
            .filter(|(one, other)| order.precedes(*one, *other))
            .collect();
        assert_eq!(pairs, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)]);
        assert!(order.is_due(0, &[0, 0, 0]) && order.is_due(4, &[0, 0, 0]));
        assert!(!order.is_due(1, &[0, 0, 0]) && order.is_due(1, &[1, 0, 0]));
        assert_eq!(order.whole(), [2, 2, 1]);
    }

    #[test]
    fn what_comes_before_what_comes_before_comes_before() {
        let events =
            [seen("a", Some(0)), seen("b", Some(10)), seen("b", None), seen("c", None), seen("c", Some(30))];
        let events: Vec<&Seen> = events.iter().collect();
        let logs = ["a", "b", "c"].map(|name| vec![name.to_owned()]);
        let order = Order::from_logs(&logs, &events, 0);
        assert!(order.precedes(0, 2), "by the first line of b");
        assert!(order.precedes(1, 4) && !order.precedes(2, 4) && !order.precedes(0, 3));
    }
}
