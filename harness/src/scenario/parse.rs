//! Turns the text of one file into a scenario, or into all the problems that it has.
//!
//! The text is parsed with recovery, then walked once: types, ranges, names and the lives of the processes are checked
//! where they stand. Where the syntax is broken, nothing is called missing or unknown that the broken lines may hold.

use std::path::{Component, Path};
use std::sync::Arc;

use toml::de::DeTable;

use super::browsers::browsers_of;
use super::declared::{bystanders, gateways, mounts};
use super::diagnostics::{Diagnostics, Syntax, quoted};
use super::expected::expect;
use super::explored::{explore, limits};
use super::fields::{Bounds, Field, Fields, Value, integer, list, text};
use super::format::FILE;
use super::lives::Lives;
use super::model::{Scenario, Variant};
use super::names::{Names, is_tag};
use super::outcome::Stage;
use super::problem::{Problem, line_at};
use super::steps::Steps;
use super::timeline::timeline;
use super::varied::combinations;

/// The folder that scenarios are named from, wherever it is.
pub(super) const LIBRARY: &str = "scenarios";

/// What to do about a line that is not TOML.
const OF_TOML: &str =
    "a line is `key = value`, a string has quotes, a list is `[a, b]`, a table is `{ key = value }`";

/// The only version of the format so far.
pub(super) const SCHEMA: i64 = 1;

/// Reads one scenario, named after its path: from the last folder called `scenarios`, or from its own folder.
///
/// # Errors
///
/// Every problem of the file, in the order of the file.
pub fn parse(path: &Path, text: &str) -> Result<Scenario, Vec<Problem>> {
    parse_as(&name_of(path), path, text)
}

/// Reads one scenario under a name that is given.
///
/// # Errors
///
/// Every problem of the file, in the order of the file.
pub fn parse_as(name: &str, path: &Path, text: &str) -> Result<Scenario, Vec<Problem>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let syntax = if errors.is_empty() { Syntax::Whole } else { Syntax::Broken };
    let mut diagnostics = Diagnostics::new(syntax);
    let file = File { name, path, source: Arc::from(text) };
    let scenario = file.read(root.get_ref(), &mut diagnostics);
    let mut variants = Vec::new();
    for combination in combinations(root.get_ref(), text, &mut diagnostics) {
        let scenario = file.read(&combination.table, &mut diagnostics);
        variants.extend(scenario.map(|scenario| Variant { words: combination.words, scenario }));
    }
    let problems = match syntax {
        Syntax::Whole => diagnostics.into_problems(),
        Syntax::Broken => with_syntax_errors(diagnostics, &errors, text),
    };
    match scenario {
        Some(scenario) if problems.is_empty() => Ok(Scenario { variants, ..scenario }),
        Some(_) | None => Err(problems),
    }
}

/// The name of a scenario that nobody gave a root for.
pub(super) fn name_of(path: &Path) -> String {
    let parts: Vec<_> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
        })
        .collect();
    let folders = parts.len().saturating_sub(1);
    let from = parts[..folders].iter().rposition(|part| part == LIBRARY).map_or(folders, |index| index + 1);
    name_from(&parts[from..])
}

/// The parts of a path as a name: no blanks, no brackets, no ending.
pub(super) fn name_from(parts: &[String]) -> String {
    let joined = parts.join("/");
    let stem = joined.strip_suffix(".toml").unwrap_or(&joined);
    let keep = |c: char| if c.is_alphanumeric() || "-_./".contains(c) { c } else { '-' };
    let name: String = stem.chars().map(keep).collect();
    if name.is_empty() { "scenario".to_owned() } else { name }
}

/// What stays the same however the values vary.
struct File<'a> {
    name: &'a str,
    path: &'a Path,
    source: Arc<str>,
}

