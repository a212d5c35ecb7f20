//! One run of the events of several: the parts of a run that was shared out, or runs of different cases.
//!
//! Cases stand in the order in which they were selected. What is missing is told and is no pass: a part that nobody has
//! handed in, a part that was cut, a case that began and never ended.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{CaseEnd, CaseStart, Ended, Event, RunEnd, RunStart, Shard, Sharing, Version};

/// The longest line that is read, in bytes.
const LONGEST: usize = 64 << 20;

/// The events of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the file is called.
    pub name: String,
    /// What is in it.
    pub events: Vec<Event>,
}

/// A file that holds no events of a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// A line is no event.
    #[error("{name}:{line}: this is no event: {why}")]
    Line {
        /// The file.
        name: String,
        /// The line, from 1.
        line: usize,
        /// Why not.
        why: String,
    },
    /// The first event does not begin a run, or a later one does.
    #[error("{name}:{line}: a file has the events of one run, and `run-start` is the first of them")]
    Start {
        /// The file.
        name: String,
        /// The line, from 1.
        line: usize,
    },
    /// There is no event in it.
    #[error("{name} is empty")]
    Empty {
        /// The file.
        name: String,
    },
    /// Two runs cannot be parts of one.
    #[error("{name} and {other} cannot be parts of one run: they differ in {what}")]
    Different {
        /// A file.
        name: String,
        /// Another file.
        other: String,
        /// Of what.
        what: &'static str,
    },
    /// Two files have the same case.
    #[error("{name} and {other} both have {case} on {on}")]
    Twice {
        /// A file.
        name: String,
        /// Another file.
        other: String,
        /// The case.
        case: String,
        /// Where it was run.
        on: String,
    },
}

/// One run, and what is missing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Its events.
    pub events: Vec<Event>,
    /// What is missing, in words.
    pub missing: Vec<String>,
}

/// Reads the events of a file.
///
/// # Errors
///
/// The line that is no event. A last line without its end is what a run leaves behind that was killed: it is left out.
pub fn read(name: &str, text: &str) -> Result<Part, MergeError> {
    let mut events = Vec::new();
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let wrong = |why: String| MergeError::Line { name: name.to_owned(), line: number, why };
        if line.len() > LONGEST {
            return Err(wrong(format!("it is longer than {LONGEST} bytes")));
        }
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<Event>(line) {
            Ok(event) => {
                let is_start = matches!(event, Event::RunStart(_));
                if is_start != events.is_empty() {
                    return Err(MergeError::Start { name: name.to_owned(), line: number });
                }
                events.push(event);
            }
            Err(_) if !line.ends_with('\n') && !events.is_empty() => {}
            Err(error) => return Err(wrong(error.to_string())),
        }
    }
    if events.is_empty() {
        return Err(MergeError::Empty { name: name.to_owned() });
    }
    Ok(Part { name: name.to_owned(), events })
}

/// Makes one run of several. An order of the parts means nothing.
///
/// # Errors
///
/// Why they are not parts of one run.
pub fn merge(parts: &[Part]) -> Result<Merged, MergeError> {
    let mut missing = Vec::new();
    let starts: Vec<(&Part, &RunStart)> =
        parts.iter().filter_map(|part| Some((part, start_of(part)?))).collect();
    for pair in starts.windows(2) {
        let [(part, one), (other, next)] = pair else { continue };
        if let Some(what) = difference(one, next) {
            return Err(MergeError::Different { name: part.name.clone(), other: other.name.clone(), what });
        }
    }
    let ends = cases(parts)?;
    missing.extend(missing_shards(&starts));
    for (part, start) in &starts {
        missing.extend(unfinished(part, start));
    }
    let planned = starts.iter().map(|(_, start)| start.planned).sum();
    let cases: BTreeSet<(&str, &str)> =
        ends.iter().map(|end| (end.file.as_str(), end.case.as_str())).collect();
    let files: BTreeSet<&str> = ends.iter().map(|end| end.file.as_str()).collect();
    let mut on: Vec<String> = Vec::new();
    for name in ends.iter().map(|end| &end.on).chain(starts.iter().flat_map(|(_, start)| &start.on)) {
        if !on.contains(name) {
            on.push(name.clone());
        }
    }
    let mut events = Vec::new();
    if let Some((_, first)) = starts.first() {
        events.push(Event::RunStart(RunStart {
            scenarios: files.len(),
            cases: cases.len(),
            planned,
            on,
            shard: None,
            ..(*first).clone()
        }));
    }
    for end in &ends {
        let CaseEnd { index, case, on, .. } = end;
        let (index, case, on) = (*index, case.clone(), on.clone());
        events.push(Event::CaseStart(CaseStart { version: Version, index, case, on }));
        events.push(Event::CaseEnd(Box::new(end.clone())));
    }
    let run_ends = parts.iter().flat_map(|part| &part.events).filter_map(|event| match event {
        Event::RunEnd(end) => Some(end),
        Event::RunStart(_) | Event::CaseStart(_) | Event::CaseEnd(_) => None,
    });
    let (interrupted, elapsed) =
        run_ends.fold((false, 0), |(any, sum), end| (any || end.interrupted, sum + end.elapsed_ms));
    let executors: Vec<String> = ends.iter().map(|end| end.on.clone()).collect();
    let end = RunEnd::new(&ends, &executors, interrupted, elapsed);
    let is_part = end.ended == Ended::Passed && !missing.is_empty();
    let ended = if is_part { Ended::Inconclusive } else { end.ended };
    events.push(Event::RunEnd(RunEnd { ended, ..end }));
    Ok(Merged { events, missing })
}

