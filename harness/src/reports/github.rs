//! What GitHub shows of a run: annotations at the lines of broken expectations, and a summary in Markdown.
//!
//! A step may have ten annotations of a kind and a summary of 1 MiB; what goes beyond that GitHub drops without a word, so
//! here less is written, and it is said how much is missing.

use std::fmt::Write as _;

use super::event::{CaseEnd, Event, Verdict};
use super::human::{place, totals};
use crate::report::count;

/// One less than GitHub shows: the last one says how many more there are.
const MOST_ANNOTATIONS: usize = 9;
/// The longest summary, in bytes; GitHub takes 1 MiB for all that a step writes.
const LONGEST: usize = 500_000;

fn ends(events: &[Event]) -> impl Iterator<Item = &CaseEnd> {
    events.iter().filter_map(|event| match event {
        Event::CaseEnd(end) => Some(&**end),
        Event::RunStart(_) | Event::CaseStart(_) | Event::RunEnd(_) => None,
    })
}

/// Workflow commands, one a line.
pub fn annotations(events: &[Event]) -> String {
    let failed: Vec<&CaseEnd> = ends(events).filter(|end| end.failure.is_some()).collect();
    let mut text = String::new();
    for end in failed.iter().take(MOST_ANNOTATIONS) {
        let Some(failure) = &end.failure else { continue };
        let line = failure.line.map_or_else(String::new, |line| format!(",line={line}"));
        let title = property(&format!("{} on {}", end.case, end.on));
        let mut message = end.says.clone();
        if let Some(token) = &failure.replay {
            let _ = write!(message, "\nportcullis replay {token}");
        }
        let _ =
            writeln!(text, "::error file={}{line},title={title}::{}", property(&end.file), data(&message));
    }
    if failed.len() > MOST_ANNOTATIONS {
        let more = count(failed.len() - MOST_ANNOTATIONS, "more failure");
        let _ = writeln!(text, "::error::{}", data(&format!("{more}: see the summary")));
    }
    text
}

/// The summary of a step, in Markdown.
pub fn summary(events: &[Event]) -> String {
    let mut text = "## portcullis\n\n".to_owned();
    for event in events {
        match event {
            Event::RunStart(start) => {
                let _ = writeln!(text, "on {}, design `{}`\n", start.on.join(" and "), start.design);
            }
            Event::RunEnd(end) => {
                let _ = writeln!(text, "**{}**\n", totals(end));
                if end.not_run > 0 {
                    let _ =
                        writeln!(text, "{} not run: enough had failed before.\n", count(end.not_run, "case"));
                }
                if end.interrupted {
                    let _ = writeln!(text, "The run was interrupted.\n");
                }
            }
            Event::CaseStart(_) | Event::CaseEnd(_) => {}
        }
    }
    let noted: Vec<&CaseEnd> =
        ends(events).filter(|end| matches!(end.verdict, Verdict::Fail | Verdict::Inconclusive)).collect();
    if !noted.is_empty() {
        text.push_str("| verdict | case | on | |\n| --- | --- | --- | --- |\n");
    }
    let mut left_out = 0;
    for end in &noted {
        let row = format!(
            "| {} | `{}` | {} | {} |\n",
            end.verdict.word(),
            cell(&end.case),
            cell(&end.on),
            cell(&end.says)
        );
        if text.len() + row.len() > LONGEST { left_out += 1 } else { text.push_str(&row) }
    }
    for end in noted {
        let Some(failure) = &end.failure else { continue };
        let fence = fence(&failure.lanes);
        let replay = failure.replay.iter().map(|token| format!("\n  replay  portcullis replay {token}"));
        let block = format!(
            "\n<details><summary><code>{}</code> {}</summary>\n\n{fence}text\n{}{}\n{fence}\n\n</details>\n",
            markup(&end.case),
            markup(&place(end)),
            failure.lanes.join("\n"),
            replay.collect::<String>()
        );
        if text.len() + block.len() > LONGEST { left_out += 1 } else { text.push_str(&block) }
    }
    if left_out > 0 {
        let _ = writeln!(text, "\n{} left out: this page is full.", count(left_out, "row or block"));
    }
    text
}

/// The value of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// What fits into a cell of a table, where no character means anything.
fn cell(text: &str) -> String {
    let text = markup(text).replace('|', "\\|").replace('`', "'");
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// More backticks than stand anywhere in a row in the lines.
fn fence(lines: &[String]) -> String {
    let longest = |line: &String| line.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(lines.iter().map(longest).max().unwrap_or(0).max(2) + 1)
}
