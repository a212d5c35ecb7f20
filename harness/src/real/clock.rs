//! Time since a try began, in microseconds. It orders a report and spaces out what is done; nothing is judged by it.

use rustix::event::Timespec;
use rustix::time::{ClockId, clock_gettime};

use crate::target::Day;

/// A stopwatch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    began_us: u64,
}

impl Stopwatch {
    /// Starts one.
    pub(crate) fn start() -> Self {
        Self { began_us: monotonic_us() }
    }

    /// What it shows, in microseconds.
    pub(crate) fn now_us(self) -> u64 {
        monotonic_us().saturating_sub(self.began_us)
    }
}

fn monotonic_us() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // The monotonic clock counts from boot and is never negative.
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1_000)
}

/// Today, in UTC. Nothing that is seen of a gateway is judged by it.
pub(super) fn today() -> Day {
    Day::of(clock_gettime(ClockId::Realtime).tv_sec)
}

/// A duration as the kernel wants it.
pub(crate) fn timespec(microseconds: u64) -> Timespec {
    // Whoever waits for longer than the type can say waits for ever.
    let seconds = i64::try_from(microseconds / 1_000_000).unwrap_or(i64::MAX);
    let nanoseconds = i64::try_from(microseconds % 1_000_000 * 1_000).unwrap_or_default();
    Timespec { tv_sec: seconds, tv_nsec: nanoseconds }
}
