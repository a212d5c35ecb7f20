//! Reads what refusals look like: `[[refusal]]`.

use super::format::{EXIT, REFUSAL};
use super::model::Refusal;
use super::signs::pattern;
use crate::scenario::REASONS;
use crate::scenario::diagnostics::{Diagnostics, did_you_mean_or_list};
use crate::scenario::fields::{Field, Fields, Value, integer, list, text};
use crate::scenario::problem::Problem;

/// `[[refusal]]`
pub(super) fn refusals(field: Field<'_>, diagnostics: &mut Diagnostics) -> Vec<Refusal> {
    let mut refusals: Vec<Refusal> = Vec::new();
    for value in list("`[[refusal]]`", field.value, diagnostics).unwrap_or_default() {
        let Some(refusal) = refusal(value, diagnostics) else { continue };
        if refusals.iter().any(|earlier| hides(earlier, &refusal)) {
            diagnostics.add(
                Problem::new("this refusal is never seen", value.span())
                    .label("an earlier one fits whenever it does")
                    .help("the first that fits counts: put the narrower one first"),
            );
        }
        refusals.push(refusal);
    }
    refusals
}

/// Whether one fits wherever the other does: as far as can be told without comparing what patterns mean.
fn hides(earlier: &Refusal, later: &Refusal) -> bool {
    let wider = |one: &Option<_>, other: &Option<_>| one.is_none() || one == other;
    wider(&earlier.stderr, &later.stderr)
        && wider(&earlier.stdout, &later.stdout)
        && (earlier.exit.is_empty()
            || (!later.exit.is_empty() && later.exit.iter().all(|status| earlier.exit.contains(status))))
}

fn refusal(value: &Value<'_>, diagnostics: &mut Diagnostics) -> Option<Refusal> {
    let before = diagnostics.count();
    let mut fields = Fields::of("`[[refusal]]`", value.span(), value, diagnostics)?.listed(REFUSAL);
    let reason = fields.require("reason", "reason = \"held\"").and_then(|field| reason(field, diagnostics));
    let exit = fields.take("exit").map(|field| statuses(field, diagnostics)).unwrap_or_default();
    let stderr = fields.take("stderr").and_then(|field| pattern("`stderr`", field, diagnostics));
    let stdout = fields.take("stdout").and_then(|field| pattern("`stdout`", field, diagnostics));
    let means = fields.take("means").and_then(|field| integer("`means`", field.value, EXIT, diagnostics));
    fields.finish(diagnostics);
    if diagnostics.count() == before && exit.is_empty() && stderr.is_none() && stdout.is_none() {
        diagnostics.add_if_whole(
            Problem::new("nothing tells this refusal from any other end", value.span())
                .label("`exit`, `stderr` or `stdout` is missing")
                .help("say what it exits with, for instance `exit = 78`"),
        );
    }
    let reason = reason?;
    (diagnostics.count() == before).then_some(Refusal { reason, exit, stderr, stdout, means })
}

fn reason(field: Field<'_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let written = text("`reason`", field.value, diagnostics)?;
    let known = REASONS.map(|reason| reason.id);
    if known.contains(&written) {
        return Some(written.to_owned());
    }
    diagnostics.add(
        Problem::new(format!("no refusal has the reason `{written}`"), field.value.span())
            .label("not known")
            .maybe_help(did_you_mean_or_list("the reasons are", written, &known)),
    );
    None
}

/// One status or several.
fn statuses(field: Field<'_>, diagnostics: &mut Diagnostics) -> Vec<u8> {
    match field.value.get_ref().as_array() {
        Some(_) => {
            let values = list("`exit`", field.value, diagnostics).unwrap_or_default();
            values.iter().filter_map(|value| integer("an exit status", value, EXIT, diagnostics)).collect()
        }
        None => integer("`exit`", field.value, EXIT, diagnostics).into_iter().collect(),
    }
}
