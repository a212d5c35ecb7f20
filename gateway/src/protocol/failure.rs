//! What is answered when something is not done.

use serde::Serialize;
use serde_json::{Value, json};

/// The kinds of failures that clients tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Code {
    /// The request is wrong, or its sender is not who it should be.
    InvalidRequest,
    /// A device has to be paired first.
    NotPaired,
    /// The client lacks a scope.
    Forbidden,
    /// Not at the moment.
    Unavailable,
}

/// Why something is not done: the `error` of a response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) details: Option<Value>,
    /// Whether the same request may succeed later.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) retryable: bool,
    /// When to ask again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_ms: Option<u64>,
}

impl Failure {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            code: Code::InvalidRequest,
            message: message.into(),
            details: None,
            retryable: false,
            retry_after_ms: None,
        }
    }

    /// The params of a method have not its shape.
    pub(crate) fn params(method: &str, faults: &str) -> Self {
        Self::invalid(format!("invalid {method} params: {faults}"))
    }

    pub(crate) fn unavailable(message: &str, retry_after_ms: Option<u64>, reason: &str) -> Self {
        Self {
            code: Code::Unavailable,
            details: Some(json!({ "reason": reason })),
            retryable: true,
            retry_after_ms,
            ..Self::invalid(message)
        }
    }

    /// The client may not call this.
    pub(crate) fn missing_scope(scope: &str) -> Self {
        Self {
            code: Code::Forbidden,
            details: Some(
                json!({ "code": "MISSING_SCOPE", "missingScope": scope, "requiredScopes": [scope] }),
            ),
            ..Self::invalid(format!("missing scope: {scope}"))
        }
    }
}
