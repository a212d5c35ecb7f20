//! Judges JSON by the keywords of JSON Schema that the published schema uses, and refuses any other keyword.
//!
//! It is stricter than a schema says: a key that is not declared is a mistake here, though readers must ignore it.

use serde_json::{Map, Value};

/// Keywords that say something to people alone.
const COMMENTS: [&str; 6] = ["$schema", "$defs", "title", "description", "default", "format"];

/// Every mistake of a value, each with its place.
pub(crate) fn mistakes(schema: &Value, value: &Value) -> Vec<String> {
    let judge = Judge { root: schema };
    let mut mistakes = Vec::new();
    judge.judge(schema, value, "event", &mut mistakes);
    mistakes
}

struct Judge<'s> {
    root: &'s Value,
}

impl<'s> Judge<'s> {
    fn target(&self, reference: &Value) -> &'s Value {
        let path = reference.as_str().unwrap().strip_prefix('#').unwrap();
        self.root.pointer(path).unwrap_or_else(|| panic!("no {path} in the schema"))
    }

    fn judge(&self, schema: &Value, value: &Value, place: &str, mistakes: &mut Vec<String>) {
        let keywords = schema.as_object().unwrap_or_else(|| panic!("{place}: {schema} is no schema"));
        for (keyword, wanted) in keywords {
            let is_so = match keyword.as_str() {
                "type" => has_type(wanted, value),
                "const" => value == wanted,
                "enum" => wanted.as_array().unwrap().contains(value),
                "minimum" => value.as_i64().is_none_or(|number| number >= wanted.as_i64().unwrap()),
                "maximum" => value.as_i64().is_none_or(|number| number <= wanted.as_i64().unwrap()),
                "required" => {
                    let keys = wanted.as_array().unwrap().iter().map(|key| key.as_str().unwrap());
                    keys.filter(|key| value.get(key).is_none()).count() == 0
                }
                "oneOf" | "anyOf" => self.one_fits(wanted, value, place),
                "$ref" => {
                    self.judge(self.target(wanted), value, place, mistakes);
                    true
                }
                "items" => {
                    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.judge(wanted, item, &format!("{place}[{number}]"), mistakes);
                    }
                    true
                }
                "properties" => {
                    self.properties(keywords, value, place, mistakes);
                    true
                }
                "additionalProperties" => {
                    for (key, inner) in value.as_object().into_iter().flatten() {
                        self.judge(wanted, inner, &format!("{place}.{key}"), mistakes);
                    }
                    true
                }
                other => {
                    COMMENTS.contains(&other) || panic!("the schema uses `{other}`, which is not known here")
                }
            };
            if !is_so {
                mistakes.push(format!("{place}: {value} is not {keyword} {wanted}"));
            }
        }
    }

    fn one_fits(&self, schemas: &Value, value: &Value, place: &str) -> bool {
        let fits = |schema: &&Value| {
            let mut mistakes = Vec::new();
            self.judge(schema, value, place, &mut mistakes);
            mistakes.is_empty()
        };
        schemas.as_array().unwrap().iter().filter(fits).count() == 1
    }

    /// A tag stands beside a reference to the type that it marks: the keys of both are declared.
    fn properties(
        &self,
        keywords: &Map<String, Value>,
        value: &Value,
        place: &str,
        mistakes: &mut Vec<String>,
    ) {
        let of = |schema: &'_ Value| schema["properties"].as_object().cloned().unwrap_or_default();
        let own = keywords["properties"].as_object().unwrap();
        let beside = keywords.get("$ref").map(|reference| of(self.target(reference))).unwrap_or_default();
        let is_tagged_elsewhere = |key: &str| key == "event" || key == "kind";
        for (key, inner) in value.as_object().into_iter().flatten() {
            match own.get(key) {
                Some(schema) => self.judge(schema, inner, &format!("{place}.{key}"), mistakes),
                None if beside.contains_key(key) || is_tagged_elsewhere(key) => {}
                None => mistakes.push(format!("{place}.{key} is not declared")),
            }
        }
    }
}

fn has_type(wanted: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("no type is called {other}"),
    };
    let names = wanted.as_array().map_or_else(|| std::slice::from_ref(wanted), Vec::as_slice);
    names.iter().any(|name| is(name.as_str().unwrap()))
}
