//! The jobs of `cron.jobs`: what is to run and when, read strictly, because a job that was misread runs at the wrong time.

use std::ops::Range;

use super::config::Reader;
use super::expression::Expression;
use super::scan::Member;
use super::{Excerpt, Problem};
use crate::text::brief;

/// At most so many jobs.
const MOST_JOBS: usize = 64;
/// The shortest period, in milliseconds.
const SHORTEST_MS: u64 = 1_000;
/// The longest: 366 days.
const LONGEST_MS: u64 = 366 * 86_400_000;
/// The longest text of a job, in bytes.
const LONGEST_TEXT: usize = 4096;

const KEYS: [&str; 7] = ["at", "enabled", "everyMs", "id", "message", "name", "schedule"];

/// Something that is to be done at certain times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronJob {
    /// Its name for programs: at most 64 letters, digits, `_` and `-`.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Whether it runs by itself.
    pub enabled: bool,
    /// When.
    pub schedule: Schedule,
    /// What the agent is told.
    pub message: String,
}

/// When a job runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At each multiple of so many milliseconds since 1970. Never 0.
    Every(u64),
    /// Once.
    At {
        /// In milliseconds since 1970.
        at_ms: u64,
        /// As it was written.
        text: String,
    },
    /// In the minutes of UTC that an expression means.
    Cron(Expression),
}

