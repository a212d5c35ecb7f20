//! The steps that an incident must have had, and the ends that it may have.
//!
//! A process that is started and gets no turn is one that was not started yet, and a signal that is not delivered yet was not
//! sent: so a step may come as early as what it needs, and never too early. What a step needs is waited for only if the logs
//! put it before whatever the step has led to. Where they do not, that is in the list of what is not known.

use std::collections::BTreeSet;

use super::incident::Incident;
use crate::scenario::{Happening, Seen};
use crate::timeline::Order;

/// More ends than this are not listed one by one.
const MOST_OUTCOMES: usize = 12;

/// The explorer kills no more than that.
const MOST_KILLS: usize = 4;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Start(Vec<String>),
    Stop(String),
    Restart(String),
    Pause(String),
    Resume(String),
    /// An operator removes the lock file of the state directory of this label.
    RemoveLockFile(String),
    /// Until a gateway is settled.
    Settled(String),
    /// Until everybody is.
    AllSettled,
}

/// What happens, and what may come of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
    /// How many gateways may have been killed.
    pub(super) kills: usize,
    pub(super) outcomes: Vec<Vec<(String, &'static str)>>,
    /// What the steps say although the clocks do not.
    pub(super) unknown: Vec<String>,
}

/// Infers the steps and the ends.
pub(super) fn infer(incident: &Incident) -> Script {
    let events: Vec<&Seen> = incident.events.iter().collect();
    let order = Order::from_logs(&incident.writers, &events, incident.skew_us);
    let mut writer =
        Writer { incident, order, script: Script::default(), waits: Vec::new(), sent: BTreeSet::new() };
    writer.write();
    let open = incident.gateways.iter().filter(|gateway| gateway.is_open).count();
    let killed = events.iter().filter(|seen| seen.what == Happening::Killed).count();
    let mut script = writer.script;
    script.kills = (open + killed).min(MOST_KILLS);
    if open + killed > MOST_KILLS {
        script.unknown.push(format!("whether more than {MOST_KILLS} were killed: no more are"));
    }
    script.outcomes = outcomes(incident, &script);
    script
}

struct Writer<'i> {
    incident: &'i Incident,
    order: Order,
    script: Script,
    /// Whose settling was waited for, and the event that shows it.
    waits: Vec<(String, usize)>,
    /// What was sent to whom.
    sent: BTreeSet<(String, &'static str)>,
}

impl Writer<'_> {
    fn write(&mut self) {
        let Incident { gateways, bystanders, events, .. } = self.incident;
        let is_told =
            |name: &String| events.iter().any(|seen| seen.who == *name && seen.what == Happening::Started);
        let mut first: Vec<String> = bystanders.iter().map(|(name, ..)| name.clone()).collect();
        first.extend(gateways.iter().map(|gateway| gateway.name.clone()).filter(|name| !is_told(name)));
        if !first.is_empty() {
            self.script.steps.push(Step::Start(first));
        }
        let mut ready: BTreeSet<&str> = BTreeSet::new();
        let mut paused: BTreeSet<String> = BTreeSet::new();
        for (event, seen) in events.iter().enumerate() {
            let who = &seen.who;
            if paused.remove(who) {
                self.script.steps.push(Step::Resume(who.clone()));
            }
            match seen.what {
                Happening::Started => self.start(event, who),
                Happening::Ready if !ready.insert(who) => _ = self.send(event, who, "restart"),
                Happening::Draining | Happening::Released => _ = self.send(event, who, "stop"),
                Happening::Refused(Some(reason)) if reason.id == "fenced" => {
                    self.send(event, who, "remove");
                }
                Happening::Refused(Some(reason)) if reason.id == "held-stopped" => {
                    let owner = seen.names.as_ref().filter(|owner| !paused.contains(*owner));
                    let stopped = owner.filter(|owner| self.send(event, owner, "pause"));
                    paused.extend(stopped.cloned());
                }
                Happening::Owner
                | Happening::Ready
                | Happening::Refused(_)
                | Happening::Exited
                | Happening::Killed => {}
            }
        }
        self.script.steps.push(Step::AllSettled);
    }

    /// Starts a process once those are settled that the logs show settled before.
    fn start(&mut self, event: usize, who: &str) {
        self.doubt(event, who);
        let events = &self.incident.events;
        let before = self.order.before(event);
        let mut settled: Vec<(String, usize)> = Vec::new();
        for (earlier, seen) in events.iter().enumerate() {
            let is_known = self.waits.iter().chain(&settled).any(|(name, _)| *name == seen.who);
            if is_settling(seen.what) && !is_known && self.order.is_done(earlier, &before) {
                settled.push((seen.who.clone(), earlier));
            }
        }
        for (name, event) in settled {
            self.script.steps.push(Step::Settled(name.clone()));
            self.waits.push((name, event));
        }
        match self.script.steps.last_mut() {
            Some(Step::Start(names)) => names.push(who.to_owned()),
            Some(_) | None => self.script.steps.push(Step::Start(vec![who.to_owned()])),
        }
    }

    /// Does something to an owner that has shown by an event that it was done. Answers whether it is done now.
    fn send(&mut self, event: usize, who: &str, what: &'static str) -> bool {
        let is_started = self.script.steps.iter().any(|step| {
            let Step::Start(names) = step else { return false };
            names.iter().any(|name| name == who)
        });
        if !is_started {
            self.script.unknown.push(format!("how {who} can have been told to {what} before it began"));
            return false;
        }
        if what != "restart" && !self.sent.insert((who.to_owned(), what)) {
            return false;
        }
        self.doubt(event, who);
        let events = &self.incident.events;
        let settling = events.iter().position(|seen| seen.who == who && is_settling(seen.what));
        if !self.waits.iter().any(|(name, _)| name == who) {
            self.script.steps.push(Step::Settled(who.to_owned()));
            self.waits.extend(settling.map(|settling| (who.to_owned(), settling)));
        }
        let who = who.to_owned();
        self.script.steps.push(match what {
            "restart" => Step::Restart(who),
            "pause" => Step::Pause(who),
            "remove" => {
                let owner = self.incident.gateways.iter().find(|gateway| gateway.name == who);
                Step::RemoveLockFile(owner.map(|gateway| gateway.state.clone()).unwrap_or_default())
            }
            _ => Step::Stop(who),
        });
        true
    }

    /// Notes what the steps wait for before this one although nobody knows that it came first.
    fn doubt(&mut self, event: usize, who: &str) {
        let seen = &self.incident.events[event];
        let before = self.order.before(event);
        for (name, settling) in &self.waits {
            if *settling != event && !self.order.is_done(*settling, &before) {
                let before = self.incident.events[*settling].what;
                self.script.unknown.push(format!(
                    "whether {name} was {before} before {who} was {}: the clocks do not tell, the steps say so",
                    seen.what
                ));
            }
        }
    }
}

