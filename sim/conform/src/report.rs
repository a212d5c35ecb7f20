//! What people read of a run: a table of what differs, and what else there is to say.

use std::fmt::Write;

use crate::describe;
use crate::pair::{Course, Verdict};
use crate::run::{Difference, Summary};

/// Wider columns are cut off nothing; they only push the next ones away.
const WIDEST: usize = 64;

/// A difference in full: each step with the answers of both machines, and how to see it again.
pub fn difference(seed: u64, difference: &Difference) -> String {
    let Difference { origin, shrunken } = difference;
    let mut text = format!(
        "{origin} differs, shrunken to {} steps; users {:?}, directory {:04o}\n",
        shrunken.sequence.steps.len(),
        shrunken.sequence.users,
        shrunken.sequence.mode
    );
    if let Some(limit) = shrunken.sequence.limit {
        let _ = writeln!(text, "  at most {limit} descriptors each");
    }
    text.push_str(&table(&shrunken.course));
    let json = serde_json::to_string(&shrunken.sequence).unwrap_or_default();
    // Writing to a string does not fail.
    let _ = writeln!(text, "  {}", origin.again(seed));
    let _ = writeln!(text, "  the sequence itself: {json}");
    text
}

/// The steps of a sequence as they went, one a line.
pub fn table(course: &Course) -> String {
    let rows: Vec<[String; 4]> = course
        .lines
        .iter()
        .map(|line| {
            [
                line.step.who.to_string(),
                describe::step(line),
                describe::outcome(line.simulated.as_ref()),
                describe::outcome(line.real.as_ref()),
            ]
        })
        .collect();
    let heads = ["", "step", "simulated", "real"].map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain([&heads]).map(|row| row[column].chars().count());
        cells.max().unwrap_or_default().min(WIDEST)
    };
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for row in [&heads].into_iter().chain(&rows) {
        let line = format!(
            "  {:<w0$}  {:<w1$}  {:<w2$}  {}",
            row[0],
            row[1],
            row[2],
            row[3],
            w0 = widths[0],
            w1 = widths[1],
            w2 = widths[2]
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if let Verdict::Differs(why) = &course.verdict {
        let _ = writeln!(text, "  {why}");
    }
    text
}

/// What was run and seen, in a few lines.
pub fn summary(summary: &Summary) -> String {
    let percent = u64::from(summary.contended) * 100 / u64::from(summary.sequences.max(1));
    let mut text = format!(
        "{} sequences, {} calls compared; in {} ({percent} %) two processes compete for one lock, name or port\n",
        summary.sequences, summary.calls, summary.contended
    );
    if !summary.unknown.is_empty() {
        let names: Vec<&str> = summary.unknown.iter().copied().collect();
        let _ = writeln!(text, "not known to both machines, and so not compared: {}", names.join(", "));
    }
    if !summary.unmodelled.is_empty() {
        let names: Vec<&str> = summary.unmodelled.iter().copied().collect();
        let _ = writeln!(text, "not modelled in some uses, which were not generated: {}", names.join(", "));
    }
    for (call, count) in &summary.cut {
        let _ = writeln!(
            text,
            "{count} sequences were not compared to their end, since one machine does not know: {call}"
        );
    }
    for (reason, count) in &summary.allowed {
        let _ = writeln!(text, "{count} answers differ and may: {reason}");
    }
    if summary.users.len() < 2 {
        let _ = writeln!(text, "only one user could be had: what permissions do between two is not compared");
    }
    text
}