impl Reader<'_> {
    /// `cron.jobs`.
    pub(super) fn cron(&mut self, top: &[Member]) -> Vec<CronJob> {
        let Some(cron) = self.object(top, "cron", "`cron`") else { return Vec::new() };
        let Some(list) = self.only_one(&cron, "jobs").map(|list| list.value.clone()) else {
            return Vec::new();
        };
        let mut jobs: Vec<CronJob> = Vec::new();
        for (index, value) in self.elements(&list, "`cron.jobs`").into_iter().enumerate() {
            if index >= MOST_JOBS {
                self.wrong(&value, "`cron.jobs`", "a list of at most 64 jobs", "a longer one");
                return jobs;
            }
            let Some(job) = self.job(&value) else { continue };
            if jobs.iter().any(|other| other.id == job.id) {
                self.wrong(&value, "`id` of a job", "an id of its own", "one that another job has");
                continue;
            }
            jobs.push(job);
        }
        jobs
    }

    fn job(&mut self, value: &Range<usize>) -> Option<CronJob> {
        let members = self.members_of(value, "a job in `cron.jobs`")?;
        for member in &members {
            let Some(key) = self.name(member).filter(|key| !KEYS.contains(&key.as_str())) else { continue };
            let at = self.excerpt(&member.key);
            let choices = "\"id\", \"name\", \"enabled\", \"everyMs\", \"at\", \"schedule\" or \"message\"";
            let what = "a key of a job in `cron.jobs`";
            self.problems.push(Problem::Choice {
                at,
                what: what.into(),
                value: brief(&key),
                choices: choices.into(),
            });
        }
        let id = self.words(&members, "id", "`id` of a job");
        let is_id = |id: &str| {
            (1..=64).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        let id = match id {
            Some((id, at)) if !is_id(&id) => {
                let expected = "1 to 64 letters, digits, `_` or `-`";
                let (what, found) = ("`id` of a job", "another text");
                self.problems.push(Problem::WrongType { at, what: what.into(), expected, found });
                None
            }
            Some((id, _)) => Some(id),
            None => {
                self.wrong(value, "a job in `cron.jobs`", "an object with an `id`", "one without");
                None
            }
        };
        let schedule = self.schedule(value, &members);
        let enabled = match self.only_one(&members, "enabled").map(|member| member.value.clone()) {
            Some(value) => self.truth(&value)?,
            None => true,
        };
        let message = self.words(&members, "message", "`message` of a job").map(|(text, _)| text);
        let name = self.words(&members, "name", "`name` of a job").map(|(text, _)| text);
        let (id, schedule) = (id?, schedule?);
        let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| id.clone());
        let message = message.filter(|message| !message.is_empty()).unwrap_or_else(|| name.clone());
        Some(CronJob { id, name, enabled, schedule, message })
    }

    fn words(&mut self, members: &[Member], key: &str, what: &'static str) -> Option<(String, Excerpt)> {
        let value = self.only_one(members, key)?.value.clone();
        let text = self.string(&value, what)?;
        if text.len() > LONGEST_TEXT {
            self.wrong(&value, what, "a text of at most 4096 bytes", "a longer one");
            return None;
        }
        Some((text, self.excerpt(&value)))
    }

    fn truth(&mut self, value: &Range<usize>) -> Option<bool> {
        let truth = json5::from_str(self.source(value)).ok();
        if truth.is_none() {
            self.wrong(value, "`enabled` of a job", "true or false", "another value");
        }
        truth
    }

    fn schedule(&mut self, job: &Range<usize>, members: &[Member]) -> Option<Schedule> {
        let every = self.only_one(members, "everyMs").map(|member| member.value.clone());
        let at = self.only_one(members, "at").map(|member| member.value.clone());
        let cron = self.only_one(members, "schedule").map(|member| member.value.clone());
        match (every, at, cron) {
            (Some(every), None, None) => {
                // JSON5 has one kind of number.
                let number = json5::from_str::<f64>(self.source(&every)).ok();
                let whole = number.filter(|number| number.fract() == 0.0 && *number >= 0.0);
                let every_ms = whole.map(|number| number as u64);
                let every_ms = every_ms.filter(|every_ms| (SHORTEST_MS..=LONGEST_MS).contains(every_ms));
                if every_ms.is_none() {
                    let expected = "a whole number from 1000 to 31622400000";
                    self.wrong(&every, "`everyMs` of a job", expected, "another value");
                }
                every_ms.map(Schedule::Every)
            }
            (None, Some(at), None) => {
                let text = self.string(&at, "`at` of a job")?;
                let at_ms = moment(&text);
                if at_ms.is_none() {
                    let expected = "a moment such as \"2026-12-31T23:59:00Z\"";
                    self.wrong(&at, "`at` of a job", expected, "another text");
                }
                Some(Schedule::At { at_ms: at_ms?, text })
            }
            (None, None, Some(cron)) => self.expression(&cron),
            (None, None, None) => {
                let expected = "one with `everyMs`, `at` or `schedule`";
                self.wrong(job, "a job in `cron.jobs`", expected, "one with none of them");
                None
            }
            (_, _, _) => {
                let expected = "one with `everyMs`, `at` or `schedule`";
                self.wrong(job, "a job in `cron.jobs`", expected, "one with several of them");
                None
            }
        }
    }

    /// `schedule` of a job: the form that `OpenClaw` keeps its jobs in.
    fn expression(&mut self, value: &Range<usize>) -> Option<Schedule> {
        let what = "`schedule` of a job";
        let members = self.members_of(value, what)?;
        let keys: Vec<_> = members.iter().filter_map(|member| self.name(member)).collect();
        let mut text = |key: &str| Some(self.words(&members, key, what)?.0);
        let (kind, expr, tz) = (text("kind"), text("expr"), text("tz"));
        let is_known = keys.iter().all(|key| ["kind", "expr", "tz"].contains(&key.as_str()));
        let is_utc = tz.as_deref() == Some("UTC") || !keys.iter().any(|key| key == "tz");
        if kind.as_deref() != Some("cron") || !is_known || !is_utc {
            let expected = "an object with `kind` \"cron\", an `expr` and no other key but `tz` \"UTC\"";
            self.wrong(value, what, expected, "another one");
            return None;
        }
        let read = expr.as_deref().and_then(Expression::read);
        if read.is_none() {
            self.wrong(value, "`expr` of a job", "five fields such as \"0 9 * * 1-5\"", "another text");
        }
        read.map(Schedule::Cron)
    }

    fn wrong(
        &mut self,
        value: &Range<usize>,
        what: &'static str,
        expected: &'static str,
        found: &'static str,
    ) {
        let at = self.excerpt(value);
        self.problems.push(Problem::WrongType { at, what: what.into(), expected, found });
    }
}

/// A moment in UTC as in RFC 3339, to the second, in milliseconds since 1970.
fn moment(text: &str) -> Option<u64> {
    let number = |range: Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
    };
    let signs = text.bytes().enumerate().filter(|(at, _)| [4, 7, 10, 13, 16, 19].contains(at));
    if text.len() != 20 || !signs.map(|(_, byte)| byte).eq(*b"--T::Z") {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = lengths.iter().take(usize::try_from(month.checked_sub(1)?).ok()?);
    let length = lengths.get(usize::try_from(month - 1).ok()?)?;
    if year < 1970 || !(1..=*length).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let days = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969) + before.sum::<u64>() + day - 1;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn a_moment_is_read_as_in_rfc_3339_and_one_that_never_comes_is_none() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:34:56Z", Some(951_827_696_000)),
            ("2100-02-28T23:59:59Z", Some(4_107_542_399_000)),
            ("2100-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-04-31T00:00:00Z", None),
            ("2026-04-30T24:00:00Z", None),
            ("2026-04-30 12:00:00Z", None),
            ("2026-04-30T12:00:00", None),
            ("2026-04-30T12:00:00+01:00", None),
            ("2026-+4-30T12:00:00Z", None),
            ("ä026-04-30T12:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(moment(text), expected, "{text}");
        }
    }
}
