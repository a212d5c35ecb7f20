//! What a target is matched by: patterns over lines, globs over names of cases, and days until which something is known.

use std::fmt;

use regex_lite::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A regular expression that is looked for anywhere in a line. It takes linear time, whatever it is.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in one line.
    pub fn new(text: &str) -> Result<Self, String> {
        Regex::new(text).map(Self).map_err(|error| {
            let words = error.to_string();
            let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            last.trim().trim_start_matches("error: ").to_owned()
        })
    }

    /// Whether it occurs in a line.
    pub fn is_in(&self, line: &str) -> bool {
        self.0.is_match(line)
    }

    /// The number that the group `pid` holds, if it occurs and has such a group.
    pub fn pid(&self, line: &str) -> Option<u32> {
        self.0.captures(line)?.name("pid")?.as_str().parse().ok()
    }

    /// What a group holds, if the pattern occurs and the group took part.
    pub fn group<'l>(&self, line: &'l str, name: &str) -> Option<&'l str> {
        self.0.captures(line)?.name(name).map(|found| found.as_str())
    }

    /// The names of its groups.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.0.capture_names().flatten()
    }

    /// Whether it has a group of that name.
    pub fn has_group(&self, name: &str) -> bool {
        self.0.capture_names().flatten().any(|group| group == name)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A name in which `*` stands for anything and `?` for one character. Brackets mean themselves, as in ids of cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glob {
    text: String,
    pattern: Pattern,
}

impl Glob {
    /// Reads one. Everything is a glob.
    pub fn new(text: &str) -> Self {
        let escaped = regex_lite::escape(text).replace(r"\*", ".*").replace(r"\?", ".");
        let pattern = Pattern::new(&format!("^(?s:{escaped})$"));
        let Ok(pattern) = pattern else { unreachable!("what was escaped is a pattern") };
        Self { text: text.to_owned(), pattern }
    }

    /// Whether a name is meant.
    pub fn admits(&self, name: &str) -> bool {
        self.pattern.is_in(name)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A day of the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Day {
    /// The year.
    pub year: i64,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, 1 to 31.
    pub day: u8,
}

impl Day {
    /// The day of a moment, in seconds after the beginning of 1970.
    ///
    /// The years are counted from March, so that a leap day is the last of its year (Hinnant, `civil_from_days`).
    pub fn of(seconds: i64) -> Self {
        let days = seconds.div_euclid(86_400) + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let small = |number: i64| u8::try_from(number).unwrap_or_default();
        Self { year, month: small(month), day: small(of_year - (153 * shifted + 2) / 5 + 1) }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day } = self;
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Day, Glob, Pattern};

    #[test]
    fn a_glob_means_whole_names_and_brackets_mean_themselves() {
        for (glob, name, admits) in [
            ("port/*", "port/foreign-holder", true),
            ("port/*", "report/x", false),
            ("*", "any/thing[at,all]", true),
            ("pid/recycled[c?on]", "pid/recycled[cron]", true),
            ("pid/recycled[cron]", "pid/recycledc", false),
            ("a.b", "axb", false),
        ] {
            assert_eq!(Glob::new(glob).admits(name), admits, "{glob} {name}");
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (4_107_542_399, "2100-02-28"),
            (4_107_542_400, "2100-03-01"),
            (-1, "1969-12-31"),
        ] {
            assert_eq!(Day::of(seconds).to_string(), day);
        }
    }

    #[test]
    fn a_pattern_says_which_pid_it_found_and_what_is_wrong_with_it() {
        let pattern = Pattern::new(r"running \(pid (?<pid>\d+)\)").unwrap();
        assert_eq!(pattern.pid("already running (pid 42); give up"), Some(42));
        assert_eq!(pattern.pid("already running (pid 99999999999)"), None);
        assert!(pattern.has_group("pid") && !pattern.has_group("port"));
        assert_eq!(Pattern::new("a(b").unwrap_err(), "found open group without closing ')'");
    }
}
