//! Reads the lines of each log into the lives of processes.
//!
//! A line belongs to the process that wrote it, if it says which, else to the one that spoke last; a pid that speaks again
//! after its end is another process.
//! A process is known by its pid and by the tick of its start if its lines tell that, else by its pid and by how old it is: a wall
//! clock that is set in between makes no other process of it.
//! Where a line says how old its process is, the beginning of that process is an event of the log too.
//!
//! # Invariants
//!
//! - Every line is counted once, and of each kind that is not used the place of the first is kept.
//! - The times of one log never run backwards: a line that is written before the one above it has none.

use std::io::{self, BufRead};

use super::heard::{Heard, Holder, Says, read};
use super::lines::{Line, Lines};
use super::time::Micros;
use crate::scenario::Happening;
use crate::target::Target;

/// More events than this are no incident.
pub const MOST_EVENTS: usize = 2_000;

/// More processes than this cannot be explored, nor read.
pub const MOST_LIVES: usize = 64;

/// Two beginnings of one process that differ by less are one: clocks are set a little now and then.
const SAME_START_US: i64 = 1_000_000;

/// How often something occurs in a log, and where first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How often.
    pub count: u64,
    /// The first line, counted from 1.
    pub first: u64,
}

impl Counted {
    fn add(&mut self, line: u64) {
        if self.count == 0 {
            self.first = line;
        }
        self.count += 1;
    }
}

/// What a log consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Its name, as it was given.
    pub name: String,
    /// How many lines.
    pub lines: u64,
    /// How many of them tell of a gateway.
    pub events: u64,
    /// How many are notes.
    pub notes: u64,
    /// Lines with nothing in them.
    pub blank: Counted,
    /// Lines that nobody knows.
    pub unknown: Counted,
    /// Lines that are too long to be read.
    pub too_long: Counted,
    /// Lines that are no text.
    pub not_text: Counted,
    /// Events whose time is none.
    pub wrong_times: Counted,
    /// Events that were written before the one above them.
    pub backwards: Counted,
}

/// A process that a log speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) log: usize,
    pub(super) pid: Option<u32>,
    pub(super) line: u64,
    pub(super) port: Option<u16>,
    pub(super) state: Option<String>,
    began_us: Option<Micros>,
    start_tick: Option<u64>,
    /// When it last spoke, and how old it was then.
    spoke: Option<(Micros, u64)>,
    has_spoken: bool,
    is_ready: bool,
    has_released: bool,
    has_ended: bool,
    is_gone: bool,
}

/// An event of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) life: usize,
    pub(super) what: Happening,
    pub(super) holder: Option<Holder>,
    pub(super) at_us: Option<Micros>,
}

/// Everything that the logs say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gathered {
    pub(super) logs: Vec<Summary>,
    pub(super) lives: Vec<Life>,
    /// The events of each log, in its order.
    pub(super) entries: Vec<Vec<Entry>>,
    count: usize,
}

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// It cannot be read.
    #[error("{log}:{line}: cannot be read: {error}")]
    Read {
        /// The log.
        log: String,
        /// The line that was to be read, counted from 1.
        line: u64,
        /// What the system says.
        error: io::Error,
    },
    /// There are too many events.
    #[error("{log}:{line}: more than {MOST_EVENTS} events")]
    TooManyEvents {
        /// The log.
        log: String,
        /// The line of the first one too many.
        line: u64,
    },
    /// There are too many processes.
    #[error("{log}:{line}: more than {MOST_LIVES} processes")]
    TooManyLives {
        /// The log.
        log: String,
        /// The line of the first one too many.
        line: u64,
    },
}

impl Gathered {
    /// Reads one more log.
    pub(super) fn add(
        &mut self,
        name: &str,
        log: impl BufRead,
        target: Option<&Target>,
    ) -> Result<(), GatherError> {
        let number = self.logs.len();
        let mut summary = Summary { name: name.to_owned(), ..Summary::default() };
        self.entries.push(Vec::new());
        let mut lines = Lines::new(log);
        let mut latest: Option<Micros> = None;
        loop {
            let line = summary.lines + 1;
            let text = match lines.next_line() {
                Ok(None) => break,
                Ok(Some(text)) => text,
                Err(error) => return Err(GatherError::Read { log: name.to_owned(), line, error }),
            };
            summary.lines = line;
            let text = match text {
                Line::Text(text) => text,
                Line::TooLong => {
                    summary.too_long.add(line);
                    continue;
                }
                Line::NotText => {
                    summary.not_text.add(line);
                    continue;
                }
            };
            let mut heard = match read(&text, target) {
                Says::Event(heard) => *heard,
                Says::Note => {
                    summary.notes += 1;
                    continue;
                }
                Says::Unknown if text.trim().is_empty() => {
                    summary.blank.add(line);
                    continue;
                }
                Says::Unknown => {
                    summary.unknown.add(line);
                    continue;
                }
            };
            summary.events += 1;
            if heard.is_time_wrong {
                summary.wrong_times.add(line);
            }
            if let (Some(at_us), Some(before_us)) = (heard.at_us, latest)
                && at_us < before_us
            {
                summary.backwards.add(line);
                (heard.at_us, heard.uptime_us) = (None, None);
            }
            latest = heard.at_us.or(latest);
            self.hear(number, line, heard, name)?;
        }
        self.logs.push(summary);
        Ok(())
    }

