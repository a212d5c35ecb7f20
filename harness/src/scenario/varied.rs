//! Reads `[vary]`: each combination of varied values is put into the file and read like a file of its own.
//!
//! So a varied value is checked by the very code that checks the value it replaces, and a problem with it is shown in
//! the list that it comes from.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostics::{Diagnostics, did_you_mean_or_list};
use super::fields::{Field, Value, filled_list, in_file_order};
use super::format::{EXPLORE, VARIABLE};
use super::problem::Problem;

/// More cases than this are a mistake: somebody multiplied what was meant to be listed.
const MOST_CASES: usize = 256;

/// One combination of varied values.
pub(super) struct Combination<'t> {
    /// One short word for each value.
    pub(super) words: Vec<String>,
    /// The file with the values put in.
    pub(super) table: DeTable<'t>,
}

/// One key and the values that it takes.
struct Axis<'t> {
    path: Vec<String>,
    choices: Vec<(String, &'t Value<'t>)>,
}

/// Every combination, the last key varying fastest. Empty if nothing varies or `[vary]` is wrong.
pub(super) fn combinations<'t>(
    root: &'t DeTable<'t>,
    source: &str,
    diagnostics: &mut Diagnostics,
) -> Vec<Combination<'t>> {
    let Some((key, value)) = root.get_key_value("vary") else { return Vec::new() };
    let mut leaves = Vec::new();
    flatten(Field { key, value }, "", &mut leaves, diagnostics);
    let known = variable_paths(root);
    let axes: Vec<_> = leaves
        .into_iter()
        .filter_map(|(path, field)| axis(path, field, &known, source, diagnostics))
        .collect();
    let cases = axes.iter().fold(1_usize, |cases, axis| cases.saturating_mul(axis.choices.len()));
    if cases > MOST_CASES {
        diagnostics.add(
            Problem::new(format!("`[vary]` makes {cases} cases"), key.span())
                .label(format!("more than {MOST_CASES}"))
                .help("every value is combined with every other; split the scenario or vary less"),
        );
        return Vec::new();
    }
    if axes.is_empty() {
        return Vec::new();
    }
    let unvaried = Combination { words: Vec::new(), table: root.clone() };
    axes.iter().fold(vec![unvaried], |combinations, axis| {
        combinations.iter().flat_map(|combination| axis.spread(combination)).collect()
    })
}

impl<'t> Axis<'t> {
    fn spread(&self, combination: &Combination<'t>) -> Vec<Combination<'t>> {
        self.choices
            .iter()
            .map(|(word, value)| {
                let mut table = combination.table.clone();
                put(&mut table, &self.path, value);
                let words = combination.words.iter().chain([word]).cloned().collect();
                Combination { words, table }
            })
            .collect()
    }
}

/// `"a.b.c" = [..]` and `a.b.c = [..]` mean the same: nested tables are paths.
fn flatten<'t>(
    field: Field<'t>,
    prefix: &str,
    leaves: &mut Vec<(String, Field<'t>)>,
    diagnostics: &mut Diagnostics,
) {
    let Some(table) = super::fields::table("`vary`", field.value, diagnostics) else { return };
    if table.is_empty() {
        let what = if prefix.is_empty() {
            "`[vary]`".to_owned()
        } else {
            format!("`{}`", prefix.trim_end_matches('.'))
        };
        diagnostics.add_if_whole(
            Problem::new(format!("{what} varies nothing"), field.key.span())
                .label("no key and no values")
                .help("for instance `\"gateway.a.port\" = [18789, 18790]`, or leave it out"),
        );
    }
    for entry in in_file_order(table) {
        let path = format!("{prefix}{}", entry.name());
        if entry.value.get_ref().is_table() {
            flatten(entry, &format!("{path}."), leaves, diagnostics);
        } else {
            leaves.push((path, entry));
        }
    }
}

fn axis<'t>(
    path: String,
    field: Field<'t>,
    known: &[String],
    source: &str,
    diagnostics: &mut Diagnostics,
) -> Option<Axis<'t>> {
    if !known.contains(&path) {
        let words: Vec<_> = known.iter().map(|known| &**known).collect();
        diagnostics.add_if_whole(
            Problem::new(format!("`{path}` is nothing that can vary"), field.key.span())
                .label("matches nothing in this file")
                .maybe_help(did_you_mean_or_list("what can vary", &path, &words)),
        );
        return None;
    }
    let mut choices: Vec<(String, &Value<'_>)> = Vec::new();
    for value in filled_list(&format!("`{path}`"), field.value, diagnostics)? {
        let written = |value: &Value<'_>| source.get(value.span()).map(str::to_owned);
        if let Some((_, first)) = choices.iter().find(|(_, earlier)| written(earlier) == written(value)) {
            diagnostics.add(
                Problem::new("this value is listed twice", value.span())
                    .label("again here")
                    .note(first.span(), "first listed here"),
            );
        }
        let word = word_for(value.get_ref());
        let taken = |word: &str| choices.iter().any(|(earlier, _)| earlier == word);
        let numbered = (2..).map(|number| format!("{word}-{number}"));
        let word = std::iter::once(word.clone()).chain(numbered).find(|word| !taken(word)).unwrap_or(word);
        choices.push((word, value));
    }
    Some(Axis { path: path.split('.').map(str::to_owned).collect(), choices })
}

