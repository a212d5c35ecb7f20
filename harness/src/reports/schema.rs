//! The published shape of the events, made from their types: what is written and what is promised cannot differ.

use schemars::generate::SchemaSettings;

use super::event::{Event, VERSION};

/// The JSON Schema (2020-12) of one line of events, with a line break at its end.
pub fn events() -> String {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Event>();
    schema.insert("title".to_owned(), format!("An event of a run of portcullis, version {VERSION}").into());
    let text = serde_json::to_string_pretty(&schema);
    text.unwrap_or_else(|error| unreachable!("a schema has string keys alone: {error}")) + "\n"
}
