//! `refgate config`: whether the settings are understood, where each comes from, and which there are. Nothing is changed, and
//! no gateway is asked.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::log::{Format, Log};
use crate::settings::{self, Flags, Given, Origin, Setting, Settings, SettingsError};
use crate::text::one_line;

/// What is said below the options of `config check`.
const CHECK_HELP: &str = "\
Exit status:
   0  a gateway could go by these settings; notes say what may be meant otherwise
   2  the command line, the environment or the configuration was not understood";

/// What is said below the options of `config explain`.
const EXPLAIN_HELP: &str = "\
A flag counts before the environment, that before the configuration, and that before what follows
from the profile. Secrets are never shown.

Exit status:
   0  here they are
   2  the command line, the environment or the configuration was not understood, or there is no
      such setting";

/// What can be asked about settings.
#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// Say whether a gateway could go by these settings: everything wrong at once, with its place
    #[command(after_help = CHECK_HELP)]
    Check(About),
    /// Say what each setting is, where it comes from, and what it overrides
    #[command(after_help = EXPLAIN_HELP)]
    Explain(Explain),
    /// Print the JSON Schema (draft 2020-12) of the configuration
    Schema,
}

#[derive(Debug, Args)]
struct About {
    /// The base port, 1 to 65425; the 110 ports above it are reserved as well
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    port: Option<String>,

    /// Say it as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Explain {
    /// Only this setting, or those that begin so
    key: Option<String>,

    #[command(flatten)]
    about: About,
}

pub(super) fn run(options: Config, profile: Option<String>) -> ExitCode {
    let about = match options.question {
        Question::Schema => {
            say(&format!("{:#}", settings::json_schema()));
            return ExitCode::SUCCESS;
        }
        Question::Check(about) => Explain { key: None, about },
        Question::Explain(explain) => return explain_to(&explain, profile),
    };
    let (json, settled) = (about.about.json, settle(&about.about, profile));
    match (settled, json) {
        (Ok(settings), true) => {
            let (config, notes) = (&settings.config, &settings.notes);
            say(&json!({ "ok": true, "config": config, "problems": [], "notes": notes }).to_string());
        }
        (Ok(settings), false) => say(&understood(&settings)),
        (Err(error), true) => {
            say(&json!({ "ok": false, "problems": error.lines(), "notes": [] }).to_string());
            return ExitCode::from(SettingsError::EXIT_STATUS);
        }
        (Err(error), false) => return unsettled(&error),
    }
    ExitCode::SUCCESS
}

fn settle(about: &About, profile: Option<String>) -> Result<Settings, SettingsError> {
    let flags = Flags { port: about.port.clone(), profile };
    settings::resolve(&flags, &settings::edge::surroundings(), settings::edge::read)
}

fn unsettled(error: &SettingsError) -> ExitCode {
    let log = Log::to_standard_streams(Format::Text);
    log.unsettled(error);
    log.flush();
    ExitCode::from(SettingsError::EXIT_STATUS)
}

fn understood(settings: &Settings) -> String {
    let mut text = format!("refgate: the settings are understood, {} of them\n", settings.explained.len());
    text += &notes(settings);
    text += &format!("  config    {}\n  next      refgate why", one_line(&settings.config.to_string_lossy()));
    text
}

fn notes(settings: &Settings) -> String {
    settings.notes.iter().map(|note| format!("  note      {}\n", one_line(note))).collect()
}

fn explain_to(explain: &Explain, profile: Option<String>) -> ExitCode {
    let settings = match settle(&explain.about, profile) {
        Ok(settings) => settings,
        Err(error) if explain.about.json => {
            say(&json!({ "ok": false, "problems": error.lines(), "notes": [] }).to_string());
            return ExitCode::from(SettingsError::EXIT_STATUS);
        }
        Err(error) => return unsettled(&error),
    };
    let asked = explain.key.as_deref().unwrap_or_default();
    let meant = |setting: &&Setting| {
        let rest = setting.key.strip_prefix(asked);
        asked.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let chosen: Vec<&Setting> = settings.explained.iter().filter(meant).collect();
    if chosen.is_empty() {
        let mut keys: Vec<&str> = settings.explained.iter().map(|setting| setting.key).collect();
        keys.dedup();
        let log = Log::to_standard_streams(if explain.about.json { Format::Json } else { Format::Text });
        log.failed(super::USAGE, &format!("no setting is called {:?}", crate::text::brief(asked)));
        log.note(&format!("the settings are {}", keys.join(", ")));
        log.flush();
        return ExitCode::from(super::USAGE);
    }
    if explain.about.json {
        let all: Vec<Value> = chosen.iter().map(|setting| setting_as_json(setting)).collect();
        say(&json!({ "ok": true, "config": settings.config, "settings": all, "notes": settings.notes })
            .to_string());
    } else {
        say(&explained(&settings, &chosen));
    }
    ExitCode::SUCCESS
}

fn explained(settings: &Settings, chosen: &[&Setting]) -> String {
    let shown = |given: &Given| one_line(&given.value);
    let length = |text: &str| text.chars().count();
    let key_width = chosen.iter().map(|setting| setting.key.len()).max().unwrap_or_default();
    let all = || chosen.iter().flat_map(|setting| std::iter::once(&setting.given).chain(&setting.overrides));
    // A long path does not push everything else off the screen.
    let width =
        all().map(|given| length(&shown(given))).filter(|width| *width <= 48).max().unwrap_or_default();
    let mut text = format!("refgate: {} settings, each with where it comes from\n", chosen.len());
    for setting in chosen {
        let row = |key: &str, given: &Given, how: &str| {
            let origin = one_line(&given.origin.to_string());
            format!("  {key:key_width$}  {:width$}  {how}{origin}\n", shown(given))
        };
        text += &row(setting.key, &setting.given, "");
        setting.overrides.iter().for_each(|given| text += &row("", given, "overridden: "));
    }
    text + &notes(settings) + "  next      refgate config check"
}

fn setting_as_json(setting: &Setting) -> Value {
    let given = |given: &Given| json!({ "value": given.value, "from": origin_as_json(&given.origin) });
    let overrides: Vec<Value> = setting.overrides.iter().map(given).collect();
    json!({
        "key": setting.key,
        "value": setting.given.value,
        "from": origin_as_json(&setting.given.origin),
        "overrides": overrides,
    })
}

fn origin_as_json(origin: &Origin) -> Value {
    match origin {
        Origin::Flag(name) => json!({ "kind": "flag", "name": name }),
        Origin::Variable(name) => json!({ "kind": "environment", "name": name }),
        Origin::Config(at) => {
            json!({ "kind": "config", "path": at.path, "line": at.line, "column": at.column })
        }
        Origin::Profile(name) => json!({ "kind": "profile", "name": name }),
        Origin::Derived(key) => json!({ "kind": "derived", "name": key }),
        Origin::Default => json!({ "kind": "default" }),
    }
}

/// To whoever reads stdout.
pub(super) fn say(text: &str) {
    // Whoever closed the stream does not want to read it.
    let _ = writeln!(std::io::stdout(), "{text}");
}
