//! What people read: one line a case as it ends, each failure in full, one summary.
//!
//! Everything goes to one writer, so that a test sees exactly what a terminal shows.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use sim::Novelty;

use crate::verdict::{CaseResult, Evidence, Executor, Failure, Verdict};

const GREEN: Style = AnsiColor::Green.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const RULE: &str = "--------------------------------------------------------------------------------";

/// What is about to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many scenario files.
    pub scenarios: usize,
    /// How many cases on each executor.
    pub cases: usize,
    /// The executors.
    pub on: Vec<Executor>,
    /// The design.
    pub design: String,
}

/// Writes the first line.
///
/// # Errors
///
/// What the writer says.
pub fn begin(out: &mut impl Write, plan: &Plan) -> io::Result<()> {
    let on: Vec<String> = plan.on.iter().map(ToString::to_string).collect();
    writeln!(
        out,
        "portcullis {}   {}, {}   on {}   design {}",
        env!("CARGO_PKG_VERSION"),
        count(plan.scenarios, "scenario"),
        count(plan.cases, "case"),
        on.join(" and "),
        plan.design
    )
}

/// Writes the line of one case.
///
/// # Errors
///
/// What the writer says.
pub fn line(out: &mut impl Write, result: &CaseResult) -> io::Result<()> {
    let (style, word) = word(&result.verdict);
    let seconds = result.elapsed.as_secs_f64();
    let name = format!("{} {}", result.on, result.id);
    let twice = result.twice.as_ref().map_or_else(String::new, |twice| format!("; {twice}"));
    writeln!(
        out,
        "   {style}{word}{style:#} [{seconds:>6.2}s] {name:<46} {}{twice}",
        in_short(&result.verdict)
    )
}

fn word(verdict: &Verdict) -> (Style, &'static str) {
    match verdict {
        Verdict::Pass(_) => (GREEN, "PASS"),
        Verdict::Fail(_) => (RED, "FAIL"),
        Verdict::Inconclusive(_) => (YELLOW, "INCO"),
        Verdict::Unsupported(_) => (YELLOW, "UNSU"),
    }
}

/// A verdict in one line.
pub(crate) fn in_short(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Pass(evidence) => evidence_text(evidence),
        Verdict::Fail(failure) => format!("{}: {}", failure.check, failure.says),
        Verdict::Inconclusive(why) => why.clone(),
        Verdict::Unsupported(why) => why.clone(),
    }
}

fn evidence_text(evidence: &Evidence) -> String {
    let faults = |kills: u8, power_losses: u8| {
        let many = |count: u8, what: &str, whats: &str| match count {
            0 => String::new(),
            1 => format!(", 1 {what} at any call"),
            more => format!(", {more} {whats} at any call"),
        };
        many(kills, "kill", "kills") + &many(power_losses, "power loss", "power losses")
    };
    let word = evidence.word();
    match evidence {
        Evidence::Complete { states, transitions, kills, power_losses } => format!(
            "{word}  {} states, {} steps{}",
            grouped(*states),
            grouped(*transitions),
            faults(*kills, *power_losses)
        ),
        Evidence::Bounded { preemptions, starts, states, transitions, kills, power_losses } => format!(
            "{word}   {}, {} states, {} steps{}",
            bounds(*preemptions, *starts),
            grouped(*states),
            grouped(*transitions),
            faults(*kills, *power_losses)
        ),
        Evidence::Sampled { how, runs, given_up, states, schedules } => {
            let given_up = match given_up {
                0 => String::new(),
                more => format!(", {} given up", grouped(more)),
            };
            format!(
                "{word}   {} run{} ({how}){given_up}, {}, {}",
                grouped(runs),
                if *runs == 1 { "" } else { "s" },
                novel(states, "state"),
                novel(schedules, "schedule")
            )
        }
        Evidence::Observed { runs, note } => {
            let note = note.as_ref().map_or_else(String::new, |note| format!("; {note}"));
            format!(
                "{word}  {}, 0 failures: under {} a run at 95%{note}",
                count(*runs as usize, "run"),
                percent(bound(*runs))
            )
        }
    }
}

