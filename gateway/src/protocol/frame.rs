//! The frames: a request comes in, a response or an event goes out. Each is one text message.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::Failure;
use super::shape::{Field, Shape, object};

/// The longest id of a request, in bytes: it is repeated in the answer.
const LONGEST_ID: usize = 256;
/// The id that is answered to when there is none.
const NO_ID: &str = "invalid";

const REQUEST: &[Field] = &[
    Field::required("type", Shape::Words(&["req"])),
    Field::required("id", Shape::Text { least: 1, most: LONGEST_ID }),
    Field::required("method", Shape::TEXT),
    Field::optional("params", Shape::Any),
    Field::optional("traceparent", Shape::Text { least: 0, most: 128 }),
];

/// A request, as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// What the answer is called by.
    pub(crate) id: Cow<'a, str>,
    /// What is to be done.
    pub(crate) method: Cow<'a, str>,
    /// With what; unread, because only the method knows what it may be.
    pub(crate) params: Option<&'a RawValue>,
}

/// What a message is.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    /// A request.
    Request(Request<'a>),
    /// JSON that is no request: what to answer to, and why it is none.
    Strange {
        /// The id, if it has one.
        id: String,
        /// Why.
        why: String,
    },
    /// No JSON.
    Noise,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    traceparent: Option<Cow<'a, str>>,
}

/// Reads a message.
pub(crate) fn read(text: &str) -> Frame<'_> {
    if let Ok(Envelope { kind, id, method, params, traceparent }) = serde_json::from_str(text)
        && kind == "req"
        && !id.is_empty()
        && id.len() <= LONGEST_ID
        && !method.is_empty()
        && traceparent.is_none_or(|trace| trace.len() <= 128)
    {
        return Frame::Request(Request { id, method, params });
    }
    // It is no request, which is rare: why not is worth a second look.
    let Ok(value) = serde_json::from_str::<Value>(text) else { return Frame::Noise };
    let id = value.get("id").and_then(Value::as_str).filter(|id| !id.is_empty() && id.len() <= LONGEST_ID);
    let why = object(&value, REQUEST).unwrap_or_else(|| "a field is there twice".to_owned());
    Frame::Strange { id: id.unwrap_or(NO_ID).to_owned(), why: format!("invalid request frame: {why}") }
}

/// How often what everybody sees has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct StateVersion {
    pub(crate) presence: u64,
    pub(crate) health: u64,
}

