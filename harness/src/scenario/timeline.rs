//! Reads `[timeline]`: what the logs of an incident have shown, in which order as far as that is known.
//!
//! Lines of one log are ordered as listed. Lines of two logs are ordered only if their times differ by more than the clocks
//! may: so a timeline is a partial order.
//!
//! # Invariants
//!
//! - Each event is about a declared gateway, and nobody says anything after his end.
//! - The times of one log never run backwards.

use std::collections::BTreeMap;
use std::fmt;

use super::diagnostics::{Diagnostics, did_you_mean_or_list};
use super::fields::{Bounds, Field, Fields, Value, filled_list, in_file_order, integer, list, table, text};
use super::format::TIMELINE;
use super::model::Located;
use super::names::{Kind, Names};
use super::problem::{Problem, line_at};
use super::vocabulary::{REASONS, Reason};

/// Clocks that differ by more than a day are no clocks.
pub(super) const SKEW: Bounds = Bounds::new(0, 86_400_000);
pub(super) const AT: Bounds = Bounds::new(0, i64::MAX);
/// More lines than this are no incident but a history.
const MOST_EVENTS: usize = 4_000;

/// What the logs of an incident have shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// What every gateway with a log tells, so that one which does not tell it has not come so far.
    pub tells: Vec<Happening>,
    /// By how much the clocks of two logs may differ, in microseconds.
    pub skew_us: u64,
    /// Whose lines stand in one log. Every gateway of an event is in exactly one.
    pub logs: Vec<Vec<String>>,
    /// The events, in the order of the file.
    pub events: Vec<Located<Seen>>,
}

/// Something that a log has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The gateway.
    pub who: String,
    /// What it did.
    pub what: Happening,
    /// Whom it has named as the one in the way, if that is known.
    pub names: Option<String>,
    /// When, in microseconds by the clock of its log, if that is known.
    pub at_us: Option<u64>,
}

/// What a log can show of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happening {
    /// Its process began. It did nothing before.
    Started,
    /// It said that it is the owner.
    Owner,
    /// It said that it is ready.
    Ready,
    /// It said that it was told to stop.
    Draining,
    /// It said that it owns no more.
    Released,
    /// It said that it gives up, for this reason if one is known.
    Refused(Option<&'static Reason>),
    /// It has ended by itself.
    Exited,
    /// A signal has ended it.
    Killed,
}

impl Happening {
    /// Every one of them, a refusal without its reason.
    pub const ALL: [(&'static str, Self); 8] = [
        ("started", Self::Started),
        ("owner", Self::Owner),
        ("ready", Self::Ready),
        ("draining", Self::Draining),
        ("released", Self::Released),
        ("refused", Self::Refused(None)),
        ("exited", Self::Exited),
        ("killed", Self::Killed),
    ];

    /// What is told unless a timeline says otherwise.
    const TOLD: [Self; 2] = [Self::Ready, Self::Refused(None)];

    /// The happening of that name, a refusal with or without its reason.
    pub fn of(word: &str) -> Option<Self> {
        match word.strip_prefix("refused:") {
            Some(code) => Reason::of(code).map(|reason| Self::Refused(Some(reason))),
            None => Self::ALL.into_iter().find(|(known, _)| *known == word).map(|(_, what)| what),
        }
    }

    /// Whether it is the gateway's own word, told at one instant, and not something that stays so.
    pub const fn is_word(self) -> bool {
        match self {
            Self::Owner | Self::Ready | Self::Released | Self::Refused(_) => true,
            Self::Started | Self::Draining | Self::Exited | Self::Killed => false,
        }
    }

    /// Whether nothing comes after it.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Exited | Self::Killed)
    }

    /// The same without what it says.
    pub const fn kind(self) -> Self {
        match self {
            Self::Refused(_) => Self::Refused(None),
            Self::Started
            | Self::Owner
            | Self::Ready
            | Self::Draining
            | Self::Released
            | Self::Exited
            | Self::Killed => self,
        }
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Refused(Some(reason)) = self {
            return write!(f, "refused:{}", reason.id);
        }
        f.write_str(Self::ALL.iter().find(|(_, what)| what == self).map_or("", |(word, _)| *word))
    }
}

