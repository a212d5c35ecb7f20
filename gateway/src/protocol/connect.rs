//! The first request of every client: which versions it speaks, what it is, what it asks for and how it proves that.

use serde::Deserialize;
use serde_json::Value;

use super::device::Device;
use super::failure::Failure;
use super::shape::{Field, Shape, object};
use super::{OLDEST_OF_PROBES, Request, VERSION};

/// The mode of a client that only looks.
const MODE_PROBE: &str = "probe";
/// The mode of a client that is run on.
const MODE_NODE: &str = "node";
/// Who runs things.
pub(crate) const ROLE_OPERATOR: &str = "operator";
/// What is run on.
pub(crate) const ROLE_NODE: &str = "node";

const CLIENTS: &[&str] = &[
    "webchat-ui",
    "openclaw-control-ui",
    "openclaw-browser-copilot",
    "openclaw-tui",
    "webchat",
    "cli",
    "gateway-client",
    "openclaw-macos",
    "openclaw-linux",
    "openclaw-ios",
    "openclaw-watchos",
    "openclaw-android",
    "node-host",
    "openclaw-worker",
    "test",
    "fingerprint",
    "openclaw-probe",
];

const MODES: &[&str] = &["webchat", "cli", "ui", "backend", MODE_NODE, "worker", MODE_PROBE, "test"];

const ANY_TEXT: Shape = Shape::Text { least: 0, most: usize::MAX };

const CLIENT: &[Field] = &[
    Field::required("id", Shape::Words(CLIENTS)),
    Field::optional("displayName", Shape::TEXT),
    Field::required("version", Shape::TEXT),
    Field::optional("buildId", Shape::Text { least: 1, most: 96 }),
    Field::required("platform", Shape::TEXT),
    Field::optional("deviceFamily", Shape::TEXT),
    Field::optional("modelIdentifier", Shape::TEXT),
    Field::optional("timeZone", Shape::Text { least: 1, most: 64 }),
    Field::required("mode", Shape::Words(MODES)),
    Field::optional("instanceId", Shape::TEXT),
];

const DEVICE: &[Field] = &[
    Field::required("id", Shape::TEXT),
    Field::required("publicKey", Shape::TEXT),
    Field::required("signature", Shape::TEXT),
    Field::required("signedAt", Shape::COUNT),
    Field::required("nonce", Shape::TEXT),
];

const AUTH: &[Field] = &[
    Field::optional("token", ANY_TEXT),
    Field::optional("bootstrapToken", ANY_TEXT),
    Field::optional("deviceToken", ANY_TEXT),
    Field::optional("password", ANY_TEXT),
    Field::optional("approvalRuntimeToken", ANY_TEXT),
    Field::optional("agentRuntimeIdentityToken", ANY_TEXT),
];

const CONNECT: &[Field] = &[
    Field::required("minProtocol", Shape::Whole { least: 1, most: u64::MAX }),
    Field::required("maxProtocol", Shape::Whole { least: 1, most: u64::MAX }),
    Field::required("client", Shape::Object(CLIENT)),
    Field::optional("caps", Shape::List(&Shape::TEXT)),
    Field::optional("commands", Shape::List(&Shape::TEXT)),
    Field::optional("computerUse", Shape::Any),
    Field::optional("workerRuns", Shape::Any),
    Field::optional("permissions", Shape::Any),
    Field::optional("pathEnv", ANY_TEXT),
    Field::optional("role", Shape::TEXT),
    Field::optional("scopes", Shape::List(&Shape::TEXT)),
    Field::optional("device", Shape::Object(DEVICE)),
    Field::optional("auth", Shape::Object(AUTH)),
    Field::optional("locale", ANY_TEXT),
    Field::optional("userAgent", ANY_TEXT),
];

/// What a client says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) mode: String,
    pub(crate) version: String,
    pub(crate) platform: String,
    #[serde(default)]
    pub(crate) device_family: Option<String>,
    #[serde(default)]
    pub(crate) display_name: Option<String>,
    #[serde(default)]
    pub(crate) instance_id: Option<String>,
}

/// How a client proves what it may.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Proof {
    #[serde(default)]
    pub(crate) token: Option<String>,
    #[serde(default)]
    pub(crate) password: Option<String>,
    #[serde(default)]
    pub(crate) device_token: Option<String>,
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Proof(..)")
    }
}

impl Proof {
    /// What stands where the shared secret goes.
    pub(crate) fn secret(&self) -> Option<&str> {
        self.token.as_deref().or(self.password.as_deref())
    }
}

