//! When a line was written, as logs write it: RFC 3339 with or without a zone, or seconds or milliseconds after 1970.
//!
//! Whole microseconds; what is no time is `None`, whatever it is.

/// Microseconds after the beginning of 1970, in UTC.
pub(super) type Micros = i64;

/// The last moment that is believed: the end of the year 9999.
const LAST: Micros = 253_402_300_800_000_000;

/// Reads a time. Without a zone it is taken as UTC.
pub(super) fn parse(text: &str) -> Option<Micros> {
    let text = text.trim();
    let micros = if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        since_1970(text)
    } else {
        date_and_time(text)
    };
    micros.filter(|micros| (0..LAST).contains(micros))
}

/// Seconds with a fraction, or, if there are thirteen digits or more, milliseconds or microseconds.
fn since_1970(text: &str) -> Option<Micros> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number: Micros = whole.parse().ok()?;
    match whole.len() {
        0..=11 => number.checked_mul(1_000_000)?.checked_add(micros_of(fraction)?),
        12..=14 if fraction.is_empty() => number.checked_mul(1_000),
        15..=17 if fraction.is_empty() => Some(number),
        _ => None,
    }
}

/// The digits behind a decimal point, as microseconds; more than six are cut.
fn micros_of(fraction: &str) -> Option<Micros> {
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let six: String = fraction.chars().chain("000000".chars()).take(6).collect();
    six.parse().ok()
}

fn date_and_time(text: &str) -> Option<Micros> {
    let date = text.get(..10)?;
    let rest = text.get(10..)?;
    let rest = rest.strip_prefix(['T', 't', ' ', '_'])?;
    let (year, month, day) = (number(date, 0..4)?, number(date, 5..7)?, number(date, 8..10)?);
    let is_date = date.get(4..5) == Some("-") && date.get(7..8) == Some("-");
    if !is_date || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let (hour, minute, second) = (number(rest, 0..2)?, number(rest, 3..5)?, number(rest, 6..8)?);
    let is_time = rest.get(2..3) == Some(":") && rest.get(5..6) == Some(":");
    // A leap second is the first moment of the next minute.
    if !is_time || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = rest.get(8..)?;
    let (fraction, zone) = match rest.strip_prefix(['.', ',']) {
        Some(rest) => {
            rest.split_at(rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len()))
        }
        None => ("0", rest),
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some((seconds - zone_seconds(zone)?) * 1_000_000 + micros_of(fraction)?)
}

/// How far a zone is ahead of UTC, in seconds.
fn zone_seconds(zone: &str) -> Option<i64> {
    if zone.is_empty() || zone == "Z" || zone == "z" {
        return Some(0);
    }
    let sign = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let digits: String = zone.get(1..)?.chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = match digits.len() {
        2 => (number(&digits, 0..2)?, 0),
        4 => (number(&digits, 0..2)?, number(&digits, 2..4)?),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn number(text: &str, at: std::ops::Range<usize>) -> Option<i64> {
    let digits = text.get(at)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Years are counted from March, so that a leap day is the last of its year (Hinnant, `days_from_civil`).
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_forms_that_logs_use_mean_one_moment() {
        let moment = Some(951_827_696_123_456);
        for text in [
            "2000-02-29T12:34:56.123456Z",
            "2000-02-29 12:34:56,123456",
            "2000-02-29T14:34:56.1234567+02:00",
            "2000-02-29T07:34:56.123456-0500",
            "951827696.123456",
            "951827696123456",
        ] {
            assert_eq!(parse(text), moment, "{text}");
        }
        assert_eq!(parse("951827696"), Some(951_827_696_000_000));
        assert_eq!(parse("951827696123"), Some(951_827_696_123_000));
        assert_eq!(parse("1970-01-01T00:00:00Z"), Some(0));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            ".",
            "now",
            "2000-02-30T00:00:00Z",
            "2000-13-01T00:00:00Z",
            "2000-01-01",
            "2000-01-01T24:00:00Z",
            "2000-01-01T00:61:00Z",
            "2000-01-01T00:00:00X",
            "1969-12-31T23:59:59Z",
            "9999999999999999999999",
            "1.2.3",
            "2000-01-01T00:00:00.5+1",
            "日本日本日本",
            "2000-01-01T00:00:00+99:00",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_numbers_make_it_panic(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.,Z+-]{0,20}") {
            let _ = parse(&text);
        }
    }
}
