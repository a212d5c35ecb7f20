//! The keys of a configuration that concern this gateway, one row each: what is unknown, what has the wrong type and the
//! published JSON Schema all follow from this table.
//!
//! The file is `OpenClaw`'s, and other programs read it too. So only these sections are looked at, and only objects that are
//! `closed` have no other keys than those that are listed here, because a key of theirs that is overlooked would change who owns
//! or reaches what.

use serde_json::{Map, Value, json};

use crate::claim::GATEWAY_SPAN;

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// An object with the keys that are listed, and no others if it is `closed`.
    Object {
        /// Whether there are no others.
        closed: bool,
    },
    /// An object whose keys somebody has chosen; all values are as the row with `.*` says.
    Map,
    /// An array; all elements are as the row with `[]` says, if there is one.
    List,
    /// A string.
    Text,
    /// One of these strings.
    Words(&'static [&'static str]),
    /// A whole number from 1 to this one.
    Port(u16),
    /// A whole number from 0.
    Count,
    /// `true` or `false`.
    Bool,
    /// A string that nobody may see, or a reference to where it is.
    Secret,
    /// Anything.
    Any,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// The way to it.
    pub(super) path: &'static str,
    pub(super) shape: Shape,
    /// Whether this gateway goes by it: then a wrong value is an error, and the reader says so.
    pub(super) used: bool,
    /// What it says.
    about: &'static str,
}

const fn used(path: &'static str, shape: Shape, about: &'static str) -> Row {
    Row { path, shape, used: true, about }
}

const fn known(path: &'static str, shape: Shape) -> Row {
    Row { path, shape, used: false, about: "" }
}

const OPEN: Shape = Shape::Object { closed: false };
const CLOSED: Shape = Shape::Object { closed: true };

/// How to listen.
const BINDS: &[&str] = &["auto", "custom", "lan", "loopback", "tailnet"];
/// The ways in that this gateway has.
const MODES: &[&str] = &["none", "password", "token"];

/// What is said of the keys that each account of a channel has.
const ROOT: &str = "the address of the Bot API: http only, so that of a local server or a proxy";
const TOKEN: &str = "the token of the bot; no two accounts may have the same";
const POLL: &str = "how long a poll waits, 1 to 50";
const FILE: &str = "a file that holds the token and nothing else";

