//! What was measured: as data, and as text for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::bars::{Outcome, Verdict};
use super::case::Case;
use super::machine::Machine;
use super::reckon::Figures;
use super::servers::Server;

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) rounds: u32,
    pub(crate) millis: u64,
    pub(crate) rows: Vec<Row>,
    pub(crate) values: BTreeMap<&'static str, f64>,
    pub(crate) bars: Vec<Outcome>,
    /// Who did not run, and why.
    pub(crate) absent: Vec<Absent>,
    /// Who gave a wrong answer, or none.
    pub(crate) failed: Vec<Failed>,
}

/// A case.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) case: Case,
    pub(crate) lines: Vec<Line>,
}

/// A server in it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) server: Server,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

/// A server that did not run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Absent {
    pub(crate) server: Server,
    pub(crate) why: String,
}

/// A server that failed in a case.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Failed {
    pub(crate) case: String,
    pub(crate) server: Server,
    pub(crate) why: String,
}

/// The report as text.
pub(crate) fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string always succeeds.
    let _ = write(&mut text, report);
    text
}

fn write(text: &mut String, report: &Report) -> std::fmt::Result {
    let Machine { processor, cores, kernel, congestion, load_before, load_after } = &report.machine;
    writeln!(text, "compare: {} rounds of {} ms", report.rounds, report.millis)?;
    writeln!(text, "  machine  {processor}, {cores} cores, Linux {kernel}, TCP {congestion}")?;
    writeln!(text, "  load     {load_before} before, {load_after} after (average of a minute)")?;
    for Row { name, lines, case } in &report.rows {
        if lines.is_empty() {
            continue;
        }
        writeln!(
            text,
            "\n{name:24} {:>12} {:>12} {:>12}",
            format!("x {}", case.reference().name()),
            "least ns",
            "a second"
        )?;
        for Line { server, figures } in lines {
            let (ratio, least, rate) = (figures.ratio, figures.least_ns, figures.rate);
            writeln!(text, "  {:22} {ratio:>12.2} {least:>12.0} {rate:>12.0}", server.name())?;
        }
    }
    if !report.values.is_empty() {
        writeln!(text)?;
    }
    for (name, value) in &report.values {
        writeln!(text, "{name:72} {value:>8.2}")?;
    }
    writeln!(text, "\nbars")?;
    for Outcome { what, limit, value, verdict } in &report.bars {
        let told = match verdict {
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
            Verdict::Unknown => "not measured",
        };
        let value = value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        writeln!(text, "  {what:48} {limit:>10} {value:>12}  {told}")?;
    }
    for Absent { server, why } in &report.absent {
        writeln!(text, "not run: {}: {why}", server.name())?;
    }
    for Failed { case, server, why } in &report.failed {
        writeln!(text, "FAILED: {} in {case}: {why}", server.name())?;
    }
    Ok(())
}