/// `[timeline]`
pub(super) fn timeline(
    field: Option<Field<'_>>,
    source: &str,
    names: &Names,
    diagnostics: &mut Diagnostics,
) -> Option<Timeline> {
    let field = field?;
    let fields = Fields::of("`[timeline]`", field.key.span(), field.value, diagnostics)?;
    let mut fields = fields.listed(TIMELINE);
    let tells = fields.take("tells").map(|field| tells(field, diagnostics));
    let skew_ms: Option<u64> =
        fields.take("skew_ms").and_then(|field| integer("`skew_ms`", field.value, SKEW, diagnostics));
    let mut logs: Vec<Vec<String>> = match fields.take("logs") {
        Some(field) => logs(field, names, diagnostics),
        None => vec![gateways(names)],
    };
    let reading = Reading { source, names };
    let events = fields.require("events", "events = [{ a = \"ready\" }]");
    let events = events.map(|field| reading.events(field, diagnostics));
    fields.finish(diagnostics);
    let events = events?;
    for (seen, _) in &events {
        if !logs.iter().any(|log| log.contains(&seen.value.who)) {
            logs.push(vec![seen.value.who.clone()]);
        }
    }
    in_order(&logs, &events, diagnostics);
    Some(Timeline {
        tells: tells.unwrap_or_else(|| Happening::TOLD.to_vec()),
        skew_us: skew_ms.unwrap_or_default() * 1_000,
        logs,
        events: events.into_iter().map(|(seen, _)| seen).collect(),
    })
}

fn gateways(names: &Names) -> Vec<String> {
    let gateways = names.processes().filter(|declared| declared.kind == Kind::Gateway);
    gateways.map(|declared| declared.name.clone()).collect()
}

fn tells(field: Field<'_>, diagnostics: &mut Diagnostics) -> Vec<Happening> {
    let words: Vec<_> = Happening::ALL.into_iter().filter(|(_, what)| what.is_word()).collect();
    let mut told = Vec::new();
    for value in list("`tells`", field.value, diagnostics).unwrap_or_default() {
        let Some(written) = text("an entry of `tells`", value, diagnostics) else { continue };
        match words.iter().find(|(word, _)| *word == written) {
            Some((_, what)) => told.push(*what),
            None => {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                diagnostics.add(
                    Problem::new(format!("`{written}` is not what a gateway tells"), value.span())
                        .label("not known")
                        .maybe_help(did_you_mean_or_list("it can tell", written, &known)),
                );
            }
        }
    }
    told
}

fn logs(field: Field<'_>, names: &Names, diagnostics: &mut Diagnostics) -> Vec<Vec<String>> {
    let mut logs: Vec<Vec<String>> = Vec::new();
    for value in list("`logs`", field.value, diagnostics).unwrap_or_default() {
        let mut log = Vec::new();
        for entry in filled_list("a log", value, diagnostics).unwrap_or_default() {
            let Some(name) = text("an entry of a log", entry, diagnostics) else { continue };
            let Some(declared) = names.resolve(name, entry.span(), diagnostics) else { continue };
            if log.contains(&declared.name) || logs.iter().any(|log| log.contains(&declared.name)) {
                diagnostics.add(
                    Problem::new(format!("`{name}` stands in two logs"), entry.span()).label("again here"),
                );
            }
            log.push(declared.name.clone());
        }
        logs.push(log);
    }
    logs
}

/// An event, and where its time is written.
type Written = (Located<Seen>, std::ops::Range<usize>);

struct Reading<'a> {
    source: &'a str,
    names: &'a Names,
}

