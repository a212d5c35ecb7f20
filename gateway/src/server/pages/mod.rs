//! What a gateway shows to browsers, scrapers and scripts: who it is, how it is, and the canvas of its agent.
//!
//! Whoever must know a secret to connect must know it here too, as a bearer token or as the password of a browser's own
//! prompt. Without it a gateway tells no more than that it is one, and which.

mod canvas;
mod identity;
mod metrics;
mod status;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use data_encoding::BASE64;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap};

use super::Host;
use super::http::Answer;
use crate::auth::Auth;
use crate::control::{Control, Verdict};
pub(super) use canvas::Drawing;

/// What can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// Who this gateway is, what it owns, who is connected: for people.
    Status,
    /// The same in numbers.
    Metrics,
    /// Who this gateway is, for programs.
    Identity,
    /// A file of the canvas.
    Canvas(Drawing),
}

impl Page {
    /// The page at a path, if there is any.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/" => Some(Self::Status),
            "/metrics" => Some(Self::Metrics),
            "/identity" => Some(Self::Identity),
            _ => Drawing::at(path).map(Self::Canvas),
        }
    }
}

/// What a request has shown of the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing.
    Nothing,
    /// This.
    Word(String),
    /// Something that nobody can read.
    Garbage,
}

impl Shown {
    /// By the head of a request.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Nothing,
            (Some(value), None) => value.to_str().ok().and_then(word).map_or(Self::Garbage, Self::Word),
            (Some(_), Some(_)) => Self::Garbage,
        }
    }
}

/// The token of `Bearer`, or the password of `Basic` (RFC 6750, RFC 7617).
fn word(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64.decode(rest.as_bytes()).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// Whether somebody may see a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admission {
    /// All of it.
    Known,
    /// What everybody may see.
    Unknown,
}

/// Whether somebody there may see a page; or how it is refused.
async fn admission<H: Host>(
    shown: &Shown,
    control: &Control,
    host: &H,
    from: IpAddr,
) -> Result<Admission, Answer> {
    let (Auth::Token(secret) | Auth::Password(secret)) = &control.about().auth else {
        return Ok(Admission::Known);
    };
    let is_right = || match shown {
        Shown::Word(word) => secret.is(word),
        Shown::Nothing | Shown::Garbage => false,
    };
    if *shown == Shown::Nothing {
        return Ok(Admission::Unknown);
    }
    match control.judge(from, host.now().await, is_right) {
        Verdict::Right => Ok(Admission::Known),
        Verdict::Wrong(late) => {
            tokio::time::sleep(Duration::from_millis(late)).await;
            Err(Answer::unauthorized())
        }
        Verdict::Wait(left) => Err(Answer::too_many_guesses(left)),
    }
}

/// Shows a page.
pub(super) async fn show<H: Host>(
    page: &Page,
    shown: &Shown,
    control: &Control,
    host: &H,
    from: IpAddr,
) -> Answer {
    let admission = match admission(shown, control, host, from).await {
        Ok(admission) => admission,
        Err(refused) => return refused,
    };
    match (page, admission) {
        (Page::Status | Page::Metrics | Page::Canvas(_), Admission::Unknown) => Answer::unauthorized(),
        (Page::Identity, Admission::Unknown) => identity::of_anybody(&control.overview(host.now().await)),
        (Page::Identity, Admission::Known) => identity::in_full(&control.overview(host.now().await)),
        (Page::Metrics, Admission::Known) => metrics::page(&control.overview(host.now().await)),
        (Page::Status, Admission::Known) => status::page(&control.overview(host.now().await)),
        (Page::Canvas(drawing), Admission::Known) => canvas::page(drawing, control, host).await,
    }
}

/// The answer where nothing can be told of a gateway, because there is none behind this server.
pub(super) fn none() -> Answer {
    Answer::text(StatusCode::NOT_FOUND, "Not Found")
}
