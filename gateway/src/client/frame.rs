//! What a client says and what it understands of the answers: leniently, because gateways of other versions answer too.

use serde_json::{Value, json};

use super::link::Close;
use super::reach::Caller;
use crate::auth::Word;

/// How much of a text that somebody else has chosen is kept, in characters.
const LONGEST_TEXT: usize = 300;

/// What has come in.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Incoming {
    /// The gateway asks who is there.
    Challenge,
    /// An answer to the request with this id.
    Answer { id: String, outcome: Result<Value, Refused> },
    /// Anything else: an event, or nothing that is understood.
    Other,
}

/// Why a request was not carried out, as a gateway has said it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The kind of failure.
    pub code: String,
    /// Why.
    pub message: String,
    /// The kind in more detail.
    pub details: Value,
    /// Whether the same may succeed later.
    pub retryable: bool,
    /// When to ask again, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// How the connection ended after it, if it did.
    pub close: Option<Close>,
}

impl Refused {
    /// The kind in more detail, if it is told.
    pub fn detail(&self) -> &str {
        self.details["code"].as_str().unwrap_or_default()
    }
}

/// Reads a message.
pub(super) fn read(text: &str) -> Incoming {
    let Ok(mut frame) = serde_json::from_str::<Value>(text) else { return Incoming::Other };
    match frame["type"].as_str() {
        Some("event") if frame["event"] == "connect.challenge" => Incoming::Challenge,
        Some("res") => {
            let Some(id) = frame["id"].as_str().map(str::to_owned) else { return Incoming::Other };
            // An answer that says neither is a refusal, as OpenClaw's own client takes it.
            let outcome = if frame["ok"] == true {
                Ok(frame["payload"].take())
            } else {
                Err(refused(frame["error"].take()))
            };
            Incoming::Answer { id, outcome }
        }
        Some(_) | None => Incoming::Other,
    }
}

fn refused(mut error: Value) -> Refused {
    let text = |value: &Value, otherwise: &str| clip(value.as_str().unwrap_or(otherwise));
    Refused {
        code: text(&error["code"], "UNAVAILABLE"),
        message: text(&error["message"], "gateway request failed"),
        retryable: error["retryable"] == true,
        retry_after_ms: error["retryAfterMs"].as_u64(),
        details: error.get_mut("details").map(Value::take).unwrap_or_default(),
        close: None,
    }
}

/// A request.
pub(super) fn request(id: &str, method: &str, params: Option<&Value>) -> String {
    let mut frame = json!({ "type": "req", "id": id, "method": method });
    if let Some(params) = params {
        frame["params"] = params.clone();
    }
    frame.to_string()
}

/// What a client says of itself.
pub(super) fn connect(caller: Caller, scopes: &[&str], word: Option<&Word>) -> Value {
    let (oldest, mode) = match caller {
        Caller::Probe => (3, "probe"),
        Caller::Cli => (4, "cli"),
    };
    let mut params = json!({
        "minProtocol": oldest,
        "maxProtocol": 4,
        "client": {
            "id": "cli",
            "version": env!("CARGO_PKG_VERSION"),
            "platform": std::env::consts::OS,
            "deviceFamily": "Linux",
            "mode": mode,
        },
        "caps": [],
        "role": "operator",
        "scopes": scopes,
    });
    if let Some(word) = word {
        // A gateway that wants a password takes it from here too.
        params["auth"] = json!({ "token": word.said() });
    }
    params
}

/// The beginning of a text.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{Incoming, connect, read, request};
    use crate::auth::Word;
    use crate::client::Caller;

    #[test]
    fn what_comes_in_is_understood_whatever_else_stands_in_it() {
        assert_eq!(
            read(r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"x","capabilities":[]}}"#),
            Incoming::Challenge
        );
        for other in
            ["", "[1]", "{}", r#"{"type":"event","event":"tick"}"#, r#"{"type":"res","ok":true}"#, "nul"]
        {
            assert_eq!(read(other), Incoming::Other, "{other}");
        }
        let Incoming::Answer { id, outcome } = read(r#"{"type":"res","id":"1","ok":true,"new":1}"#) else {
            panic!()
        };
        assert_eq!((id.as_str(), outcome.expect("it is one")), ("1", Value::Null));
        let text = r#"{"type":"res","id":"1","ok":false,"error":{"code":"X","message":"m","details":{"code":"D"},"retryAfterMs":5}}"#;
        let Incoming::Answer { outcome: Err(refused), .. } = read(text) else { panic!() };
        assert_eq!((refused.code.as_str(), refused.detail(), refused.retry_after_ms), ("X", "D", Some(5)));
        let Incoming::Answer { outcome: Err(bare), .. } = read(r#"{"type":"res","id":"1","ok":false}"#)
        else {
            panic!()
        };
        assert_eq!((bare.code.as_str(), bare.message.as_str()), ("UNAVAILABLE", "gateway request failed"));
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(text in ".{0,200}", id in "[a-z]{0,3}", ok in any::<bool>()) {
            let _ = read(&text);
            let answer = json!({"type": "res", "id": id, "ok": ok, "payload": text, "error": text}).to_string();
            let Incoming::Answer { outcome, .. } = read(&answer) else { return Err(TestCaseError::fail(answer)) };
            prop_assert_eq!(outcome.is_ok(), ok);
        }
    }

    #[test]
    fn what_goes_out_is_what_a_gateway_takes_and_the_secret_is_only_in_its_place() {
        assert_eq!(request("1", "health", None), r#"{"id":"1","method":"health","type":"req"}"#);
        let said = connect(Caller::Probe, &["operator.read"], None);
        assert_eq!((&said["minProtocol"], &said["auth"]), (&json!(3), &Value::Null));
        let word = Word::new("s3cret");
        let said = connect(Caller::Cli, &[], Some(&word));
        assert_eq!((&said["minProtocol"], &said["auth"]), (&json!(4), &json!({"token": "s3cret"})));
    }
}