/// The params of `connect`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connect {
    pub(crate) min_protocol: u64,
    pub(crate) max_protocol: u64,
    pub(crate) client: Client,
    #[serde(default = "operator")]
    pub(crate) role: String,
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    #[serde(default)]
    pub(crate) device: Option<Device>,
    #[serde(default)]
    pub(crate) auth: Proof,
}

fn operator() -> String {
    ROLE_OPERATOR.to_owned()
}

impl Connect {
    /// Reads what a client says. Everything wrong with it is told.
    pub(crate) fn read(request: &Request<'_>) -> Result<Self, Failure> {
        let text = request.params.map_or("null", |params| params.get());
        // What stands in a request is JSON already.
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        if let Some(faults) = object(&value, CONNECT) {
            return Err(Failure::params("connect", &faults));
        }
        serde_json::from_value(value).map_err(|error| Failure::params("connect", &error.to_string()))
    }

    /// Whether it speaks the version that is spoken here.
    pub(crate) fn speaks(&self) -> bool {
        let is_probe = self.client.mode == MODE_PROBE;
        let is_node = self.client.mode == MODE_NODE && self.role == ROLE_NODE;
        let may_be_old = (is_probe || is_node) && self.max_protocol >= OLDEST_OF_PROBES;
        self.min_protocol <= VERSION && (self.max_protocol >= VERSION || may_be_old)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Connect;
    use crate::protocol::{Failure, Frame, read};

    fn connect(params: &Value) -> Result<Connect, Failure> {
        let text = json!({"type": "req", "id": "1", "method": "connect", "params": params}).to_string();
        let Frame::Request(request) = read(&text) else { panic!("a request") };
        Connect::read(&request)
    }

    fn plain() -> Value {
        json!({
            "minProtocol": 4, "maxProtocol": 4, "caps": [], "role": "operator", "scopes": ["operator.read"],
            "client": {"id": "cli", "version": "1", "platform": "linux", "mode": "cli", "instanceId": "i"},
            "auth": {"token": "t"},
        })
    }

    #[test]
    fn what_a_client_says_is_read() {
        let connect = connect(&plain()).expect("a client");
        assert_eq!(connect.auth.secret(), Some("t"));
        assert_eq!(connect.scopes, ["operator.read"]);
        assert!(!format!("{connect:?}").contains("\"t\""), "no secret is shown: {connect:?}");
    }

    #[test]
    fn what_is_wrong_with_a_client_is_told_with_its_place() {
        let said = |change: fn(&mut Value)| {
            let mut params = plain();
            change(&mut params);
            connect(&params).expect_err("refused").message
        };
        for (message, expected) in [
            (
                said(|params| {
                    params.as_object_mut().expect("an object").remove("minProtocol");
                    params["foo"] = json!(1);
                }),
                "invalid connect params: must have required property 'minProtocol'; at root: unexpected property 'foo'",
            ),
            (
                said(|params| params["client"]["id"] = json!("me")),
                "invalid connect params: at /client/id: must be equal to one of the allowed values",
            ),
            (
                said(|params| params["minProtocol"] = json!(0)),
                "invalid connect params: at /minProtocol: must be >= 1",
            ),
            (said(|params| *params = Value::Null), "invalid connect params: at root: must be object"),
            (
                said(|params| params["device"] = json!({"id": "x"})),
                "invalid connect params: at /device: must have required property 'publicKey'; at /device: must have \
                 required property 'signature'; at /device: must have required property 'signedAt'; at /device: must have \
                 required property 'nonce'",
            ),
        ] {
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn a_client_speaks_four_and_a_probe_or_a_node_may_speak_three() {
        for (least, most, mode, expected) in [
            (4, 4, "cli", true),
            (3, 9, "cli", true),
            (3, 3, "cli", false),
            (5, 6, "cli", false),
            (3, 3, "probe", true),
            (3, 4, "probe", true),
            (1, 2, "probe", false),
            (5, 5, "probe", false),
            // Only as a node.
            (3, 3, "node", false),
        ] {
            let mut params = plain();
            params["minProtocol"] = json!(least);
            params["maxProtocol"] = json!(most);
            params["client"]["mode"] = json!(mode);
            assert_eq!(connect(&params).expect("a client").speaks(), expected, "{least}..{most} {mode}");
        }
        let mut node = plain();
        (node["minProtocol"], node["maxProtocol"]) = (json!(3), json!(3));
        (node["client"]["mode"], node["role"]) = (json!("node"), json!("node"));
        assert!(connect(&node).expect("a client").speaks());
    }
}
