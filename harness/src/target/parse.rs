//! Turns the text of a target file into a target, or into all the problems that it has.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::DeTable;

use super::events::log;
use super::format::{ABOVE, ASKED, FILE, LOCK, MOST_MS, STOP};
use super::gateway::{gateway, options};
use super::known::known;
use super::model::{Extra, Feature, Locks, Patience, Ports, Range, Signs, StopSignal, Target};
use super::refusals::refusals;
use super::signs::{Moment, signs};
use super::template::{Mistake, Piece, Template};
use crate::scenario::diagnostics::{Diagnostics, Syntax, did_you_mean_or_list};
use crate::scenario::fields::{
    Field, Fields, Value, boolean, in_file_order, integer, list, table, text, word, wrong_type,
};
use crate::scenario::problem::Problem;
use crate::scenario::{schema, with_syntax_errors};

/// How long a gateway may take to become ready if its file does not say.
const READY: Patience = Patience(30_000);
/// How long it may take to stop.
const STOPPED: Patience = Patience(10_000);

/// Reads one target.
///
/// # Errors
///
/// Every problem of the file, in the order of the file.
pub fn parse(path: &Path, source: &str) -> Result<Target, Vec<Problem>> {
    let (root, errors) = DeTable::parse_recoverable(source);
    let syntax = if errors.is_empty() { Syntax::Whole } else { Syntax::Broken };
    let mut diagnostics = Diagnostics::new(syntax);
    let target = read(path, source, root.get_ref(), &mut diagnostics);
    let problems = match syntax {
        Syntax::Whole => diagnostics.into_problems(),
        Syntax::Broken => with_syntax_errors(diagnostics, &errors, source),
    };
    match target {
        Some(target) if problems.is_empty() => Ok(target),
        Some(_) | None => Err(problems),
    }
}

fn read(path: &Path, source: &str, root: &DeTable<'_>, diagnostics: &mut Diagnostics) -> Option<Target> {
    let mut fields = Fields::new("the file", 0..0, root).listed(FILE);
    if let Some(field) = fields.require("schema", "schema = 1") {
        schema(field, diagnostics);
    }
    let name = fields.require("name", "name = \"my-gateway\"");
    let name = name.and_then(|field| text("`name`", field.value, diagnostics)).map(str::to_owned);
    let strict = fields.take("strict").and_then(|field| boolean("`strict`", field.value, diagnostics));
    let ports = fields.take("ports").map(|field| ports(field, diagnostics)).unwrap_or_else(only_control);
    let words = Words { ports: &ports };
    let gateway =
        fields.require("gateway", "[gateway]").and_then(|field| gateway(field, &words, diagnostics));
    let ready = fields.require("ready", "[ready]");
    let ready = ready.and_then(|field| signs(Moment::Ready, field, &ports, diagnostics));
    let answers = fields.take("answers").and_then(|field| signs(Moment::Answers, field, &ports, diagnostics));
    let stop = fields.take("stop").and_then(|field| asking("`[stop]`", field, diagnostics));
    let restart = fields.take("restart").and_then(|field| asking("`[restart]`", field, diagnostics));
    let write = fields.take("write").and_then(|field| asking("`[write]`", field, diagnostics));
    let locks = fields.take("lock").map(|field| locks(field, &words, diagnostics)).unwrap_or_default();
    let options = fields.take("options").map(|field| options(field, &words, diagnostics)).unwrap_or_default();
    let refusals = fields.take("refusal").map(|field| refusals(field, diagnostics)).unwrap_or_default();
    let log = log(fields.take("log"), fields.take("event"), diagnostics);
    let known = fields.take("known").map(|field| known(field, source, diagnostics)).unwrap_or_default();
    fields.finish(diagnostics);
    let (name, gateway) = name.zip(gateway)?;
    let (ready, ready_within) = ready?;
    let answers = answers.map_or_else(|| ready.clone(), |(answers, _)| answers);
    let (stop, stop_within) = stop.unwrap_or((StopSignal::Term, None));
    let target = Target {
        file: path.to_owned(),
        name,
        strict: strict.unwrap_or(true),
        version: gateway.version,
        start: gateway.start,
        env: gateway.env,
        inherit: gateway.inherit,
        workdir: gateway.workdir,
        files: gateway.files,
        answers: match answers {
            Signs::Probe(probe) => Some(probe),
            Signs::Events | Signs::Log(_) => None,
        },
        ready,
        ready_within: ready_within.unwrap_or(READY),
        stop,
        stop_within: stop_within.unwrap_or(STOPPED),
        restart: restart.map(|(signal, _)| signal),
        write: write.map(|(signal, _)| signal),
        ports,
        locks,
        options,
        refusals,
        log,
        known,
    };
    // Without these every gateway of a scenario would be the same one.
    for (is_told, what, example) in [
        (target.tells(&Piece::State), "which state directory it has", "{state}"),
        (target.tells_port(), "which port it has", "{base}"),
    ] {
        if !is_told {
            diagnostics.add_if_whole(
                Problem::new(format!("the gateway is never told {what}"), gateway.at.clone())
                    .label(format!("`{example}` is nowhere in `start`, `env` or `files`"))
                    .help(format!("put `{example}` where the gateway reads it from")),
            );
        }
    }
    Some(target)
}