impl Reading<'_> {
    fn events(&self, field: Field<'_>, diagnostics: &mut Diagnostics) -> Vec<Written> {
        let values = filled_list("`events`", field.value, diagnostics).unwrap_or_default();
        if values.len() > MOST_EVENTS {
            diagnostics.add(
                Problem::new(format!("a timeline of {} events", values.len()), field.key.span())
                    .label(format!("more than {MOST_EVENTS}"))
                    .help("keep those around the incident"),
            );
            return Vec::new();
        }
        let mut events: Vec<Written> = Vec::new();
        let mut ended: BTreeMap<String, Happening> = BTreeMap::new();
        for value in values {
            let Some(written) = self.event(value, diagnostics) else { continue };
            let Seen { who, what, .. } = &written.0.value;
            let after_end = match ended.get(who) {
                Some(end) if end.is_end() => Some(end),
                Some(end) if what.is_word() || *what == Happening::Started => Some(end),
                Some(_) | None => None,
            };
            if let Some(end) = after_end {
                diagnostics.add(
                    Problem::new(format!("`{who}` is {what} after it was {end}"), value.span())
                        .label("one name has one life")
                        .help("give the process that came later a name of its own"),
                );
            }
            if matches!(what, Happening::Refused(_) | Happening::Exited | Happening::Killed) {
                ended.insert(who.clone(), *what);
            }
            events.push(written);
        }
        events
    }

    /// A table with one gateway and what it did; `names` and `at_us` say more of it.
    fn event(&self, value: &Value<'_>, diagnostics: &mut Diagnostics) -> Option<Written> {
        let entries = in_file_order(table("an event", value, diagnostics)?);
        let (more, who): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| ["names", "at_us"].contains(&entry.name()));
        let [entry] = who.as_slice() else {
            diagnostics.add_if_whole(
                Problem::new("an event is about one gateway", value.span())
                    .label(format!("{} are named", who.len()))
                    .help("for instance `{ b = \"refused:held-ready\", names = \"a\" }`"),
            );
            return None;
        };
        let declared = self.names.resolve(entry.name(), entry.key.span(), diagnostics);
        let what = happening(*entry, diagnostics);
        let (mut names, mut at_us) = (None, None);
        for field in more {
            if field.name() == "names" {
                let name = text("`names`", field.value, diagnostics);
                let named = name.and_then(|name| self.names.resolve(name, field.value.span(), diagnostics));
                names = named.map(|declared| declared.name.clone());
                if what.is_some_and(|what| what.kind() != Happening::Refused(None)) {
                    diagnostics.add(
                        Problem::new("only a refusal names anybody", field.key.span())
                            .label("not part of this event"),
                    );
                }
            } else {
                at_us = integer::<u64>("`at_us`", field.value, AT, diagnostics);
            }
        }
        let (declared, what) = declared.zip(what)?;
        if declared.kind == Kind::Bystander {
            diagnostics.add(
                Problem::new(format!("`{}` is no gateway and has no log", declared.name), entry.key.span())
                    .label("a bystander")
                    .note(declared.at.clone(), "declared here"),
            );
            return None;
        }
        let seen = Seen { who: declared.name.clone(), what, names, at_us };
        Some((Located { value: seen, line: line_at(self.source, value.span().start) }, value.span()))
    }
}

fn happening(entry: Field<'_>, diagnostics: &mut Diagnostics) -> Option<Happening> {
    let written = text("an event", entry.value, diagnostics)?;
    let found = Happening::of(written);
    if found.is_none() {
        let (message, what, known): (_, _, Vec<&str>) = match written.strip_prefix("refused:") {
            Some(code) => (
                format!("no refusal has the reason `{code}`"),
                "the reasons are",
                REASONS.iter().map(|reason| reason.id).collect(),
            ),
            None => (
                format!("no event is called `{written}`"),
                "the events are",
                Happening::ALL.iter().map(|(word, _)| *word).collect(),
            ),
        };
        let word = written.strip_prefix("refused:").unwrap_or(written);
        diagnostics.add(
            Problem::new(message, entry.value.span())
                .label("not known")
                .maybe_help(did_you_mean_or_list(what, word, &known)),
        );
    }
    found
}

/// One log has one clock, and was written from its beginning to its end.
fn in_order(logs: &[Vec<String>], events: &[Written], diagnostics: &mut Diagnostics) {
    for log in logs {
        let mut latest: Option<(u64, &Written)> = None;
        for written in events.iter().filter(|(seen, _)| log.contains(&seen.value.who)) {
            let Some(at_us) = written.0.value.at_us else { continue };
            if let Some((before, (_, span))) = latest.filter(|(before, _)| *before > at_us) {
                diagnostics.add(
                    Problem::new("time runs backwards in a log", written.1.clone())
                        .label(format!("{} us earlier", before - at_us))
                        .note(span.clone(), "after this")
                        .help("list the events of one log in their order, or put them into two `logs`"),
                );
            }
            latest = Some((at_us, written));
        }
    }
}
