//! What a command says of a gateway: the situation, what else it has found, and what is next, as text or as one object.

use serde_json::{Map, Value, json};

use super::{Desk, Outcome, Unfit, aim::Reach};
use crate::client::{CallError, Caller, Session, scopes_of};
use crate::log::Format;
use crate::standing::{Asking, Depth, Rows, Standing, block, observe};
use crate::text::{brief, one_line};

/// A report in the making.
pub(super) struct Report<'a> {
    standing: &'a Standing,
    /// The name of the command, with dashes.
    what: &'static str,
    pub(super) exit: u8,
    message: Option<String>,
    next: String,
    pub(super) rows: Rows,
    map: Map<String, Value>,
}

impl<'a> Report<'a> {
    /// That things are as they are; `ready` is next if they are as they should be.
    pub(super) fn new(standing: &'a Standing, what: &'static str, exit: u8, ready: &str) -> Self {
        let (next, rows) = (standing.next(ready), standing.rows());
        Self { standing, what, exit, message: None, next, rows, map: Map::new() }
    }

    /// What is said first, in the place of where the gateway stands.
    pub(super) fn say(&mut self, message: String) {
        self.message = Some(message);
    }

    pub(super) fn next(&mut self, command: &str) {
        self.next = format!("{command}{}", self.standing.aim().options);
    }

    /// The same, for a command that is not one of this program.
    pub(super) fn replace_next(&mut self, command: String) {
        self.next = command;
    }

    pub(super) fn row(&mut self, name: &str, value: impl Into<String>) {
        self.rows.push((name.to_owned(), value.into()));
    }

    pub(super) fn put(&mut self, name: &str, value: Value) {
        self.map.insert(name.to_owned(), value);
    }

    /// That a call was not carried out.
    pub(super) fn failed(&mut self, method: &str, error: &CallError) {
        self.exit = 1;
        let why = error_in_words(error);
        self.message = Some(format!("{}, and {method} has no result: {why}", self.standing.message()));
        self.put("error", error_as_json(error));
    }

    pub(super) fn to_text(&self) -> String {
        let message = self.message.clone().unwrap_or_else(|| self.standing.message());
        block(&message, &self.rows, &self.next)
    }

    pub(super) fn to_json(&self) -> String {
        let mut map = self.standing.to_map(self.what, self.exit, &self.next);
        if let Some(message) = &self.message {
            map.insert("message".to_owned(), json!(message));
        }
        map.extend(self.map.clone());
        Value::Object(map).to_string()
    }

    pub(super) fn outcome(self, format: Format) -> Outcome {
        let text = match format {
            Format::Text => self.to_text(),
            Format::Json => self.to_json(),
        };
        Outcome { out: format!("{text}\n"), exit: self.exit, ..Outcome::default() }
    }
}

/// Looks, and asks to be let in for what a method needs.
pub(super) async fn enter(
    desk: &Desk,
    reach: &Reach,
    methods: &[&str],
    depth: Depth,
) -> Result<(Standing, Option<Session>), Unfit> {
    let aim = reach.aim(desk)?;
    let mut scopes: Vec<&str> = methods.iter().flat_map(|method| scopes_of(method)).copied().collect();
    scopes.sort_unstable();
    scopes.dedup();
    let deadlines = reach.way.deadlines();
    let asking = Asking { caller: Caller::Cli, scopes: &scopes, deadlines, depth };
    Ok(observe(&desk.os, &aim, asking).await)
}

/// Why a call has no result, in words.
pub(super) fn error_in_words(error: &CallError) -> String {
    match error {
        CallError::Refused(refused) => {
            format!("{} ({})", one_line(&refused.message), one_line(&refused.code))
        }
        CallError::Silent(waited) => format!("no answer came within {} ms", waited.as_millis()),
        CallError::Closed(close) => {
            format!(
                "the connection was closed first ({} {}): the outcome is unknown",
                close.code,
                one_line(&close.reason)
            )
        }
    }
}

/// The same as an object.
pub(super) fn error_as_json(error: &CallError) -> Value {
    let (kind, code) = match error {
        CallError::Refused(refused) => ("gateway_request_error", refused.code.as_str()),
        CallError::Silent(_) => ("gateway_transport_error", "TIMEOUT"),
        CallError::Closed(_) => ("gateway_transport_error", "CLOSED"),
    };
    let mut map = json!({ "type": kind, "code": code, "message": error_in_words(error) });
    if let CallError::Refused(refused) = error {
        map["retryable"] = json!(refused.retryable);
        if !refused.details.is_null() {
            map["details"] = refused.details.clone();
        }
    }
    if let CallError::Closed(close) = error {
        map["close"] = json!({ "code": close.code, "reason": close.reason });
    }
    map
}

/// A value that somebody else has chosen, short and in one line.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => one_line(&brief(text)),
        Value::Null => "unknown".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            one_line(&brief(&value.to_string()))
        }
    }
}
