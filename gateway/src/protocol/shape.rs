//! What values may look like. A value that does not is refused with every reason, in the words that clients know.

use serde_json::Value;

/// At most so many reasons are given, so that an answer is not longer than what it answers.
const MOST_FAULTS: usize = 8;
/// The longest name that is repeated in a reason, in characters.
const LONGEST_NAME: usize = 64;

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Anything.
    Any,
    /// `true` or `false`.
    Bool,
    /// A text of so many characters.
    Text {
        /// At least.
        least: usize,
        /// At most.
        most: usize,
    },
    /// A text of so many bytes.
    Bytes {
        /// At least.
        least: usize,
        /// At most.
        most: usize,
    },
    /// A whole number.
    Whole {
        /// At least.
        least: u64,
        /// At most.
        most: u64,
    },
    /// One of these words.
    Words(&'static [&'static str]),
    /// A list.
    List(&'static Self),
    /// An object with these fields and no other.
    Object(&'static [Field]),
}

/// A field of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// Its name.
    pub(crate) name: &'static str,
    /// Whether it must be there.
    pub(crate) required: bool,
    /// What it may be.
    pub(crate) shape: Shape,
}

impl Shape {
    /// A text that is not empty.
    pub(crate) const TEXT: Self = Self::Text { least: 1, most: usize::MAX };
    /// A whole number from zero.
    pub(crate) const COUNT: Self = Self::Whole { least: 0, most: u64::MAX };
}

impl Field {
    pub(crate) const fn required(name: &'static str, shape: Shape) -> Self {
        Self { name, required: true, shape }
    }

    pub(crate) const fn optional(name: &'static str, shape: Shape) -> Self {
        Self { name, required: false, shape }
    }
}

/// Why a value has not the shape of an object with these fields, all reasons in one sentence; `None`: it has.
pub(crate) fn object(value: &Value, fields: &'static [Field]) -> Option<String> {
    let mut faults = Vec::new();
    look(value, Shape::Object(fields), "", &mut faults);
    if faults.is_empty() {
        return None;
    }
    let more = faults.len().saturating_sub(MOST_FAULTS);
    faults.truncate(MOST_FAULTS);
    if more > 0 {
        faults.push(format!("and {more} more"));
    }
    Some(faults.join("; "))
}

fn look(value: &Value, shape: Shape, at: &str, faults: &mut Vec<String>) {
    let mut fault = |what: String| {
        faults.push(match (at, what.starts_with("must have required")) {
            ("", true) => what,
            ("", false) => format!("at root: {what}"),
            _ => format!("at {at}: {what}"),
        });
    };
    match (shape, value) {
        (Shape::Any, _) | (Shape::Bool, Value::Bool(_)) => {}
        (Shape::Bool, _) => fault("must be boolean".to_owned()),
        (Shape::Text { least, most }, Value::String(text)) => {
            let length = text.chars().count();
            if length < least {
                fault(format!("must NOT have fewer than {least} characters"));
            } else if length > most {
                fault(format!("must NOT have more than {most} characters"));
            }
        }
        (Shape::Bytes { least, most }, Value::String(text)) => {
            if text.len() < least {
                fault(format!("must NOT have fewer than {least} characters"));
            } else if text.len() > most {
                fault(format!("must NOT have more than {most} bytes"));
            }
        }
        (Shape::Text { .. } | Shape::Bytes { .. }, _) => fault("must be string".to_owned()),
        (Shape::Whole { least, most }, Value::Number(number)) => match whole(number) {
            Some(number) if number < i128::from(least) => fault(format!("must be >= {least}")),
            Some(number) if number > i128::from(most) => fault(format!("must be <= {most}")),
            Some(_) => {}
            None => fault("must be integer".to_owned()),
        },
        (Shape::Whole { .. }, _) => fault("must be integer".to_owned()),
        (Shape::Words(words), _) => {
            if !value.as_str().is_some_and(|word| words.contains(&word)) {
                fault("must be equal to one of the allowed values".to_owned());
            }
        }
        (Shape::List(each), Value::Array(values)) => {
            for (index, value) in values.iter().enumerate() {
                look(value, *each, &format!("{at}/{index}"), faults);
            }
        }
        (Shape::List(_), _) => fault("must be array".to_owned()),
        (Shape::Object(fields), Value::Object(members)) => {
            for field in fields.iter().filter(|field| field.required && !members.contains_key(field.name)) {
                fault(format!("must have required property '{}'", field.name));
            }
            for name in members.keys().filter(|name| fields.iter().all(|field| field.name != *name)) {
                let brief: String = name.chars().take(LONGEST_NAME).collect();
                fault(format!("unexpected property '{brief}'"));
            }
            for field in fields {
                if let Some(value) = members.get(field.name) {
                    look(value, field.shape, &format!("{at}/{}", field.name), faults);
                }
            }
        }
        (Shape::Object(_), _) => fault("must be object".to_owned()),
    }
}

/// A number as a whole one; `1.0` is one, as it is in JavaScript.
fn whole(number: &serde_json::Number) -> Option<i128> {
    if let Some(number) = number.as_i128() {
        return Some(number);
    }
    let text = number.to_string();
    let whole = text.strip_suffix(".0")?;
    whole.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Field, Shape, object};

    const FIELDS: &[Field] = &[
        Field::optional("limit", Shape::Whole { least: 1, most: 5000 }),
        Field::optional("names", Shape::List(&Shape::TEXT)),
        Field::optional("kind", Shape::Words(&["a", "b"])),
        Field::required("key", Shape::Text { least: 1, most: 4 }),
        Field::optional("inner", Shape::Object(&[Field::required("on", Shape::Bool)])),
        Field::optional("any", Shape::Any),
    ];

    #[test]
    fn every_fault_is_told_with_its_place() {
        for (value, expected) in [
            (
                json!({"key": "k", "limit": 5000, "names": ["x"], "kind": "b", "inner": {"on": true}, "any": null}),
                None,
            ),
            (json!({"key": "k", "limit": 1.0}), None),
            (json!([1]), Some("at root: must be object")),
            (
                json!({"zzz": 1, "limit": "x"}),
                Some(
                    "must have required property 'key'; at root: unexpected property 'zzz'; at /limit: must be integer",
                ),
            ),
            (
                json!({"key": "", "limit": 0}),
                Some("at /limit: must be >= 1; at /key: must NOT have fewer than 1 characters"),
            ),
            (
                json!({"key": "abcde", "limit": 5001}),
                Some("at /limit: must be <= 5000; at /key: must NOT have more than 4 characters"),
            ),
            (json!({"key": 1, "limit": 1.5}), Some("at /limit: must be integer; at /key: must be string")),
            (json!({"key": "k", "names": ["a", 7]}), Some("at /names/1: must be string")),
            (json!({"key": "k", "names": {}}), Some("at /names: must be array")),
            (json!({"key": "k", "kind": "c"}), Some("at /kind: must be equal to one of the allowed values")),
            (json!({"key": "k", "inner": {}}), Some("at /inner: must have required property 'on'")),
            (json!({"key": "k", "inner": {"on": 1}}), Some("at /inner/on: must be boolean")),
        ] {
            assert_eq!(object(&value, FIELDS).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn an_answer_does_not_grow_with_the_question() {
        let members: serde_json::Map<String, serde_json::Value> =
            (0..1000).map(|index| (format!("{index:0>200}"), json!(1))).collect();
        let told = object(&serde_json::Value::Object(members), FIELDS).expect("faults");
        assert!(told.ends_with("; and 993 more"), "{told}");
        assert!(told.len() < 1000, "{}", told.len());
    }
}
