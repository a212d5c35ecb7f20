//! The keys of a file, as TOML has them.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) schema: u64,
    pub(super) title: String,
    #[serde(default)]
    pub(super) refs: Vec<String>,
    #[serde(default = "usual_seeds")]
    pub(super) seeds: u64,
    #[serde(default)]
    pub(super) regressions: Vec<u64>,
    pub(super) length_ms: u64,
    #[serde(default = "usual_latency")]
    pub(super) latency_ms: [u64; 2],
    #[serde(default)]
    pub(super) lost_permille: u16,
    pub(super) weather_every_ms: Option<u64>,
    #[serde(default)]
    pub(super) bots: Vec<String>,
    #[serde(default = "usual_lease")]
    pub(super) lease_ms: u64,
    #[serde(default)]
    pub(super) shared_without_locks: Vec<String>,
    pub(super) gateway: BTreeMap<String, FileGateway>,
    #[serde(default)]
    pub(super) client: BTreeMap<String, FileClient>,
    #[serde(default)]
    pub(super) step: Vec<FileStep>,
    #[serde(default)]
    pub(super) expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileGateway {
    pub(super) host: String,
    pub(super) state: Option<String>,
    #[serde(default = "usual_port")]
    pub(super) port: u16,
    #[serde(default)]
    pub(super) bots: Vec<String>,
    pub(super) job_every_ms: Option<u64>,
    #[serde(default)]
    pub(super) restart: Again,
    #[serde(default = "usual_restart")]
    pub(super) restart_ms: u64,
    #[serde(default)]
    pub(super) takeover: bool,
}

#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Again {
    #[default]
    Never,
    OnFailure,
    Always,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileClient {
    pub(super) host: String,
    pub(super) gateway: String,
    #[serde(default)]
    pub(super) kind: FileKind,
    #[serde(default = "usual_pause")]
    pub(super) pause_ms: u64,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FileKind {
    #[default]
    Talker,
    Deaf,
    Probe,
    Node,
}

/// One of them is there besides the moment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileStep {
    pub(super) at_ms: u64,
    pub(super) start: Option<String>,
    pub(super) stop: Option<String>,
    pub(super) kill: Option<String>,
    pub(super) restart: Option<String>,
    pub(super) pause: Option<String>,
    pub(super) resume: Option<String>,
    pub(super) say: Option<Say>,
    pub(super) cut: Option<[String; 2]>,
    pub(super) cut_one_way: Option<[String; 2]>,
    pub(super) mend: Option<[String; 2]>,
    pub(super) link: Option<Way>,
    pub(super) link_one_way: Option<Way>,
    pub(super) sleep: Option<OfHost<u64>>,
    pub(super) clock: Option<OfHost<i64>>,
    pub(super) power_loss: Option<OfHost<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Say {
    pub(super) bot: String,
    #[serde(default = "one")]
    pub(super) count: u64,
    #[serde(default = "usual_pause")]
    pub(super) every_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Way {
    pub(super) hosts: [String; 2],
    #[serde(default = "usual_latency")]
    pub(super) latency_ms: [u64; 2],
    #[serde(default)]
    pub(super) lost_permille: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfHost<T> {
    pub(super) host: String,
    pub(super) ms: T,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) replies: Option<usize>,
    pub(super) answered_within_ms: Option<u64>,
    #[serde(default)]
    pub(super) happens: Vec<String>,
    #[serde(default)]
    pub(super) never: Vec<String>,
    #[serde(default)]
    pub(super) breaks: Vec<String>,
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