/// Whether whoever has come so far is settled.
fn is_settling(what: Happening) -> bool {
    matches!(what, Happening::Ready | Happening::Refused(_))
}

/// Every way in which the reference gateway may end all that: at most one of those that share a directory is left, and
/// nobody hangs.
fn outcomes(incident: &Incident, script: &Script) -> Vec<Vec<(String, &'static str)>> {
    let is_stopped = |name: &String| script.steps.contains(&Step::Stop(name.clone()));
    let is_paused = |name: &String| {
        let last = script
            .steps
            .iter()
            .rfind(|step| [Step::Pause(name.clone()), Step::Resume(name.clone())].contains(step));
        matches!(last, Some(Step::Pause(_)))
    };
    let varies = |name: &str| incident.vary.iter().any(|(key, _)| *key == format!("gateway.{name}.state"));
    let ends = |name: &String| {
        let mut ends = if is_stopped(name) { vec!["exited", "refused"] } else { vec!["ready", "refused"] };
        if is_paused(name) {
            ends.push("paused");
        }
        if script.kills > 0 {
            ends.push("killed");
        }
        ends
    };
    let mut all: Vec<Vec<(String, &'static str)>> = vec![Vec::new()];
    for gateway in &incident.gateways {
        let next: Vec<_> = all
            .iter()
            .flat_map(|ended| {
                ends(&gateway.name).into_iter().map(|end| {
                    let mut ended = ended.clone();
                    ended.push((gateway.name.clone(), end));
                    ended
                })
            })
            .filter(|ended| is_possible(incident, script, ended, &varies))
            .collect();
        if next.len() > MOST_OUTCOMES {
            break;
        }
        all = next;
    }
    all
}

fn is_possible(
    incident: &Incident,
    script: &Script,
    ended: &[(String, &'static str)],
    varies: &impl Fn(&str) -> bool,
) -> bool {
    let killed = ended.iter().filter(|(_, end)| *end == "killed").count();
    let mut held: Vec<&str> = Vec::new();
    for (name, end) in ended {
        let gateway = incident.gateways.iter().find(|gateway| gateway.name == *name);
        let Some(gateway) = gateway.filter(|_| ["ready", "paused"].contains(end) && !varies(name)) else {
            continue;
        };
        if held.contains(&gateway.state.as_str()) {
            return false;
        }
        held.push(&gateway.state);
    }
    killed <= script.kills
}
