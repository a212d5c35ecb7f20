//! What the executions of a plan have shown, for people.

use std::io::{self, Write};

use network::{Report, Swept};

use super::{Place, Plan, SweepOptions, status};

/// What something is that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It was done to somebody.
    Trouble,
    /// It came of that.
    Outcome,
    /// It is what clients have seen.
    Client,
}

impl Kind {
    fn of(what: &str) -> Self {
        let outcomes = ["conflict", "ended by ", "job run", "ready", "refused ", "started"];
        let trouble = ["SIG", "clock", "cut", "lossy", "mended", "power lost", "said", "sleep", "slow"];
        if outcomes.iter().any(|beginning| what.starts_with(beginning)) {
            Self::Outcome
        } else if what != "cut off" && trouble.iter().any(|beginning| what.starts_with(beginning)) {
            Self::Trouble
        } else {
            Self::Client
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Trouble => "done",
            Self::Outcome => "came",
            Self::Client => "clients",
        }
    }
}

/// Tells what the executions of a plan have shown, and answers the status to end with.
pub(super) fn tell(
    out: &mut impl Write,
    options: &SweepOptions,
    plan: &Plan,
    place: Place,
    swept: &Swept,
) -> io::Result<u8> {
    let (word, ended) = match swept {
        Swept { failed: Some(_), .. } | Swept { differs: Some(_), .. } => ("FAIL", status::FAILED),
        Swept { missed, .. } if !missed.is_empty() => ("FAIL", status::FAILED),
        Swept { next: Some(_), .. } => ("CUT", status::INCONCLUSIVE),
        Swept { .. } => ("PASS", status::PASSED),
    };
    let name = format!("{} {}", place.word(), plan.name);
    writeln!(out, "{word:>8}  {name:<52} {:>6} seeds   {}", swept.tried, plan.sweep.title)?;
    for kind in [Kind::Trouble, Kind::Outcome, Kind::Client] {
        let of_kind = swept.happened.iter().filter(|(what, _)| Kind::of(what) == kind);
        let counts: Vec<String> = of_kind.map(|(what, often)| format!("{what} {often}")).collect();
        if !counts.is_empty() {
            writeln!(out, "          {:<8} {}", kind.word(), counts.join(", "))?;
        }
    }
    for words in &swept.idle {
        writeln!(out, "          warning: {words}: in no execution does it find anybody or anything")?;
    }
    if let Some(report) = &swept.failed {
        write_report(out, report)?;
    }
    let path = plan.path.display();
    if let Some(seed) = swept.failed.as_ref().map(|report| report.seed).or(swept.differs) {
        if swept.differs.is_some() {
            writeln!(out, "          two executions of seed {seed} differ")?;
        }
        writeln!(out, "  replay  portcullis sweep {path}{} --seed {seed}", options.here(place))?;
    }
    for what in &swept.missed {
        writeln!(out, "          no seed shows it: {what}")?;
    }
    if !swept.unseen.is_empty() {
        let (seeds, unseen) = (plan.sweep.seeds, swept.unseen.join(", "));
        writeln!(out, "          not seen, and of {seeds} seeds one has to show it: {unseen}")?;
    }
    if let Some((next, left)) = swept.next {
        let again = options.again(place);
        writeln!(out, "          go on with: portcullis sweep {path}{again} --from {next} --seeds {left}")?;
    }
    Ok(ended)
}

/// Writes what happened in one execution.
pub(super) fn write_report(out: &mut impl Write, report: &Report) -> io::Result<()> {
    for line in report.to_string().lines() {
        writeln!(out, "    {line}")?;
    }
    Ok(())
}
