//! Configurations made of the rows of the schema, sound and damaged: each is understood, or told what is wrong with it.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::schema::{ROWS, Shape};
use super::{ConfigFile, Flags, Found, Settings, SettingsError, Surroundings, resolve};

fn settle(config: String) -> Result<Settings, SettingsError> {
    let around = Surroundings { home: Some("/s".into()), ..Surroundings::default() };
    let bytes = config.into_bytes();
    let read = |path: &Path| Found { path: path.to_owned(), file: ConfigFile::Bytes(bytes.clone()) };
    resolve(&Flags::default(), &around, read)
}

/// Some value, of the right shape more often than not.
fn value(shape: Shape) -> BoxedStrategy<Value> {
    let other = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
        Just(json!({})),
        Just(json!([1, {}])),
    ];
    let texts = ["/w", "http://localhost:9222", "~bob", "127.0.0.1"];
    let right = match shape {
        Shape::Object { .. } | Shape::Map => Just(json!({})).boxed(),
        Shape::List => Just(json!([])).boxed(),
        Shape::Text => prop::sample::select(texts.to_vec()).prop_map(Value::from).boxed(),
        Shape::Words(words) => prop::sample::select(words.to_vec()).prop_map(Value::from).boxed(),
        Shape::Port(most) => (1..=most).prop_map(Value::from).boxed(),
        Shape::Count => any::<u16>().prop_map(Value::from).boxed(),
        Shape::Bool => any::<bool>().prop_map(Value::from).boxed(),
        Shape::Secret => prop_oneof![
            Just(json!("s3cret")),
            Just(json!("$X")),
            Just(json!({ "source": "file", "provider": "a", "id": "value" })),
        ]
        .boxed(),
        Shape::Any => Just(json!({ "a": [1] })).boxed(),
    };
    prop_oneof![4 => right, 1 => other].boxed()
}

/// Puts a value at the path of a row, with whatever is needed around it.
fn put(into: &mut Value, path: &str, value: Value) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let (name, is_list) = first.strip_suffix("[]").map_or((first, false), |name| (name, true));
    let name = if name == "*" { "a" } else { name };
    if !into.is_object() {
        *into = json!({});
    }
    let mut place = &mut into[name];
    if is_list {
        if place.as_array().is_none_or(Vec::is_empty) {
            *place = json!([{}]);
        }
        place = &mut place[0];
    }
    match rest {
        Some(rest) => put(place, rest, value),
        None => *place = value,
    }
}

/// A configuration of some rows of the table.
fn config() -> impl Strategy<Value = String> {
    let row = (0..ROWS.len()).prop_flat_map(|row| (Just(ROWS[row].path), value(ROWS[row].shape)));
    prop::collection::vec(row, 0..16).prop_map(|rows| {
        let mut config = json!({});
        for (path, value) in rows {
            put(&mut config, path, value);
        }
        config.to_string()
    })
}

/// How often the secret is the value of a key, or inside one, that is known to name secrets.
fn secrets(value: &Value, is_secret: bool) -> usize {
    match value {
        Value::String(text) => usize::from(is_secret && text == "s3cret"),
        Value::Array(values) => values.iter().map(|value| secrets(value, is_secret)).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| {
                let key = key.to_lowercase();
                secrets(value, is_secret || key.contains("token") || key.contains("password"))
            })
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn whatever_the_rows_of_a_configuration_say_it_is_understood_or_told_what_is_wrong(config in config()) {
        match settle(config) {
            Ok(settings) => prop_assert!(settings.explained.len() >= 9),
            Err(error) => {
                let is_right = |line: &String| line.contains("; ") && !line.contains("s3cret");
                prop_assert!(error.lines().iter().all(is_right), "{:?}", error.lines());
            }
        }
    }

    #[test]
    fn no_damage_to_a_configuration_makes_it_panic_or_takes_long(
        config in config(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), "[{}\\[\\]:,'\"/*\\\\ \n0-9a-z]{0,3}", 0_usize..6), 1..5),
        repeated in 1_usize..200,
    ) {
        let mut text: Vec<char> = config.chars().collect();
        for (place, with, length) in damage {
            let start = place.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, with.repeat(repeated).chars());
        }
        let text: String = text.into_iter().collect();
        // Damage can make a key another one, and a value a part of a comment or of another text. Then it is no secret any more.
        let meant = json5::from_str(&text).map_or(0, |value| secrets(&value, false));
        let is_known = text.matches("s3cret").count() == meant;
        match settle(text) {
            Ok(settings) => {
                let shown = format!("{settings:?}");
                prop_assert!(!is_known || !shown.contains("s3cret"), "{}", shown);
            }
            Err(error) => prop_assert!(!error.render().is_empty()),
        }
    }
}
