//! Takes a TOML table apart: each key is asked for by name, what nobody asked for is an unknown key.
//!
//! Every reader reports a wrong type or range where it stands and answers `None`; the caller goes on with the next key,
//! so that one pass finds everything.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostics::{Diagnostics, closest, did_you_mean_or_list};
use super::format::{Key, Need};
use super::problem::Problem;

/// A value and its place in the file.
pub(crate) type Value<'t> = Spanned<DeValue<'t>>;

/// One `key = value`.
#[derive(Clone, Copy)]
pub(crate) struct Field<'t> {
    pub(crate) key: &'t Spanned<toml::de::DeString<'t>>,
    pub(crate) value: &'t Value<'t>,
}

impl<'t> Field<'t> {
    pub(crate) fn name(&self) -> &'t str {
        self.key.get_ref().as_ref()
    }
}

/// The fields of a table in the order of the file.
pub(crate) fn in_file_order<'t>(table: &'t DeTable<'t>) -> Vec<Field<'t>> {
    let mut fields: Vec<_> = table.iter().map(|(key, value)| Field { key, value }).collect();
    fields.sort_by_key(|field| field.key.span().start);
    fields
}

/// A table of which not every key has been asked for.
pub(crate) struct Fields<'t> {
    place: String,
    at: Range<usize>,
    left: Vec<Field<'t>>,
    asked: Vec<&'static str>,
    /// The keys that the published format has here; none of a table that has no published format.
    listed: Vec<&'static Key>,
    missing: Vec<(&'static str, &'static str)>,
}

impl<'t> Fields<'t> {
    /// `place` is what people call the table, `at` where a missing key is reported.
    pub(crate) fn new(place: impl Into<String>, at: Range<usize>, table: &'t DeTable<'t>) -> Self {
        Self {
            place: place.into(),
            at,
            left: in_file_order(table),
            asked: Vec::new(),
            listed: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Says which keys the published format has here. Whoever asks for another one, or not for all, has made a mistake.
    pub(crate) fn listed(mut self, keys: &'static [Key]) -> Self {
        self.list(keys);
        self
    }

    /// The same for keys that belong to a `kind`.
    pub(crate) fn list(&mut self, keys: &'static [Key]) {
        self.listed.extend(keys);
    }

    /// The same for a value, if it is a table.
    pub(crate) fn of(
        place: impl Into<String>,
        at: Range<usize>,
        value: &'t Value<'t>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let place = place.into();
        let table = table(&place, value, diagnostics)?;
        Some(Self::new(place, at, table))
    }

    /// The field of that name.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Field<'t>> {
        let is_listed = || self.listed.is_empty() || self.listed.iter().any(|key| key.name == name);
        debug_assert!(is_listed(), "{} has a key `{name}` that is not published", self.place);
        self.asked.push(name);
        let index = self.left.iter().position(|field| field.name() == name)?;
        Some(self.left.remove(index))
    }

    /// The field of that name, which must be there; `example` shows how it is written.
    pub(crate) fn require(&mut self, name: &'static str, example: &'static str) -> Option<Field<'t>> {
        let is_published = |key: &&Key| key.name != name || key.need == Need::Required;
        debug_assert!(self.listed.iter().all(is_published), "`{name}` is published as optional");
        let field = self.take(name);
        if field.is_none() {
            self.missing.push((name, example));
        }
        field
    }

    /// The field of that name, which must be there because the other one is not.
    pub(crate) fn require_without(
        &mut self,
        other: &'static str,
        name: &'static str,
        example: &'static str,
    ) -> Option<Field<'t>> {
        debug_assert!(self.asked.contains(&other), "the other one was looked for");
        let field = self.take(name);
        if field.is_none() {
            self.missing.push((name, example));
        }
        field
    }

    /// The word that decides which other keys there are. Without it nothing more is said of the table: nobody knows what
    /// belongs into it.
    pub(crate) fn kind(
        &mut self,
        example: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<(&'t str, Field<'t>)> {
        debug_assert!(self.listed.is_empty(), "the kind says which keys there are");
        let Some(field) = self.take("kind") else {
            diagnostics.add_if_whole(
                Problem::new(format!("{} has no `kind`", self.place), self.at.clone())
                    .label("`kind` is missing")
                    .help(format!("add `kind`, for instance `kind = \"{example}\"`")),
            );
            return None;
        };
        text("`kind`", field.value, diagnostics).map(|word| (word, field))
    }

    /// Reports what is missing and what nobody asked for. A key that is only misspelt is one mistake, not two.
    pub(crate) fn finish(self, diagnostics: &mut Diagnostics) {
        let place = &self.place;
        let is_read = |key: &&Key| self.asked.contains(&key.name);
        debug_assert!(self.listed.iter().all(is_read), "{place} has published keys that are not read");
        for (name, example) in &self.missing {
            if self.left.iter().any(|field| closest(field.name(), self.asked.iter().copied()) == Some(*name))
            {
                continue;
            }
            diagnostics.add_if_whole(
                Problem::new(format!("{place} has no `{name}`"), self.at.clone())
                    .label(format!("`{name}` is missing"))
                    .help(format!("add `{name}`, for instance `{example}`")),
            );
        }
        for field in &self.left {
            let name = field.name();
            diagnostics.add(
                Problem::new(format!("{place} has no key `{name}`"), field.key.span())
                    .label("unknown key")
                    .maybe_help(did_you_mean_or_list("its keys are", name, &self.asked)),
            );
        }
    }
}

