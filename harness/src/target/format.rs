//! The format of target files as data: each table, the keys that it has, and what each may hold.
//!
//! The parser is held to these tables in the tests, and the published schema is made of them and nothing else.

use serde_json::Map;

use super::model::StopSignal;
use crate::scenario::fields::Bounds;
use crate::scenario::format::schema::document;
use crate::scenario::format::{Key, Need, Shape};
use crate::scenario::{Check, Happening, REASONS};

/// The only version of the format so far.
const SCHEMA: i64 = 1;
/// Patience is an hour at most.
pub(super) const MOST_MS: Bounds = Bounds::new(1, 3_600_000);
/// How far a port can be above the lowest one.
pub(super) const ABOVE: Bounds = Bounds::new(0, 65_534);
/// What a process can exit with.
pub(super) const EXIT: Bounds = Bounds::new(0, 255);
/// The statuses of HTTP.
pub(super) const HTTP: Bounds = Bounds::new(100, 599);
/// What can fail besides the checks that a scenario asks for by name.
pub(super) const OTHER_CHECKS: [&str; 2] = ["outcomes", "refusal"];

/// A text with blanks, as [`Template`](super::template::Template) reads it; which ports there are is not in it.
pub(super) const TEMPLATE: &str =
    r"^([^{}]|\{\{|\}\}|\{(base|state|config|workspace|room|name|here|uid|port:[^{}]*)\})*$";
/// A name of a variable.
const VARIABLE: &str = r"^[^=\x00]+$";
/// A path of a URL.
const PATH: &str = r"^/[^\s\x00-\x1f\x7f]*$";
/// Anything.
const ANY: &str = "";

const fn required(name: &'static str, shape: Shape, meaning: &'static str) -> Key {
    Key { name, need: Need::Required, shape, meaning }
}

const fn optional(name: &'static str, shape: Shape, meaning: &'static str) -> Key {
    Key { name, need: Need::Optional, shape, meaning }
}

const fn texts(of: &'static Shape) -> Shape {
    Shape::List { of, may_be_empty: true, is_a_set: false }
}

const WORDS: Shape = texts(&Shape::Matching(TEMPLATE));
const VARIABLES: Shape = Shape::Keyed { names: VARIABLE, of: &Shape::Matching(TEMPLATE) };
const FILES: Shape = Shape::Keyed { names: TEMPLATE, of: &Shape::Matching(TEMPLATE) };

fn signals() -> Vec<String> {
    StopSignal::ALL.iter().map(|(word, _)| (*word).to_owned()).collect()
}

fn reasons() -> Vec<String> {
    REASONS.iter().map(|reason| reason.id.to_owned()).collect()
}

fn happenings() -> Vec<String> {
    let words = Happening::ALL.iter().map(|(word, _)| (*word).to_owned());
    words.chain(REASONS.iter().map(|reason| format!("refused:{}", reason.id))).collect()
}

fn checks() -> Vec<String> {
    Check::ALL.into_iter().map(Check::id).chain(OTHER_CHECKS).map(str::to_owned).collect()
}

fn refgate() -> Vec<String> {
    vec!["refgate".to_owned()]
}

/// The keys of a file.
pub(super) const FILE: &[Key] = &[
    required("schema", Shape::Integer(Bounds::new(SCHEMA, SCHEMA)), "the version of the format, 1"),
    required("name", Shape::Text, "what it is called in reports"),
    optional("strict", Shape::Boolean, "whether a known deviation that does not show is a failure"),
    required("gateway", Shape::Table(GATEWAY), "how it is started"),
    required("ready", READY_SHAPE, "how one sees that it serves"),
    optional("answers", ANSWERS_SHAPE, "how one sees that a ready gateway still answers"),
    optional("stop", Shape::Table(STOP), "what asks it to stop"),
    optional("restart", Shape::Table(ASKED), "what asks it to begin anew in place"),
    optional("write", Shape::Table(ASKED), "what asks it to write to its state"),
    optional(
        "ports",
        Shape::Keyed {
            names: ANY,
            of: &Shape::Either(&[Shape::Integer(ABOVE), Shape::Pair(&Shape::Integer(ABOVE))]),
        },
        "its ports by name, as distances above the base",
    ),
    optional("lock", Shape::Table(LOCK), "the files that it keeps others out with"),
    optional("options", Shape::Table(OPTIONS), "what it gets where a scenario asks for more"),
    optional("refusal", texts(&REFUSAL_SHAPE), "what its refusals look like; the first that fits counts"),
    optional("log", Shape::Table(LOG), "when and by whom the lines of its log were written"),
    optional(
        "event",
        texts(&Shape::Table(EVENT)),
        "what the lines of its log mean; the first that fits counts",
    ),
    optional("known", texts(&Shape::Table(KNOWN)), "where it is known not to do what a scenario expects"),
];

