//! The published shape of a plan, made from the types that read it.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Value, json};

use super::Sweep;
use super::shape::File;

impl Sweep {
    /// The JSON Schema (2020-12) of a file, with a line break at its end.
    pub fn json_schema() -> String {
        let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(without_null));
        let mut schema = settings.into_generator().into_root_schema_for::<File>();
        schema.insert("title".to_owned(), "A plan of portcullis sweep, schema 1".into());
        let text = serde_json::to_string_pretty(&schema);
        text.unwrap_or_else(|error| unreachable!("a schema has string keys alone: {error}")) + "\n"
    }
}

/// TOML has no null: a key that need not be there is left out.
fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|of| of != "null");
        if let [only] = types.as_mut_slice() {
            let only = only.take();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(kinds)) = schema.get_mut("anyOf") {
        kinds.retain(|of| *of != json!({ "type": "null" }));
        if let [Value::Object(only)] = kinds.as_mut_slice() {
            let only = std::mem::take(only);
            schema.remove("anyOf");
            schema.ensure_object().extend(only);
        }
    }
    if schema.get("default") == Some(&Value::Null) {
        schema.remove("default");
    }
}
