//! An incident in lanes: one column a process, time downwards.

use std::fmt::Write as _;

use super::gather::{Counted, Summary};
use super::incident::Incident;
use super::script::Script;
use super::write::one_line;
use crate::lanes::cut;
use crate::report::count;
use crate::scenario::Seen;

/// The width of a terminal that everybody has, in columns.
const WIDTH: usize = 100;
/// The widest lane, in columns.
const WIDEST: usize = 30;
/// The narrowest.
const NARROWEST: usize = 16;
/// The width of the times.
const TIME: usize = 16;

/// Everything that is known, line by line.
pub(super) fn render(incident: &Incident, script: &Script) -> Vec<String> {
    let mut lines: Vec<String> = incident.logs.iter().flat_map(summary).collect();
    lines.push(String::new());
    let processes = incident.gateways.iter().map(|gateway| &gateway.name);
    let names = processes.chain(incident.bystanders.iter().map(|(name, ..)| name));
    let width = names.map(|name| name.chars().count()).max().unwrap_or_default();
    for gateway in &incident.gateways {
        let path = gateway.path.as_ref().map_or_else(|| gateway.state.clone(), |path| one_line(path));
        lines.push(format!(
            "  {:<width$}  {}, state {path}, port {}",
            gateway.name,
            one_line(&gateway.origin),
            gateway.port
        ));
    }
    for (name, command, port) in &incident.bystanders {
        lines.push(format!("  {name:<width$}  no gateway: {}, port {port}", one_line(command)));
    }
    lines.push(String::new());
    lines.extend(timeline(incident));
    lines.push(String::new());
    for (number, unknown) in incident.unknown.iter().chain(&script.unknown).enumerate() {
        let word = if number == 0 { "not known" } else { "" };
        lines.push(format!(" {word:<10} {}", one_line(unknown)));
    }
    lines
}

/// What a log consists of, and where what is not used stands first.
fn summary(log: &Summary) -> Vec<String> {
    let name = one_line(&log.name);
    let number = |number: u64, word: &str| count(usize::try_from(number).unwrap_or(usize::MAX), word);
    let mut first = format!("{name}: {}, {}", number(log.lines, "line"), number(log.events, "event"));
    if log.notes > 0 {
        let _ = write!(first, ", {}", number(log.notes, "note"));
    }
    let mut lines = vec![first];
    let mut tell = |counted: Counted, word: &str, what: &str| {
        if counted.count > 0 {
            let first = counted.first;
            lines.push(format!("  {} {what}, the first is {name}:{first}", number(counted.count, word)));
        }
    };
    tell(log.blank, "line", "left blank");
    tell(log.unknown, "line", "of no known form");
    tell(log.too_long, "line", "too long to be read");
    tell(log.not_text, "line", "that is no UTF-8");
    tell(log.wrong_times, "event", "with a time that is none");
    tell(log.backwards, "event", "written before the one above, so its time does not count");
    lines
}

fn timeline(incident: &Incident) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    for seen in &incident.events {
        if !names.contains(&seen.who.as_str()) {
            names.push(&seen.who);
        }
    }
    let width = (WIDTH.saturating_sub(TIME) / names.len().max(1)).clamp(NARROWEST, WIDEST);
    let mut header = format!("{:>1$}  ", "seconds", TIME - 2);
    for name in &names {
        let _ = write!(header, "{:<width$}", cut(name, width - 1));
    }
    let mut lines = vec![header.trim_end().to_owned()];
    for Seen { who, what, names: named, at_us } in &incident.events {
        let time = at_us.map_or_else(
            || "-".to_owned(),
            |at_us| format!("{}.{:06}", at_us / 1_000_000, at_us % 1_000_000),
        );
        let mut line = format!("{time:>0$}  ", TIME - 2);
        let by = named.as_ref().map_or_else(String::new, |name| format!(" by {name}"));
        let place = names.iter().position(|name| name == who).unwrap_or_default();
        let _ = write!(line, "{:<1$}{what}{by}", "", place * width);
        lines.push(line);
    }
    lines
}