fn only_control() -> Ports {
    Ports([(CONTROL.to_owned(), Range { first: 0, last: 0 })].into())
}

/// The port that clients connect to, which every gateway has.
pub(super) const CONTROL: &str = "control";

/// `[ports]`
fn ports(field: Field<'_>, diagnostics: &mut Diagnostics) -> Ports {
    let mut ports = only_control();
    let Some(entries) = table("`[ports]`", field.value, diagnostics) else { return ports };
    for entry in in_file_order(entries) {
        let what = format!("the port `{}`", entry.name());
        let range = match entry.value.get_ref().as_array() {
            Some(ends) => match &ends[..] {
                [first, last] => {
                    let first = integer(&what, first, ABOVE, diagnostics);
                    let last = integer(&what, last, ABOVE, diagnostics);
                    first.zip(last).map(|(first, last)| Range { first, last })
                }
                _ => {
                    diagnostics.add(
                        Problem::new(format!("{what} has {} ends", ends.len()), entry.value.span())
                            .label("a first and a last one are needed")
                            .help("write `[11, 110]` for the base + 11 to the base + 110"),
                    );
                    None
                }
            },
            None => {
                integer(&what, entry.value, ABOVE, diagnostics).map(|only| Range { first: only, last: only })
            }
        };
        let Some(range) = range else { continue };
        if range.first > range.last {
            diagnostics.add(
                Problem::new(format!("{what} ends before it begins"), entry.value.span())
                    .label("the lower one comes first"),
            );
            continue;
        }
        ports.0.insert(entry.name().to_owned(), range);
    }
    ports
}

