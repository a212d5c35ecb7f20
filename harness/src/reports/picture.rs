//! An execution as data: who did what at each step, and what the machine looked like after it.
//!
//! It is made from a trace alone, so that a report can show it without the simulator. What does not change from one step
//! to the next is written once.

use std::path::{Path, PathBuf};

use portcullis_os::{FileKind, FileStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sim::kernel::{Ending, Life, ProcessId};
use sim::{Trace, View, Who};

use crate::checks::Role;
use crate::lanes;
use crate::simulate::Simulation;
use crate::stale;

/// Of a longer execution only the end is kept: what is broken is broken there.
const MOST_STEPS: usize = 400;
/// More abstract names of one process are counted and not listed.
const MOST_NAMES: usize = 4;
/// More bytes of a file are not shown.
const MOST_BYTES: usize = 160;
/// Directories deeper than this are not looked into: a directory may be mounted inside itself.
const DEEPEST: usize = 12;

/// An execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Picture {
    /// Everybody who has a lane.
    pub lanes: Vec<Lane>,
    /// How many steps at the beginning are left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
    /// The steps, those of the setup first.
    pub steps: Vec<Step>,
    /// Who acted on what was no longer so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_read: Option<StaleRead>,
    /// The place in `steps` of the first step that is taken again and again, if that is what is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats_from: Option<usize>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// One process of the scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lane {
    /// Its name in the scenario.
    pub name: String,
    /// What it is.
    pub role: LaneRole,
}

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LaneRole {
    /// A contender.
    Gateway,
    /// Somebody who must not be harmed.
    Bystander,
    /// A child of a gateway.
    Child,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Its number as in the lanes, from 1; none in the setup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<usize>,
    /// The place of the lane that it is in; none if it is done to the whole machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<usize>,
    /// What was done, in words.
    pub text: String,
    /// Who took it.
    pub by: By,
    /// Whether it took the turn from a process that could have gone on.
    pub preemption: bool,
    /// Whether others can notice it.
    pub noticeable: bool,
    /// The places of the lanes that own the state directory after it.
    pub owners: Vec<usize>,
    /// The machine after it; none: as after the step before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
}

/// Who took a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The process itself.
    Process,
    /// The scenario.
    Script,
    /// A supervisor.
    Supervisor,
    /// A fault that the search has put in.
    Fault,
}

/// The machine between two steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// The processes of the lanes, in their order.
    pub processes: Vec<Process>,
    /// The names of files, in order. Directories stand for what is in them, and only where they are locked.
    pub names: Vec<Name>,
    /// The locks on whole files, by path.
    pub locks: Vec<Lock>,
    /// The addresses and abstract names that are taken.
    pub ports: Vec<Held>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// Its pid in its own namespace, once it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How it is, in one word.
    pub life: String,
    /// What it says of itself: that it owns, is ready, or why it gives up.
    pub says: String,
}

/// A name of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Name {
    /// The path.
    pub path: String,
    /// The number of its inode: equal numbers are one file.
    pub inode: u64,
    /// What is in it, shortened; `link` and `socket` for what has no bytes.
    pub holds: String,
}

/// A lock on a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lock {
    /// The path, or the inode if it has no name any more.
    pub path: String,
    /// Who has it, by name.
    pub by: Vec<String>,
    /// Whether it excludes nobody but those who want it for themselves.
    pub shared: bool,
}

/// Something that one process has and others cannot get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Held {
    /// What it is.
    pub what: String,
    /// Who has it, by name.
    pub by: String,
}

/// A look, a change by somebody else, and an act on what was seen. Steps are counted as in the lanes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StaleRead {
    /// Who looked and acted.
    pub actor: String,
    /// What was looked at.
    pub object: String,
    /// The step of the look.
    pub looked: usize,
    /// What it showed.
    pub saw: String,
    /// Who changed it.
    pub changer: String,
    /// The last step in between that changed it.
    pub changed: usize,
    /// The step of the act.
    pub acted: usize,
}

impl Picture {
    /// The picture of an execution of a scenario.
    pub fn new(simulation: &Simulation, trace: &Trace) -> Self {
        let shown: Vec<usize> = (0..simulation.setup.slots.len())
            .filter(|slot| lanes::has_lane(simulation, trace, *slot))
            .collect();
        let place = |slot: usize| shown.iter().position(|other| *other == slot);
        let name = |slot: usize| simulation.checks.slots[slot].0.clone();
        let rows = lanes::rows(simulation, trace, None);
        // A row without a number is no step.
        let rows: Vec<_> = rows.into_iter().filter(|row| !row.number.is_empty()).collect();
        let left_out = trace.steps.len().saturating_sub(MOST_STEPS);
        let mut last: Option<Machine> = None;
        let mut steps = Vec::new();
        for (row, step) in rows.iter().zip(&trace.steps).skip(left_out) {
            let view = step.view();
            let machine = Machine::of(simulation, &view, &shown);
            steps.push(Step {
                number: row.number.parse().ok(),
                lane: row.lane.and_then(place),
                text: row.text.trim_matches(|c| c == '-' || c == ' ').to_owned(),
                by: match step.who {
                    Who::Slot(_) => By::Process,
                    Who::Script => By::Script,
                    Who::Supervisor(_) => By::Supervisor,
                    Who::Fault(_) | Who::Outage(_) => By::Fault,
                },
                preemption: step.is_preemption,
                noticeable: row.matters,
                owners: view.owners().into_iter().filter_map(place).collect(),
                machine: (last.as_ref() != Some(&machine)).then(|| machine.clone()),
            });
            last = Some(machine);
        }
        let stale_read = stale::find(trace).map(|stale| StaleRead {
            actor: name(stale.actor),
            object: stale.object,
            looked: stale.looked,
            saw: stale.saw,
            changer: name(stale.changer),
            changed: stale.changed,
            acted: stale.acted,
        });
        Self {
            lanes: shown.iter().map(|slot| lane(simulation, *slot)).collect(),
            left_out,
            steps,
            stale_read,
            repeats_from: trace.repeats_from.and_then(|from| from.checked_sub(left_out)),
        }
    }
}

