//! What a request is answered with, by servers whose library knows frames and no requests.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Work;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    #[expect(dead_code, reason = "a server has to find out which method is meant")]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// The answer to a message; `None` if it is to be answered with itself.
pub(super) fn answer(work: Work, message: &[u8]) -> Option<String> {
    match work {
        Work::Echo | Work::Fan => None,
        Work::Rpc | Work::Health => Some(typed(message)),
    }
}

/// As whoever wants to be quick reads a request: nothing is copied that is only passed on.
fn typed(message: &[u8]) -> String {
    let Ok(Request { kind, id, params, .. }) = serde_json::from_slice(message) else { return String::new() };
    if kind != "req" {
        return String::new();
    }
    let params = params.map_or("null", RawValue::get);
    // A string always serialises.
    let id = serde_json::to_string(&id).unwrap_or_default();
    let mut answer = String::with_capacity(params.len() + id.len() + 48);
    for part in [r#"{"type":"res","id":"#, &id, r#","ok":true,"payload":"#, params, "}"] {
        answer.push_str(part);
    }
    answer
}

/// As examples read one.
pub(super) fn textbook(work: Work, message: &str) -> Option<String> {
    match work {
        Work::Echo | Work::Fan => None,
        Work::Rpc | Work::Health => {
            let Ok(request) = serde_json::from_str::<Value>(message) else { return Some(String::new()) };
            let answer = json!({
                "type": "res", "id": request["id"], "ok": true, "payload": request["params"],
            });
            Some(answer.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{answer, textbook};
    use crate::compare::servers::Work;

    #[test]
    fn both_answer_a_request_with_its_params() {
        let request = r#"{"type":"req","id":"a\"1","method":"m","params":{"b":[1,null]}}"#;
        let wanted = json!({"type": "res", "id": "a\"1", "ok": true, "payload": {"b": [1, null]}});
        for answer in [answer(Work::Rpc, request.as_bytes()), textbook(Work::Rpc, request)] {
            assert_eq!(serde_json::from_str::<Value>(&answer.unwrap()).unwrap(), wanted);
        }
        assert_eq!(answer(Work::Rpc, b"noise").as_deref(), Some(""));
        assert_eq!(answer(Work::Echo, request.as_bytes()), None);
        assert_eq!(textbook(Work::Echo, request), None);
    }
}
