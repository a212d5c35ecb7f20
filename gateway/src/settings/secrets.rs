//! What a configuration keeps secret never leaves this process: not in an error message, not in an answer to a client.

use std::fmt;

use serde_json::Value;

use super::scan;

/// What stands in the place of a secret, as clients know it.
const REDACTED: &str = "__OPENCLAW_REDACTED__";

/// Whether what is called so is a secret.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace(['_', '-'], "");
    ["token", "password", "secret", "apikey", "privatekey", "credential", "passphrase"]
        .iter()
        .any(|word| key.contains(word))
}

/// The same text with every secret blanked, byte for byte, so that places stay what they are. The text need not be valid.
pub(super) fn masked(text: &str) -> String {
    let mut masked = text.to_owned();
    for range in scan::strings_after(text, is_secret) {
        // Without its quotes; what is cut off has none at its end.
        let source = text.get(range.clone()).unwrap_or_default();
        let is_whole = source.len() > 1 && source.chars().next() == source.chars().next_back();
        let inside = range.start + 1..range.end - usize::from(is_whole);
        let blank: String = text.get(inside.clone()).unwrap_or_default().bytes().map(blank).collect();
        if masked.is_char_boundary(inside.start) && masked.is_char_boundary(inside.end) {
            masked.replace_range(inside, &blank);
        }
    }
    masked
}

/// Line ends stay, so that lines can be counted.
const fn blank(byte: u8) -> char {
    match byte {
        b'\n' => '\n',
        b'\r' => '\r',
        _ => '*',
    }
}

/// What a configuration says, secrets replaced.
#[derive(Clone, Default, PartialEq)]
pub struct Document(Option<Value>);

impl Eq for Document {}

impl fmt::Debug for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Document(..)")
    }
}

impl Document {
    /// Of a text that is valid.
    pub(super) fn of(text: &str) -> Self {
        let mut value = json5::from_str(text).ok();
        if let Some(value) = &mut value {
            redact(value, false);
        }
        Self(value)
    }

    /// What it says; `None`: there is no configuration.
    pub fn into_value(self) -> Option<Value> {
        self.0
    }
}

fn redact(value: &mut Value, secret: bool) {
    match value {
        Value::String(text) if secret && !text.is_empty() => REDACTED.clone_into(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        Value::Array(values) => values.iter_mut().for_each(|value| redact(value, secret)),
        Value::Object(members) => {
            for (key, value) in members {
                redact(value, secret || is_secret(key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{Document, masked};

    #[test]
    fn a_secret_is_blanked_wherever_it_is_and_however_it_is_spelt() {
        for (text, expected) in [
            (r#"{ token: "abc" }"#, r#"{ token: "***" }"#),
            (r#"{ "botToken": 'a"c', port: 7 }"#, r#"{ "botToken": '***', port: 7 }"#),
            (r#"{ "pass\u0077ord": "abc" }"#, r#"{ "pass\u0077ord": "***" }"#),
            (
                r#"{ apiKey: { x: "abc" }, api_key: ["de", 1] }"#,
                r#"{ apiKey: { x: "***" }, api_key: ["**", 1] }"#,
            ),
            (r#"{ auth: { token: "abc"#, r#"{ auth: { token: "***"#),
            (r#"{ name: "token", x: "abc" }"#, r#"{ name: "token", x: "abc" }"#),
            ("{ token: \"é\\\né\" }", "{ token: \"***\n**\" }"),
        ] {
            assert_eq!(masked(text), expected);
        }
    }

    #[test]
    fn a_document_shows_everything_but_its_secrets() {
        let text = r#"{ gateway: { port: 7, auth: { mode: "token", token: "abc" } }, maxTokens: 5, keys: { apiKey: ["a"] } }"#;
        assert_eq!(
            Document::of(text).into_value(),
            Some(json!({
                "gateway": { "port": 7, "auth": { "mode": "token", "token": "__OPENCLAW_REDACTED__" } },
                "maxTokens": 5,
                "keys": { "apiKey": ["__OPENCLAW_REDACTED__"] },
            }))
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_every_place_stays(text in "[{}\\[\\]:,\"'\\\\ \né/*a-c]{0,20}(token)?[{}\\[\\]:,\"'\\\\ \né/*a-c]{0,40}") {
            prop_assert_eq!(masked(&text).len(), text.len());
        }
    }
}
