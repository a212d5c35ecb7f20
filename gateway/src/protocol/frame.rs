//! The frames: a request comes in, a response or an event goes out. Each is one text message.

use std::borrow::Cow;
use std::sync::Arc;

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
pub struct Request<'a> {
    /// What the answer is called by.
    pub id: Cow<'a, str>,
    /// What is to be done.
    pub method: Cow<'a, str>,
    /// With what; unread, because only the method knows what it may be.
    pub params: Option<&'a RawValue>,
}

/// What a message is.
#[derive(Debug)]
pub enum Frame<'a> {
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
pub fn read(text: &str) -> Frame<'_> {
    plain(text).map_or_else(|| read_any(text), Frame::Request)
}

/// A request as `JSON.stringify` writes it, with its fields in the order of the schema and no escapes in its names; `None`:
/// whatever this is, it is read at leisure. What is a request here is the same one there.
fn plain(text: &str) -> Option<Request<'_>> {
    let (id, rest) = word(text.strip_prefix(r#"{"type":"req","id":""#)?)?;
    let (method, rest) = word(rest.strip_prefix(r#","method":""#)?)?;
    let params = match rest {
        "}" => None,
        _ => {
            let params = rest.strip_prefix(r#","params":"#)?.strip_suffix('}')?;
            let read: &RawValue = serde_json::from_str(params).ok()?;
            Some(read).filter(|read| read.get() != "null")
        }
    };
    (!id.is_empty() && id.len() <= LONGEST_ID && !method.is_empty()).then_some(Request {
        id: Cow::Borrowed(id),
        method: Cow::Borrowed(method),
        params,
    })
}

/// A text up to the mark that ends it, if it stands there as it is; and what follows.
fn word(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.split_at(text.bytes().position(is_special)?);
    Some((word, rest.strip_prefix('"')?))
}

fn read_any(text: &str) -> Frame<'_> {
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
pub struct StateVersion {
    /// Who is there.
    pub presence: u64,
    /// How the gateway is.
    pub health: u64,
}

/// What a request comes to.
#[derive(Clone, Debug)]
pub enum Payload {
    /// For whoever has asked.
    Own(Value),
    /// JSON that was written once for all who ask.
    Shared(Arc<str>),
}

/// A response to a request that was carried out.
pub fn answer(into: &mut Vec<u8>, id: &str, payload: &Payload) {
    match payload {
        Payload::Own(value) => answer_with(into, id, |into| json(into, value)),
        Payload::Shared(text) => answer_with(into, id, |into| into.extend_from_slice(text.as_bytes())),
    }
}

/// The same with a payload that is written as JSON.
pub(crate) fn answer_with(into: &mut Vec<u8>, id: &str, payload: impl FnOnce(&mut Vec<u8>)) {
    into.extend_from_slice(br#"{"type":"res","id":"#);
    quote(into, id);
    into.extend_from_slice(br#","ok":true,"payload":"#);
    payload(into);
    into.push(b'}');
}

/// A response to a request that was not.
pub(crate) fn refuse(into: &mut Vec<u8>, id: &str, failure: &Failure) {
    into.extend_from_slice(br#"{"type":"res","id":"#);
    quote(into, id);
    into.extend_from_slice(br#","ok":false,"error":"#);
    json(into, failure);
    into.push(b'}');
}

/// An event as JSON, all but its number: that differs from client to client, the rest is written once for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    head: String,
    tail: String,
}

impl Told {
    /// An event of that name.
    pub fn new(name: &str, payload: &Value, version: Option<StateVersion>) -> Self {
        let name = Value::from(name);
        let version = version.map(|StateVersion { presence, health }| {
            format!(r#","stateVersion":{{"presence":{presence},"health":{health}}}"#)
        });
        Self {
            head: format!(r#"{{"type":"event","event":{name},"payload":{payload}"#),
            tail: format!("{}}}", version.unwrap_or_default()),
        }
    }

    /// How much of it waits for each client, in bytes.
    pub const fn bytes(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// The event with its number, if it has one.
    pub fn write(&self, into: &mut Vec<u8>, seq: Option<u64>) {
        into.extend_from_slice(self.head.as_bytes());
        if let Some(seq) = seq {
            into.extend_from_slice(br#","seq":"#);
            json(into, &seq);
        }
        into.extend_from_slice(self.tail.as_bytes());
    }
}

/// A text as JSON. Most need nothing but the marks around them, and keep their bytes.
fn quote(into: &mut Vec<u8>, text: &str) {
    if is_plain(text) {
        into.push(b'"');
        into.extend_from_slice(text.as_bytes());
        into.push(b'"');
    } else {
        json(into, &text);
    }
}

/// Whether a text stands in JSON as it is. All of it is looked at, which is quicker than to stop in time.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & !is_special(byte))
}

/// Whether a byte cannot stand in a text of JSON.
const fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// Writes something as JSON. What is written here always serialises, and memory takes everything.
fn json(into: &mut Vec<u8>, value: &impl Serialize) {
    let _ = serde_json::to_writer(into, value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{Frame, Payload, Request, StateVersion, Told, answer, plain, read, read_any, refuse};
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
        let parsed = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut text = Vec::new();
            write(&mut text);
            serde_json::from_slice::<Value>(&text).expect("JSON")
        };
        assert_eq!(
            parsed(&|into| answer(into, "a\"b", &Payload::Own(Value::Null))),
            json!({"type": "res", "id": "a\"b", "ok": true, "payload": null})
        );
        assert_eq!(
            parsed(&|into| refuse(into, "1", &Failure::invalid("no"))),
            json!({"type": "res", "id": "1", "ok": false, "error": {"code": "INVALID_REQUEST", "message": "no"}})
        );
        assert_eq!(
            parsed(&|into| Told::new("tick", &json!({"ts": 1}), None).write(into, None)),
            json!({"type": "event", "event": "tick", "payload": {"ts": 1}})
        );
        assert_eq!(
            parsed(&|into| {
                let version = StateVersion { presence: 1, health: 2 };
                Told::new("health", &json!({}), Some(version)).write(into, Some(3));
            }),
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

        /// What is read quickly is read as everything else is.
        #[test]
        fn the_quick_way_finds_what_the_other_one_does(
            id in r#"[a-z0-9"\\\x00-\x1f]{0,4}"#,
            method in r#"[a-z."\\]{0,6}"#,
            params in prop_oneof![
                Just(String::new()),
                Just(",\"params\":null".to_owned()),
                Just(",\"params\": {} ".to_owned()),
                Just(",\"params\":{}}".to_owned()),
                Just(",\"params\":{},\"traceparent\":\"t\"".to_owned()),
                r#",\"params\":[\[\]{}",:0-9a-z\\ ]{0,8}"#,
            ],
            end in prop_oneof![Just("}"), Just(""), Just("} "), Just("}}")],
        ) {
            let text = format!(r#"{{"type":"req","id":"{id}","method":"{method}"{params}{end}"#);
            if let Some(quick) = plain(&text) {
                let Frame::Request(slow) = read_any(&text) else { panic!("no request: {text}") };
                prop_assert_eq!((&quick.id, &quick.method), (&slow.id, &slow.method), "{}", &text);
                let raw = |request: &Request<'_>| request.params.map(|params| params.get().to_owned());
                prop_assert_eq!(raw(&quick), raw(&slow), "{}", &text);
            }
        }
    }
}
