//! The canvas: files that agents put into one directory, for nodes to show. They are read, never written, and none outside
//! that directory is.

use hyper::StatusCode;
use hyper::header::CONTENT_SECURITY_POLICY;

use super::none;
use crate::control::Control;
use crate::server::Host;
use crate::server::http::Answer;

/// Where the canvas is, on the port of the gateway.
const CANVAS: &str = "/__openclaw__/canvas";

/// The longest file that is shown, in bytes.
const LONGEST: u32 = 8 * 1024 * 1024;

/// How deep directories may be nested.
const DEEPEST: usize = 16;

/// The names that lead to one file of the canvas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Drawing(Vec<String>);

impl Drawing {
    /// The file that a path of the canvas names. Names are letters, digits, `-`, `_` and dots, of which none comes first: what
    /// is hidden stays so.
    pub(super) fn at(path: &str) -> Option<Self> {
        let rest = path.strip_prefix(CANVAS)?;
        let rest = rest.strip_prefix('/')?;
        let mut names: Vec<String> = rest.split('/').map(str::to_owned).collect();
        if let Some(last) = names.last_mut().filter(|last| last.is_empty()) {
            "index.html".clone_into(last);
        }
        (names.len() <= DEEPEST && names.iter().all(|name| is_plain(name))).then_some(Self(names))
    }

    /// What a browser should take it for.
    fn kind(&self) -> &'static str {
        let name = self.0.last().map_or("", String::as_str);
        match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "html" | "htm" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" | "mjs" => "text/javascript; charset=utf-8",
            "json" => "application/json; charset=utf-8",
            "txt" | "md" => "text/plain; charset=utf-8",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "jpg" | "jpeg" => "image/jpeg",
            "gif" => "image/gif",
            "webp" => "image/webp",
            "woff2" => "font/woff2",
            _ => "application/octet-stream",
        }
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The file, or that there is none.
pub(super) async fn page<H: Host>(drawing: &Drawing, control: &Control, host: &H) -> Answer {
    let Some(root) = &control.about().canvas else { return none() };
    match host.file(root, &drawing.0, LONGEST).await {
        // A drawing may do what it likes, but not in the name of the gateway.
        Some(bytes) => Answer::bytes(StatusCode::OK, drawing.kind(), bytes)
            .with(CONTENT_SECURITY_POLICY, "sandbox allow-scripts"),
        None => none(),
    }
}
