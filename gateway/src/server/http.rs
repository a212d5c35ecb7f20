//! What a request gets depends on its head and on the phase of the gateway, and on nothing else.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode, Uri, Version};
use serde_json::json;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::door::{self, Turned};
use super::pages::{Page, Shown};
use crate::identity::PhaseName;

/// What to do with a request.
#[derive(Debug)]
pub(super) enum Decision {
    /// Answer this.
    Answer(Answer),
    /// Answer how far the gateway is, see [`Progress`].
    Progress(Progress),
    /// Show a page, to whoever may see it.
    Show(Page, Shown),
    /// Make the connection a WebSocket.
    Upgrade {
        /// The proof that the handshake was understood.
        accept: String,
        /// Whether the page that asks, if it is one, is one of this machine.
        origin_is_own: bool,
    },
}

/// The two ways to ask how far a gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Whether it is ready.
    Readiness,
    /// Whether it has started.
    Startup,
}

/// A short answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: Bytes,
    extra: Vec<(HeaderName, HeaderValue)>,
}

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Decides by the head of a request alone.
pub(super) fn decide(method: &Method, uri: &Uri, version: Version, headers: &HeaderMap) -> Decision {
    let forbidden = |why: &str| Decision::Answer(Answer::text(StatusCode::FORBIDDEN, why));
    match door::admit(uri, version, headers) {
        Ok(()) => {}
        Err(Turned::NoHost) => {
            let why = "Bad Request: exactly one Host is needed";
            return Decision::Answer(Answer::text(StatusCode::BAD_REQUEST, why));
        }
        Err(Turned::StrangeHost) => return forbidden("Forbidden: this host is not served"),
        Err(Turned::Proxied) => return forbidden("proxy_attribution_required"),
    }
    let origin_is_own = door::is_own_page(headers);
    let probed = match uri.path() {
        "/healthz" | "/health" => {
            Decision::Answer(Answer::json(StatusCode::OK, r#"{"ok":true,"status":"live"}"#.to_owned()))
        }
        "/readyz" | "/ready" => Decision::Progress(Progress::Readiness),
        "/startupz" | "/startup" => Decision::Progress(Progress::Startup),
        // A WebSocket may be asked for by any other name.
        _ if lists(headers, &UPGRADE, "websocket") => {
            return if *method != Method::GET {
                Decision::Answer(Answer::not_allowed("GET"))
            } else {
                match handshake(version, headers) {
                    Ok(accept) => Decision::Upgrade { accept, origin_is_own },
                    Err(answer) => Decision::Answer(answer),
                }
            };
        }
        path => match Page::at(path) {
            Some(page) => Decision::Show(page, Shown::of(headers)),
            None => Decision::Answer(Answer::text(StatusCode::NOT_FOUND, "Not Found")),
        },
    };
    if !origin_is_own {
        // A page from elsewhere learns nothing; on a socket it is told so in the words of the protocol.
        return forbidden("Forbidden: this origin is not served");
    }
    match probed {
        Decision::Answer(Answer { status: StatusCode::NOT_FOUND, .. }) => probed,
        _ if *method == Method::GET || *method == Method::HEAD => probed,
        Decision::Answer(_) | Decision::Progress(_) | Decision::Show(..) | Decision::Upgrade { .. } => {
            Decision::Answer(Answer::not_allowed("GET, HEAD"))
        }
    }
}

/// How far the gateway is, and since when it has been up.
pub(super) fn progress(progress: Progress, phase: PhaseName, uptime_ms: u64) -> Answer {
    let (status, failing) = match phase {
        PhaseName::Ready => (StatusCode::OK, None),
        PhaseName::Starting => (StatusCode::SERVICE_UNAVAILABLE, Some("starting")),
        PhaseName::Draining => (StatusCode::SERVICE_UNAVAILABLE, Some("gateway-draining")),
    };
    let body = match progress {
        Progress::Readiness => {
            json!({ "ready": failing.is_none(), "failing": Vec::from_iter(failing), "uptimeMs": uptime_ms })
        }
        Progress::Startup => {
            let status = match phase {
                PhaseName::Ready => "started",
                PhaseName::Starting | PhaseName::Draining => phase.as_str(),
            };
            let mut body = json!({
                "ok": failing.is_none(),
                "status": status,
                "version": env!("CARGO_PKG_VERSION"),
                "uptimeMs": uptime_ms,
            });
            if let Some(reason) = failing {
                body["pendingReason"] = json!(reason);
            }
            body
        }
    };
    Answer::json(status, body.to_string())
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
    pub(super) fn json(status: StatusCode, body: String) -> Self {
        Self::of_kind(status, JSON, body)
    }

    pub(super) fn text(status: StatusCode, body: &str) -> Self {
        Self::of_kind(status, TEXT, body.to_owned())
    }

    /// A text of a type of its own.
    pub(super) fn of_kind(status: StatusCode, kind: &'static str, body: String) -> Self {
        Self::bytes(status, kind, body.into_bytes())
    }

    /// Anything.
    pub(super) fn bytes(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Self {
        Self { status, kind, body: body.into(), extra: Vec::new() }
    }

    /// The same with one header more.
    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.extra.push((name, HeaderValue::from_static(value)));
        self
    }

    /// Only for those who know the secret: a browser asks for it.
    pub(super) fn unauthorized() -> Self {
        Self::text(StatusCode::UNAUTHORIZED, "Unauthorized: the token or password of the gateway is needed")
            .with(WWW_AUTHENTICATE, "Basic realm=\"refgate\", charset=\"UTF-8\"")
    }

    fn not_allowed(methods: &'static str) -> Self {
        Self::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed").with(ALLOW, methods)
    }

    fn upgrade_required() -> Self {
        let body = "Upgrade Required: this path speaks WebSocket, version 13";
        Self::text(StatusCode::UPGRADE_REQUIRED, body)
            .with(UPGRADE, "websocket")
            .with(CONNECTION, "Upgrade")
            .with(SEC_WEBSOCKET_VERSION, "13")
    }

    /// Too many connections of one address have not said who they are.
    pub(super) fn too_many_strangers() -> Self {
        Self::text(StatusCode::SERVICE_UNAVAILABLE, "Too many unauthenticated sockets").with(RETRY_AFTER, "1")
    }

    /// Whoever is there has shown a wrong secret, and has to wait for so many milliseconds before it shows another one.
    pub(super) fn too_many_guesses(left_ms: u64) -> Self {
        let mut answer =
            Self::text(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests: a wrong secret was shown");
        answer.extra.push((RETRY_AFTER, left_ms.div_ceil(1_000).into()));
        answer
    }

    /// There is no place for this connection, or not any more.
    pub(super) fn full() -> Self {
        Self::text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable").with(RETRY_AFTER, "1")
    }

    /// The answer as it is sent.
    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let usual = [
            (CONTENT_TYPE, self.kind),
            (CACHE_CONTROL, "no-store"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
        ];
        let usual = usual.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)));
        for (name, value) in usual.chain(self.extra) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
