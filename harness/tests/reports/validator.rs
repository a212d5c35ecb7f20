//! Judges JSON by the keywords of JSON Schema that the published schema uses, and refuses any other keyword.
//!
//! It is stricter than a schema says: a key that is not declared is a mistake here, though readers must ignore it.
#![expect(clippy::unwrap_used, reason = "what is no schema fails the test that uses it")]

use regex_lite::Regex;
use serde_json::{Map, Value};

/// Keywords that judge keys, together.
const OF_KEYS: [&str; 3] = ["properties", "patternProperties", "additionalProperties"];

/// Keywords that say something to people alone.
const COMMENTS: [&str; 6] = ["$schema", "$defs", "title", "description", "default", "format"];

/// Every mistake of a value, each with its place.
pub(crate) fn mistakes(schema: &Value, value: &Value) -> Vec<String> {
    let judge = Judge { root: schema };
    let mut mistakes = Vec::new();
    judge.judge(schema, value, "value", &mut mistakes);
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
        match schema.as_bool() {
            Some(true) => return,
            Some(false) => return mistakes.push(format!("{place} may not be")),
            None => {}
        }
        let keywords = schema.as_object().unwrap_or_else(|| panic!("{place}: {schema} is no schema"));
        if OF_KEYS.iter().any(|keyword| keywords.contains_key(*keyword)) {
            self.keys(keywords, value, place, mistakes);
        }
        for (keyword, wanted) in keywords {
            let is_so = match keyword.as_str() {
                "type" => has_type(wanted, value),
                "const" => value == wanted,
                "enum" => wanted.as_array().unwrap().contains(value),
                "pattern" => value.as_str().is_none_or(|text| matches(wanted.as_str().unwrap(), text)),
                "minItems" => {
                    value.as_array().is_none_or(|list| list.len() as u64 >= wanted.as_u64().unwrap())
                }
                "maxItems" => {
                    value.as_array().is_none_or(|list| list.len() as u64 <= wanted.as_u64().unwrap())
                }
                "dependentRequired" => wanted.as_object().unwrap().iter().all(|(key, others)| {
                    let mut others = others.as_array().unwrap().iter().map(|other| other.as_str().unwrap());
                    value.get(key).is_none() || others.all(|other| value.get(other).is_some())
                }),
                "minProperties" => {
                    value.as_object().is_none_or(|table| table.len() as u64 >= wanted.as_u64().unwrap())
                }
                "uniqueItems" => value.as_array().is_none_or(|list| {
                    list.iter().enumerate().all(|(place, item)| !list[..place].contains(item))
                }),
                "minimum" => value.as_i64().is_none_or(|number| number >= wanted.as_i64().unwrap()),
                "maximum" => value.as_i64().is_none_or(|number| number <= wanted.as_i64().unwrap()),
                "required" => {
                    let mut keys = wanted.as_array().unwrap().iter().map(|key| key.as_str().unwrap());
                    !value.is_object() || keys.all(|key| value.get(key).is_some())
                }
                "oneOf" => self.how_many_fit(wanted, value, place) == 1,
                "anyOf" => self.how_many_fit(wanted, value, place) > 0,
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
                other => {
                    OF_KEYS.contains(&other)
                        || COMMENTS.contains(&other)
                        || panic!("the schema uses `{other}`, which is not known here")
                }
            };
            if !is_so {
                mistakes.push(format!("{place}: {value} is not {keyword} {wanted}"));
            }
        }
    }

    fn how_many_fit(&self, schemas: &Value, value: &Value, place: &str) -> usize {
        let fits = |schema: &&Value| {
            let mut mistakes = Vec::new();
            self.judge(schema, value, place, &mut mistakes);
            mistakes.is_empty()
        };
        schemas.as_array().unwrap().iter().filter(fits).count()
    }

    /// Each key of a table is judged by whatever speaks of it. A tag stands beside a reference to the type that it marks:
    /// the keys of both are declared.
    fn keys(&self, keywords: &Map<String, Value>, value: &Value, place: &str, mistakes: &mut Vec<String>) {
        let of = |name: &str| keywords.get(name).and_then(Value::as_object);
        let is_beside = |key: &str| {
            let reference = keywords.get("$ref").map(|reference| &self.target(reference)["properties"]);
            reference.is_some_and(|beside| beside.get(key).is_some())
        };
        for (key, inner) in value.as_object().into_iter().flatten() {
            let own = of("properties").into_iter().flat_map(|own| own.get(key));
            let patterns = of("patternProperties").into_iter().flatten();
            let matching = patterns.filter(|(pattern, _)| matches(pattern, key)).map(|(_, schema)| schema);
            let mut speaking: Vec<&Value> = own.chain(matching).collect();
            if speaking.is_empty() {
                speaking.extend(keywords.get("additionalProperties"));
            }
            for schema in &speaking {
                self.judge(schema, inner, &format!("{place}.{key}"), mistakes);
            }
            let is_tagged_elsewhere = key == "event" || key == "kind";
            if speaking.is_empty() && !is_tagged_elsewhere && !is_beside(key) {
                mistakes.push(format!("{place}.{key} is not declared"));
            }
        }
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).unwrap().is_match(text)
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
