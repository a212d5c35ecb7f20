//! A gateway in numbers, in the text format of Prometheus (version 0.0.4).

use std::fmt::{Display, Write as _};

use hyper::StatusCode;
use serde_json::Value;

use crate::control::Overview;
use crate::identity::PhaseName;
use crate::server::http::Answer;

/// The type of the format.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is told of one thing that is counted.
enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only goes up, until the gateway ends.
    Counter,
}

pub(super) fn page(overview: &Overview) -> Answer {
    Answer::of_kind(StatusCode::OK, KIND, text(overview))
}

pub(super) fn text(overview: &Overview) -> String {
    let mut text = Text(String::new());
    let instance = overview.instance();
    text.family("refgate_info", Kind::Gauge, "Which gateway this is.");
    text.sample("refgate_info", &[("instance", instance), ("version", env!("CARGO_PKG_VERSION"))], 1);
    text.family("refgate_epoch", Kind::Gauge, "The epoch of its ownership.");
    text.sample("refgate_epoch", &[], overview.epoch);
    text.family("refgate_phase", Kind::Gauge, "How far it has come: 1 for the present phase.");
    for phase in [PhaseName::Starting, PhaseName::Ready, PhaseName::Draining] {
        let is_present = u8::from(phase == overview.phase);
        text.sample("refgate_phase", &[("phase", phase.as_str())], is_present);
    }
    text.family("refgate_uptime_seconds", Kind::Gauge, "How long it has served since it last began to.");
    let (seconds, rest) = (overview.uptime_ms / 1000, overview.uptime_ms % 1000);
    text.sample("refgate_uptime_seconds", &[], format_args!("{seconds}.{rest:03}"));
    text.family("refgate_clients", Kind::Gauge, "Clients that have said who they are.");
    text.sample("refgate_clients", &[], overview.clients.len());
    text.family("refgate_strangers", Kind::Gauge, "Connections that have not.");
    text.sample("refgate_strangers", &[], overview.strangers);
    let counts = &overview.counts;
    text.family("refgate_connects_total", Kind::Counter, "Requests to connect.");
    text.sample("refgate_connects_total", &[("result", "admitted")], counts.admitted);
    text.sample("refgate_connects_total", &[("result", "refused")], counts.refused);
    text.family(
        "refgate_requests_total",
        Kind::Counter,
        "Requests of clients, by method; those that were taken may fail later.",
    );
    for (method, called) in &overview.requests {
        text.sample("refgate_requests_total", &[("method", method), ("result", "taken")], called.taken);
        text.sample("refgate_requests_total", &[("method", method), ("result", "refused")], called.refused);
    }
    text.family(
        "refgate_slow_consumers_total",
        Kind::Counter,
        "Clients sent away because they did not read.",
    );
    text.sample("refgate_slow_consumers_total", &[], counts.slow_consumers);
    channels(overview, &mut text);
    text.0
}

/// What is told of each account of each channel, by the key that `channels.status` has for it.
const OF_ACCOUNTS: [(&str, &str, Kind, &str); 7] = [
    (
        "refgate_channel_connected",
        "connected",
        Kind::Gauge,
        "Whether a bot is polled, and nobody else polls it.",
    ),
    (
        "refgate_channel_conflicts_total",
        "conflicts",
        Kind::Counter,
        "Polls that ended because somebody else polls.",
    ),
    (
        "refgate_channel_messages_total",
        "messagesReceived",
        Kind::Counter,
        "Messages to a bot that were taken in.",
    ),
    (
        "refgate_channel_replies_sent_total",
        "repliesSent",
        Kind::Counter,
        "Replies that the service has taken.",
    ),
    (
        "refgate_channel_replies_refused_total",
        "repliesRefused",
        Kind::Counter,
        "Replies that it did not want.",
    ),
    ("refgate_channel_replies_waiting", "repliesWaiting", Kind::Gauge, "Replies that are owed."),
    (
        "refgate_channel_replies_unconfirmed",
        "repliesUnconfirmed",
        Kind::Gauge,
        "Replies of which nobody knows whether they went out.",
    ),
];

fn channels(overview: &Overview, text: &mut Text) {
    let channels = overview.channels["channelAccounts"].as_object();
    let accounts: Vec<(&str, &Value)> = channels
        .into_iter()
        .flatten()
        .flat_map(|(channel, accounts)| {
            accounts.as_array().into_iter().flatten().map(move |account| (channel.as_str(), account))
        })
        .collect();
    if accounts.is_empty() {
        return;
    }
    for (name, key, kind, help) in OF_ACCOUNTS {
        text.family(name, kind, help);
        for (channel, account) in &accounts {
            let value = account[key].as_u64().unwrap_or_else(|| u64::from(account[key] == true));
            let id = account["accountId"].as_str().unwrap_or_default();
            text.sample(name, &[("channel", channel), ("account", id)], value);
        }
    }
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (number, (label, value)) in labels.iter().enumerate() {
            let mark = if number == 0 { '{' } else { ',' };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{mark}{label}=\"{value}\"");
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }
}