    fn hear(&mut self, log: usize, line: u64, heard: Heard, name: &str) -> Result<(), GatherError> {
        if self.count >= MOST_EVENTS {
            return Err(GatherError::TooManyEvents { log: name.to_owned(), line });
        }
        // Both are cut to whole microseconds, so it may have begun one before. Nobody is older than the clock.
        let began_us = heard.at_us.zip(heard.uptime_us).and_then(|(at_us, uptime_us)| {
            at_us.checked_sub_unsigned(uptime_us)?.checked_sub(1).filter(|began_us| *began_us >= 0)
        });
        // A line that does not say whose it is belongs to whoever spoke last.
        let may_be = |life: &Life| life.log == log && (heard.pid.is_none() || life.pid == heard.pid);
        let known = self.lives.iter().rposition(may_be);
        let life = match known.filter(|known| self.lives[*known].goes_on(&heard, began_us)) {
            Some(life) => life,
            None if self.lives.len() >= MOST_LIVES => {
                return Err(GatherError::TooManyLives { log: name.to_owned(), line });
            }
            None => self.begin(log, line, &heard, began_us),
        };
        self.lives[life].hear(&heard);
        self.count += 1;
        self.entries[log].push(Entry { life, what: heard.what, holder: heard.holder, at_us: heard.at_us });
        Ok(())
    }

    /// A process that was not known before.
    fn begin(&mut self, log: usize, line: u64, heard: &Heard, began_us: Option<Micros>) -> usize {
        let life = self.lives.len();
        self.lives.push(Life {
            log,
            pid: heard.pid,
            line,
            port: None,
            state: None,
            began_us,
            start_tick: heard.start_tick,
            spoke: None,
            has_spoken: false,
            is_ready: false,
            has_released: false,
            has_ended: false,
            is_gone: false,
        });
        if let Some(began_us) = began_us.filter(|_| heard.what != Happening::Started) {
            let entries = &mut self.entries[log];
            let is_later = |entry: &Entry| entry.at_us.is_some_and(|at_us| at_us > began_us);
            let place = entries.iter().position(is_later).unwrap_or(entries.len());
            let start = Entry { life, what: Happening::Started, holder: None, at_us: Some(began_us) };
            entries.insert(place, start);
            self.count += 1;
        }
        life
    }
}

impl Life {
    /// Whether a line with the same pid is of the same process.
    fn goes_on(&self, heard: &Heard, began_us: Option<Micros>) -> bool {
        let same_start = self.is_same_start(heard, began_us);
        if self.is_gone || same_start == Some(false) {
            return false;
        }
        if self.has_ended {
            return heard.what.is_end();
        }
        match heard.what {
            Happening::Started => !self.has_spoken,
            // Whoever could not hand over owns again.
            Happening::Owner => !self.has_released || same_start == Some(true),
            // Without a pid nobody knows whether it has begun anew or another one began.
            Happening::Ready => {
                (!self.has_released || same_start == Some(true)) && !(self.is_ready && heard.pid.is_none())
            }
            // Whoever serves is not refused; what it loses it says with its pid.
            Happening::Refused(_) => !(self.is_ready && heard.pid.is_none()),
            Happening::Draining | Happening::Released | Happening::Exited | Happening::Killed => true,
        }
    }

    /// Whether a line with the same pid is of a process that began when this one did; `None`: nobody knows.
    fn is_same_start(&self, heard: &Heard, began_us: Option<Micros>) -> Option<bool> {
        if let (Some(one), Some(other)) = (self.start_tick, heard.start_tick) {
            return Some(one == other);
        }
        let (one, other) = self.began_us.zip(began_us)?;
        if one.abs_diff(other) < SAME_START_US.unsigned_abs() {
            return Some(true);
        }
        // Nobody else has a pid before its owner is gone: a clock was set between two lines of one process.
        let is_set = self
            .spoke
            .zip(heard.uptime_us)
            .is_some_and(|((spoke_us, uptime_us), later_us)| other <= spoke_us && later_us >= uptime_us);
        Some(is_set)
    }

    fn hear(&mut self, heard: &Heard) {
        self.has_spoken = true;
        self.start_tick = self.start_tick.or(heard.start_tick);
        self.spoke = heard.at_us.zip(heard.uptime_us).or(self.spoke);
        self.port = self.port.or(heard.port);
        self.state = self.state.take().or_else(|| heard.state.clone());
        match heard.what {
            Happening::Ready => self.is_ready = true,
            Happening::Released => self.has_released = true,
            Happening::Refused(_) => self.has_ended = true,
            Happening::Exited | Happening::Killed => (self.has_ended, self.is_gone) = (true, true),
            Happening::Started | Happening::Owner | Happening::Draining => {}
        }
    }

    /// Whether its log says how it ended.
    pub(super) fn is_open(&self) -> bool {
        !self.has_ended && !self.has_released
    }
}