/// A string that is not blank.
pub(crate) fn text<'t>(what: &str, value: &'t Value<'t>, diagnostics: &mut Diagnostics) -> Option<&'t str> {
    let Some(text) = value.get_ref().as_str() else {
        wrong_type(what, "a string", value, diagnostics);
        return None;
    };
    if text.trim().is_empty() {
        diagnostics.add(Problem::new(format!("{what} is empty"), value.span()).label("nothing in it"));
        return None;
    }
    Some(text)
}

/// One of several words, each of which means something.
pub(crate) fn word<T: Copy, const N: usize>(
    what: &str,
    value: &Value<'_>,
    known: &[(&str, T); N],
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    let written = text(what, value, diagnostics)?;
    let found = known.iter().find(|(word, _)| *word == written);
    if found.is_none() {
        diagnostics.add(
            Problem::new(format!("{what} cannot be `{written}`"), value.span())
                .label("not known")
                .maybe_help(did_you_mean_or_list("it can be", written, &known.map(|(word, _)| word))),
        );
    }
    found.map(|(_, value)| *value)
}

/// The numbers that are allowed somewhere, both ends included.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) least: i64,
    pub(crate) most: i64,
    /// A sentence about where they come from; empty if there is nothing to say.
    pub(crate) why: &'static str,
}

impl Bounds {
    pub(crate) const fn new(least: i64, most: i64) -> Self {
        Self { least, most, why: "" }
    }
}

/// A number within bounds, in a type that holds them all.
pub(crate) fn integer<T: TryFrom<i64>>(
    what: &str,
    value: &Value<'_>,
    bounds: Bounds,
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    let Some(number) = value.get_ref().as_integer() else {
        wrong_type(what, "an integer", value, diagnostics);
        return None;
    };
    let Bounds { least, most, why } = bounds;
    let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
    let within = parsed.filter(|number| (least..=most).contains(number));
    if within.is_none() {
        diagnostics.add(
            Problem::new(format!("{what} is {number}, which is out of range"), value.span())
                .label(format!("not in {least} to {most}"))
                .maybe_help((!why.is_empty()).then(|| why.to_owned())),
        );
    }
    within.and_then(|number| T::try_from(number).ok())
}

/// `true` or `false`.
pub(crate) fn boolean(what: &str, value: &Value<'_>, diagnostics: &mut Diagnostics) -> Option<bool> {
    let answer = value.get_ref().as_bool();
    if answer.is_none() {
        wrong_type(what, "`true` or `false`", value, diagnostics);
    }
    answer
}

/// A list, possibly empty.
pub(crate) fn list<'t>(
    what: &str,
    value: &'t Value<'t>,
    diagnostics: &mut Diagnostics,
) -> Option<&'t [Value<'t>]> {
    let list = value.get_ref().as_array();
    if list.is_none() {
        wrong_type(what, "a list", value, diagnostics);
    }
    list.map(|list| &list[..])
}

/// A list of at least one.
pub(crate) fn filled_list<'t>(
    what: &str,
    value: &'t Value<'t>,
    diagnostics: &mut Diagnostics,
) -> Option<&'t [Value<'t>]> {
    let list = list(what, value, diagnostics)?;
    if list.is_empty() {
        diagnostics.add(Problem::new(format!("{what} is empty"), value.span()).label("nothing in it"));
        return None;
    }
    Some(list)
}

/// A table.
pub(crate) fn table<'t>(
    what: &str,
    value: &'t Value<'t>,
    diagnostics: &mut Diagnostics,
) -> Option<&'t DeTable<'t>> {
    let table = value.get_ref().as_table();
    if table.is_none() {
        wrong_type(what, "a table", value, diagnostics);
    }
    table
}

/// Reports that something else was wanted.
pub(crate) fn wrong_type(what: &str, wanted: &str, value: &Value<'_>, diagnostics: &mut Diagnostics) {
    let found = kind(value.get_ref());
    let help = match value.get_ref() {
        DeValue::String(text) if wanted != "a string" && is_bare(text) => {
            Some(format!("write it without quotes: `{text}`"))
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_)
            if wanted == "a string" =>
        {
            Some("put it in quotes".to_owned())
        }
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Table(_) if wanted == "a list" => {
            Some("put it in brackets: `[ ... ]`".to_owned())
        }
        DeValue::String(_) | DeValue::Array(_) if wanted == "a table" => {
            Some("a table is `{ key = value }`, or keys below a `[header]`".to_owned())
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    };
    diagnostics.add(
        Problem::new(format!("{what} must be {wanted}, not {found}"), value.span())
            .label(format!("this is {found}"))
            .maybe_help(help),
    );
}

/// Whether a string holds what would be a number or a truth value without its quotes.
fn is_bare(text: &str) -> bool {
    text.parse::<i64>().is_ok() || text.parse::<bool>().is_ok()
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
