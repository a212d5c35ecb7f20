//! Profiles: options of `portcullis run` under a name, in `portcullis.toml`.
//!
//! A key is an option as the command line spells it, without its dashes; so every option can stand there, and none means
//! something else. Each profile stands on `[profile.default]`, which is used when no profile is named. What the command
//! line says itself, or the environment, wins over both.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command, CommandFactory as _};
use serde_json::{Map, Value, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Arguments, complain};
use crate::scenario::diagnostics::did_you_mean;
use crate::scenario::{Paint, Problem};
use crate::select::expression::problem;

/// The name of the file.
pub(super) const FILE: &str = "portcullis.toml";
/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;
/// The profile that all others stand on.
const DEFAULT: &str = "default";
/// Options that a profile cannot have: it would name another profile, or one run.
const NOT_HERE: [&str; 5] = ["profile", "rerun", "partition", "help", "ci"];

/// The nearest file, in a directory or those above it.
pub(super) fn find(from: &Path) -> Option<PathBuf> {
    from.ancestors().map(|directory| directory.join(FILE)).find(|file| file.is_file())
}

/// The arguments of `portcullis run` with those of a profile put in. `given` are those of the command line as they are,
/// `matches` what `run` makes of them.
///
/// # Errors
///
/// That the file or the profile is of no use was told; the run cannot begin.
pub(super) fn apply(
    command: &Command,
    given: &[OsString],
    matches: &ArgMatches,
) -> Result<Vec<OsString>, ()> {
    // A search for a timeline is no run of cases: what profiles say of reports and bounds is not about it.
    if matches.value_source("matching").is_some() {
        return Ok(given.to_vec());
    }
    let name = matches.get_one::<String>("profile").map(String::as_str);
    let file = std::env::current_dir().ok().and_then(|here| find(&here));
    let Some(file) = file else {
        let Some(name) = name else { return Ok(given.to_vec()) };
        complain(&format!(
            "error: there is no profile `{name}`: no `{FILE}` lies in the current directory or above it\n  = help: write \
             one with a table `[profile.{name}]`, or leave out `--profile`"
        ));
        return Err(());
    };
    let text =
        read(&file).map_err(|why| complain(&format!("error: cannot read {}: {why}", file.display())))?;
    let told = |problems: Vec<Problem>| {
        for problem in problems {
            complain(&format!("{}\n", problem.render(&file, &text, Paint::Coloured)));
        }
    };
    let profiles = parse(&text, command).map_err(told)?;
    if let Some(name) = name.filter(|name| !profiles.contains_key(*name)) {
        let known: Vec<String> = profiles.keys().map(|known| format!("`{known}`")).collect();
        let known =
            if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        complain(&format!("error: {} has no profile `{name}`\n  = help: {known}", file.display()));
        return Err(());
    }
    let mut options: BTreeMap<&String, &Vec<OsString>> = BTreeMap::new();
    for profile in [Some(DEFAULT), name].into_iter().flatten().filter_map(|name| profiles.get(name)) {
        options.extend(profile);
    }
    let is_given = |key: &str| {
        let id = id_of(command, key).unwrap_or_default();
        matches!(matches.value_source(&id), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    options.retain(|key, _| !is_given(key));
    let mut arguments = given.to_vec();
    // After the command's own name, so that what follows `--` stays there.
    let after = given.iter().position(|word| word == "run").map_or(given.len(), |place| place + 1);
    arguments.splice(after..after, options.values().flat_map(|words| words.iter().cloned()));
    Ok(arguments)
}

/// The options of each profile as words of a command line, by key.
type Profiles = BTreeMap<String, BTreeMap<String, Vec<OsString>>>;

fn parse(text: &str, command: &Command) -> Result<Profiles, Vec<Problem>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut problems: Vec<Problem> =
        errors.iter().map(|error| problem(error.message(), error.span().unwrap_or(0..0), "", None)).collect();
    let mut profiles = Profiles::new();
    for (key, value) in root.get_ref().iter() {
        let at = key.span();
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("profile", DeValue::Table(tables)) => {
                for (name, value) in tables.iter() {
                    let DeValue::Table(table) = value.get_ref() else {
                        let says = format!("`profile.{}` is no table", name.get_ref());
                        problems.push(problem(
                            says,
                            value.span(),
                            "",
                            Some("write `[profile.NAME]` above its options"),
                        ));
                        continue;
                    };
                    profiles.insert(name.get_ref().to_string(), options(table, command, &mut problems));
                }
            }
            (other, _) => {
                let says = format!("there is no key `{other}` here");
                problems.push(problem(
                    says,
                    at,
                    "unknown key",
                    Some("its only key is `profile`, for instance `[profile.ci]`"),
                ));
            }
        }
    }
    problems.sort_by_key(|problem| problem.span.start);
    if problems.is_empty() { Ok(profiles) } else { Err(problems) }
}