impl File<'_> {
    fn read(&self, root: &DeTable<'_>, diagnostics: &mut Diagnostics) -> Option<Scenario> {
        let before = diagnostics.count();
        let mut fields = Fields::new("the file", 0..0, root).listed(FILE);
        if let Some(field) = fields.require("schema", "schema = 1") {
            schema(field, diagnostics);
        }
        let title = fields.require("title", "title = \"Two gateways start at once\"");
        let title = title.and_then(|field| text("`title`", field.value, diagnostics));
        let refs = fields.take("refs").map(|field| texts("`refs`", field, diagnostics));
        let tags = fields.take("tags").map(|field| tags(field, diagnostics));
        let mut names = Names::default();
        let gateway = fields.require("gateway", "[gateway.a]");
        let gateways = gateways(gateway, &mut names, diagnostics);
        let mut processes = bystanders(fields.take("process"), &mut names, diagnostics);
        processes.extend(gateways.iter().flat_map(browsers_of));
        let mounts = mounts(fields.take("mount"), &mut names, diagnostics);
        let run = fields.require("run", "[run]");
        let mut steps = Steps { source: &self.source, names: &names, lives: Lives::default() };
        let (setup, steps, lives) = {
            let (setup, issued) = steps.run(run, diagnostics);
            (setup, issued, steps.lives)
        };
        let expected = fields.require("expect", "[expect]");
        let mut explore = explore(fields.take("explore"), diagnostics);
        limits(fields.take("limits"), &mut explore, diagnostics);
        let kills = explore.kills.max(explore.power_losses).max(u8::from(names.has_killer()));
        let stage = Stage { source: &self.source, names: &names, lives: &lives, kills };
        let expect = expect(expected, &stage, diagnostics);
        let timeline = timeline(fields.take("timeline"), &self.source, &names, diagnostics);
        // Read by `combinations`, which puts its values into what is read here.
        fields.take("vary");
        fields.finish(diagnostics);
        let (title, expect) = title.zip(expect)?;
        (diagnostics.count() == before).then(|| Scenario {
            file: self.path.to_owned(),
            name: self.name.to_owned(),
            source: Arc::clone(&self.source),
            title: title.to_owned(),
            refs: refs.unwrap_or_default(),
            tags: tags.unwrap_or_default(),
            gateways,
            processes,
            mounts,
            setup,
            steps,
            expect,
            explore,
            timeline,
            variants: Vec::new(),
        })
    }
}

pub(crate) fn schema(field: Field<'_>, diagnostics: &mut Diagnostics) {
    let only = Bounds {
        least: SCHEMA,
        most: SCHEMA,
        why: "this program reads schema 1; newer files need a newer program",
    };
    integer::<i64>("`schema`", field.value, only, diagnostics);
}

/// A list of texts.
fn texts(what: &str, field: Field<'_>, diagnostics: &mut Diagnostics) -> Vec<String> {
    let values: &[Value<'_>] = list(what, field.value, diagnostics).unwrap_or_default();
    let one = format!("an entry of {what}");
    values.iter().filter_map(|value| text(&one, value, diagnostics)).map(str::to_owned).collect()
}

fn tags(field: Field<'_>, diagnostics: &mut Diagnostics) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for value in list("`tags`", field.value, diagnostics).unwrap_or_default() {
        let Some(tag) = text("a tag", value, diagnostics) else { continue };
        if !is_tag(tag) {
            diagnostics.add(
                Problem::new(format!("`{tag}` is no tag"), value.span())
                    .label("lower-case letters, digits and `-` only")
                    .help("for instance `race` or `pid-reuse`"),
            );
        } else if tags.iter().any(|earlier| earlier == tag) {
            diagnostics.add(
                Problem::new(format!("{} is listed twice", quoted(&[tag])), value.span()).label("again here"),
            );
        }
        tags.push(tag.to_owned());
    }
    tags
}

/// The syntax errors, and of the other problems those on lines without one: a broken line says nothing reliable.
pub(crate) fn with_syntax_errors(
    diagnostics: Diagnostics,
    errors: &[toml::de::Error],
    text: &str,
) -> Vec<Problem> {
    let mut all = Diagnostics::new(Syntax::Broken);
    let mut lines = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        lines.push(line_at(text, span.start));
        all.add(Problem::new(error.message(), span).label("not valid TOML").help(OF_TOML));
    }
    for problem in diagnostics.into_problems() {
        // A value that the parser has made up to go on has no place of its own.
        if !problem.span.is_empty() && !lines.contains(&problem.line(text)) {
            all.add(problem);
        }
    }
    all.into_problems()
}