/// Every key, as the schema of 2026.9.6 has them, those of one object together.
pub(super) const ROWS: &[Row] = &[
    used("agents", OPEN, "who works"),
    used("agents.defaults", OPEN, "what holds for every agent"),
    used("agents.defaults.workspace", Shape::Text, "the directory that agents work in; it is owned"),
    used("agents.list", Shape::List, "the agents"),
    used("agents.list[]", OPEN, "an agent"),
    known("agents.list[].agentDir", Shape::Text),
    known("agents.list[].default", Shape::Bool),
    known("agents.list[].id", Shape::Text),
    known("agents.list[].name", Shape::Text),
    used("agents.list[].workspace", Shape::Text, "the directory that this agent works in; it is owned"),
    used("browser", OPEN, "the browsers of agents"),
    known("browser.actionTimeoutMs", Shape::Count),
    known("browser.attachOnly", Shape::Bool),
    known("browser.cdpPortRangeStart", Shape::Port(u16::MAX)),
    used("browser.cdpUrl", Shape::Text, "where a browser listens; a port of this machine is owned"),
    known("browser.color", Shape::Text),
    known("browser.defaultProfile", Shape::Text),
    known("browser.enabled", Shape::Bool),
    known("browser.evaluateEnabled", Shape::Bool),
    known("browser.executablePath", Shape::Text),
    known("browser.extraArgs", Shape::List),
    known("browser.headless", Shape::Bool),
    known("browser.localCdpReadyTimeoutMs", Shape::Count),
    known("browser.localLaunchTimeoutMs", Shape::Count),
    known("browser.noSandbox", Shape::Bool),
    used("browser.profiles", Shape::Map, "browsers by their names"),
    used("browser.profiles.*", OPEN, "a browser"),
    known("browser.profiles.*.attachOnly", Shape::Bool),
    used("browser.profiles.*.cdpPort", Shape::Port(u16::MAX), "the port of this browser; it is owned"),
    used("browser.profiles.*.cdpUrl", Shape::Text, "where it listens; a port of this machine is owned"),
    known("browser.profiles.*.color", Shape::Text),
    known("browser.profiles.*.driver", Shape::Text),
    known("browser.profiles.*.executablePath", Shape::Text),
    known("browser.profiles.*.headless", Shape::Bool),
    known("browser.profiles.*.mcpArgs", Shape::List),
    known("browser.profiles.*.mcpCommand", Shape::Text),
    known("browser.profiles.*.userDataDir", Shape::Text),
    known("browser.remoteCdpHandshakeTimeoutMs", Shape::Count),
    known("browser.remoteCdpTimeoutMs", Shape::Count),
    known("browser.snapshotDefaults", Shape::Any),
    known("browser.ssrfPolicy", Shape::Any),
    known("browser.tabCleanup", Shape::Any),
    used("channels", Shape::Map, "where the gateway is spoken to"),
    known("channels.*", OPEN),
    known("channels.*.accounts", Shape::Map),
    known("channels.*.accounts.*", OPEN),
    known("channels.*.accounts.*.enabled", Shape::Bool),
    known("channels.*.enabled", Shape::Bool),
    used("channels.telegram", OPEN, "bots of Telegram, or the bot of the account default"),
    used("channels.telegram.accounts", Shape::Map, "bots by the names of their accounts"),
    used("channels.telegram.accounts.*", OPEN, "a bot; what it does not say, the channel says"),
    used("channels.telegram.accounts.*.apiRoot", Shape::Text, ROOT),
    used("channels.telegram.accounts.*.botToken", Shape::Secret, TOKEN),
    used("channels.telegram.accounts.*.enabled", Shape::Bool, "whether it is polled"),
    used("channels.telegram.accounts.*.name", Shape::Text, "its name for people"),
    used("channels.telegram.accounts.*.pollSeconds", Shape::Count, POLL),
    used("channels.telegram.accounts.*.tokenFile", Shape::Text, FILE),
    used("channels.telegram.apiRoot", Shape::Text, ROOT),
    used("channels.telegram.botToken", Shape::Secret, TOKEN),
    used("channels.telegram.enabled", Shape::Bool, "whether any account is polled"),
    used("channels.telegram.name", Shape::Text, "its name for people"),
    used("channels.telegram.pollSeconds", Shape::Count, POLL),
    used("channels.telegram.tokenFile", Shape::Text, FILE),
    known("cron", OPEN),
    known("cron.enabled", Shape::Bool),
    known("cron.failureAlert", Shape::Any),
    known("cron.failureDestination", Shape::Any),
    known("cron.jobs", Shape::List),
    known("cron.maxConcurrentRuns", Shape::Count),
    known("cron.retry", Shape::Any),
    known("cron.runLog", Shape::Any),
    known("cron.sessionRetention", Shape::Any),
    known("cron.store", Shape::Text),
    known("cron.webhook", Shape::Text),
    known("cron.webhookToken", Shape::Secret),
    used("gateway", CLOSED, "how the gateway is reached"),
    used("gateway.auth", CLOSED, "who may come in"),
    known("gateway.auth.allowTailscale", Shape::Bool),
    known("gateway.auth.identityScopes", Shape::Any),
    used("gateway.auth.mode", Shape::Words(MODES), "what clients must know"),
    used("gateway.auth.password", Shape::Secret, "the password"),
    known("gateway.auth.rateLimit", Shape::Any),
    used("gateway.auth.token", Shape::Secret, "the token"),
    known("gateway.auth.trustedProxy", Shape::Any),
    used("gateway.bind", Shape::Words(BINDS), "where to listen; auto is loopback, and so is tailnet here"),
    known("gateway.controlUi", Shape::Any),
    used("gateway.customBindHost", Shape::Text, "the IPv4 address to listen on as well where bind is custom"),
    known("gateway.http", Shape::Any),
    known("gateway.mode", Shape::Words(&["local", "remote"])),
    known("gateway.nodes", Shape::Any),
    used(
        "gateway.port",
        Shape::Port(u16::MAX - GATEWAY_SPAN),
        "the base port; the 110 ports above it are owned too",
    ),
    known("gateway.publicOrigin", Shape::Text),
    known("gateway.push", Shape::Any),
    known("gateway.reload", Shape::Any),
    known("gateway.remote", Shape::Any),
    known("gateway.roles", Shape::Any),
    known("gateway.tailscale", Shape::Any),
    known("gateway.terminal", Shape::Any),
    known("gateway.tls", Shape::Any),
    known("gateway.tools", Shape::Any),
    known("gateway.trustedProxies", Shape::Any),
    used("secrets", OPEN, "where secrets are"),
    used("secrets.providers", Shape::Map, "places of secrets by their names"),
    used(
        "secrets.providers.*",
        OPEN,
        "a place; of source file and mode singleValue it is a file that holds one secret",
    ),
    known("secrets.providers.*.mode", Shape::Words(&["json", "singleValue"])),
    used("secrets.providers.*.path", Shape::Text, "the file"),
    known("secrets.providers.*.source", Shape::Text),
];

