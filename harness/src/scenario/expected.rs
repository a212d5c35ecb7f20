//! Reads `[expect]`: what must hold, how it may end, what must be shown and what a refusal must say.

use toml::de::DeValue;

use super::diagnostics::{Diagnostics, did_you_mean_or_list};
use super::fields::{Bounds, Field, Fields, Value, filled_list, integer, list, text, wrong_type};
use super::format::{EXPECT, REFUSAL};
use super::model::{Expect, Located, Named, Reach, Refusal};
use super::names::Names;
use super::outcome::Stage;
use super::problem::{Problem, line_at};
use super::vocabulary::Check;

const OWNER: &str = "owner";
pub(super) const EVERY_OUTCOME: &str = "every-outcome";

pub(super) const EXIT_STATUSES: Bounds =
    Bounds { least: 1, most: 255, why: "an exit status is one byte, and 0 means success" };

pub(super) const WITHIN: Bounds =
    Bounds { least: 1, most: 3_600_000, why: "a refusal comes within an hour, in milliseconds" };

/// `[expect]`
pub(super) fn expect(
    field: Option<Field<'_>>,
    stage: &Stage<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Expect> {
    let field = field?;
    let mut fields = Fields::of("`[expect]`", field.key.span(), field.value, diagnostics)?.listed(EXPECT);
    let always = fields.take("always").map(|field| checks(field, stage.source, diagnostics));
    let outcomes = fields
        .require("outcomes", "outcomes = [{ a = \"ready\" }]")
        .map(|field| stage.outcomes(field, diagnostics));
    let reach = fields.take("reach").map_or(Reach::Anything, |field| reach(field, diagnostics));
    let refusal = fields.take("refusal").and_then(|field| refusal(field, stage, diagnostics));
    fields.finish(diagnostics);
    Some(Expect { always: always.unwrap_or_default(), outcomes: outcomes?, reach, refusal })
}

fn checks(field: Field<'_>, source: &str, diagnostics: &mut Diagnostics) -> Vec<Located<Check>> {
    let mut checks: Vec<Located<Check>> = Vec::new();
    for value in list("`always`", field.value, diagnostics).unwrap_or_default() {
        let Some(id) = text("a check", value, diagnostics) else { continue };
        let Some(check) = Check::of(id) else {
            let known = Check::ALL.map(Check::id);
            diagnostics.add(
                Problem::new(format!("no check is called `{id}`"), value.span())
                    .label("unknown check")
                    .maybe_help(did_you_mean_or_list("the checks are", id, &known)),
            );
            continue;
        };
        if checks.iter().any(|earlier| earlier.value == check) {
            diagnostics
                .add(Problem::new(format!("`{id}` is listed twice"), value.span()).label("again here"));
        }
        checks.push(Located { value: check, line: line_at(source, value.span().start) });
    }
    checks
}

fn reach(field: Field<'_>, diagnostics: &mut Diagnostics) -> Reach {
    match text("`reach`", field.value, diagnostics) {
        Some(EVERY_OUTCOME) => Reach::EveryOutcome,
        Some(other) => {
            diagnostics.add(
                Problem::new(format!("`reach` cannot be `{other}`"), field.value.span())
                    .label("not known")
                    .maybe_help(did_you_mean_or_list("it can be", other, &[EVERY_OUTCOME])),
            );
            Reach::Anything
        }
        None => Reach::Anything,
    }
}

fn refusal(field: Field<'_>, stage: &Stage<'_>, diagnostics: &mut Diagnostics) -> Option<Located<Refusal>> {
    let mut fields = Fields::of("`refusal`", field.key.span(), field.value, diagnostics)?.listed(REFUSAL);
    let names = fields.take("names");
    let exit = fields.take("exit");
    let never_says = fields.take("never_says");
    let within_ms = fields.take("within_ms");
    if names.is_none() && exit.is_none() && never_says.is_none() && within_ms.is_none() {
        diagnostics.add_if_whole(
            Problem::new("`refusal` demands nothing", field.value.span())
                .label("neither `names` nor `exit`, nor `never_says` or `within_ms`")
                .help("for instance `{ names = \"owner\", exit = [75, 78] }`"),
        );
    }
    fields.finish(diagnostics);
    let names = names.and_then(|field| named(field, stage.names, diagnostics));
    let exit = exit.map(|field| statuses(field, diagnostics)).unwrap_or_default();
    let never_says = never_says.map(|field| words(field, diagnostics)).unwrap_or_default();
    let within_ms = within_ms.and_then(|field| integer("`within_ms`", field.value, WITHIN, diagnostics));
    let refusal = Refusal { names, exit, never_says, within_ms };
    Some(Located { value: refusal, line: line_at(stage.source, field.key.span().start) })
}

/// What a refusal must not say.
fn words(field: Field<'_>, diagnostics: &mut Diagnostics) -> Vec<String> {
    let values = filled_list("`never_says`", field.value, diagnostics).unwrap_or_default();
    let mut words: Vec<String> = Vec::new();
    for value in values {
        let Some(word) = text("an entry of `never_says`", value, diagnostics) else { continue };
        if words.iter().any(|earlier| earlier.eq_ignore_ascii_case(word)) {
            diagnostics
                .add(Problem::new(format!("`{word}` is listed twice"), value.span()).label("again here"));
        }
        words.push(word.to_owned());
    }
    words
}

fn named(field: Field<'_>, names: &Names, diagnostics: &mut Diagnostics) -> Option<Named> {
    let name = text("`names`", field.value, diagnostics)?;
    if name == OWNER {
        return Some(Named::Owner);
    }
    names.resolve(name, field.value.span(), diagnostics).map(|declared| Named::Process(declared.name.clone()))
}

/// One exit status or a list of them.
fn statuses(field: Field<'_>, diagnostics: &mut Diagnostics) -> Vec<u8> {
    let values: &[Value<'_>] = match field.value.get_ref() {
        DeValue::Integer(_) => std::slice::from_ref(field.value),
        DeValue::Array(_) => filled_list("`exit`", field.value, diagnostics).unwrap_or_default(),
        DeValue::String(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Table(_) => {
            wrong_type("`exit`", "an exit status or a list of them", field.value, diagnostics);
            &[]
        }
    };
    let mut statuses = Vec::new();
    for value in values {
        let Some(status) = integer::<u8>("an exit status", value, EXIT_STATUSES, diagnostics) else {
            continue;
        };
        if statuses.contains(&status) {
            diagnostics
                .add(Problem::new(format!("{status} is listed twice"), value.span()).label("again here"));
        }
        statuses.push(status);
    }
    statuses
}
