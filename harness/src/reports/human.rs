//! What people read: one line a case as it ends, each failure in full, one summary.
//!
//! Everything goes to one writer, so that a test sees exactly what a terminal shows. Whoever wants it quiet sees what is no
//! pass, and the summary.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::Sink;
use super::event::{CaseEnd, Event, RunEnd, RunStart, Verdict};
use crate::report::{count, grouped};

const GREEN: Style = AnsiColor::Green.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const DIM: Style = Style::new().dimmed();
const RULE: &str = "--------------------------------------------------------------------------------";

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loudness {
    /// A line for each case.
    Usual,
    /// Only what is no pass, and the summary.
    Quiet,
}

/// Writes for people.
#[derive(Debug)]
pub struct Human<W> {
    out: W,
    loudness: Loudness,
    planned: usize,
    failed: Vec<CaseEnd>,
}

impl<W: Write> Human<W> {
    /// Lines for a writer.
    pub const fn new(out: W, loudness: Loudness) -> Self {
        Self { out, loudness, planned: 0, failed: Vec::new() }
    }
}

impl<W: Write> Sink for Human<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let out = &mut self.out;
        match event {
            Event::RunStart(start) => {
                self.planned = start.planned;
                if self.loudness == Loudness::Usual {
                    begin(out, start)?;
                }
            }
            Event::CaseStart(_) => return Ok(()),
            Event::CaseEnd(end) => {
                let is_told = self.loudness == Loudness::Usual && end.verdict != Verdict::NotRun;
                if is_told || end.verdict == Verdict::Inconclusive {
                    line(out, end)?;
                }
                if end.verdict == Verdict::Fail {
                    self.failed.push((**end).clone());
                }
            }
            Event::RunEnd(end) => {
                for failed in &self.failed {
                    failure(out, failed)?;
                }
                summary(out, end, self.planned)?;
            }
        }
        out.flush()
    }
}

fn begin(out: &mut impl Write, start: &RunStart) -> io::Result<()> {
    write!(
        out,
        "{}   {}, {}   on {}   design {}",
        start.program,
        count(start.scenarios, "scenario"),
        count(start.cases, "case"),
        start.on.join(" and "),
        start.design
    )?;
    if let Some(seed) = start.seed {
        write!(out, "   seed {seed}")?;
    }
    if let Some(shard) = start.shard {
        write!(out, "   part {} of {}", shard.part, shard.of)?;
    }
    if let Some(profile) = &start.profile {
        write!(out, "   profile {profile}")?;
    }
    writeln!(out)
}

fn line(out: &mut impl Write, end: &CaseEnd) -> io::Result<()> {
    let (style, word) = match end.verdict {
        Verdict::Pass => (GREEN, "PASS"),
        Verdict::Fail => (RED, "FAIL"),
        Verdict::Known => (YELLOW, "KNOW"),
        Verdict::Inconclusive => (YELLOW, "INCO"),
        Verdict::Unsupported => (YELLOW, "UNSU"),
        Verdict::NotRun => (YELLOW, "SKIP"),
    };
    let name = format!("{} {}", end.on, end.case);
    let twice = end.twice.as_ref().map_or_else(String::new, |twice| format!("; {twice}"));
    writeln!(
        out,
        "   {style}{word}{style:#} [{:>7}] {name:<46} {}{twice}",
        seconds(end.elapsed_ms),
        end.says
    )?;
    if let Some(note) = unshown(end) {
        writeln!(out, "        {DIM}{note}{DIM:#}")?;
    }
    Ok(())
}

/// The outcomes that a case lists and no schedule shows, in one line.
pub(crate) fn unshown(end: &CaseEnd) -> Option<String> {
    let outcomes: Vec<String> =
        end.unshown.iter().map(|it| format!("{} ({}:{})", it.outcome, end.file, it.line)).collect();
    (!outcomes.is_empty()).then(|| format!("no schedule ends with: {}", outcomes.join("; ")))
}

/// Milliseconds as seconds with two digits behind the point.
pub(crate) fn seconds(milliseconds: u64) -> String {
    let hundredths = milliseconds.saturating_add(5) / 10;
    format!("{:>3}.{:02}s", hundredths / 100, hundredths % 100)
}

/// Writes a failure in full. Its last line is the command that replays it, if it can be replayed.
///
/// # Errors
///
/// What the writer says.
pub fn failure(out: &mut impl Write, end: &CaseEnd) -> io::Result<()> {
    let Some(failure) = &end.failure else { return Ok(()) };
    writeln!(out, "{RULE}")?;
    writeln!(out, "{RED}FAIL{RED:#} {}   on {}   {}", end.case, end.on, place(end))?;
    writeln!(out, "  {}: {}", failure.check, failure.says)?;
    writeln!(out)?;
    for line in &failure.lanes {
        writeln!(out, "{line}")?;
    }
    if let Some(token) = &failure.replay {
        writeln!(out, "  replay  portcullis replay {token}")?;
    }
    Ok(())
}

/// The expectation that a case has broken, as `file:line`; without a failure, or if it has no line, the file.
pub(crate) fn place(end: &CaseEnd) -> String {
    match end.failure.as_ref().and_then(|failure| failure.line) {
        Some(line) => format!("{}:{line}", end.file),
        None => end.file.clone(),
    }
}

/// What cases came to, in one line without its time.
pub(crate) fn totals(end: &RunEnd) -> String {
    let words: Vec<String> = end.evidence.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let detail = if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) };
    let known = match end.known {
        0 => String::new(),
        some => format!(", {}", count(some, "known deviation")),
    };
    let not_run =
        if end.not_run == 0 { String::new() } else { format!(", {} not run", grouped(end.not_run)) };
    format!(
        "{}: {} passed{detail}{known}, {} failed, {} inconclusive, {} unsupported{not_run}",
        count(end.run, "case"),
        end.passed,
        end.failed,
        end.inconclusive,
        end.unsupported
    )
}

fn summary(out: &mut impl Write, end: &RunEnd, planned: usize) -> io::Result<()> {
    writeln!(out, "{RULE}")?;
    writeln!(out, "Summary [{:>7}] {}", seconds(end.elapsed_ms), totals(end))?;
    // Nobody shall take a part for the whole, or nothing for a pass.
    if end.interrupted {
        writeln!(
            out,
            "{YELLOW}interrupted{YELLOW:#}: {} of {} were run",
            grouped(end.run),
            count(planned, "case")
        )?;
    }
    if end.not_run > 0 {
        let failures =
            if end.failed == 1 { "the first failure" } else { "as many failures as were waited for" };
        writeln!(
            out,
            "{YELLOW}not run{YELLOW:#}: {} of {}, after {failures}",
            grouped(end.not_run),
            count(planned, "case")
        )?;
    }
    for on in &end.untested {
        writeln!(out, "{YELLOW}nothing was tested{YELLOW:#} on {on}: every case is unsupported there")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_rounded_to_hundredths_of_a_second() {
        assert_eq!(seconds(0), "  0.00s");
        assert_eq!(seconds(1_234), "  1.23s");
        assert_eq!(seconds(61_995), " 62.00s");
    }
}