/// The row of a key in the object at `parent`, which is `""` for the whole file.
pub(super) fn child(parent: &str, key: &str) -> Option<&'static Row> {
    let exact = children(parent).find(|(name, _)| *name == key);
    exact.or_else(|| children(parent).find(|(name, _)| *name == "*")).map(|(_, row)| row)
}

/// The row of the elements of an array.
pub(super) fn element(parent: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.path.strip_suffix("[]") == Some(parent))
}

/// The keys that are listed for an object.
pub(super) fn keys(parent: &str) -> impl Iterator<Item = &'static str> {
    children(parent).map(|(name, _)| name).filter(|name| *name != "*")
}

fn children(parent: &str) -> impl Iterator<Item = (&'static str, &'static Row)> {
    ROWS.iter().filter_map(move |row| {
        let rest = row.path.strip_prefix(parent)?;
        let name = if parent.is_empty() { rest } else { rest.strip_prefix('.')? };
        (!name.contains(['.', '['])).then_some((name, row))
    })
}

/// The known key that one which is not known looks like.
pub(super) fn similar(parent: &str, key: &str) -> Option<&'static str> {
    let longest = keys(parent).map(str::len).max().unwrap_or_default();
    // The distance takes time and space for every pair of characters, and it is at least the difference in length.
    if key.chars().count() > 2 * longest {
        return None;
    }
    keys(parent)
        .map(|known| (strsim::damerau_levenshtein(key, known), known))
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3))
        .min()
        .map(|(_, known)| known)
}

/// The JSON Schema (draft 2020-12) of a configuration as far as it concerns this gateway.
pub fn json_schema() -> Value {
    let mut schema = object("", false);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Configuration of refgate");
    schema["description"] = json!(
        "The keys of OpenClaw's openclaw.json (JSON5) that refgate reads or knows. Other sections belong to other programs."
    );
    schema["$defs"] = json!({ "secret": secret() });
    schema
}

fn object(path: &str, closed: bool) -> Value {
    let properties: Map<String, Value> = children(path)
        .filter(|(name, _)| *name != "*")
        .map(|(name, row)| (name.to_owned(), schema_of(row)))
        .collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if closed {
        schema["additionalProperties"] = json!(false);
    }
    schema
}