/// `[gateway]`
pub(super) const GATEWAY: &[Key] = &[
    required(
        "start",
        Shape::List { of: &Shape::Matching(TEMPLATE), may_be_empty: false, is_a_set: false },
        "the command; its first word is looked for on the `PATH`, or from the current directory if it has a slash",
    ),
    optional("version", WORDS, "the command that tells its version"),
    optional("env", VARIABLES, "variables"),
    optional("inherit", texts(&Shape::Text), "names of variables that it gets from your environment"),
    optional("workdir", Shape::Matching(TEMPLATE), "where it is started"),
    optional("files", FILES, "files that are there before anything starts, and what is in them"),
];

const WITHIN: Key = optional(
    "within_ms",
    Shape::Integer(MOST_MS),
    "how long it may take; a machine that is slower decides nothing",
);
const HTTP_PATH: Key = optional("http", Shape::Matching(PATH), "it answers `GET` of this path");
const WEBSOCKET: Key = optional("websocket", Shape::Matching(PATH), "it accepts a WebSocket on this path");
const TCP: Key = optional("tcp", Shape::Boolean, "it accepts a connection");
const PORT: Key = optional("port", Shape::Text, "which port is asked");
const STATUS: Key = optional("status", Shape::Integer(HTTP), "the HTTP status that counts");
const BODY: Key = optional("body", Shape::Text, "what a line of the body must hold");

/// Keys that say something only beside `http`.
const OF_HTTP: &[(&str, &str)] = &[("status", "http"), ("body", "http")];

/// `[ready]`
pub(super) const READY: &[Key] = &[
    WITHIN,
    optional("events", Shape::Word(refgate), "it prints the events of `refgate gateway --json`"),
    optional("log", Shape::Text, "it prints a line that holds this pattern"),
    TCP,
    HTTP_PATH,
    WEBSOCKET,
    PORT,
    STATUS,
    BODY,
];
const READY_SHAPE: Shape =
    Shape::TableWithOne { keys: READY, of: &["events", "log", "tcp", "http", "websocket"], needs: OF_HTTP };

/// `[answers]`
pub(super) const ANSWERS: &[Key] = &[TCP, HTTP_PATH, WEBSOCKET, PORT, STATUS, BODY];
const ANSWERS_SHAPE: Shape =
    Shape::TableWithOne { keys: ANSWERS, of: &["tcp", "http", "websocket"], needs: OF_HTTP };

const SIGNAL: Key = optional("signal", Shape::Word(signals), "the signal without SIG");

/// `[stop]`
pub(super) const STOP: &[Key] = &[SIGNAL, WITHIN];
/// `[restart]` and `[write]`
pub(super) const ASKED: &[Key] = &[SIGNAL];

/// `[lock]`
pub(super) const LOCK: &[Key] = &[
    optional("files", WORDS, "where they lie"),
    optional("permanent", Shape::Boolean, "nobody ever deletes or replaces its lock files"),
    optional(
        "owner_writes",
        texts(&Shape::Text),
        "files that an owner writes at any time; without it, what a refused start leaves is judged only if nobody else lived",
    ),
];