fn lane(simulation: &Simulation, slot: usize) -> Lane {
    let (name, role) = &simulation.checks.slots[slot];
    let role = match role {
        Role::Gateway(_) | Role::Probe(_) => LaneRole::Gateway,
        Role::Bystander | Role::Browser { .. } | Role::Actor => LaneRole::Bystander,
        Role::Child => LaneRole::Child,
    };
    Lane { name: name.clone(), role }
}

impl Machine {
    fn of(simulation: &Simulation, view: &View<'_>, shown: &[usize]) -> Self {
        let mut files = Vec::new();
        walk(view, Path::new("/"), DEEPEST, &mut files);
        let who = |process: ProcessId| {
            let slots = view.slots.iter();
            let slot = slots
                .zip(&simulation.checks.slots)
                .find(|(slot, _)| slot.process == Some(process) || slot.past.contains(&process));
            slot.map_or_else(|| format!("pid {}", view.kernel.pid(process)), |(_, (name, _))| name.clone())
        };
        let mut locks = Vec::new();
        for (path, status) in &files {
            let (all, exclusive) = (view.kernel.lock_sharers(status.id), view.kernel.lock_holders(status.id));
            if !all.is_empty() {
                let by = all.into_iter().map(who).collect();
                locks.push(Lock { path: path.display().to_string(), by, shared: exclusive.is_empty() });
            }
        }
        let names = files
            .iter()
            .filter(|(_, status)| status.kind != FileKind::Directory)
            .map(|(path, status)| Name {
                path: path.display().to_string(),
                inode: status.id.inode,
                holds: view.kernel.contents(path).map_or_else(|| "link".to_owned(), |bytes| excerpt(&bytes)),
            })
            .collect();
        let processes = shown.iter().map(|slot| process(view, *slot)).collect();
        let mut ports = Vec::new();
        for process in view.kernel.processes() {
            match view.kernel.life(process) {
                Life::Running | Life::Stopped | Life::Uninterruptible | Life::Dying(_) => {}
                Life::Dead(_) => continue,
            }
            let held = |what: String| Held { what, by: who(process) };
            ports.extend(view.kernel.bound(process).map(|address| held(address.to_string())));
            let names: Vec<&str> = view.kernel.unix_names(process).collect();
            ports.extend(names.iter().take(MOST_NAMES).map(|name| held(format!("@{name}"))));
            if names.len() > MOST_NAMES {
                ports.push(held(format!("... and {} more abstract names", names.len() - MOST_NAMES)));
            }
        }
        Self { processes, names, locks, ports }
    }
}

/// How the process of a slot is.
fn process(view: &View<'_>, slot: usize) -> Process {
    let state = &view.slots[slot];
    let Some(process) = state.process else {
        return Process { pid: None, life: "not started".to_owned(), says: String::new() };
    };
    let ended = |ending: Ending| match ending {
        Ending::Exited(status) => format!("exited {status}"),
        Ending::Killed(signal) => format!("killed by {signal}"),
        Ending::KilledBy(signal) => format!("killed by signal {signal}"),
    };
    let life = match view.kernel.life(process) {
        Life::Running => "running".to_owned(),
        Life::Stopped => "stopped".to_owned(),
        Life::Uninterruptible => "asleep in the kernel".to_owned(),
        Life::Dying(ending) => format!("dying, {}", ended(ending)),
        Life::Dead(ending) => ended(ending),
    };
    let mut says = Vec::new();
    if state.owner.is_some() && view.can_act(slot) {
        says.push("owner".to_owned());
    }
    if state.ready && view.can_act(slot) {
        says.push("ready".to_owned());
    }
    if let Some((reason, holder)) = &state.refused {
        let holder = holder.map_or_else(String::new, |pid| format!(" (by pid {pid})"));
        says.push(format!("refused: {reason}{holder}"));
    }
    Process { pid: Some(view.kernel.pid(process).get()), life, says: says.join(", ") }
}

/// Everything below a directory, in order.
fn walk(view: &View<'_>, directory: &Path, depth: usize, found: &mut Vec<(PathBuf, FileStatus)>) {
    for name in view.kernel.list(directory).unwrap_or_default() {
        let path = directory.join(name);
        let Some(status) = view.kernel.file_status(&path) else { continue };
        let is_directory = status.kind == FileKind::Directory;
        found.push((path.clone(), status));
        if is_directory && depth > 0 {
            walk(view, &path, depth - 1, found);
        }
    }
}

/// The bytes of a file on one line.
fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_BYTES)]);
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let more = if bytes.len() > MOST_BYTES { format!("... ({} bytes)", bytes.len()) } else { String::new() };
    match clean.trim() {
        "" if bytes.is_empty() => "(empty)".to_owned(),
        text => format!("{text}{more}"),
    }
}
