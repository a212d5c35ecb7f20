//! What the logs say, as gateways with names, one timeline, and what is not known.
//!
//! # Invariants
//!
//! - The events are a linear extension of their order, and those of one log keep theirs.
//! - Everything that was assumed is in the list of what is not known.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::{Gathered, Life, Summary};
use super::time::Micros;
use crate::scenario::{Happening, Seen};

/// The base port of a gateway whose log does not tell its own.
const USUAL_PORT: u16 = 18_789;

/// How far apart ports are that have nothing to do with each other.
const APART: u16 = 200;

/// More combinations of what is not known than this are not tried.
const MOST_CASES: usize = 32;

/// The highest base port.
const LAST_PORT: u16 = 65_425;

/// A gateway of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contender {
    pub(super) name: String,
    /// Where it comes from, in words.
    pub(super) origin: String,
    /// The label of its state directory, and the directory if that is known.
    pub(super) state: String,
    pub(super) path: Option<String>,
    pub(super) port: u16,
    pub(super) config: Option<String>,
    /// Whether it wrote a log.
    pub(super) has_log: bool,
    /// Whether nothing says how it ended.
    pub(super) is_open: bool,
}

/// The logs of an incident in one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incident {
    /// What the logs consist of.
    pub logs: Vec<Summary>,
    pub(super) gateways: Vec<Contender>,
    /// Programs that were in the way and are no gateways: name, command line, port.
    pub(super) bystanders: Vec<(String, String, u16)>,
    pub(super) events: Vec<Seen>,
    /// Who writes into one log, for each log that speaks of anybody.
    pub(super) writers: Vec<Vec<String>>,
    pub(super) tells: Vec<Happening>,
    pub(super) skew_us: u64,
    pub(super) vary: Vec<(String, Vec<String>)>,
    /// What is not known, one sentence each.
    pub unknown: Vec<String>,
}

/// What a composition needs besides the lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    /// What the processes of each log are called; `None`: by letters.
    pub(super) names: Vec<Option<String>>,
    /// By how much two clocks may differ.
    pub(super) skew_us: u64,
    /// What every log tells.
    pub(super) tells: Vec<Happening>,
}

/// An event in the order of all logs: its log, and its place there.
type Place = (usize, usize);

/// Puts everything together.
pub(super) fn compose(gathered: Gathered, given: Given) -> Incident {
    let order = merged(&gathered);
    let mut composer = Composer {
        names: names(&gathered, &order, &given),
        incident: Incident { skew_us: given.skew_us, tells: given.tells, ..Incident::default() },
        gathered,
        order,
        unlogged: BTreeMap::new(),
    };
    composer.gateways();
    composer.events();
    composer.assumptions();
    composer.incident.logs = composer.gathered.logs;
    composer.incident
}

/// All events, by their times; what has none stays behind the one above it.
fn merged(gathered: &Gathered) -> Vec<Place> {
    let mut keyed: Vec<(Micros, Place)> = Vec::new();
    for (log, entries) in gathered.entries.iter().enumerate() {
        // A log without any time comes last.
        let mut latest = entries.iter().find_map(|entry| entry.at_us).unwrap_or(Micros::MAX);
        for (place, entry) in entries.iter().enumerate() {
            latest = entry.at_us.unwrap_or(latest);
            keyed.push((latest, (log, place)));
        }
    }
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, place)| place).collect()
}

/// What each process is called, in the order in which they come.
fn names(gathered: &Gathered, order: &[Place], given: &Given) -> Vec<String> {
    let mut names = vec![String::new(); gathered.lives.len()];
    let mut taken: BTreeSet<String> = given.names.iter().flatten().cloned().collect();
    let mut used: BTreeSet<String> = BTreeSet::new();
    for (log, place) in order {
        let entry = &gathered.entries[*log][*place];
        if !names[entry.life].is_empty() {
            continue;
        }
        let name = match given.names.get(*log).and_then(Option::as_ref) {
            Some(name) => {
                let numbered = (2..).map(|number| format!("{name}-{number}"));
                std::iter::once(name.clone()).chain(numbered).find(|name| !used.contains(name))
            }
            None => letters().find(|name| !taken.contains(name)),
        };
        let Some(name) = name else { unreachable!("there are names without end") };
        taken.insert(name.clone());
        used.insert(name.clone());
        names[entry.life] = name;
    }
    names
}

