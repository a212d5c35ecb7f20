//! The keys of a file, as TOML has them. What is written here of each is what an editor shows.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::check::{LONGEST_MS, MOST, MOST_LOST, MOST_SAID, MOST_SEEDS, NAMED};
use crate::checks::PROMISES;
use crate::plan::{LAST_PORT, LEAST_JOB_MS, LONGEST_WAY_MS};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// The version of this format.
    #[schemars(range(min = 1, max = 1))]
    pub(super) schema: u64,
    /// What it is about, in one line.
    pub(super) title: String,
    /// Where it is from.
    #[serde(default)]
    pub(super) refs: Vec<String>,
    /// How many seeds are tried, unless `--seeds` says another number.
    #[serde(default = "usual_seeds")]
    #[schemars(range(min = 1, max = MOST_SEEDS))]
    pub(super) seeds: u64,
    /// Seeds that failed once; they are tried first.
    #[serde(default)]
    pub(super) regressions: Vec<u64>,
    /// How long things happen, in milliseconds.
    #[schemars(range(min = 1, max = LONGEST_MS))]
    pub(super) length_ms: u64,
    /// How long a packet takes from one host to another, in milliseconds: at least, and at most.
    #[serde(default = "usual_latency", deserialize_with = "two")]
    #[schemars(inner(range(max = LONGEST_WAY_MS)))]
    pub(super) latency_ms: [u64; 2],
    /// How many packets of a thousand are lost.
    #[serde(default)]
    #[schemars(range(max = MOST_LOST))]
    pub(super) lost_permille: u16,
    /// How often something is done to somebody besides, on average, in milliseconds. Without it, never.
    #[schemars(range(min = 1, max = LONGEST_MS))]
    pub(super) weather_every_ms: Option<u64>,
    /// The bots that there are.
    #[serde(default)]
    #[schemars(length(max = MOST), inner(regex(pattern = NAMED)))]
    pub(super) bots: Vec<String>,
    /// How long the bot service keeps others out after a poller has vanished, in milliseconds.
    #[serde(default = "usual_lease")]
    #[schemars(range(max = LONGEST_MS))]
    pub(super) lease_ms: u64,
    /// States on storage that every host sees, with locks that do not reach across.
    #[serde(default)]
    #[schemars(inner(regex(pattern = NAMED)))]
    pub(super) shared_without_locks: Vec<String>,
    /// The gateways, by name.
    pub(super) gateway: BTreeMap<String, FileGateway>,
    /// The clients, by name.
    #[serde(default)]
    pub(super) client: BTreeMap<String, FileClient>,
    /// What happens, and when.
    #[serde(default)]
    pub(super) step: Vec<FileStep>,
    /// What is expected of all executions.
    #[serde(default)]
    pub(super) expect: Expect,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileGateway {
    /// The host that it runs on.
    #[schemars(regex(pattern = NAMED))]
    pub(super) host: String,
    /// Whose state, configuration and workspace it has. Without it, those of its own name.
    #[schemars(regex(pattern = NAMED))]
    pub(super) state: Option<String>,
    /// Its port; the 110 above it are reserved, too.
    #[serde(default = "usual_port")]
    #[schemars(range(min = 1, max = LAST_PORT))]
    pub(super) port: u16,
    /// The bots that it answers for.
    #[serde(default)]
    pub(super) bots: Vec<String>,
    /// It has a job that runs so often, in milliseconds.
    #[schemars(range(min = LEAST_JOB_MS, max = LONGEST_MS))]
    pub(super) job_every_ms: Option<u64>,
    /// When its service manager starts it anew.
    #[serde(default)]
    pub(super) restart: Again,
    /// How long its service manager waits before that, in milliseconds.
    #[serde(default = "usual_restart")]
    #[schemars(range(max = LONGEST_MS))]
    pub(super) restart_ms: u64,
    /// Whether it has the one that runs hand over.
    #[serde(default)]
    pub(super) takeover: bool,
}

#[derive(Deserialize, JsonSchema, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Again {
    #[default]
    Never,
    OnFailure,
    Always,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileClient {
    /// The host that it runs on.
    #[schemars(regex(pattern = NAMED))]
    pub(super) host: String,
    /// The gateway that it connects to.
    pub(super) gateway: String,
    /// What it does.
    #[serde(default)]
    pub(super) kind: FileKind,
    /// How long it pauses between two requests, in milliseconds.
    #[serde(default = "usual_pause")]
    #[schemars(range(min = 1, max = LONGEST_MS))]
    pub(super) pause_ms: u64,
}

#[derive(Deserialize, JsonSchema, Clone, Copy, Default)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FileKind {
    #[default]
    Talker,
    Deaf,
    Probe,
    Node,
}

