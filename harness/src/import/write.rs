//! An incident as a scenario file.

use std::fmt::Write as _;

use gateway::GATEWAY_SPAN;

use super::incident::{Contender, Incident};
use super::script::{Script, Step};
use crate::scenario::Seen;

/// What the reference gateway promises whatever happens.
const ALWAYS: [&str; 10] = [
    "single-owner",
    "single-writer",
    "no-theft",
    "no-foreign-unlink",
    "no-collateral",
    "ports-disjoint",
    "config-identity",
    "effect-after-lock",
    "truthful",
    "clock-free",
];

/// The text of a scenario file.
pub(super) fn scenario(incident: &Incident, script: &Script) -> String {
    let mut text = String::new();
    let names: Vec<&str> = incident.logs.iter().map(|log| log.name.as_str()).collect();
    let mut line = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    line("schema = 1");
    line(&format!("title  = {}", quoted(&title(&names))));
    line("tags   = [\"incident\", \"imported\"]");
    for unknown in incident.unknown.iter().chain(&script.unknown) {
        line(&format!("# not known: {}", one_line(unknown)));
    }
    for gateway in &incident.gateways {
        line("");
        line(&gateway_table(gateway));
    }
    for (name, command, port) in &incident.bystanders {
        line(&format!("\n[process.{name}]\nlooks_like = {}\nlistens    = [{port}]", quoted(command)));
    }
    line("\n[run]\nsteps = [");
    for step in &script.steps {
        line(&format!("  {},", in_toml(step)));
    }
    line("]\n\n[expect]\nalways   = [");
    for check in ALWAYS {
        line(&format!("  \"{check}\","));
    }
    line("]\noutcomes = [");
    for outcome in &script.outcomes {
        let ends: Vec<String> = outcome.iter().map(|(name, end)| format!("{name} = \"{end}\"")).collect();
        line(&format!("  {{ {} }},", ends.join(", ")));
    }
    line("]\n\n[explore]");
    line(&format!("span  = {} # as many ports as it takes for the same blocks to overlap", span(incident)));
    line(&format!("kills = {}", script.kills));
    if !incident.vary.is_empty() {
        line("\n[vary]");
        for (key, values) in &incident.vary {
            line(&format!("{} = [{}]", quoted(key), values.join(", ")));
        }
    }
    line("");
    text + &timeline(incident)
}

fn gateway_table(gateway: &Contender) -> String {
    let Contender { name, origin, state, path, port, config, .. } = gateway;
    let path = path.as_ref().map_or_else(String::new, |path| format!(" # {}", one_line(path)));
    let config = config.as_ref().map_or_else(String::new, |label| format!("\nconfig = {}", quoted(label)));
    format!(
        "[gateway.{name}] # {}\nstate = {}{path}\nport  = {port}{config}",
        one_line(origin),
        quoted(state)
    )
}

/// How many ports above its base a gateway needs for the same blocks to overlap as with all of them: the same code runs, and
/// each port is a step.
fn span(incident: &Incident) -> u16 {
    let mut ports: Vec<u16> = incident.gateways.iter().map(|gateway| gateway.port).collect();
    let varied =
        incident.vary.iter().filter(|(key, _)| key.ends_with(".port")).flat_map(|(_, values)| values);
    ports.extend(varied.filter_map(|port| port.parse::<u16>().ok()));
    let distances = ports.iter().flat_map(|one| ports.iter().map(|other| one.abs_diff(*other)));
    distances.filter(|distance| *distance <= GATEWAY_SPAN).max().unwrap_or_default().max(1)
}

fn in_toml(step: &Step) -> String {
    match step {
        Step::Start(names) => match names.as_slice() {
            [only] => format!("{{ start = \"{only}\" }}"),
            several => format!(
                "{{ start = [{}] }}",
                several.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
            ),
        },
        Step::Stop(name) => format!("{{ stop = \"{name}\" }}"),
        Step::Restart(name) => format!("{{ restart = \"{name}\" }}"),
        Step::Pause(name) => format!("{{ pause = \"{name}\" }}"),
        Step::Resume(name) => format!("{{ resume = \"{name}\" }}"),
        Step::RemoveLockFile(label) => format!("{{ remove = \"lock-file\", state = \"{label}\" }}"),
        Step::Settled(name) => format!("{{ wait = \"{name}.settled\" }}"),
        Step::AllSettled => "{ wait = \"settled\" }".to_owned(),
    }
}

fn timeline(incident: &Incident) -> String {
    let tells: Vec<String> = incident.tells.iter().map(|what| format!("\"{what}\"")).collect();
    let mut text = format!("[timeline]\ntells   = [{}]\n", tells.join(", "));
    if incident.skew_us > 0 {
        let _ = writeln!(text, "skew_ms = {}", incident.skew_us / 1_000);
    }
    let logs: Vec<String> = incident
        .writers
        .iter()
        .map(|log| format!("[{}]", log.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")))
        .collect();
    let _ = writeln!(text, "logs    = [{}]\nevents  = [", logs.join(", "));
    for Seen { who, what, names, at_us } in &incident.events {
        let names = names.as_ref().map_or_else(String::new, |name| format!(", names = \"{name}\""));
        let at = at_us.map_or_else(String::new, |at_us| format!(", at_us = {at_us}"));
        let _ = writeln!(text, "  {{ {who} = \"{what}\"{names}{at} }},");
    }
    text.push_str("]\n");
    text
}

fn title(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "shows" } else { "show" };
    format!("What {} {verb}", in_words(names))
}

/// A list of names in a sentence.
fn in_words(names: &[&str]) -> String {
    match names {
        [] => "no logs".to_owned(),
        [only] => (*only).to_owned(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

/// A basic string of TOML, whatever is in it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A text that stays on its line, in a comment or on a terminal.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_format(c) { '\u{fffd}' } else { c }).collect()
}

/// Characters that turn text round or hide in it.
fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
