//! The matrix as text: for people a table with a key to its rows, for programs one cell a line.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::{Answer, Cell, Matrix, Row};
use crate::designs::Design;

const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const PLAIN: Style = Style::new();

/// The width of a terminal that everybody has, in columns.
const WIDTH: usize = 100;
/// The least width of a column.
const COLUMN: usize = 13;

/// How a matrix is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table, with colours where they are wanted.
    Text,
    /// One line a cell, fields apart by tabs, the first line their names.
    Tsv,
}

/// Writes a matrix.
///
/// # Errors
///
/// What the writer says.
pub fn render(out: &mut impl Write, matrix: &Matrix, format: Format) -> io::Result<()> {
    match format {
        Format::Text => text(out, matrix),
        Format::Tsv => tsv(out, matrix),
    }
}

fn text(out: &mut impl Write, matrix: &Matrix) -> io::Result<()> {
    let labels: Vec<&str> = matrix.rows.iter().map(label).collect();
    let first = labels.iter().map(|label| label.len()).max().unwrap_or(0) + 2;
    let names: Vec<String> = matrix.designs.iter().map(|design| short(*design)).collect();
    let column = names.iter().map(|name| name.len() + 2).max().unwrap_or(0).max(COLUMN);
    let at_once = (WIDTH.saturating_sub(first) / column).max(1);
    for from in (0..names.len()).step_by(at_once) {
        let to = names.len().min(from + at_once);
        let mut line = " ".repeat(first);
        for name in &names[from..to] {
            let _ = write!(line, "{name:<column$}");
        }
        writeln!(out, "{}", line.trim_end())?;
        for (row, label) in matrix.rows.iter().zip(&labels) {
            write!(out, "{label:<first$}")?;
            for place in from..to {
                let (style, shown) = shown(row, matrix.designs[place], &row.cells[place]);
                let blanks = column.saturating_sub(shown.len()).max(1);
                let blanks = " ".repeat(if place + 1 == to { 0 } else { blanks });
                write!(out, "{style}{shown}{style:#}{blanks}")?;
            }
            writeln!(out)?;
        }
        writeln!(out)?;
    }
    for row in &matrix.rows {
        let checks: Vec<&str> = checks(row);
        let checks = if checks.is_empty() { "how it ends".to_owned() } else { checks.join(", ") };
        match row.known {
            Some(known) => writeln!(out, "{:<4} {}: {checks}", known.id, row.case.id)?,
            None => writeln!(out, "{}: {checks}", row.case.id)?,
        }
        writeln!(out, "     {}", row.case.scenario.title)?;
    }
    writeln!(out)?;
    writeln!(out, "holds N    every schedule keeps the promises of the row, in N states")?;
    writeln!(out, "bounded    every schedule within the bounds of the scenario does")?;
    if matrix.rows.iter().flat_map(|row| &row.cells).any(|cell| matches!(cell, Cell::Sampled { .. })) {
        writeln!(out, "sampled N  N random schedules do, as many as the scenario asks for")?;
    }
    writeln!(out, "broken N   one is broken, N steps after the setup at the earliest")?;
    writeln!(out, "-          the row is not about this design")?;
    writeln!(out, "refgate is judged by all that a scenario expects, other designs by these promises")?;
    for (row, design, cell) in matrix.surprises() {
        let known = row.known.map_or(Answer::Open, |known| known.answer(design));
        let (id, name) = (label(row), design.name());
        writeln!(
            out,
            "{RED}not as known{RED:#}: {name} in {id}: known is `{}`, found is `{}`",
            word(known),
            found(cell)
        )?;
    }
    Ok(())
}

fn tsv(out: &mut impl Write, matrix: &Matrix) -> io::Result<()> {
    writeln!(out, "known\tcase\tdesign\tfound\tcheck\tsteps\tstates\tanswer\tagrees")?;
    for row in &matrix.rows {
        let known = row.known.map_or("", |known| known.id);
        for (design, cell) in matrix.designs.iter().zip(&row.cells) {
            let (found, check, steps, states) = match cell {
                Cell::Holds { states } => ("holds", "", None, Some(*states)),
                Cell::Bounded { states } => ("bounded", "", None, Some(*states)),
                Cell::Sampled { .. } => ("sampled", "", None, None),
                Cell::Broken { check, steps } => ("broken", check.as_str(), *steps, None),
                Cell::Cut { states } => ("cut", "", None, Some(*states)),
                Cell::Apart => ("-", "", None, None),
            };
            let number = |number: Option<usize>| number.map_or_else(String::new, |number| number.to_string());
            let (steps, states) = (number(steps), number(states));
            let answer = row.known.map_or(Answer::Open, |known| known.answer(*design));
            let agrees = if cell.agrees(answer) { "yes" } else { "no" };
            let (case, design, answer) = (&row.case.id, design.name(), word(answer));
            writeln!(
                out,
                "{known}\t{case}\t{design}\t{found}\t{check}\t{steps}\t{states}\t{answer}\t{agrees}"
            )?;
        }
    }
    Ok(())
}

/// What a row is called: the number of a known case, or the case.
fn label(row: &Row) -> &str {
    row.known.map_or(row.case.id.as_str(), |known| known.id)
}

/// What a column is called.
fn short(design: Design) -> String {
    design.id().filter(|_| design != Design::Refgate).map_or_else(|| design.name(), str::to_owned)
}

/// The promises that designs other than the reference are judged by.
fn checks(row: &Row) -> Vec<&'static str> {
    match row.known {
        Some(known) => known.checks.iter().map(|check| check.id()).collect(),
        None => row.case.scenario.expect.always.iter().map(|check| check.value.id()).collect(),
    }
}

/// A cell as it stands in the table.
fn shown(row: &Row, design: Design, cell: &Cell) -> (Style, String) {
    let surprise = match row.known {
        Some(known) if !cell.agrees(known.answer(design)) => " !",
        Some(_) | None => "",
    };
    let (style, text) = match cell {
        Cell::Holds { states } => (GREEN, format!("holds {states}")),
        Cell::Bounded { .. } => (GREEN, "bounded".to_owned()),
        Cell::Sampled { runs } => (GREEN, format!("sampled {runs}")),
        // A row with one promise says which; anything else that is broken is named.
        Cell::Broken { check, steps } => {
            let is_plain = matches!(checks(row).as_slice(), [only] if only == check);
            let word = if is_plain { "broken" } else { check.as_str() };
            (RED, steps.map_or_else(|| word.to_owned(), |steps| format!("{word} {steps}")))
        }
        Cell::Cut { .. } => (YELLOW, "cut".to_owned()),
        Cell::Apart => (PLAIN, "-".to_owned()),
    };
    (style, text + surprise)
}

fn found(cell: &Cell) -> String {
    match cell {
        Cell::Holds { .. } => "holds".to_owned(),
        Cell::Bounded { .. } => "holds within bounds".to_owned(),
        Cell::Sampled { runs } => format!("holds in {runs} random schedules"),
        Cell::Broken { check, .. } => format!("breaks {check}"),
        Cell::Cut { states } => format!("undecided after {states} states"),
        Cell::Apart => "-".to_owned(),
    }
}

const fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Holds => "holds",
        Answer::Broken => "broken",
        Answer::Open => "?",
        Answer::Apart => "-",
    }
}
