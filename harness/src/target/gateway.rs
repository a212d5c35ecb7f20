//! Reads how a gateway is started: `[gateway]`, and `[options]` for what only some scenarios ask for.

use std::ops::Range;

use super::format::{GATEWAY, OPTION};
use super::model::{Extra, Feature};
use super::parse::{Options, Words, strings};
use super::template::Template;
use crate::scenario::diagnostics::{Diagnostics, did_you_mean_or_list};
use crate::scenario::fields::{Field, Fields, filled_list, in_file_order, table};
use crate::scenario::problem::Problem;

/// `[gateway]`
pub(super) struct Started {
    pub(super) at: Range<usize>,
    pub(super) version: Vec<Template>,
    pub(super) start: Vec<Template>,
    pub(super) env: Vec<(String, Template)>,
    pub(super) inherit: Vec<String>,
    pub(super) workdir: Option<Template>,
    pub(super) files: Vec<(Template, Template)>,
}

pub(super) fn gateway(field: Field<'_>, words: &Words<'_>, diagnostics: &mut Diagnostics) -> Option<Started> {
    let at = field.key.span();
    let mut fields = Fields::of("`[gateway]`", at.clone(), field.value, diagnostics)?.listed(GATEWAY);
    let start = fields.require("start", "start = [\"my-gateway\", \"--port\", \"{base}\"]");
    let start = start.and_then(|field| {
        filled_list("`start`", field.value, diagnostics)?;
        Some(words.list("`start`", field, diagnostics))
    });
    let version = fields.take("version").map(|field| words.list("`version`", field, diagnostics));
    let env = fields.take("env").map(|field| environment(words, field, diagnostics));
    let inherit = fields.take("inherit").map(|field| strings("`inherit`", field, diagnostics));
    let workdir = fields.take("workdir").and_then(|field| words.one("`workdir`", field.value, diagnostics));
    let files = fields.take("files").map(|field| words.files(field, diagnostics));
    fields.finish(diagnostics);
    Some(Started {
        at,
        version: version.unwrap_or_default(),
        start: start?,
        env: env.unwrap_or_default(),
        inherit: inherit.unwrap_or_default(),
        workdir,
        files: files.unwrap_or_default(),
    })
}

/// `env`, whose names must be names.
fn environment(
    words: &Words<'_>,
    field: Field<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<(String, Template)> {
    for entry in table("`env`", field.value, diagnostics).map(in_file_order).unwrap_or_default() {
        if entry.name().is_empty() || entry.name().contains(['=', '\0']) {
            diagnostics.add(
                Problem::new(format!("`{}` is no name of a variable", entry.name()), entry.key.span())
                    .label("no `=` may be in it"),
            );
        }
    }
    words.table("`env`", field, diagnostics)
}

/// `[options]`
pub(super) fn options(field: Field<'_>, words: &Words<'_>, diagnostics: &mut Diagnostics) -> Options {
    let mut options = Options::new();
    let Some(entries) = table("`[options]`", field.value, diagnostics) else { return options };
    for entry in in_file_order(entries) {
        let feature = Feature::ALL.into_iter().find(|(name, _)| *name == entry.name());
        let Some((name, feature)) = feature else {
            let known = Feature::ALL.map(|(name, _)| name);
            diagnostics.add(
                Problem::new(format!("no scenario asks for `{}`", entry.name()), entry.key.span())
                    .label("unknown option")
                    .maybe_help(did_you_mean_or_list("the options are", entry.name(), &known)),
            );
            continue;
        };
        let place = format!("`[options.{name}]`");
        let Some(fields) = Fields::of(place, entry.key.span(), entry.value, diagnostics) else {
            continue;
        };
        let mut fields = fields.listed(OPTION);
        let args = fields.take("args").map(|field| words.list("`args`", field, diagnostics));
        let env = fields.take("env").map(|field| environment(words, field, diagnostics));
        let files = fields.take("files").map(|field| words.files(field, diagnostics));
        fields.finish(diagnostics);
        let extra = Extra {
            args: args.unwrap_or_default(),
            env: env.unwrap_or_default(),
            files: files.unwrap_or_default(),
        };
        options.insert(feature, extra);
    }
    options
}
