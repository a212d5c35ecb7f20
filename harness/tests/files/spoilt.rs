//! Spoils a file in every way that a shape can be: a key too many, a key too few, another type, an unknown word.

use toml::{Table, Value};

/// Every way to spoil the shape of a value, each with what was done.
fn spoilt(value: &Value, place: &str) -> Vec<(String, Value)> {
    let mut all: Vec<(String, Value)> = Vec::new();
    let others = [
        Value::Integer(7),
        Value::Integer(-1),
        Value::Float(0.5),
        Value::Boolean(true),
        Value::String("no such word!".to_owned()),
        Value::String(" ".to_owned()),
        Value::Array(Vec::new()),
        Value::Array(vec![Value::Float(0.5)]),
        Value::Table(Table::new()),
    ];
    let different = others.into_iter().filter(|other| other != value);
    all.extend(different.map(|other| (format!("{place} becomes {other}"), other)));
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let here = format!("{place}[{index}]");
                all.extend(spoilt(item, &here).into_iter().map(|(what, other)| {
                    let mut items = items.clone();
                    items[index] = other;
                    (what, Value::Array(items))
                }));
                let mut fewer = items.clone();
                fewer.remove(index);
                all.push((format!("{here} is left out"), Value::Array(fewer)));
                let mut more = items.clone();
                more.push(item.clone());
                all.push((format!("{here} comes twice"), Value::Array(more)));
            }
        }
        Value::Table(table) => {
            let tables = spoilt_table(table, place).into_iter();
            all.extend(tables.map(|(what, table)| (what, Value::Table(table))));
        }
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
    all
}

/// The same for a table.
pub(crate) fn spoilt_table(table: &Table, place: &str) -> Vec<(String, Table)> {
    let mut all = Vec::new();
    for added in ["no-such-key", "owner", "Upper", "start", "kind", "state"] {
        if !table.contains_key(added) {
            let mut more = table.clone();
            more.insert(added.to_owned(), Value::String("a".to_owned()));
            all.push((format!("{place}.{added} is added"), more));
        }
    }
    for (key, value) in table {
        let here = format!("{place}.{key}");
        let mut fewer = table.clone();
        fewer.remove(key);
        let mut renamed = fewer.clone();
        renamed.insert(format!("{key}!"), value.clone());
        all.push((format!("{here} is left out"), fewer));
        all.push((format!("{here} is misspelt"), renamed));
        for (what, other) in spoilt(value, &here) {
            let mut table = table.clone();
            table.insert(key.clone(), other);
            all.push((what, table));
        }
    }
    all
}
