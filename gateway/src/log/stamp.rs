//! When a line was said: so that the logs of several gateways can be put into one order afterwards.
//!
//! The wall clock is read by an owner, or once a refusal is final; what a gateway does never depends on it. How long a
//! process has lived is told by a clock that nobody can set.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment in the life of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// After the beginning of 1970, in UTC.
    pub(super) at: Duration,
    /// After the beginning of this process.
    pub(super) uptime: Duration,
}

impl Stamp {
    /// This moment, for a process that began then.
    pub(super) fn now(began: Instant) -> Self {
        Self { at: wall(), uptime: began.elapsed() }
    }

    /// The wall clock as in RFC 3339, with microseconds.
    pub(super) fn at_text(&self) -> String {
        let seconds = self.at.as_secs();
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = day_of(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let micros = self.at.subsec_micros();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }

    /// How long the process has lived, in microseconds.
    pub(super) fn uptime_us(&self) -> u64 {
        u64::try_from(self.uptime.as_micros()).unwrap_or(u64::MAX)
    }
}

/// This moment, after the beginning of 1970, in UTC.
#[expect(
    clippy::disallowed_methods,
    reason = "a log line says when it was written; nothing is decided by it"
)]
pub(super) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// When this process began, as far as its log is concerned.
#[expect(
    clippy::disallowed_methods,
    reason = "a log line says how old its process is; nothing is decided by it"
)]
pub(super) fn begin() -> Instant {
    Instant::now()
}

/// When this process began, in clock ticks after boot, if the kernel tells.
#[expect(
    clippy::disallowed_methods,
    reason = "a log line says which process wrote it; nothing is decided by it"
)]
pub(super) fn start_tick() -> Option<u64> {
    start_tick_in(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// The 22nd field of a line as in proc_pid_stat(5). The name of the program, the second, may hold blanks and brackets.
fn start_tick_in(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The date of a day, counted from the beginning of 1970. Years are counted from March, so that a leap day is the last of
/// its year (Hinnant, `civil_from_days`).
fn day_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Stamp, start_tick_in};

    #[test]
    fn the_tick_of_a_start_is_the_22nd_field_whatever_the_program_is_called() {
        let fields = (3..=52).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
        for name in ["refgate", "a) b (c", ""] {
            assert_eq!(start_tick_in(&format!("7 ({name}) {fields}\n")), Some(22), "{name}");
        }
        for wrong in ["", "7 (refgate", "7 (refgate) S 1"] {
            assert_eq!(start_tick_in(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_moment_is_told_as_in_rfc_3339() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_827_696_000_007, "2000-02-29T12:34:56.000007Z"),
            (4_107_542_399_999_999, "2100-02-28T23:59:59.999999Z"),
        ] {
            let stamp = Stamp { at: Duration::from_micros(micros), uptime: Duration::ZERO };
            assert_eq!(stamp.at_text(), text);
        }
    }
}
