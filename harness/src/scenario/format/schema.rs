//! The published shape of a scenario file, as JSON Schema, for editors and for programs that write scenarios.
//!
//! It says everything about the shape and nothing about names: whether `a` is declared is a matter of `portcullis check`.

use serde_json::{Map, Value, json};

use super::run::is_required;
use super::{EXPLORE, FILE, GATES, Key, Kind, POLICIES, STEPS, Shape, VARIABLE};
use crate::scenario::parse::SCHEMA;

/// The JSON Schema (2020-12) of a scenario file, with a line break at its end.
pub(crate) fn json_schema() -> String {
    document(FILE, &format!("A scenario of portcullis, schema {SCHEMA}"), definitions())
}

/// The JSON Schema of files with these keys, with a line break at its end. `definitions` are those that others refer to.
pub(crate) fn document(keys: &[Key], title: &str, definitions: Map<String, Value>) -> String {
    let Value::Object(mut schema) = table(keys, &[]) else { unreachable!("a table is an object") };
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!(title));
    if !definitions.is_empty() {
        schema.insert("$defs".to_owned(), definitions.into());
    }
    let text = serde_json::to_string_pretty(&schema);
    text.unwrap_or_else(|error| unreachable!("a schema has string keys alone: {error}")) + "\n"
}

/// A table with these keys and no others; of `some` one must be there.
fn table(keys: &[Key], some: &[&str]) -> Value {
    let mut object = Map::new();
    object.insert("type".to_owned(), json!("object"));
    object.insert("properties".to_owned(), properties(keys));
    object.insert("additionalProperties".to_owned(), json!(false));
    let required: Vec<&str> = keys.iter().filter(|key| is_required(key)).map(|key| key.name).collect();
    if !required.is_empty() {
        object.insert("required".to_owned(), json!(required));
    }
    if !some.is_empty() {
        let each: Vec<Value> = some.iter().map(|name| json!({ "required": [name] })).collect();
        object.insert("anyOf".to_owned(), json!(each));
    }
    Value::Object(object)
}

fn properties(keys: &[Key]) -> Value {
    keys.iter().map(|key| (key.name.to_owned(), described(key))).collect::<Map<_, _>>().into()
}

/// What a key holds, with what it means.
fn described(key: &Key) -> Value {
    let Value::Object(mut value) = value(key.shape) else { unreachable!("every shape is an object") };
    value.insert("description".to_owned(), json!(key.meaning));
    Value::Object(value)
}

