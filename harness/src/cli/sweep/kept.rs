//! Keeps what has failed: its seed, and the trouble that was drawn as a plan that draws none.

use std::io::{self, Write};
use std::path::PathBuf;

use network::{Frozen, LONGEST_TITLE, Sweep, Unrunnable};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value, value};

use super::super::rewritten::{create, rewrite};
use super::{Place, Plan};
use crate::scenario::SWEEP_ENDING;

/// How many seeds are tried of a plan that was written down.
const SEEDS: i64 = 20;

/// Adds a seed to those of a plan that are tried first, and writes down what it drew. Everything else in the file stays as it is.
pub(super) fn keep(
    out: &mut impl Write,
    plan: &mut Plan,
    seed: u64,
    place: Place,
    should_stop: &dyn Fn() -> bool,
) -> io::Result<()> {
    if !plan.sweep.regressions.contains(&seed) {
        let mut document: DocumentMut = plan.text.parse().map_err(io::Error::other)?;
        let seeds = document.entry("regressions").or_insert_with(|| Item::Value(Value::Array(Array::new())));
        let seeds = seeds.as_array_mut().ok_or_else(|| io::Error::other("`regressions` is no list"))?;
        seeds.push(number(seed)?);
        let text = as_before(plan, &document);
        rewrite(&plan.path, &plan.text, &text)?;
        plan.text = text;
        plan.sweep.regressions.push(seed);
    }
    // What processes make of a seed is not to be had again, so there is nothing to leave out and look.
    if place == Place::Refgate {
        return Ok(());
    }
    let frozen = match plan.sweep.freeze(seed, should_stop) {
        // The seed is kept, which is all that there was time for.
        Err(Unrunnable::Interrupted) => return Ok(()),
        frozen => frozen.map_err(io::Error::other)?,
    };
    let Some(frozen) = frozen else { return Ok(()) };
    let path = path_of(plan, seed);
    let text = text_of(plan, &frozen)?;
    // What cannot be read would keep everything else in the folder from being read.
    Sweep::parse(&text).map_err(io::Error::other)?;
    match create(&path, &text) {
        // It was kept before.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other?,
    }
    let Frozen { steps, drawn, .. } = frozen;
    writeln!(
        out,
        "     kept  {}, which takes {} of the {drawn} steps that were drawn",
        path.display(),
        steps.len()
    )
}

/// The text of a document, whose lines end as those of the plan do.
fn as_before(plan: &Plan, document: &DocumentMut) -> String {
    let text = document.to_string();
    if plan.text.contains("\r\n") { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text }
}

/// A number of TOML is signed, and seeds that anybody names are far below.
fn number(seed: u64) -> io::Result<i64> {
    i64::try_from(seed).map_err(io::Error::other)
}

/// Beside the plan, under its name and that of the seed.
fn path_of(plan: &Plan, seed: u64) -> PathBuf {
    let name = plan.path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(SWEEP_ENDING).unwrap_or(&name);
    plan.path.with_file_name(format!("{name}.seed-{seed}{SWEEP_ENDING}"))
}

/// The plan without weather and with what was drawn as steps of its own.
fn text_of(plan: &Plan, frozen: &Frozen) -> io::Result<String> {
    let mut document: DocumentMut = plan.text.parse().map_err(io::Error::other)?;
    document.remove("weather_every_ms");
    document["regressions"] = value(Array::from_iter([number(frozen.seed)?]));
    document["seeds"] = value(SEEDS);
    let of_seed = format!(", as seed {} drew it", frozen.seed);
    let (title, most) = (&plan.sweep.title, LONGEST_TITLE - of_seed.len());
    document["title"] = value(format!("{}{of_seed}", &title[..title.floor_char_boundary(most)]));
    if let Some(expect) = document.get_mut("expect").and_then(Item::as_table_like_mut) {
        // What all of the weather shows, a part of it need not.
        expect.remove("happens");
    }
    // A list in one line holds the same tables.
    let steps = document.remove("step").unwrap_or_else(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let steps = steps.into_array_of_tables();
    let mut steps = steps.map_err(|_| io::Error::other("`step` is no list of tables"))?;
    for (at_ms, words) in &frozen.steps {
        let step: DocumentMut = format!("at_ms = {at_ms}\n{words}\n").parse().map_err(io::Error::other)?;
        let mut table = Table::new();
        table.extend(step.as_table().iter().map(|(key, item)| (key.to_owned(), item.clone())));
        steps.push(table);
    }
    document.insert("step", Item::ArrayOfTables(steps));
    Ok(as_before(plan, &document))
}
