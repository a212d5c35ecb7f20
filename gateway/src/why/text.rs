//! The report as a person reads it: verdict, evidence, what to do, what not to do, in that order, each value on its line.

use std::fmt::Write as _;

use super::{Report, free_means};
use crate::text::one_line;

/// How many facts are listed of what is seen, and of what is not.
const MOST_FACTS: usize = 8;

impl Report<'_> {
    /// The report as text of several lines, without the last line end.
    pub fn to_text(&self) -> String {
        let mut text = format!("refgate: {}", one_line(&self.message()));
        let mut row = |name: &str, value: &str| {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "\n  {name:<8}  {}", one_line(value));
        };
        let certainty = self.survey.certainty();
        row("verdict", &format!("{}, {} (exit {})", self.verdict(), certainty.as_str(), self.exit_status()));
        if let Some(blocked) = self.first() {
            if let Some(holder) = &blocked.refusal.holder {
                row("holder", &holder.to_string());
                if !holder.command.is_empty() {
                    row("command", &holder.command);
                }
            }
            rows(&mut row, "evidence", &blocked.refusal.evidence);
        } else {
            row("evidence", free_means(certainty));
        }
        if let Some(record) = self.record() {
            row("record", &record);
        }
        let also: Vec<String> = self
            .survey
            .blocked
            .iter()
            .skip(1)
            .map(|blocked| format!("{}: {}", blocked.refusal.code(), blocked.refusal))
            .collect();
        rows(&mut row, "also", &also);
        rows(&mut row, "not seen", &self.survey.unseen);
        row("so", self.situation().advice());
        row("next", &self.next());
        if let Some(do_not) = self.first().and_then(|blocked| blocked.refusal.do_not) {
            row("do not", do_not);
        }
        text
    }
}

/// Facts under one name, as many as fit a screen.
fn rows(row: &mut impl FnMut(&str, &str), name: &str, facts: &[String]) {
    for (number, fact) in facts.iter().take(MOST_FACTS).enumerate() {
        row(if number == 0 { name } else { "" }, fact);
    }
    if facts.len() > MOST_FACTS {
        row("", &format!("and {} more", facts.len() - MOST_FACTS));
    }
}