fn options(
    table: &DeTable<'_>,
    command: &Command,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Vec<OsString>> {
    let mut options = BTreeMap::new();
    for (key, value) in table.iter() {
        let name = key.get_ref().as_ref();
        if id_of(command, name).is_none() {
            let known: Vec<String> = keys(command);
            let help = did_you_mean(name, known.iter().map(String::as_str))
                .unwrap_or_else(|| format!("its keys are options of `portcullis run`: {}", known.join(", ")));
            let says = format!("a profile has no key `{name}`");
            problems.push(problem(says, key.span(), "unknown key", Some(&help)));
            continue;
        }
        match words(command, name, value) {
            Ok(words) => _ = options.insert(name.to_owned(), words),
            Err((why, help)) => {
                let says = format!("`{name}` {why}");
                problems.push(problem(says, value.span(), "", help.as_deref()));
            }
        }
    }
    options
}

/// A key and its value as words of a command line that the command accepts.
fn words(
    command: &Command,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<OsString>, (String, Option<String>)> {
    let Some(argument) = command.get_arguments().find(|argument| key_of(argument).as_deref() == Some(key))
    else {
        unreachable!("only keys that are options come here")
    };
    let is_flag = matches!(argument.get_action(), ArgAction::SetTrue);
    let may_repeat = matches!(argument.get_action(), ArgAction::Append);
    let single = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.as_str().replace('_', "")),
        DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => Err(("is no text and no whole number".to_owned(), None)),
    };
    let value = value.get_ref();
    if is_flag {
        let DeValue::Boolean(is_set) = value else { return Err(("is `true` or `false`".to_owned(), None)) };
        return Ok(if *is_set { vec![format!("--{key}").into()] } else { Vec::new() });
    }
    let values = match value {
        DeValue::Array(values) if may_repeat => {
            values.iter().map(|value| single(value.get_ref())).collect::<Result<Vec<_>, _>>()?
        }
        DeValue::Array(_) => return Err(("takes one value".to_owned(), None)),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Table(_) => vec![single(value)?],
    };
    let mut words: Vec<OsString> = Vec::new();
    for value in values {
        let word: OsString =
            if argument.is_positional() { value.clone().into() } else { format!("--{key}={value}").into() };
        // Each option is tried alone: what it needs besides may come from the command line.
        let tried = command.clone().try_get_matches_from([OsString::from("run"), word.clone()]);
        if let Err(error) = tried
            && matches!(
                error.kind(),
                ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::InvalidUtf8
            )
        {
            let text = error.to_string();
            let mut lines = text.lines();
            // What stands behind the name of the option is the reason, if there is one.
            let reason = lines.next().and_then(|line| line.split_once("\': ")).map(|(_, reason)| reason);
            let says = reason.map_or_else(String::new, |reason| format!(": {reason}"));
            let help = lines.map(str::trim).find(|line| line.starts_with('[') || line.starts_with("tip:"));
            return Err((format!("cannot be `{value}`{says}"), help.map(str::to_owned)));
        }
        words.push(word);
    }
    Ok(words)
}

/// What an option is called in a profile, if it can stand there.
fn key_of(argument: &clap::Arg) -> Option<String> {
    let key = argument.get_long().unwrap_or(argument.get_id().as_str()).to_owned();
    (!NOT_HERE.contains(&key.as_str())).then_some(key)
}

fn keys(command: &Command) -> Vec<String> {
    let mut keys: Vec<String> = command.get_arguments().filter_map(key_of).collect();
    keys.sort();
    keys
}

fn id_of(command: &Command, key: &str) -> Option<String> {
    let argument = command.get_arguments().find(|argument| key_of(argument).as_deref() == Some(key));
    argument.map(|argument| argument.get_id().to_string())
}

/// The JSON Schema (2020-12) of the file, with a line break at its end: made of the options of `portcullis run`.
pub(super) fn json_schema() -> String {
    let mut all = Arguments::command();
    all.build();
    let Some(run) = all.find_subcommand("run") else { unreachable!("there is such a command") };
    let properties: Map<String, Value> =
        run.get_arguments().filter_map(|argument| Some((key_of(argument)?, value_of(argument)))).collect();
    let profile = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("{FILE}, the profiles of portcullis"),
        "type": "object",
        "properties": {
            "profile": {
                "type": "object",
                "additionalProperties": profile,
                "description": "options of `portcullis run` under a name; each stands on `default`",
            },
        },
        "additionalProperties": false,
    });
    let text = serde_json::to_string_pretty(&schema);
    text.unwrap_or_else(|error| unreachable!("a schema has string keys alone: {error}")) + "\n"
}

/// What an option may be, as far as its words are known.
fn value_of(argument: &clap::Arg) -> Value {
    let meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        return json!({ "type": "boolean", "description": meaning });
    }
    let words: Vec<String> =
        argument.get_possible_values().iter().map(|word| word.get_name().to_owned()).collect();
    let single =
        if words.is_empty() { json!({ "type": ["string", "integer"] }) } else { json!({ "enum": words }) };
    let mut value = if matches!(argument.get_action(), ArgAction::Append) {
        json!({ "anyOf": [single, { "type": "array", "items": single }] })
    } else {
        single
    };
    value["description"] = json!(meaning);
    value
}

#[expect(clippy::disallowed_methods, reason = "the named edge: the configuration of this program")]
fn read(file: &Path) -> Result<String, String> {
    let length = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if length > LARGEST {
        return Err(format!("it has {length} bytes, and no more than {LARGEST} are read"));
    }
    std::fs::read_to_string(file).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::parse;
    use crate::cli::Arguments;

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]
        #[test]
        fn no_file_makes_the_reader_panic(
            key in "jobs|filter|on|quiet|paths|budget|sampler|profile|[a-z-]{1,8}",
            value in "[0-9]{1,6}|true|\"[a-z=0-9/-]{0,8}\"|\\[\"sim\", [0-9]\\]|1979-05-27|.{0,12}",
            rest in ".{0,20}",
        ) {
            let mut command = Arguments::command();
            command.build();
            let run = command.find_subcommand("run").map_or_else(|| panic!("there is such a command"), Clone::clone);
            let _ = parse(&format!("[profile.x]\n{key} = {value}\n{rest}"), &run);
        }
    }
}