/// One thing that happens.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = does_one_thing)]
pub(super) struct FileStep {
    /// When, in milliseconds.
    pub(super) at_ms: u64,
    /// The gateway that is started.
    pub(super) start: Option<String>,
    /// The gateway that gets SIGTERM.
    pub(super) stop: Option<String>,
    /// The gateway that gets SIGKILL.
    pub(super) kill: Option<String>,
    /// The gateway that gets SIGUSR1, to begin anew in place.
    pub(super) restart: Option<String>,
    /// The gateway that gets SIGSTOP.
    pub(super) pause: Option<String>,
    /// The gateway that gets SIGCONT.
    pub(super) resume: Option<String>,
    /// Somebody says something to a bot.
    pub(super) say: Option<Say>,
    /// Two hosts between which nothing travels any more; `service` is that of the bot service.
    #[serde(default, deserialize_with = "two_or_none")]
    pub(super) cut: Option<[String; 2]>,
    /// The same from the first to the second alone.
    #[serde(default, deserialize_with = "two_or_none")]
    pub(super) cut_one_way: Option<[String; 2]>,
    /// Two hosts between which everything travels as in the beginning.
    #[serde(default, deserialize_with = "two_or_none")]
    pub(super) mend: Option<[String; 2]>,
    /// How everything travels between two hosts from now on.
    pub(super) link: Option<Way>,
    /// The same from the first to the second alone.
    pub(super) link_one_way: Option<Way>,
    /// A host that sleeps for so long.
    pub(super) sleep: Option<OfHost<u64>>,
    /// A host whose wall clock is put forward by so much, or back.
    pub(super) clock: Option<OfHost<i64>>,
    /// A host that has no power for so long.
    pub(super) power_loss: Option<OfHost<u64>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Say {
    /// The bot that hears it.
    pub(super) bot: String,
    /// How many messages.
    #[serde(default = "one")]
    #[schemars(range(max = MOST_SAID))]
    pub(super) count: u64,
    /// How long there is between two of them, in milliseconds.
    #[serde(default = "usual_pause")]
    pub(super) every_ms: u64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Way {
    /// Which two.
    #[serde(deserialize_with = "two")]
    pub(super) hosts: [String; 2],
    /// How long a packet takes, in milliseconds: at least, and at most.
    #[serde(default = "usual_latency", deserialize_with = "two")]
    #[schemars(inner(range(max = LONGEST_WAY_MS)))]
    pub(super) latency_ms: [u64; 2],
    /// How many packets of a thousand are lost.
    #[serde(default)]
    #[schemars(range(max = MOST_LOST))]
    pub(super) lost_permille: u16,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct OfHost<T> {
    /// Which host.
    pub(super) host: String,
    /// How long, or by how much, in milliseconds.
    pub(super) ms: T,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// How many replies each execution must have. Without it, any number.
    pub(super) replies: Option<usize>,
    /// The longest that a client waits for an answer, in milliseconds of simulated time. Without it, any time.
    pub(super) answered_within_ms: Option<u64>,
    /// What at least one seed must show, as it is counted.
    #[serde(default)]
    pub(super) happens: Vec<String>,
    /// What no seed may show.
    #[serde(default)]
    pub(super) never: Vec<String>,
    /// Promises that nobody can keep here. At least one seed must break each.
    #[serde(default)]
    #[schemars(extend("items" = json!({ "type": "string", "enum": PROMISES })))]
    pub(super) breaks: Vec<String>,
}

/// A step has its moment, and one of the other keys.
fn does_one_thing(schema: &mut Schema) {
    let keys = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(|keys| keys.keys());
    let each: Vec<Value> =
        keys.filter(|key| *key != "at_ms").map(|key| json!({ "required": [key] })).collect();
    schema.insert("oneOf".to_owned(), each.into());
}

/// Two of them and no more; what reads an array by itself passes over the rest of a list.
fn two<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<[T; 2], D::Error> {
    let all = Vec::deserialize(from)?;
    all.try_into().map_err(|all: Vec<T>| D::Error::invalid_length(all.len(), &"a list of two"))
}

fn two_or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<[T; 2]>, D::Error> {
    two(from).map(Some)
}

const fn one() -> u64 {
    1
}

const fn usual_seeds() -> u64 {
    64
}

const fn usual_latency() -> [u64; 2] {
    [1, 20]
}

const fn usual_lease() -> u64 {
    30_000
}

const fn usual_port() -> u16 {
    18_789
}

const fn usual_restart() -> u64 {
    5_000
}

const fn usual_pause() -> u64 {
    1_000
}
