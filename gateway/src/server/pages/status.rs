//! Who a gateway is and what it owns, on one page for people: readable without scripts, with nothing from elsewhere.

use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, X_FRAME_OPTIONS};
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use crate::control::Overview;
use crate::identity::{Identity, PhaseName};
use crate::server::http::Answer;
use crate::text::{brief, one_line};

const KIND: &str = "text/html; charset=utf-8";
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "\
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;vertical-align:top;padding:.25rem 1rem .25rem 0;border-bottom:1px solid #8884}th{font-weight:600}\
tbody th{width:14rem}code{font-family:ui-monospace,monospace;overflow-wrap:anywhere}pre{white-space:pre-wrap;font-size:.8rem}\
.ready{color:#187a3c}.starting,.draining{color:#a35a00}@media(prefers-color-scheme:dark){.ready{color:#5fd38d}\
.starting,.draining{color:#ffb454}}";

/// At most so many clients are listed.
const MOST_CLIENTS: usize = 100;

pub(super) fn page(overview: &Overview) -> Answer {
    Answer::of_kind(StatusCode::OK, KIND, markup(overview).into_string())
        .with(CONTENT_SECURITY_POLICY, POLICY)
        .with(X_FRAME_OPTIONS, "DENY")
}

fn markup(overview: &Overview) -> Markup {
    let phase = overview.phase.as_str();
    let port = overview.identity.as_ref().map(|identity| identity.base);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { "refgate " (phase) @if let Some(port) = port { " on port " (port) } }
                style { (STYLE) }
            }
            body {
                h1 { "refgate is " span class=(phase) { (phase) } @if let Some(port) = port { " on port " (port) } }
                p { (sentence(overview.phase)) }
                (who(overview))
                @if let Some(identity) = &overview.identity { (owned(identity)) }
                (clients(overview))
                (channels(overview))
                (log(overview))
                h2 { "What to do next" }
                p {
                    code { "refgate why" } " says what stands in the way of another gateway, "
                    code { "refgate doctor" } " what may be put right, and "
                    code { "refgate history" } " who has owned this state directory before."
                }
            }
        }
    }
}

const fn sentence(phase: PhaseName) -> &'static str {
    match phase {
        PhaseName::Starting => "It owns what is listed here, and does not let clients in yet.",
        PhaseName::Ready => "It owns what is listed here, and lets clients in.",
        PhaseName::Draining => "It was told to stop or to begin anew, and sends its clients away.",
    }
}

fn row(name: &str, value: impl maud::Render) -> Markup {
    html! { tr { th scope="row" { (name) } td { code { (value) } } } }
}

fn who(overview: &Overview) -> Markup {
    let (seconds, minutes) = (overview.uptime_ms / 1000 % 60, overview.uptime_ms / 60_000);
    html! {
        h2 { "Who it is" }
        table { tbody {
            (row("Instance", overview.instance()))
            (row("Epoch", overview.epoch))
            @if let Some(identity) = &overview.identity { (row("Process", identity.pid)) }
            (row("Machine", &overview.host))
            (row("Version", env!("CARGO_PKG_VERSION")))
            (row("Serving for", format!("{minutes} min {seconds} s")))
            (row("Clients must know", if overview.auth == "none" { "nothing" } else { overview.auth }))
        } }
    }
}

fn owned(identity: &Identity) -> Markup {
    let ports = identity.ports();
    html! {
        h2 { "What it owns" }
        table { tbody {
            (row("State directory", &identity.state))
            (row("Its inode", format!("{} on device {}", identity.state_inode, identity.state_device)))
            (row("Configuration", &identity.config))
            @if let Some(ports) = ports {
                (row("Ports", ports.to_string()))
                @if let Some(derived) = ports.derived() {
                    (row("Browser control", derived.browser_control))
                    (row("Browsers", format!("{}-{}", derived.cdp_first, derived.cdp_last)))
                }
            }
            @if !identity.pinned.is_empty() {
                (row("Ports beyond these", identity.pinned.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")))
            }
        } }
    }
}

fn clients(overview: &Overview) -> Markup {
    let text = |entry: &Value, key: &str| brief(entry[key].as_str().unwrap_or("-"));
    html! {
        h2 { "Who is connected" }
        @if overview.clients.is_empty() {
            p { "Nobody." }
        } @else {
            table {
                thead { tr { th { "Client" } th { "Mode" } th { "Version" } th { "Instance" } } }
                tbody {
                    @for client in overview.clients.iter().take(MOST_CLIENTS) {
                        tr {
                            td { (text(client, "text")) }
                            td { (text(client, "mode")) }
                            td { (text(client, "version")) }
                            td { code { (text(client, "instanceId")) } }
                        }
                    }
                }
            }
            @if overview.clients.len() > MOST_CLIENTS { p { "And " (overview.clients.len() - MOST_CLIENTS) " more." } }
        }
    }
}

fn log(overview: &Overview) -> Markup {
    html! {
        h2 { "What happened last" }
        @if overview.log.lines.is_empty() {
            p { "Nothing was logged." }
        } @else {
            pre { code { @for line in &overview.log.lines { (one_line(line)) "\n" } } }
            p { "More: " code { "refgate logs" } ", or " code { (overview.log.file) } }
        }
    }
}

fn channels(overview: &Overview) -> Markup {
    let accounts = overview.channels["channelAccounts"].as_object();
    let accounts = accounts.into_iter().flatten().flat_map(|(channel, accounts)| {
        accounts.as_array().into_iter().flatten().map(move |account| (channel, account))
    });
    let accounts: Vec<_> = accounts.collect();
    html! {
        h2 { "Channels" }
        @if accounts.is_empty() {
            p { "None is configured." }
        } @else {
            table {
                thead { tr { th { "Channel" } th { "Account" } th { "Health" } th { "Replies" } th { "Last error" } } }
                tbody {
                    @for (channel, account) in accounts {
                        tr {
                            td { (channel) }
                            td { (account["accountId"].as_str().unwrap_or("-")) }
                            td { (account["healthState"].as_str().unwrap_or("-")) }
                            td {
                                (account["repliesWaiting"].as_u64().unwrap_or_default()) " wait, "
                                (account["repliesUnconfirmed"].as_u64().unwrap_or_default()) " unconfirmed"
                            }
                            td { (one_line(account["lastError"].as_str().unwrap_or("-"))) }
                        }
                    }
                }
            }
        }
    }
}