/// `a` to `z`, then `a2` and so on.
fn letters() -> impl Iterator<Item = String> {
    (1_u32..).flat_map(|round| {
        ('a'..='z').map(
            move |letter| {
                if round == 1 { letter.to_string() } else { format!("{letter}{round}") }
            },
        )
    })
}

struct Composer {
    gathered: Gathered,
    order: Vec<Place>,
    names: Vec<String>,
    incident: Incident,
    /// Processes that were named and wrote no log, by their pids.
    unlogged: BTreeMap<u32, String>,
}

impl Composer {
    fn gateways(&mut self) {
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        let mut lives: Vec<usize> = Vec::new();
        for (log, place) in &self.order {
            let life = self.gathered.entries[*log][*place].life;
            if !lives.contains(&life) {
                lives.push(life);
            }
        }
        for life in &lives {
            if let Some(path) = &self.gathered.lives[*life].state
                && !labels.contains_key(path)
            {
                labels.insert(path.clone(), numbered("S", labels.len()));
            }
        }
        let known: Vec<String> = (0..labels.len().max(1)).map(|number| numbered("S", number)).collect();
        for (number, life) in lives.iter().enumerate() {
            let name = self.names[*life].clone();
            let Life { log, pid, line, port, state, .. } = self.gathered.lives[*life].clone();
            let origin = match pid {
                Some(pid) => format!("pid {pid}, {}:{line}", self.gathered.logs[log].name),
                None => format!("{}:{line}", self.gathered.logs[log].name),
            };
            let label = state.as_ref().and_then(|path| labels.get(path)).cloned();
            let port = port.filter(|port| (1..=LAST_PORT).contains(port));
            if label.is_none() && lives.len() > 1 {
                // The first one of all may as well have the first directory.
                let own = (number > 0 || !labels.is_empty()).then(|| format!("S-{name}"));
                let choices = known.iter().chain(&own).map(|label| format!("{label:?}")).collect();
                self.assume(&name, "state", "state directory", choices);
            }
            if port.is_none() {
                let step = u16::try_from(number).unwrap_or_default().saturating_mul(APART);
                let mut choices = vec![USUAL_PORT, USUAL_PORT.saturating_add(step)];
                choices.dedup();
                self.assume(&name, "port", "port", choices.iter().map(ToString::to_string).collect());
            }
            self.incident.gateways.push(Contender {
                name,
                origin,
                state: label.unwrap_or_else(|| known[0].clone()),
                path: state,
                port: port.unwrap_or(USUAL_PORT),
                config: None,
                has_log: true,
                is_open: self.gathered.lives[*life].is_open(),
            });
        }
    }

    /// Something that no line tells: it varies, or is the first of what it can be.
    fn assume(&mut self, name: &str, key: &str, what: &str, choices: Vec<String>) {
        let cases = self.incident.vary.iter().map(|(_, choices)| choices.len()).product::<usize>();
        let how = if choices.len() > 1 && cases * choices.len() <= MOST_CASES {
            self.incident.vary.push((format!("gateway.{name}.{key}"), choices));
            "so it varies"
        } else {
            "so it is the usual one"
        };
        self.incident.unknown.push(format!("which {what} {name} has: its log does not say, {how}"));
    }

    fn events(&mut self) {
        let first = self.gathered.entries.iter().flatten().filter_map(|entry| entry.at_us).min();
        for index in 0..self.order.len() {
            let (log, place) = self.order[index];
            let entry = self.gathered.entries[log][place].clone();
            let who = self.names[entry.life].clone();
            let holder = entry.holder.map(|holder| self.named(index, &who, entry.what, &holder));
            let at_us = entry.at_us.zip(first).and_then(|(at_us, first)| at_us.checked_sub(first));
            let at_us = at_us.and_then(|at_us| u64::try_from(at_us).ok());
            self.incident.events.push(Seen { who, what: entry.what, names: holder, at_us });
        }
        for entries in &self.gathered.entries {
            let mut log: Vec<String> = Vec::new();
            for entry in entries {
                if !log.contains(&self.names[entry.life]) {
                    log.push(self.names[entry.life].clone());
                }
            }
            self.incident.writers.extend(Some(log).filter(|log| !log.is_empty()));
        }
    }

