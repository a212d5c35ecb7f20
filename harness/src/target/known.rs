//! Reads where a target is known to deviate: `[[known]]`.

use toml::de::DeValue;

use super::format::{KNOWN, OTHER_CHECKS};
use super::model::Known;
use super::pattern::{Day, Glob};
use crate::scenario::Check;
use crate::scenario::diagnostics::{Diagnostics, did_you_mean_or_list};
use crate::scenario::fields::{Field, Fields, Value, boolean, list, text};
use crate::scenario::problem::{Problem, line_at};

/// `[[known]]`
pub(super) fn known(field: Field<'_>, source: &str, diagnostics: &mut Diagnostics) -> Vec<Known> {
    let values = list("`[[known]]`", field.value, diagnostics).unwrap_or_default();
    values.iter().filter_map(|value| one(value, source, diagnostics)).collect()
}

fn one(value: &Value<'_>, source: &str, diagnostics: &mut Diagnostics) -> Option<Known> {
    let mut fields = Fields::of("`[[known]]`", value.span(), value, diagnostics)?.listed(KNOWN);
    let case = fields.require("case", "case = \"port/*\"");
    let case = case.and_then(|field| text("`case`", field.value, diagnostics)).map(Glob::new);
    let because = fields.require("because", "because = \"one message for both kinds of holder\"");
    let because = because.and_then(|field| text("`because`", field.value, diagnostics)).map(str::to_owned);
    let check = fields.take("check").and_then(|field| check(field, diagnostics));
    let issue = fields.take("issue").and_then(|field| text("`issue`", field.value, diagnostics));
    let until = fields.take("until").and_then(|field| day(field, diagnostics));
    let sometimes = fields.take("sometimes");
    let sometimes = sometimes.and_then(|field| boolean("`sometimes`", field.value, diagnostics));
    fields.finish(diagnostics);
    let line = line_at(source, value.span().start);
    Some(Known {
        case: case?,
        check,
        because: because?,
        issue: issue.map(str::to_owned),
        until,
        sometimes: sometimes.unwrap_or_default(),
        line,
    })
}

fn check(field: Field<'_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let written = text("`check`", field.value, diagnostics)?;
    let known: Vec<&str> = Check::ALL.into_iter().map(Check::id).chain(OTHER_CHECKS).collect();
    if known.contains(&written) {
        return Some(written.to_owned());
    }
    diagnostics.add(
        Problem::new(format!("no check is called `{written}`"), field.value.span())
            .label("not known")
            .maybe_help(did_you_mean_or_list("there are", written, &known)),
    );
    None
}

/// A day as TOML writes it.
fn day(field: Field<'_>, diagnostics: &mut Diagnostics) -> Option<Day> {
    let date = match field.value.get_ref() {
        DeValue::Datetime(datetime) => datetime.date.filter(|_| datetime.time.is_none()),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    };
    let Some(date) = date else {
        diagnostics.add(
            Problem::new("`until` must be a day", field.value.span())
                .label("this is none")
                .help("write it without quotes: `until = 2027-06-30`"),
        );
        return None;
    };
    Some(Day { year: i64::from(date.year), month: date.month, day: date.day })
}
