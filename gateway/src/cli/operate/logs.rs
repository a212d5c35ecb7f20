//! `refgate logs`: what the gateway has logged, told by the gateway itself, or read from its file where it does not answer.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::aim::Reach;
use super::report::{Report, enter, plain};
use super::{Desk, Outcome, Unfit, work};
use crate::client::{CallError, Session};
use crate::log::Format;
use crate::log::tail::{MOST_LINES, Wanted, read};
use crate::settings::{LOG_DIRECTORY, LOG_NAME};
use crate::standing::{Depth, Standing};
use crate::text::one_line;

/// How much is asked for at once, in bytes.
const BYTES: u64 = 250_000;
/// How often it is asked whether there is more.
const PAUSE: Duration = Duration::from_secs(1);

/// What it can be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Logs {
    /// Go on until this command is interrupted or the gateway ends
    #[arg(long)]
    follow: bool,

    /// How many lines at most
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=5000))]
    limit: u64,

    #[command(flatten)]
    reach: Reach,
}

const METHOD: &str = "logs.tail";

pub(in crate::cli) fn run(options: Logs) -> ExitCode {
    work(options.reach.format(), |desk| async move { logs(&desk, options).await })
}

async fn logs(desk: &Desk, Logs { follow, limit, reach }: Logs) -> Result<Outcome, Unfit> {
    let (standing, session) = enter(desk, &reach, &[METHOD], Depth::Plain).await?;
    let mut report = Report::new(&standing, "logs", 1, "refgate health");
    let Some(mut session) = session else {
        let lines = kept(&standing, limit);
        if desk.format == Format::Text {
            for line in &lines {
                report.row("logged", one_line(line));
            }
        }
        let said = lines.iter().map(|line| logged(line, desk.format));
        let before = if desk.format == Format::Json { said.collect() } else { String::new() };
        let outcome = report.outcome(desk.format);
        return Ok(Outcome { out: before + &outcome.out, ..outcome });
    };
    let mut cursor = None;
    let outcome = loop {
        match tail(&mut session, cursor, limit).await {
            Ok(said) => {
                let is_first = cursor.is_none();
                let text = told(&said, is_first, desk.format);
                if !follow {
                    break Ok(Outcome { out: text, ..Outcome::default() });
                }
                let mut out = std::io::stdout();
                // Whoever closed the stream does not want to read on.
                if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
                    break Ok(Outcome::default());
                }
                cursor = said["cursor"].as_u64();
            }
            Err(error) => break Err(error),
        }
        tokio::time::sleep(PAUSE).await;
    };
    match outcome {
        Ok(outcome) => {
            session.leave().await;
            Ok(outcome)
        }
        Err(error) => {
            report.failed(METHOD, &error);
            if is_unknown(&error) {
                report.say(format!("{}, and does not tell what it has logged", standing.message()));
            }
            Ok(report.outcome(desk.format))
        }
    }
}

/// What stands at the end of the log of a gateway that does not answer, if it is one of this machine.
fn kept(standing: &Standing, limit: u64) -> Vec<String> {
    let Some(claim) = &standing.aim().claim else { return Vec::new() };
    let path = claim.state.join(LOG_DIRECTORY).join(LOG_NAME);
    let wanted = Wanted { limit: usize::try_from(limit).unwrap_or(MOST_LINES), ..Wanted::default() };
    // One that cannot be read is as good as none: why it cannot, `refgate doctor` says.
    read(&path, &wanted).map(|tail| tail.lines).unwrap_or_default()
}

fn logged(line: &str, format: Format) -> String {
    match format {
        Format::Text => format!("{}\n", one_line(line)),
        Format::Json => format!("{}\n", json!({ "event": "log", "line": line })),
    }
}

/// Whether the gateway has no such method.
fn is_unknown(error: &CallError) -> bool {
    match error {
        CallError::Refused(refused) => {
            refused.message.starts_with("unknown method") || refused.message.contains("missing scope")
        }
        CallError::Silent(_) | CallError::Closed(_) => false,
    }
}

async fn tail(session: &mut Session, cursor: Option<u64>, limit: u64) -> Result<Value, CallError> {
    let mut params = json!({ "limit": limit, "maxBytes": BYTES });
    if let Some(cursor) = cursor {
        params["cursor"] = json!(cursor);
    }
    session.call(METHOD, Some(&params)).await
}

/// The lines of an answer, each made harmless, under one line that says where they come from.
fn told(said: &Value, is_first: bool, format: Format) -> String {
    let lines = said["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
    let mut text = String::new();
    let mut note = |what: &str| match format {
        Format::Text => text.push_str(&format!("refgate: {what}\n")),
        Format::Json => text.push_str(&format!("{}\n", json!({ "event": "note", "message": what }))),
    };
    if is_first {
        note(&format!(
            "{} lines of {}, which has {} bytes",
            lines.len(),
            plain(&said["file"]),
            plain(&said["size"])
        ));
    }
    if said["reset"] == true && !is_first {
        note("the log has begun anew");
    }
    if said["truncated"] == true {
        note("there is more than is shown");
    }
    for line in lines {
        text.push_str(&logged(line, format));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::told;
    use crate::log::Format;

    #[test]
    fn lines_are_told_under_one_that_says_where_they_come_from_and_none_leaves_its_line() {
        let said =
            json!({"file": "/l", "cursor": 9, "size": 9, "lines": ["a\nrefgate: b", "c"], "truncated": true});
        assert_eq!(
            told(&said, true, Format::Text),
            "refgate: 2 lines of /l, which has 9 bytes\nrefgate: there is more than is shown\na\u{fffd}refgate: b\nc\n"
        );
        assert_eq!(
            told(&json!({"lines": ["d"], "reset": true}), false, Format::Json),
            "{\"event\":\"note\",\"message\":\"the log has begun anew\"}\n{\"event\":\"log\",\"line\":\"d\"}\n"
        );
        assert_eq!(told(&json!({"lines": 7}), false, Format::Text), "");
    }
}