/// How many there are, and which part of them was new in the last tenth of a sample.
fn novel(novelty: &Novelty, unit: &str) -> String {
    let Novelty { distinct, late, is_exact } = *novelty;
    let about = if is_exact { "" } else { "about " };
    let plural = if distinct == 1 { "" } else { "s" };
    let share = percent(late as f64 / distinct.max(1) as f64);
    format!("{about}{} {unit}{plural} ({share} new in the last tenth)", grouped(distinct))
}

fn bounds(preemptions: Option<u8>, starts: Option<u8>) -> String {
    let preemptions = preemptions.map(|most| count(usize::from(most), "preemption"));
    let starts = starts.map(|most| format!("{} by a supervisor", count(usize::from(most), "start")));
    preemptions.into_iter().chain(starts).collect::<Vec<_>>().join(", ")
}

/// The failure rate that so many clean runs rule out with 95 % confidence: 1 - 0.05^(1/n).
fn bound(runs: u32) -> f64 {
    if runs == 0 { 1.0 } else { 1.0 - 0.05_f64.powf(1.0 / f64::from(runs)) }
}

fn percent(rate: f64) -> String {
    format!("{:.1}%", rate * 100.0)
}

/// Writes a failure in full. Its last line is the command that replays it, if it can be replayed.
///
/// # Errors
///
/// What the writer says.
pub fn failure(out: &mut impl Write, result: &CaseResult, failure: &Failure) -> io::Result<()> {
    let place = match failure.line {
        Some(line) => format!("{}:{line}", result.file),
        None => result.file.clone(),
    };
    writeln!(out, "{RULE}")?;
    writeln!(out, "{RED}FAIL{RED:#} {}   on {}   {place}", result.id, result.on)?;
    writeln!(out, "  {}: {}", failure.check, failure.says)?;
    writeln!(out)?;
    for line in &failure.body {
        writeln!(out, "{line}")?;
    }
    if let Some(token) = &failure.replay {
        writeln!(out, "  replay  portcullis replay {token}")?;
    }
    Ok(())
}

/// Writes the last lines.
///
/// # Errors
///
/// What the writer says.
pub fn end(out: &mut impl Write, results: &[CaseResult], elapsed: Duration) -> io::Result<()> {
    let mut passed: BTreeMap<&'static str, usize> = BTreeMap::new();
    let (mut failed, mut undecided, mut unsupported) = (0, 0, 0);
    for result in results {
        match &result.verdict {
            Verdict::Pass(evidence) => *passed.entry(evidence.word()).or_default() += 1,
            Verdict::Fail(_) => failed += 1,
            Verdict::Inconclusive(_) => undecided += 1,
            Verdict::Unsupported(_) => unsupported += 1,
        }
    }
    let words: Vec<String> = passed.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let all: usize = passed.values().sum();
    let detail = if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) };
    writeln!(out, "{RULE}")?;
    writeln!(
        out,
        "Summary [{:>6.2}s] {}: {all} passed{detail}, {failed} failed, {undecided} inconclusive, {unsupported} unsupported",
        elapsed.as_secs_f64(),
        count(results.len(), "case")
    )
}

/// Writes that a run was stopped, so that nobody takes a part for the whole.
///
/// # Errors
///
/// What the writer says.
pub fn interrupted(out: &mut impl Write, run: usize, planned: usize) -> io::Result<()> {
    writeln!(out, "{YELLOW}interrupted{YELLOW:#}: {} of {} were run", grouped(run), count(planned, "case"))
}

/// Writes that an executor supports none of the cases: no failure there means nothing.
///
/// # Errors
///
/// What the writer says.
pub fn untested(out: &mut impl Write, on: Executor) -> io::Result<()> {
    writeln!(out, "{YELLOW}nothing was tested{YELLOW:#} on {on}: every case is unsupported there")
}

/// A number and its unit, in the plural where that is right.
pub fn count(number: usize, unit: &str) -> String {
    format!("{} {unit}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A number with a blank between groups of three digits.
fn grouped(number: impl ToString) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{bound, grouped, percent};

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_234), "1 234");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }

    #[test]
    fn forty_clean_runs_rule_out_a_failure_rate_of_seven_percent() {
        assert_eq!(percent(bound(40)), "7.2%");
        assert_eq!(percent(bound(0)), "100.0%");
    }
}
