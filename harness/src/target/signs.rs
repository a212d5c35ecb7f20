//! Reads how something is seen: `[ready]` and `[answers]`, each with exactly one kind of sign.

use super::format::{ANSWERS, HTTP, READY};
use super::model::{Patience, Ports, Probe, Request, Signs};
use super::parse::{CONTROL, patience};
use super::pattern::Pattern;
use crate::scenario::diagnostics::{Diagnostics, did_you_mean_or_list};
use crate::scenario::fields::{Field, Fields, boolean, integer, text};
use crate::scenario::problem::Problem;

/// What is to be seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// That it serves for the first time.
    Ready,
    /// That it still does.
    Answers,
}

/// Reads one of the two tables.
pub(super) fn signs(
    moment: Moment,
    field: Field<'_>,
    ports: &Ports,
    diagnostics: &mut Diagnostics,
) -> Option<(Signs, Option<Patience>)> {
    let place = match moment {
        Moment::Ready => "`[ready]`",
        Moment::Answers => "`[answers]`",
    };
    let fields = Fields::of(place, field.key.span(), field.value, diagnostics)?;
    let mut fields = fields.listed(match moment {
        Moment::Ready => READY,
        Moment::Answers => ANSWERS,
    });
    let within = match moment {
        Moment::Ready => patience(&mut fields, diagnostics),
        Moment::Answers => None,
    };
    let before = diagnostics.count();
    let mut found: Vec<(Field<'_>, Option<Kind>)> = Vec::new();
    if moment == Moment::Ready {
        if let Some(field) = fields.take("events") {
            found.push((field, events(field, diagnostics)));
        }
        if let Some(field) = fields.take("log") {
            found.push((field, pattern("`log`", field, diagnostics).map(Kind::Log)));
        }
    }
    if let Some(field) = fields.take("tcp") {
        let wanted = boolean("`tcp`", field.value, diagnostics);
        found.push((field, wanted.map(|_| Kind::Tcp)));
    }
    for name in ["http", "websocket"] {
        if let Some(field) = fields.take(name) {
            let path = path(name, field, diagnostics);
            found.push((
                field,
                path.map(|path| if name == "http" { Kind::Http(path) } else { Kind::WebSocket(path) }),
            ));
        }
    }
    let above = port(&mut fields, ports, diagnostics);
    let status =
        fields.take("status").map(|field| (field, integer("`status`", field.value, HTTP, diagnostics)));
    let body = fields.take("body").map(|field| (field, pattern("`body`", field, diagnostics)));
    fields.finish(diagnostics);
    let kind = only_one(place, moment, field, found, diagnostics)?;
    if !matches!(kind, Kind::Http(_)) {
        for field in status.iter().map(|(field, _)| field).chain(body.iter().map(|(field, _)| field)) {
            diagnostics.add(
                Problem::new(format!("`{}` says nothing without `http`", field.name()), field.key.span())
                    .label("there is no answer that it is about")
                    .help("leave it out, or ask by `http = \"/path\"`"),
            );
        }
    }
    let probe = |request| Signs::Probe(Probe { above, request });
    let signs = match kind {
        Kind::Events => Signs::Events,
        Kind::Log(pattern) => Signs::Log(pattern),
        Kind::Tcp => probe(Request::Tcp),
        Kind::WebSocket(path) => probe(Request::WebSocket { path }),
        Kind::Http(path) => probe(Request::Http {
            path,
            status: status.and_then(|(_, status)| status).unwrap_or(200),
            body: body.and_then(|(_, body)| body),
        }),
    };
    (diagnostics.count() == before).then_some((signs, within))
}

enum Kind {
    Events,
    Log(Pattern),
    Tcp,
    Http(String),
    WebSocket(String),
}

/// The one sign that is there; several of them or none are a problem.
fn only_one(
    place: &str,
    moment: Moment,
    table: Field<'_>,
    mut found: Vec<(Field<'_>, Option<Kind>)>,
    diagnostics: &mut Diagnostics,
) -> Option<Kind> {
    if let [(first, _), (second, _), ..] = &found[..] {
        diagnostics.add(
            Problem::new(format!("{place} has two signs"), second.key.span())
                .label("another one here")
                .note(first.key.span(), "one here")
                .help("keep the one that comes last when it starts"),
        );
        return None;
    }
    let Some((_, kind)) = found.pop() else {
        let kinds = match moment {
            Moment::Ready => "`log`, `tcp`, `http`, `websocket` or `events`",
            Moment::Answers => "`tcp`, `http` or `websocket`",
        };
        diagnostics.add_if_whole(
            Problem::new(format!("{place} has no sign"), table.key.span())
                .label(format!("{kinds} is missing"))
                .help("add one, for instance `http = \"/healthz\"`"),
        );
        return None;
    };
    kind
}

fn events(field: Field<'_>, diagnostics: &mut Diagnostics) -> Option<Kind> {
    let written = text("`events`", field.value, diagnostics)?;
    if written == "refgate" {
        return Some(Kind::Events);
    }
    diagnostics.add(
        Problem::new(format!("no events are called `{written}`"), field.value.span())
            .label("not known")
            .help("`refgate` means the lines of `refgate gateway --json`"),
    );
    None
}

pub(super) fn pattern(what: &str, field: Field<'_>, diagnostics: &mut Diagnostics) -> Option<Pattern> {
    let written = text(what, field.value, diagnostics)?;
    match Pattern::new(written) {
        Ok(pattern) => Some(pattern),
        Err(why) => {
            diagnostics.add(
                Problem::new(format!("{what} is no regular expression: {why}"), field.value.span())
                    .label("cannot be read")
                    .help("in single quotes a backslash needs no second one: `'pid (?<pid>\\d+)'`"),
            );
            None
        }
    }
}

fn path(name: &str, field: Field<'_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let what = format!("`{name}`");
    let written = text(&what, field.value, diagnostics)?;
    if written.starts_with('/') && !written.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Some(written.to_owned());
    }
    diagnostics.add(
        Problem::new(format!("{what} must be a path, not `{written}`"), field.value.span())
            .label("begins with `/` and has no blanks")
            .help("the address is 127.0.0.1 and the port `port`, for instance `http = \"/healthz\"`"),
    );
    None
}

/// `port`: which port is asked, the control port if nothing else is said.
fn port(fields: &mut Fields<'_>, ports: &Ports, diagnostics: &mut Diagnostics) -> u16 {
    let name = fields.take("port").and_then(|field| Some((field, text("`port`", field.value, diagnostics)?)));
    let (field, name) = match name {
        Some((field, name)) => (Some(field), name),
        None => (None, CONTROL),
    };
    let found = ports.0.get(name).map(|range| range.first);
    if let (None, Some(field)) = (found, field) {
        let known: Vec<&str> = ports.0.keys().map(String::as_str).collect();
        diagnostics.add(
            Problem::new(format!("no port is called `{name}`"), field.value.span())
                .label("not in `[ports]`")
                .maybe_help(did_you_mean_or_list("there are", name, &known)),
        );
    }
    found.unwrap_or_default()
}
