//! Reads `[explore]`: what to try, apart from what is true.

use toml::de::DeValue;

use super::diagnostics::{Diagnostics, did_you_mean_or_list};
use super::fields::{Bounds, Field, Fields, boolean, integer, wrong_type};
use super::model::{Explore, Policy};
use super::problem::Problem;

const PREEMPTIONS: Bounds = Bounds::new(0, 100);
const KILLS: Bounds = Bounds::new(0, 4);
const SPAN: Bounds =
    Bounds { least: 1, most: 110, why: "a gateway never claims more than 110 ports above its base" };
/// With more ports than these the orders in which a dying gateway gives them back are too many.
const SLOW_SPAN: u16 = 2;
const TRIES: Bounds = Bounds::new(1, 10_000);

/// `[explore]`, every key of which has a default.
pub(super) fn explore(field: Option<Field<'_>>, diagnostics: &mut Diagnostics) -> Explore {
    let mut explore = Explore::everything();
    let Some(field) = field else { return explore };
    let Some(mut fields) = Fields::of("`[explore]`", field.key.span(), field.value, diagnostics) else {
        return explore;
    };
    if let Some(field) = fields.take("policy") {
        explore.policy = policy(field, diagnostics).unwrap_or(explore.policy);
    }
    if let Some(field) = fields.take("kills") {
        explore.kills = integer("`kills`", field.value, KILLS, diagnostics).unwrap_or(explore.kills);
    }
    if let Some(field) = fields.take("span") {
        explore.span = integer("`span`", field.value, SPAN, diagnostics).unwrap_or(explore.span);
    }
    if let Some(field) = fields.take("slow_release") {
        explore.slow_release = boolean("`slow_release`", field.value, diagnostics).unwrap_or_default();
        if explore.slow_release && explore.span > SLOW_SPAN {
            diagnostics.add(
                Problem::new("`slow_release` is for gateways with few ports", field.value.span())
                    .label("every order of as many descriptors as there are ports would be tried")
                    .help(format!("add `span`, {SLOW_SPAN} at most, before it")),
            );
        }
    }
    if let Some(field) = fields.take("tries") {
        explore.tries = integer("`tries`", field.value, TRIES, diagnostics).unwrap_or(explore.tries);
    }
    fields.finish(diagnostics);
    explore
}

fn policy(field: Field<'_>, diagnostics: &mut Diagnostics) -> Option<Policy> {
    match field.value.get_ref() {
        DeValue::String(word) if word == "exhaustive" => Some(Policy::Exhaustive),
        DeValue::String(word) => {
            diagnostics.add(
                Problem::new(format!("no policy is called `{word}`"), field.value.span())
                    .label("not known")
                    .maybe_help(did_you_mean_or_list("it can be", word, &["exhaustive"])),
            );
            None
        }
        DeValue::Table(_) => {
            let mut fields = Fields::of("`policy`", field.key.span(), field.value, diagnostics)?;
            let bound = fields.require("exhaustive", "policy = { exhaustive = 3 }");
            fields.finish(diagnostics);
            integer("the bound on preemptions", bound?.value, PREEMPTIONS, diagnostics)
                .map(Policy::Preemptions)
        }
        DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => {
            let wanted = "`\"exhaustive\"` or `{ exhaustive = PREEMPTIONS }`";
            wrong_type("`policy`", wanted, field.value, diagnostics);
            None
        }
    }
}