/// A table with a signal and how long it may take to be followed.
fn asking(
    place: &str,
    field: Field<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<(StopSignal, Option<Patience>)> {
    let fields = Fields::of(place, field.key.span(), field.value, diagnostics)?;
    let mut fields = fields.listed(if place == "`[stop]`" { STOP } else { ASKED });
    let signal = fields.take("signal");
    let signal = signal.and_then(|field| word("`signal`", field.value, &StopSignal::ALL, diagnostics));
    let within = if place == "`[stop]`" { patience(&mut fields, diagnostics) } else { None };
    let default = match place {
        "`[stop]`" => StopSignal::Term,
        "`[write]`" => StopSignal::Usr2,
        _ => StopSignal::Usr1,
    };
    fields.finish(diagnostics);
    Some((signal.unwrap_or(default), within))
}

/// `within_ms`
pub(super) fn patience(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Patience> {
    let field = fields.take("within_ms")?;
    integer::<u64>("`within_ms`", field.value, MOST_MS, diagnostics).map(Patience)
}

/// `[lock]`
fn locks(field: Field<'_>, words: &Words<'_>, diagnostics: &mut Diagnostics) -> Locks {
    let mut locks = Locks::default();
    let Some(fields) = Fields::of("`[lock]`", field.key.span(), field.value, diagnostics) else {
        return locks;
    };
    let mut fields = fields.listed(LOCK);
    if let Some(files) = fields.take("files") {
        locks.files = words.list("`files`", files, diagnostics);
    }
    if let Some(field) = fields.take("permanent") {
        locks.permanent = boolean("`permanent`", field.value, diagnostics).unwrap_or_default();
    }
    if let Some(field) = fields.take("owner_writes") {
        let names = strings("`owner_writes`", field, diagnostics);
        locks.owner_writes = names.iter().map(|name| super::pattern::Glob::new(name)).collect();
    }
    fields.finish(diagnostics);
    locks
}

/// A list of texts, none of them blank.
pub(super) fn strings(what: &str, field: Field<'_>, diagnostics: &mut Diagnostics) -> Vec<String> {
    let one = format!("an entry of {what}");
    let values = list(what, field.value, diagnostics).unwrap_or_default();
    values.iter().filter_map(|value| text(&one, value, diagnostics)).map(str::to_owned).collect()
}

/// Reads texts with blanks.
pub(super) struct Words<'p> {
    pub(super) ports: &'p Ports,
}

impl Words<'_> {
    /// One text with blanks, possibly empty.
    pub(super) fn one(
        &self,
        what: &str,
        value: &Value<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Template> {
        let Some(text) = value.get_ref().as_str() else {
            wrong_type(what, "a string", value, diagnostics);
            return None;
        };
        self.parse(text, value.span(), diagnostics)
    }

    /// A key with blanks.
    pub(super) fn key(&self, entry: Field<'_>, diagnostics: &mut Diagnostics) -> Option<Template> {
        self.parse(entry.name(), entry.key.span(), diagnostics)
    }

    fn parse(
        &self,
        text: &str,
        at: std::ops::Range<usize>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Template> {
        let mistake = match Template::parse(text, |name| self.ports.0.get(name).map(|range| range.first)) {
            Ok(template) => return Some(template),
            Err(mistake) => mistake,
        };
        diagnostics.add(match mistake {
            Mistake::Unbalanced => Problem::new("a brace stands alone", at)
                .label("neither a blank nor a brace")
                .help("write `{{` for `{` and `}}` for `}`"),
            Mistake::Unknown(name) => Problem::new(format!("there is no `{{{name}}}`"), at)
                .label("not known")
                .maybe_help(did_you_mean_or_list("there are `port:NAME` and", &name, &Template::NAMES)),
            Mistake::NoPort(name) => {
                let known: Vec<&str> = self.ports.0.keys().map(String::as_str).collect();
                Problem::new(format!("no port is called `{name}`"), at)
                    .label("not in `[ports]`")
                    .maybe_help(did_you_mean_or_list("there are", &name, &known))
            }
        });
        None
    }

    /// A list of texts with blanks.
    pub(super) fn list(&self, what: &str, field: Field<'_>, diagnostics: &mut Diagnostics) -> Vec<Template> {
        let one = format!("an entry of {what}");
        let values = list(what, field.value, diagnostics).unwrap_or_default();
        values.iter().filter_map(|value| self.one(&one, value, diagnostics)).collect()
    }

    /// A table of texts with blanks, in the order of the file.
    pub(super) fn table(
        &self,
        what: &str,
        field: Field<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Vec<(String, Template)> {
        let Some(entries) = table(what, field.value, diagnostics) else { return Vec::new() };
        let read = |entry: Field<'_>| {
            let value = self.one(&format!("`{}`", entry.name()), entry.value, diagnostics)?;
            Some((entry.name().to_owned(), value))
        };
        in_file_order(entries).into_iter().filter_map(read).collect()
    }

    /// `files`: where they lie, and what is in them.
    pub(super) fn files(&self, field: Field<'_>, diagnostics: &mut Diagnostics) -> Vec<(Template, Template)> {
        let Some(entries) = table("`files`", field.value, diagnostics) else { return Vec::new() };
        let read = |entry: Field<'_>| {
            let path = self.key(entry, diagnostics);
            let text = self.one(&format!("`{}`", entry.name()), entry.value, diagnostics);
            path.zip(text)
        };
        in_file_order(entries).into_iter().filter_map(read).collect()
    }
}

/// What a gateway gets for the features that a scenario may ask for.
pub(super) type Options = BTreeMap<Feature, Extra>;
