//! An expression of cron(5) is understood whole or not at all, and means minutes of UTC.
//!
//! Five fields: minute, hour, day of the month, month, day of the week. Each is `*`, a number, a range `2-5` or a list of
//! these, and `*` or a range may have a step, `*/15`. Sunday is 0 or 7. Where both days are given, one of them is enough, as
//! it always was in cron.

/// How many days are looked through. 29 February comes eight years after the last one at the latest.
const HORIZON_DAYS: u64 = 8 * 366;
const MINUTES_A_DAY: u64 = 24 * 60;
const MINUTE_MS: u64 = 60_000;
/// The longest that is read, in bytes.
const LONGEST: usize = 256;

/// When a job runs, each set as its bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether a day has to be one of the month and one of the week, because one of these is any.
    is_both: bool,
    text: String,
}

impl Expression {
    /// Reads one; `None`: it is none, or no moment is ever meant.
    pub fn read(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.try_into().ok().filter(|_| text.len() <= LONGEST)?;
        let weekdays = set(weekday, 0, 7)?;
        let expression = Self {
            minutes: set(minute, 0, 59)?,
            hours: set(hour, 0, 23)?,
            days: set(day, 1, 31)?,
            months: set(month, 1, 12)?,
            weekdays: weekdays | weekdays >> 7,
            is_both: day.starts_with('*') || weekday.starts_with('*'),
            text: text.to_owned(),
        };
        expression.next(0)?;
        Some(expression)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first moment after this one, in milliseconds since 1970.
    pub fn next(&self, after_ms: u64) -> Option<u64> {
        let first = after_ms / MINUTE_MS + 1;
        let day = first / MINUTES_A_DAY;
        (day..=day + HORIZON_DAYS)
            .filter(|day| self.means_day(*day))
            .find_map(|day| {
                let begin = day * MINUTES_A_DAY;
                (begin.max(first)..begin + MINUTES_A_DAY).find(|minute| self.means_minute(*minute))
            })?
            .checked_mul(MINUTE_MS)
    }

    /// The last moment that is not after this one.
    pub fn last(&self, at_ms: u64) -> Option<u64> {
        let last = at_ms / MINUTE_MS;
        let day = last / MINUTES_A_DAY;
        let days = (day.saturating_sub(HORIZON_DAYS)..=day).rev().filter(|day| self.means_day(*day));
        let minute = days.into_iter().find_map(|day| {
            let begin = day * MINUTES_A_DAY;
            (begin..=last.min(begin + MINUTES_A_DAY - 1)).rev().find(|minute| self.means_minute(*minute))
        })?;
        Some(minute * MINUTE_MS)
    }

    /// Whether a minute of a day is meant, counted since 1970.
    const fn means_minute(&self, minute: u64) -> bool {
        has(self.minutes, minute % 60) && has(self.hours, minute / 60 % 24)
    }

    /// Whether a day is meant, counted since 1970, which began with a Thursday.
    const fn means_day(&self, day: u64) -> bool {
        let (month, of_month) = month_and_day(day);
        let (by_month, by_week) = (has(self.days, of_month), has(self.weekdays, (day + 4) % 7));
        has(self.months, month) && if self.is_both { by_month && by_week } else { by_month || by_week }
    }
}

const fn has(set: u64, number: u64) -> bool {
    set >> number & 1 == 1
}

/// The numbers of a field, as bits.
fn set(field: &str, least: u64, most: u64) -> Option<u64> {
    let number = |text: &str| {
        let is_plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number| is_plain && (least..=most).contains(number))
    };
    field.split(',').try_fold(0, |set, part| {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let (first, last) = match (range, range.split_once('-')) {
            ("*", _) => (least, most),
            (_, Some((first, last))) => (number(first)?, number(last)?),
            (_, None) => (number(range)?, number(range)?),
        };
        let step: u64 = match step {
            // Of one number there is no step.
            Some(step) if range.contains(['*', '-']) && step.len() <= 2 => step.parse().ok()?,
            Some(_) => return None,
            None => 1,
        };
        if first > last || step == 0 {
            return None;
        }
        Some(
            (first..=last)
                .filter(|number| (number - first) % step == 0)
                .fold(set, |set, number| set | 1 << number),
        )
    })
}

/// The month and its day of a day since 1970: Howard Hinnant's `civil_from_days`.
const fn month_and_day(day: u64) -> (u64, u64) {
    let day_of_era = (day + 719_468) % 146_097;
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    (if month < 10 { month + 3 } else { month - 9 }, day_of_year - (153 * month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::Expression;

    const HOUR_MS: u64 = 3_600_000;
    const DAY_MS: u64 = 24 * HOUR_MS;
    /// 2026-11-23T05:10:30Z, a Monday.
    const NOW_MS: u64 = 1_795_410_630_000;

    #[test]
    fn an_expression_means_the_minutes_of_utc_that_cron_would_run_in() {
        let midnight = NOW_MS - NOW_MS % DAY_MS;
        for (text, next, last) in [
            ("* * * * *", NOW_MS + 30_000, NOW_MS - 30_000),
            ("*/15 * * * *", midnight + 5 * HOUR_MS + 15 * 60_000, midnight + 5 * HOUR_MS),
            ("0 9 * * 1-5", midnight + 9 * HOUR_MS, midnight - 3 * DAY_MS + 9 * HOUR_MS),
            (
                "30 4 * * 7",
                midnight + 6 * DAY_MS + 4 * HOUR_MS + 1_800_000,
                midnight - DAY_MS + 4 * HOUR_MS + 1_800_000,
            ),
            ("0 0 1 12 *", midnight + 8 * DAY_MS, midnight - 357 * DAY_MS),
            // Either day is enough.
            ("0 0 25 * 2", midnight + DAY_MS, midnight - 6 * DAY_MS),
            // 2028-02-29, and 2024-02-29.
            ("0 0 29 2 *", 1_835_395_200_000, 1_709_164_800_000),
            ("1,3-5,50-59/9 0 * * 0,1", midnight + 6 * DAY_MS + 60_000, midnight + 59 * 60_000),
        ] {
            let read = Expression::read(text).unwrap_or_else(|| panic!("{text} is none"));
            assert_eq!((read.next(NOW_MS), read.last(NOW_MS)), (Some(next), Some(last)), "{text}");
            assert_eq!((read.last(next), read.next(last)), (Some(next), Some(next)), "{text}");
        }
    }

    #[test]
    fn what_cron_does_not_know_or_what_never_comes_is_none() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-2 * * * *",
            "*/0 * * * *",
            "5/2 * * * *",
            "-1 * * * *",
            "+1 * * * *",
            "1,, * * * *",
            "a * * * *",
            "@daily",
            "0 0 30 2 *",
            "0 0 31 4,6 *",
            "* * * * MON",
            "*-5 * * * *",
            "* * ? * *",
        ] {
            assert_eq!(Expression::read(text), None, "{text}");
        }
    }
}