/// A response to a request that was carried out.
pub(crate) fn answer(id: &str, payload: &Value) -> String {
    format!(r#"{{"type":"res","id":{},"ok":true,"payload":{payload}}}"#, quoted(id))
}

/// A response to a request that was not.
pub(crate) fn refuse(id: &str, failure: &Failure) -> String {
    // Strings and numbers always serialise.
    let error = serde_json::to_string(failure).unwrap_or_default();
    format!(r#"{{"type":"res","id":{},"ok":false,"error":{error}}}"#, quoted(id))
}

/// An event. The payload is JSON already, because many clients are sent the same.
pub(crate) fn event(name: &str, payload: &str, seq: Option<u64>, version: Option<StateVersion>) -> String {
    let seq = seq.map(|seq| format!(r#","seq":{seq}"#)).unwrap_or_default();
    let version = version
        .map(|StateVersion { presence, health }| {
            format!(r#","stateVersion":{{"presence":{presence},"health":{health}}}"#)
        })
        .unwrap_or_default();
    format!(r#"{{"type":"event","event":{},"payload":{payload}{seq}{version}}}"#, quoted(name))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{Frame, Request, StateVersion, answer, event, read, refuse};
    use crate::protocol::Failure;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let text =
            r#"{"type":"req","id":"1:\u0061","method":"health","params":{"a": [1, 2]},"traceparent":"t"}"#;
        let Frame::Request(Request { id, method, params }) = read(text) else { panic!("a request") };
        assert_eq!((&*id, &*method), ("1:a", "health"));
        assert_eq!(params.map(|params| params.get()), Some(r#"{"a": [1, 2]}"#));
        let Frame::Request(bare) = read(r#" {"method":"x","type":"req","id":"2"} "#) else {
            panic!("a request")
        };
        assert!(bare.params.is_none());
    }

    #[test]
    fn what_is_no_request_is_told_why_and_by_its_id() {
        let long = format!(r#"{{"type":"req","id":"{}","method":"m"}}"#, "x".repeat(257));
        for (text, id, why) in [
            ("[1,2,3]", "invalid", "at root: must be object"),
            ("7", "invalid", "at root: must be object"),
            (
                r#"{"type":"event","event":"x"}"#,
                "invalid",
                "must have required property 'id'; must have required property 'method'; at root: unexpected property \
                 'event'; at /type: must be equal to one of the allowed values",
            ),
            (
                r#"{"type":"req","id":"","method":"m"}"#,
                "invalid",
                "at /id: must NOT have fewer than 1 characters",
            ),
            (r#"{"type":"req","id":7,"method":"m"}"#, "invalid", "at /id: must be string"),
            (
                r#"{"type":"req","id":"a","method":""}"#,
                "a",
                "at /method: must NOT have fewer than 1 characters",
            ),
            (r#"{"type":"req","id":"a","method":"m","x":1}"#, "a", "at root: unexpected property 'x'"),
            (r#"{"type":"req","id":"a","id":"b","method":"m"}"#, "b", "a field is there twice"),
            (&long, "invalid", "at /id: must NOT have more than 256 characters"),
        ] {
            match read(text) {
                Frame::Strange { id: told, why: reason } => {
                    assert_eq!(
                        (told.as_str(), reason),
                        (id, format!("invalid request frame: {why}")),
                        "{text}"
                    );
                }
                other @ (Frame::Request(_) | Frame::Noise) => panic!("{text}: {other:?}"),
            }
        }
        for noise in ["", "{", "hello", "{\"type\":\"req\"", "\u{0}", &"[".repeat(100_000)] {
            assert!(matches!(read(noise), Frame::Noise), "{noise:.20}");
        }
    }

    #[test]
    fn what_goes_out_is_json_with_the_fields_of_the_schema() {
        let parsed = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
        assert_eq!(
            parsed(answer("a\"b", &json!(null))),
            json!({"type": "res", "id": "a\"b", "ok": true, "payload": null})
        );
        assert_eq!(
            parsed(refuse("1", &Failure::invalid("no"))),
            json!({"type": "res", "id": "1", "ok": false, "error": {"code": "INVALID_REQUEST", "message": "no"}})
        );
        assert_eq!(
            parsed(event("tick", "{\"ts\":1}", None, None)),
            json!({"type": "event", "event": "tick", "payload": {"ts": 1}})
        );
        assert_eq!(
            parsed(event("health", "{}", Some(3), Some(StateVersion { presence: 1, health: 2 }))),
            json!({"type": "event", "event": "health", "payload": {}, "seq": 3, "stateVersion": {"presence": 1, "health": 2}})
        );
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(text in ".{0,200}") {
            let _ = read(&text);
        }

        /// The quick way and the slow way agree on what a request is.
        #[test]
        fn what_serde_and_the_shape_take_for_a_request_is_one(
            kind in prop_oneof![Just("req"), Just("res"), Just("event")],
            id in "[ -~]{0,4}",
            method in "[a-z.]{0,8}",
            extra in proptest::option::of("[a-z]{1,3}"),
        ) {
            let mut value = json!({"type": kind, "id": id, "method": method});
            if let Some(name) = &extra {
                value[name] = json!(1);
            }
            let text = value.to_string();
            let is_request = matches!(read(&text), Frame::Request(_));
            prop_assert_eq!(is_request, super::object(&value, super::REQUEST).is_none(), "{}", text);
        }
    }
}
