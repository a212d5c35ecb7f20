//! Reads what the lines of a gateway's log mean: `[log]`, when and by whom they were written, and `[[event]]`.

use serde::{Deserialize, Serialize};

use super::format::{EVENT, LOG};
use super::pattern::Pattern;
use super::signs::pattern;
use crate::scenario::diagnostics::{Diagnostics, did_you_mean_or_list};
use crate::scenario::fields::{Field, Fields, Value, list, text};
use crate::scenario::problem::Problem;
use crate::scenario::{Happening, REASONS};

/// The groups of `[[event]]` that say more of an event.
const GROUPS: [&str; 5] = ["time", "pid", "port", "state", "holder"];

/// What the lines of a log mean.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Where a line says when it was written: its group `time`.
    pub time: Option<Pattern>,
    /// Where a line says which process has written it: its group `pid`.
    pub pid: Option<Pattern>,
    /// The lines that mean something; the first that fits counts.
    pub events: Vec<Emits>,
}

/// One kind of line that means something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emits {
    /// What the line holds.
    pub pattern: Pattern,
    /// What it means, as a timeline says it, for instance `refused:held`.
    pub emits: String,
}

/// A line that means something, and what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLine<'l> {
    /// What it means.
    pub emits: Happening,
    /// When it was written.
    pub time: Option<&'l str>,
    /// The process that has written it.
    pub pid: Option<&'l str>,
    /// Its base port.
    pub port: Option<&'l str>,
    /// Its state directory.
    pub state: Option<&'l str>,
    /// The pid of the process in the way.
    pub holder: Option<&'l str>,
}

impl Log {
    /// What a line means, if it means anything.
    pub fn read<'l>(&self, line: &'l str) -> Option<LogLine<'l>> {
        let Emits { pattern, emits } = self.events.iter().find(|event| event.pattern.is_in(line))?;
        let of_event = |name| pattern.group(line, name);
        let of_line =
            |place: &Option<Pattern>, name| place.as_ref().and_then(|place| place.group(line, name));
        Some(LogLine {
            emits: Happening::of(emits)?,
            time: of_event("time").or_else(|| of_line(&self.time, "time")),
            pid: of_event("pid").or_else(|| of_line(&self.pid, "pid")),
            port: of_event("port"),
            state: of_event("state"),
            holder: of_event("holder"),
        })
    }
}

/// `[log]` and `[[event]]`
pub(super) fn log(log: Option<Field<'_>>, events: Option<Field<'_>>, diagnostics: &mut Diagnostics) -> Log {
    let (mut time, mut pid) = (None, None);
    if let Some(field) = log
        && let Some(fields) = Fields::of("`[log]`", field.key.span(), field.value, diagnostics)
    {
        let mut fields = fields.listed(LOG);
        time = fields.take("time").and_then(|field| with_group("time", field, diagnostics));
        pid = fields.take("pid").and_then(|field| with_group("pid", field, diagnostics));
        fields.finish(diagnostics);
    }
    let values = events.and_then(|field| list("`[[event]]`", field.value, diagnostics)).unwrap_or_default();
    let events = values.iter().filter_map(|value| event(value, diagnostics)).collect();
    Log { time, pid, events }
}

/// A pattern with the group that it is there for.
fn with_group(name: &str, field: Field<'_>, diagnostics: &mut Diagnostics) -> Option<Pattern> {
    let read = pattern(&format!("`{name}`"), field, diagnostics)?;
    if !read.has_group(name) {
        diagnostics.add(
            Problem::new(format!("`{name}` has no group `{name}`"), field.value.span())
                .label("nothing in it says which part is meant")
                .help(format!("for instance `'^(?<{name}>\\S+) '`")),
        );
        return None;
    }
    Some(read)
}

fn event(value: &Value<'_>, diagnostics: &mut Diagnostics) -> Option<Emits> {
    let mut fields = Fields::of("`[[event]]`", value.span(), value, diagnostics)?.listed(EVENT);
    let pattern_field = fields.require("pattern", "pattern = 'listening on port (?<port>\\d+)'");
    let pattern = pattern_field.and_then(|field| pattern("`pattern`", field, diagnostics));
    let emits = fields.require("emits", "emits = \"ready\"").and_then(|field| emits(field, diagnostics));
    fields.finish(diagnostics);
    if let (Some(field), Some(pattern)) = (pattern_field, &pattern)
        && let Some(other) = pattern.groups().find(|group| !GROUPS.contains(group))
    {
        diagnostics.add(
            Problem::new(format!("no group of an event is called `{other}`"), field.value.span())
                .label("unknown group")
                .maybe_help(did_you_mean_or_list("the groups are", other, &GROUPS)),
        );
    }
    pattern.zip(emits).map(|(pattern, emits)| Emits { pattern, emits })
}

fn emits(field: Field<'_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let written = text("`emits`", field.value, diagnostics)?;
    if Happening::of(written).is_some() {
        return Some(written.to_owned());
    }
    let known: Vec<&str> = match written.strip_prefix("refused:") {
        Some(_) => REASONS.iter().map(|reason| reason.id).collect(),
        None => Happening::ALL.iter().map(|(word, _)| *word).collect(),
    };
    let word = written.strip_prefix("refused:").unwrap_or(written);
    diagnostics.add(
        Problem::new(format!("no event is called `{written}`"), field.value.span())
            .label("not known")
            .maybe_help(did_you_mean_or_list("there are", word, &known)),
    );
    None
}