fn variable_paths(root: &DeTable<'_>) -> Vec<String> {
    let mut paths = Vec::new();
    for (section, keys) in VARIABLE {
        let Some(tables) = root.get(section).and_then(|value| value.get_ref().as_table()) else { continue };
        for entry in in_file_order(tables).iter().filter(|entry| entry.value.get_ref().is_table()) {
            paths.extend(keys.iter().map(|key| format!("{section}.{}.{}", entry.name(), key.name)));
        }
    }
    paths.extend(EXPLORE.iter().map(|key| format!("explore.{}", key.name)));
    paths
}

/// Puts a value at a path whose tables exist, except that `[explore]` may be absent.
fn put<'t>(table: &mut DeTable<'t>, path: &[String], value: &Value<'t>) {
    let [key, rest @ ..] = path else { return };
    let new_key = || Spanned::new(value.span(), Cow::Owned(key.clone()));
    if rest.is_empty() {
        // The key keeps its place in the file if it is there, so that the order of the file stays.
        match table.get_mut(&**key) {
            Some(slot) => *slot = value.clone(),
            None => drop(table.insert(new_key(), value.clone())),
        }
        return;
    }
    if !table.contains_key(&**key) {
        table.insert(new_key(), Spanned::new(value.span(), DeValue::Table(DeTable::new())));
    }
    if let Some(DeValue::Table(inner)) = table.get_mut(&**key).map(Spanned::get_mut) {
        put(inner, rest, value);
    }
}

/// A short word for a value: a number as it is, of a text the last part of the path that its first word is.
fn word_for(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => {
            let command = text.split_whitespace().next().unwrap_or_default();
            slug(command.rsplit('/').next().unwrap_or_default())
        }
        DeValue::Integer(number) => slug(number.as_str()),
        DeValue::Float(number) => slug(number.as_str()),
        DeValue::Boolean(answer) => answer.to_string(),
        DeValue::Datetime(date) => slug(&date.to_string()),
        DeValue::Array(values) => {
            let words: Vec<_> = values.iter().map(|value| word_for(value.get_ref())).collect();
            if words.is_empty() { "none".to_owned() } else { words.join("+") }
        }
        DeValue::Table(table) => {
            let words: Vec<_> = in_file_order(table)
                .iter()
                .map(|field| format!("{}-{}", slug(field.name()), word_for(field.value.get_ref())))
                .collect();
            if words.is_empty() { "none".to_owned() } else { words.join("+") }
        }
    }
}

/// Letters, digits, `.` and `-` only: the word stands in ids, tokens and file names.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().take(40) {
        if c.is_ascii_alphanumeric() || c == '.' {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_matches(['-', '.']);
    if slug.is_empty() { "value".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_word_for_a_value_has_no_blank_and_no_separator_of_ids() {
        assert_eq!(slug("api-gateway"), "api-gateway");
        assert_eq!(slug("[::1]:18789"), "1-18789");
        assert_eq!(slug("a, [b]"), "a-b");
        assert_eq!(slug("日本"), "value");
        assert_eq!(slug(".."), "value");
    }
}