/// `[options.NAME]`
pub(super) const OPTION: &[Key] = &[
    optional("args", WORDS, "more arguments"),
    optional("env", VARIABLES, "variables"),
    optional("files", FILES, "files that are there before anything starts, and what is in them"),
];

/// `[options]`
pub(super) const OPTIONS: &[Key] = &[
    optional(
        "config",
        Shape::Table(OPTION),
        "what it gets if a scenario gives it a configuration of its own",
    ),
    optional(
        "workspace",
        Shape::Table(OPTION),
        "what it gets if a scenario gives it a directory for its agents",
    ),
    optional("allow-file-lock", Shape::Table(OPTION), "what it gets if it may rely on a lock file alone"),
    optional(
        "allow-remote-fs",
        Shape::Table(OPTION),
        "what it gets if its state may lie on a file system that other machines reach",
    ),
];

/// `[[refusal]]`
pub(super) const REFUSAL: &[Key] = &[
    required("reason", Shape::Word(reasons), "the reason of a refusal, as scenarios name it"),
    optional(
        "exit",
        Shape::Either(&[Shape::Integer(EXIT), texts(&Shape::Integer(EXIT))]),
        "its exit statuses",
    ),
    optional(
        "stderr",
        Shape::Text,
        "what a line of the error output holds; a group `(?<pid>…)` says whom it blames",
    ),
    optional(
        "stdout",
        Shape::Text,
        "what a line of the output holds; a group `(?<pid>…)` says whom it blames",
    ),
    optional("means", Shape::Integer(EXIT), "the exit status of scenarios that this one stands for"),
];
const REFUSAL_SHAPE: Shape = Shape::TableWithSome(REFUSAL, &["exit", "stderr", "stdout"]);

/// `[log]`
pub(super) const LOG: &[Key] = &[
    optional("time", Shape::Text, "where a line says when it was written, in the group `(?<time>…)`"),
    optional("pid", Shape::Text, "where a line says which process has written it, in the group `(?<pid>…)`"),
];

/// `[[event]]`
pub(super) const EVENT: &[Key] = &[
    required(
        "pattern",
        Shape::Text,
        "what a line holds; the groups `time`, `pid`, `port`, `state` and `holder` say when, by whom, on which base port and \
         state directory, and the pid of the process in the way",
    ),
    required("emits", Shape::Word(happenings), "what such a line means"),
];

/// `[[known]]`
pub(super) const KNOWN: &[Key] = &[
    required("case", Shape::Text, "the cases, where `*` is anything and `?` one character"),
    required("because", Shape::Text, "why it deviates"),
    optional("check", Shape::Word(checks), "only if this check fails"),
    optional("issue", Shape::Text, "where it is discussed"),
    optional("until", Shape::Date, "the last day on which that is accepted"),
    optional("sometimes", Shape::Boolean, "it does not show in every run"),
];

/// The JSON Schema (2020-12) of a target file, with a line break at its end.
pub(crate) fn json_schema() -> String {
    document(FILE, &format!("A target of portcullis, schema {SCHEMA}"), Map::new())
}

#[cfg(test)]
mod tests {
    use super::{OPTIONS, TEMPLATE};
    use crate::target::{Feature, Pattern, Template};

    #[test]
    fn the_tables_name_every_feature_and_every_blank() {
        let features: Vec<&str> = Feature::ALL.into_iter().map(|(name, _)| name).collect();
        assert_eq!(OPTIONS.iter().map(|key| key.name).collect::<Vec<_>>(), features);
        let Ok(pattern) = Pattern::new(TEMPLATE) else { panic!("it is a pattern") };
        for name in Template::NAMES {
            assert!(pattern.is_in(&format!("{{{{{{{name}}}/{{port:cdp}}\n")), "{name}");
        }
        for text in [
            "{", "}", "{stat}", "{}", "{base", "a}b", "{{{", "{base}}", "{{base}}", "}}}", "", "{port}",
            "{{}",
        ] {
            let is_read = Template::parse(text, |_| Some(1)).is_ok();
            assert_eq!(pattern.is_in(text), is_read, "{text}");
        }
    }
}
