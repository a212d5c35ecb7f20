//! What a request gets depends on its head and on the phase of the gateway, and on nothing else.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode, Uri, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::door::{self, Turned};
use crate::identity::PhaseName;

/// What to do with a request.
#[derive(Debug)]
pub(super) enum Decision {
    /// Answer this.
    Answer(Answer),
    /// Answer whether the gateway is ready, see [`readiness`].
    Readiness,
    /// Make the connection a WebSocket.
    Upgrade {
        /// The proof that the handshake was understood.
        accept: String,
    },
}

/// A short answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: String,
    extra: Vec<(HeaderName, &'static str)>,
}

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Decides by the head of a request alone.
pub(super) fn decide(method: &Method, uri: &Uri, version: Version, headers: &HeaderMap) -> Decision {
    if let Err(turned) = door::admit(uri, version, headers) {
        return Decision::Answer(match turned {
            Turned::NoHost => {
                Answer::text(StatusCode::BAD_REQUEST, "Bad Request: exactly one Host is needed")
            }
            Turned::StrangeHost => Answer::text(StatusCode::FORBIDDEN, "Forbidden: this host is not served"),
            Turned::StrangeOrigin => {
                Answer::text(StatusCode::FORBIDDEN, "Forbidden: this origin is not served")
            }
        });
    }
    match uri.path() {
        "/healthz" | "/health" => match *method {
            Method::GET | Method::HEAD => {
                Decision::Answer(Answer::json(StatusCode::OK, r#"{"ok":true,"status":"live"}"#.to_owned()))
            }
            _ => Decision::Answer(Answer::not_allowed("GET, HEAD")),
        },
        "/readyz" | "/ready" => match *method {
            Method::GET | Method::HEAD => Decision::Readiness,
            _ => Decision::Answer(Answer::not_allowed("GET, HEAD")),
        },
        "/" if *method != Method::GET => Decision::Answer(Answer::not_allowed("GET")),
        "/" => match handshake(version, headers) {
            Ok(accept) => Decision::Upgrade { accept },
            Err(answer) => Decision::Answer(answer),
        },
        _ => Decision::Answer(Answer::text(StatusCode::NOT_FOUND, "Not Found")),
    }
}

/// Whether the gateway is ready, and since when it has been up.
pub(super) fn readiness(phase: PhaseName, uptime_ms: u64) -> Answer {
    let (status, ready, failing) = match phase {
        PhaseName::Ready => (StatusCode::OK, true, String::new()),
        PhaseName::Starting | PhaseName::Draining => {
            (StatusCode::SERVICE_UNAVAILABLE, false, format!("\"{}\"", phase.as_str()))
        }
    };
    Answer::json(status, format!(r#"{{"ready":{ready},"failing":[{failing}],"uptimeMs":{uptime_ms}}}"#))
}

/// The answer that makes a connection a WebSocket.
pub(super) fn switch(accept: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::try_from(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// Checks an opening handshake (RFC 6455, section 4.2.1) and returns the value that accepts it.
fn handshake(version: Version, headers: &HeaderMap) -> Result<String, Answer> {
    if version != Version::HTTP_11 || !lists(headers, &UPGRADE, "websocket") {
        return Err(Answer::upgrade_required());
    }
    if !lists(headers, &CONNECTION, "upgrade") {
        return Err(Answer::text(StatusCode::BAD_REQUEST, "Bad Request: Connection does not say Upgrade"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Answer::upgrade_required());
    }
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body {
        return Err(Answer::text(StatusCode::BAD_REQUEST, "Bad Request: a handshake has no body"));
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) if is_key(key.as_bytes()) => Ok(derive_accept_key(key.as_bytes())),
        _ => Err(Answer::text(
            StatusCode::BAD_REQUEST,
            "Bad Request: Sec-WebSocket-Key is not 16 bytes in base64",
        )),
    }
}

/// Whether a comma-separated header contains a word, in upper or lower case.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}

/// 16 bytes in base64: 22 digits, the last of which carries two bits, and two signs of padding.
fn is_key(key: &[u8]) -> bool {
    let Some((digits, b"==")) = key.split_at_checked(22) else { return false };
    let all = digits.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
    all && matches!(digits.last(), Some(b'A' | b'Q' | b'g' | b'w'))
}

impl Answer {
    const fn json(status: StatusCode, body: String) -> Self {
        Self { status, kind: JSON, body, extra: Vec::new() }
    }

    fn text(status: StatusCode, body: &str) -> Self {
        Self { status, kind: TEXT, body: body.to_owned(), extra: Vec::new() }
    }

    fn not_allowed(methods: &'static str) -> Self {
        let answer = Self::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        Self { extra: vec![(ALLOW, methods)], ..answer }
    }

    fn upgrade_required() -> Self {
        let body = "Upgrade Required: this path speaks WebSocket, version 13";
        let extra = vec![(UPGRADE, "websocket"), (CONNECTION, "Upgrade"), (SEC_WEBSOCKET_VERSION, "13")];
        Self { extra, ..Self::text(StatusCode::UPGRADE_REQUIRED, body) }
    }

    /// There is no place for this connection, or not any more.
    pub(super) fn full() -> Self {
        let answer = Self::text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
        Self { extra: vec![(RETRY_AFTER, "1")], ..answer }
    }

    /// The answer as it is sent.
    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = self.status;
        let usual = [
            (CONTENT_TYPE, self.kind),
            (CACHE_CONTROL, "no-store"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
        ];
        for (name, value) in usual.into_iter().chain(self.extra) {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