fn value(shape: Shape) -> Value {
    match shape {
        Shape::Text => json!({ "type": "string", "pattern": "\\S" }),
        Shape::Matching(pattern) => json!({ "type": "string", "pattern": pattern }),
        Shape::Word(words) => json!({ "enum": words() }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Integer(bounds) => {
            json!({ "type": "integer", "minimum": bounds.least, "maximum": bounds.most })
        }
        Shape::List { of, may_be_empty, is_a_set } => {
            let mut list = Map::new();
            list.insert("type".to_owned(), json!("array"));
            list.insert("items".to_owned(), value(*of));
            if !may_be_empty {
                list.insert("minItems".to_owned(), json!(1));
            }
            if is_a_set {
                list.insert("uniqueItems".to_owned(), json!(true));
            }
            Value::Object(list)
        }
        Shape::Either(shapes) => one_of(shapes.iter().map(|shape| value(*shape))),
        Shape::Table(keys) => table(keys, &[]),
        Shape::TableWithSome(keys, some) => table(keys, some),
        Shape::TableWithOne { keys, of, needs } => table_with_one(keys, of, needs),
        Shape::Keyed { names, of } => json!({
            "type": "object",
            "patternProperties": { names: value(*of) },
            "additionalProperties": false,
        }),
        Shape::Pair(of) => json!({ "type": "array", "items": value(*of), "minItems": 2, "maxItems": 2 }),
        Shape::Date => {
            json!({ "type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" })
        }
        Shape::Kinds(kinds) => one_of(kinds.iter().map(kind)),
        Shape::Named { names, reserved, of, some, may_be_empty } => {
            let nobody: Map<_, _> = reserved.iter().map(|name| ((*name).to_owned(), json!(false))).collect();
            let mut tables = Map::new();
            tables.insert("type".to_owned(), json!("object"));
            tables.insert("properties".to_owned(), nobody.into());
            tables.insert("patternProperties".to_owned(), json!({ names: table(of, some) }));
            tables.insert("additionalProperties".to_owned(), json!(false));
            if !may_be_empty {
                tables.insert("minProperties".to_owned(), json!(1));
            }
            Value::Object(tables)
        }
        Shape::Map(of) => {
            json!({ "type": "object", "minProperties": 1, "additionalProperties": value(*of) })
        }
        Shape::Step => reference("step"),
        Shape::Policy => reference("policy"),
        Shape::Vary => vary(),
    }
}

fn table_with_one(keys: &[Key], of: &[&str], needs: &[(&str, &str)]) -> Value {
    let Value::Object(mut table) = table(keys, &[]) else { unreachable!("a table is an object") };
    let each: Vec<Value> = of.iter().map(|name| json!({ "required": [name] })).collect();
    table.insert("oneOf".to_owned(), json!(each));
    let needs: Map<_, _> = needs.iter().map(|(key, other)| ((*key).to_owned(), json!([other]))).collect();
    table.insert("dependentRequired".to_owned(), needs.into());
    Value::Object(table)
}

fn one_of(schemas: impl Iterator<Item = Value>) -> Value {
    json!({ "oneOf": schemas.collect::<Vec<_>>() })
}

/// A table with its `kind` and the keys of that kind.
fn kind(kind: &Kind) -> Value {
    let keys = kind.keys.iter().flat_map(|keys| keys.iter());
    let mut properties: Map<_, _> = keys.clone().map(|key| (key.name.to_owned(), described(key))).collect();
    properties.insert("kind".to_owned(), json!({ "const": kind.word }));
    let required = keys.filter(|key| is_required(key)).map(|key| key.name);
    let required: Vec<&str> = ["kind"].into_iter().chain(required).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn definitions() -> Map<String, Value> {
    let steps = STEPS.iter().map(|step| {
        let mut properties: Map<_, _> =
            step.with.iter().map(|key| (key.name.to_owned(), described(key))).collect();
        properties.insert(step.verb.name.to_owned(), described(&step.verb));
        properties.extend(GATES.iter().map(|gate| (gate.name.to_owned(), reference(gate.name))));
        let modifiers = step.with.iter().filter(|key| is_required(key)).map(|key| key.name);
        let required: Vec<&str> = [step.verb.name].into_iter().chain(modifiers).collect();
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    });
    let policies = POLICIES.iter().map(|keys| table(keys, &[]));
    let mut definitions: Map<_, _> =
        GATES.iter().map(|gate| (gate.name.to_owned(), described(gate))).collect();
    definitions.insert("step".to_owned(), one_of(steps));
    definitions
        .insert("policy".to_owned(), one_of([json!({ "const": "exhaustive" })].into_iter().chain(policies)));
    for (section, keys) in VARIABLE {
        definitions.insert(format!("vary-{section}"), varied(keys));
    }
    definitions.insert("vary-explore".to_owned(), varied(EXPLORE));
    definitions
}

/// Each key with a list of what it takes in turn.
fn varied(keys: &[Key]) -> Value {
    let lists = keys.iter().map(|key| {
        let list = json!({
            "type": "array",
            "items": value(key.shape),
            "minItems": 1,
            "description": key.meaning,
        });
        (key.name.to_owned(), list)
    });
    json!({
        "type": "object",
        "properties": lists.collect::<Map<_, _>>(),
        "additionalProperties": false,
        "minProperties": 1,
    })
}

/// `"gateway.a.port"`, and every way to write that with tables inside tables.
fn vary() -> Value {
    let mut tables = Map::new();
    let mut paths = Map::new();
    for (section, keys) in VARIABLE {
        let names = match section {
            "mount" => super::LABEL,
            _ => super::NAME,
        };
        let name = names.trim_start_matches('^').trim_end_matches('$');
        let whole = reference(&format!("vary-{section}"));
        let mut below = Map::new();
        below.insert(names.to_owned(), whole.clone());
        paths.insert(format!(r"^{section}\.{name}$"), whole);
        for key in keys {
            let list = reference(&format!("vary-{section}/properties/{}", key.name));
            below.insert(format!(r"^{name}\.{}$", key.name), list.clone());
            paths.insert(format!(r"^{section}\.{name}\.{}$", key.name), list);
        }
        let table = json!({
            "type": "object",
            "patternProperties": below,
            "additionalProperties": false,
            "minProperties": 1,
        });
        tables.insert(section.to_owned(), table);
    }
    for key in EXPLORE {
        let list = reference(&format!("vary-explore/properties/{}", key.name));
        paths.insert(format!(r"^explore\.{}$", key.name), list);
    }
    tables.insert("explore".to_owned(), reference("vary-explore"));
    json!({
        "type": "object",
        "properties": tables,
        "patternProperties": paths,
        "additionalProperties": false,
        "minProperties": 1,
    })
}