    /// Who a refusal names: whoever had the pid last, or somebody without a log.
    fn named(&mut self, index: usize, who: &str, what: Happening, holder: &super::heard::Holder) -> String {
        let has_pid =
            |life: usize| self.gathered.lives[life].pid == Some(holder.pid) && self.names[life] != who;
        let speaks = |(log, place): &Place| self.gathered.entries[*log][*place].life;
        let before = self.order[..index].iter().rev().map(speaks).find(|life| has_pid(*life));
        let found = before.or_else(|| self.order[index..].iter().map(speaks).find(|life| has_pid(*life)));
        if let Some(life) = found {
            return self.names[life].clone();
        }
        if let Some(name) = self.unlogged.get(&holder.pid) {
            return name.clone();
        }
        let mut name = format!("pid-{}", holder.pid);
        while self.names.contains(&name) {
            name.push_str("-b");
        }
        self.unlogged.insert(holder.pid, name.clone());
        self.add_unlogged(&name, who, what, holder);
        name
    }

    fn add_unlogged(&mut self, name: &str, who: &str, what: Happening, holder: &super::heard::Holder) {
        let Some(observer) = self.incident.gateways.iter().find(|gateway| gateway.name == who).cloned()
        else {
            return;
        };
        let code = what.to_string();
        let code = code.strip_prefix("refused:").unwrap_or_default();
        if code == "port-foreign" {
            let command: String =
                holder.command.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let command = if command.trim().is_empty() { "unknown".to_owned() } else { command };
            self.incident.bystanders.push((name.to_owned(), command, observer.port));
            self.incident.unknown.push(format!("when {name}, which {who} names, began: it wrote no log"));
            return;
        }
        let is_port = code.starts_with("port");
        self.incident.gateways.push(Contender {
            name: name.to_owned(),
            origin: format!("wrote no log; {who} names it"),
            state: if is_port { format!("S-{name}") } else { observer.state },
            path: None,
            port: observer.port,
            config: None,
            has_log: false,
            is_open: true,
        });
        self.incident.unknown.push(format!("what {name}, which {who} names, did: it wrote no log"));
    }

    /// What was assumed because no line tells it.
    fn assumptions(&mut self) {
        let mut unknown = Vec::new();
        for gateway in self.incident.gateways.iter().filter(|gateway| gateway.has_log && gateway.is_open) {
            unknown.push(format!("whether {0} still runs or was killed: its log just ends", gateway.name));
        }
        let mut shared = 0;
        for seen in &self.incident.events {
            let Seen { who, what, names, .. } = seen;
            let code = what.to_string();
            match code.strip_prefix("refused:").unwrap_or_default() {
                "config-shared" => {
                    let label = numbered("C", shared);
                    shared += 1;
                    let is_party = |name: &String| name == who || Some(name) == names.as_ref();
                    for gateway in &mut self.incident.gateways {
                        if is_party(&gateway.name) {
                            gateway.config = Some(label.clone());
                        }
                    }
                }
                "workspace-shared" | "workspace-nested" => {
                    unknown.push(format!(
                        "in which directory {who} works: add `workspace` to those who share it"
                    ));
                }
                "fenced" => {
                    unknown
                        .push(format!("what {who} has lost: taken for the lock file, removed by somebody"));
                }
                "held-hung" => unknown.push(format!("what kept the owner from answering {who}")),
                _ => {}
            }
        }
        for (log, summary) in self.gathered.logs.iter().enumerate() {
            let entries = &self.gathered.entries[log];
            if self.gathered.logs.len() > 1 && entries.iter().any(|entry| entry.at_us.is_none()) {
                let which =
                    if entries.iter().all(|entry| entry.at_us.is_none()) { "its" } else { "some of its" };
                unknown.push(format!(
                    "when {which} lines were written, which {} does not tell: they are ordered among themselves only",
                    summary.name
                ));
            }
        }
        if self.incident.gateways.iter().any(|gateway| gateway.has_log) {
            unknown.push(
                "how they were started: taken for plain starts, without `force`, `park` or `takeover`"
                    .to_owned(),
            );
        }
        self.incident.unknown.extend(unknown);
    }
}

/// `S`, `S2`, `S3`, ...
fn numbered(word: &str, place: usize) -> String {
    if place == 0 { word.to_owned() } else { format!("{word}{}", place + 1) }
}
