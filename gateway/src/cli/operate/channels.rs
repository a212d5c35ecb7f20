//! `refgate channels status`: what each account of each channel does, and whether that is what it should do.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::aim::Reach;
use super::report::{Report, enter, plain};
use super::work;
use crate::standing::Depth;

/// At most so many accounts are shown.
const MOST: usize = 100;
/// How much sooner than this client a gateway gives a channel up, in milliseconds.
const MARGIN_MS: u64 = 500;

/// What can be asked of channels.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Channels {
    /// Show what each account does. Ends with 1 if one that is enabled does not work
    #[command(after_help = super::HELP)]
    Status(Status),
}

/// What it can be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Status {
    /// Have the gateway try each account, and do not only show what it knows
    #[arg(long)]
    probe: bool,

    #[command(flatten)]
    reach: Reach,
}

pub(super) const METHOD: &str = "channels.status";

pub(in crate::cli) fn run(Channels::Status(Status { probe, reach }): Channels) -> ExitCode {
    work(reach.format(), |desk| async move {
        let (standing, session) = enter(&desk, &reach, &[METHOD], Depth::Plain).await?;
        let mut report = Report::new(&standing, "channels-status", 1, "refgate logs --limit 50");
        let Some(mut session) = session else { return Ok(report.outcome(desk.format)) };
        let params = params(probe, reach.way.deadlines().call.as_millis());
        match session.call(METHOD, Some(&params)).await {
            Ok(said) => {
                let accounts = accounts(&said);
                let bad = accounts.iter().filter(|account| account.is_bad).count();
                report.exit = u8::from(bad > 0);
                report.say(match (accounts.len(), bad) {
                    (0, _) => format!("{}, and has no channel", standing.message()),
                    (all, 0) => {
                        format!("{}, and nothing is wrong with its {all} accounts", standing.message())
                    }
                    (all, bad) => {
                        format!("{}, and {bad} of its {all} accounts do not work", standing.message())
                    }
                });
                for account in &accounts {
                    report.row("account", &account.line);
                }
                report.put("accounts", accounts.iter().map(Account::to_json).collect());
                report.put("channels", said);
            }
            Err(error) => report.failed(METHOD, &error),
        }
        session.leave().await;
        Ok(report.outcome(desk.format))
    })
}

/// What is asked for, so that the gateway gives up before this client does.
pub(super) fn params(probe: bool, longest_ms: u128) -> Value {
    let longest = u64::try_from(longest_ms).unwrap_or(u64::MAX);
    json!({ "probe": probe, "timeoutMs": longest.saturating_sub(MARGIN_MS).max(1) })
}

/// An account of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) line: String,
    /// Whether it should work and does not.
    pub(super) is_bad: bool,
}

impl Account {
    pub(super) fn to_json(&self) -> Value {
        json!({ "account": self.name, "bad": self.is_bad, "line": self.line })
    }
}

/// The accounts in a status of channels, in its order.
pub(super) fn accounts(said: &Value) -> Vec<Account> {
    let empty = serde_json::Map::new();
    let channels = said["channelAccounts"].as_object().unwrap_or(&empty);
    let mut found = Vec::new();
    for (channel, list) in channels {
        let label = said["channelLabels"].get(channel).map_or_else(|| plain(&json!(channel)), plain);
        for account in list.as_array().map(Vec::as_slice).unwrap_or_default() {
            found.push(read(&label, account));
        }
    }
    found.truncate(MOST);
    found
}

fn read(label: &str, account: &Value) -> Account {
    let is = |key: &str| account[key] == true;
    let no = |key: &str| account[key] == false;
    let error = match (&account["lastError"], &account["probe"]["error"]) {
        (Value::Null, Value::Null) => None,
        (Value::Null, error) | (error, _) => Some(plain(error)),
    };
    let is_meant = !no("enabled") && !no("configured");
    let is_bad =
        is_meant && (error.is_some() || no("running") || no("connected") || account["probe"]["ok"] == false);
    let mut bits = Vec::new();
    for (key, yes, not) in [
        ("enabled", "enabled", "disabled"),
        ("configured", "configured", "not configured"),
        ("running", "running", "stopped"),
        ("connected", "connected", "disconnected"),
    ] {
        if is(key) {
            bits.push(yes.to_owned());
        } else if no(key) {
            bits.push(not.to_owned());
        }
    }
    if let Some(state) = account["healthState"].as_str() {
        bits.push(format!("health {}", plain(&json!(state))));
    }
    match account["probe"]["ok"].as_bool() {
        Some(true) => bits.push("works".to_owned()),
        Some(false) => bits.push("probe failed".to_owned()),
        None => {}
    }
    for (key, what) in [("repliesWaiting", "wait"), ("repliesUnconfirmed", "unconfirmed")] {
        if let Some(count @ 1..) = account[key].as_u64() {
            bits.push(format!("replies {what}: {count}"));
        }
    }
    bits.extend(error.map(|error| format!("error: {error}")));
    let name = format!("{label} {}", plain(&account["accountId"]));
    Account { line: format!("{name}: {}", bits.join(", ")), name, is_bad }
}

/// What a report on health says of channels, a line each.
pub(super) fn of_health(health: &Value) -> Vec<String> {
    let empty = serde_json::Map::new();
    let channels = health["channels"].as_object().unwrap_or(&empty).iter().take(MOST);
    let words = |said: &Value| said.get("healthState").map_or_else(|| plain(said), plain);
    channels.map(|(name, said)| format!("{}: {}", plain(&json!(name)), words(said))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::accounts;

    #[test]
    fn an_account_that_should_work_and_does_not_is_bad_and_says_why() {
        let said = json!({
            "channelLabels": {"telegram": "Telegram"},
            "channelAccounts": {
                "telegram": [
                    {"accountId": "a", "enabled": true, "configured": true, "running": true, "connected": true,
                     "lastError": null, "healthState": "healthy", "probe": {"ok": true}, "repliesUnconfirmed": 2},
                    {"accountId": "b", "enabled": true, "configured": true, "running": false, "connected": false,
                     "lastError": "409 Conflict\nx", "probe": {"ok": false, "error": "conflict"}},
                    {"accountId": "c", "enabled": false, "running": false},
                ],
                "sim": [{"accountId": "d"}],
            },
        });
        let told: Vec<_> =
            accounts(&said).into_iter().map(|account| (account.line, account.is_bad)).collect();
        let told: Vec<_> = told.iter().map(|(line, is_bad)| (line.as_str(), *is_bad)).collect();
        assert_eq!(
            told,
            [
                ("sim d: ", false),
                (
                    "Telegram a: enabled, configured, running, connected, health healthy, works, replies unconfirmed: 2",
                    false
                ),
                (
                    "Telegram b: enabled, configured, stopped, disconnected, probe failed, error: 409 Conflict\u{fffd}x",
                    true
                ),
                ("Telegram c: disabled, stopped", false),
            ]
        );
        assert_eq!(accounts(&json!({"channelAccounts": 7})), []);
    }
}