fn schema_of(row: &Row) -> Value {
    let mut schema = match row.shape {
        Shape::Object { closed } => object(row.path, closed),
        Shape::Map => {
            let each = child(row.path, "*").map_or_else(|| json!(true), schema_of);
            let mut map = object(row.path, false);
            if map["properties"].as_object().is_some_and(Map::is_empty) {
                map = json!({ "type": "object" });
            }
            map["additionalProperties"] = each;
            map
        }
        Shape::List => {
            json!({ "type": "array", "items": element(row.path).map_or_else(|| json!(true), schema_of) })
        }
        Shape::Text => json!({ "type": "string" }),
        Shape::Words(words) => json!({ "enum": words }),
        Shape::Port(most) => json!({ "type": "integer", "minimum": 1, "maximum": most }),
        Shape::Count => json!({ "type": "integer", "minimum": 0 }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Secret => json!({ "$ref": "#/$defs/secret" }),
        Shape::Any => json!({}),
    };
    if !row.about.is_empty() {
        schema["description"] = json!(row.about);
    }
    schema
}

/// A secret, or where it is: refgate follows a reference to a file that holds nothing else.
fn secret() -> Value {
    json!({
        "anyOf": [
            { "type": "string" },
            {
                "type": "object",
                "properties": {
                    "source": { "type": "string" },
                    "provider": { "type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$" },
                    "id": { "type": "string" },
                },
                "required": ["source", "provider", "id"],
                "additionalProperties": false,
            },
        ],
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ROWS, Shape, child, element, json_schema, keys, similar};

    #[test]
    fn every_row_but_a_section_lies_in_one_that_can_hold_it_and_comes_after_it() {
        for (place, row) in ROWS.iter().enumerate() {
            let inside =
                row.path.strip_suffix("[]").or_else(|| row.path.rsplit_once('.').map(|(path, _)| path));
            let Some(inside) = inside else { continue };
            let found = ROWS.iter().position(|other| other.path == inside);
            assert!(found.is_some_and(|found| found < place), "{}", row.path);
            let shape = found.map(|found| ROWS[found].shape);
            let is_right = match shape {
                Some(Shape::List) => row.path.ends_with("[]"),
                // Beside a row for any name there may be rows for some.
                Some(Shape::Map) => inside.starts_with("channels") || row.path.ends_with(".*"),
                Some(Shape::Object { .. }) => true,
                _ => false,
            };
            assert!(is_right, "{}", row.path);
        }
        assert!(ROWS.is_sorted_by(|a, b| a.path < b.path || b.path.starts_with(a.path)), "it is sorted");
    }

    #[test]
    fn a_key_is_found_by_its_name_or_by_the_row_for_any_name() {
        assert_eq!(child("gateway", "port").map(|row| row.path), Some("gateway.port"));
        assert_eq!(child("channels", "telegram").map(|row| row.path), Some("channels.telegram"));
        assert_eq!(child("channels", "other").map(|row| row.path), Some("channels.*"));
        assert_eq!(child("gateway", "auth.mode").map(|row| row.path), None);
        assert_eq!(element("agents.list").map(|row| row.path), Some("agents.list[]"));
        let sections: Vec<_> = keys("").collect();
        assert_eq!(sections, ["agents", "browser", "channels", "cron", "gateway", "secrets"]);
        assert_eq!(similar("agents.defaults", "worspace"), Some("workspace"));
        assert_eq!(similar("agents.defaults", "model"), None);
    }

    #[test]
    fn the_schema_says_what_the_table_says() {
        let schema = json_schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let gateway = &schema["properties"]["gateway"];
        assert_eq!(gateway["additionalProperties"], false);
        assert_eq!(gateway["properties"]["port"]["maximum"], 65_425);
        assert_eq!(gateway["properties"]["auth"]["properties"]["token"]["$ref"], "#/$defs/secret");
        assert_eq!(schema["properties"]["browser"].get("additionalProperties"), None);
        let agent = &schema["properties"]["agents"]["properties"]["list"]["items"]["properties"];
        assert_eq!(agent["workspace"]["type"], "string");
        assert_eq!(
            schema["properties"]["cron"]["properties"]["jobs"],
            json!({ "type": "array", "items": true })
        );
        let mut counted = 0;
        count(&schema, &mut counted);
        let named = ROWS.iter().filter(|row| !row.path.ends_with(".*") && !row.path.ends_with("[]")).count();
        assert_eq!(counted, named + 3, "each row once, and the three parts of a reference");
    }

    fn count(schema: &Value, counted: &mut usize) {
        let Some(members) = schema.as_object() else { return };
        for (key, value) in members {
            if key == "properties" {
                *counted += value.as_object().map_or(0, serde_json::Map::len);
                value.as_object().into_iter().flatten().for_each(|(_, value)| count(value, counted));
            } else if value.is_object() {
                count(value, counted);
            } else {
                value.as_array().into_iter().flatten().for_each(|value| count(value, counted));
            }
        }
    }
}