fn start_of(part: &Part) -> Option<&RunStart> {
    match part.events.first() {
        Some(Event::RunStart(start)) => Some(start),
        Some(Event::CaseStart(_) | Event::CaseEnd(_) | Event::RunEnd(_)) | None => None,
    }
}

/// In what two runs differ that parts of one run have in common.
fn difference(one: &RunStart, other: &RunStart) -> Option<&'static str> {
    let shape = |start: &RunStart| start.shard.map(|Shard { by, of, part: _ }| (by == Sharing::Hash, of));
    let differ = [
        ("their program", one.program != other.program),
        ("the design", one.design != other.design),
        ("the seed", one.seed != other.seed),
        ("how cases are shared out", shape(one) != shape(other)),
    ];
    differ.into_iter().find_map(|(what, differs)| differs.then_some(what))
}

/// Every case that has ended, in the order of selection.
fn cases(parts: &[Part]) -> Result<Vec<CaseEnd>, MergeError> {
    let mut known: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut ends = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        for event in &part.events {
            let Event::CaseEnd(end) = event else { continue };
            if let Some(other) = known.insert((&end.on, &end.case), &part.name) {
                return Err(MergeError::Twice {
                    name: other.to_owned(),
                    other: part.name.clone(),
                    case: end.case.clone(),
                    on: end.on.clone(),
                });
            }
            // Runs that are no parts of one another number their cases each for itself.
            let group = if parts.iter().all(|part| start_of(part).is_some_and(|it| it.shard.is_some())) {
                0
            } else {
                place
            };
            ends.push((group, (**end).clone()));
        }
    }
    ends.sort_by_key(|(group, end)| (*group, end.index));
    Ok(ends.into_iter().map(|(_, end)| end).collect())
}

/// The parts of a run that nobody has handed in.
fn missing_shards(starts: &[(&Part, &RunStart)]) -> Vec<String> {
    let shards: Vec<Shard> = starts.iter().filter_map(|(_, start)| start.shard).collect();
    let Some(of) = shards.first().map(|shard| shard.of) else { return Vec::new() };
    let is_there = |part: &u32| shards.iter().any(|shard| shard.part == *part);
    (1..=of).filter(|part| !is_there(part)).map(|part| format!("part {part} of {of} is missing")).collect()
}

/// What a part has not come to the end of.
fn unfinished(part: &Part, start: &RunStart) -> Option<String> {
    let ended = part.events.iter().filter(|event| matches!(event, Event::CaseEnd(_))).count();
    let last = part.events.iter().rev().find_map(|event| match event {
        Event::CaseStart(case) => Some(case),
        Event::RunStart(_) | Event::CaseEnd(_) | Event::RunEnd(_) => None,
    });
    let has_end = matches!(part.events.last(), Some(Event::RunEnd(_)));
    if has_end && ended == start.planned {
        return None;
    }
    let at = match (part.events.last(), last) {
        (Some(Event::CaseStart(_)), Some(case)) => {
            format!(", and {} on {} began and did not end", case.case, case.on)
        }
        _ => String::new(),
    };
    let cut = if has_end { "was stopped" } else { "was cut" };
    Some(format!("{} {cut}: {ended} of {} cases have ended{at}", part.name, start.planned))
}
