//! A step that went otherwise on the real machine, told so that a reader needs nothing else.

use std::fmt;

use portcullis_os::Call;
use sim::{Plan, Planned, Setup, What, Who};

use super::os::Answer;

/// How many steps before the one in question are shown.
const STEPS_SHOWN: usize = 12;

/// Where a real process and the simulated one have parted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parting {
    /// Which step of the plan it was, from 0, the setup counted.
    pub step: usize,
    /// What was different.
    pub says: String,
}

impl Parting {
    /// Of a driver's steps, each of which has this number in the plan.
    pub(super) fn new(numbers: &[usize], step: usize, says: String) -> Self {
        Self { step: numbers.get(step).copied().unwrap_or_default(), says }
    }
}

/// A parting, and how it came to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which schedule of the drive it was, from 0.
    pub schedule: u64,
    /// Where.
    pub parting: Parting,
    /// The steps that led there, the last one being that in question.
    pub steps: Vec<String>,
    /// The token of the schedule: `portcullis replay` shows all of it.
    pub token: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parting { step, says } = &self.parting;
        writeln!(f, "schedule {}, step {step}: {says}", self.schedule)?;
        for step in &self.steps {
            writeln!(f, "  {step}")?;
        }
        write!(f, "  replay  portcullis replay {}", self.token)
    }
}

/// The last steps up to this one, each in a line.
pub(super) fn last_steps(setup: &Setup, plan: &Plan, step: usize) -> Vec<String> {
    let until = (step + 1).min(plan.steps.len());
    let from = until.saturating_sub(STEPS_SHOWN);
    let numbered = plan.steps[from..until].iter().zip(from..);
    numbered.map(|(planned, number)| format!("{number:>4}  {}", described(setup, planned))).collect()
}

fn described(setup: &Setup, planned: &Planned) -> String {
    let name = |slot: usize| setup.slots[slot].name.as_str();
    let who = match planned.who {
        Who::Slot(slot) => name(slot),
        Who::Script => "script",
        Who::Supervisor(_) => "supervisor",
        Who::Fault(_) | Who::Outage(_) => "fault",
    };
    let what = match (&planned.what, planned.who) {
        (What::Call(call, answer), _) => format!("{call} -> {}", answered(answer)),
        (What::Execute, _) => "execute".to_owned(),
        (What::Release(fd), _) => format!("release {fd}"),
        (What::Exit(status), _) => format!("exit {status}"),
        (What::Action(action), _) => format!("{action:?}"),
        (What::Kill, Who::Fault(slot)) => format!("kill {}", name(slot)),
        (What::Kill, Who::Slot(_) | Who::Script | Who::Supervisor(_) | Who::Outage(_)) => "kill".to_owned(),
        (What::Restart(_), _) => "restart".to_owned(),
        (What::LosePatience, _) => "lose patience".to_owned(),
        (What::PowerLoss { outcome }, _) => format!("power loss {outcome}"),
    };
    let task = if planned.task == 0 { String::new() } else { format!(".{}", planned.task) };
    format!("{who}{task}  {what}")
}

/// An answer as people read it.
pub(super) fn answered(answer: &Answer) -> String {
    match answer {
        Ok(reply) => reply.to_string(),
        Err(errno) => errno.to_string(),
    }
}

/// What tasks ask for, as people read it.
pub(super) fn asked(asks: &[(u16, Call)]) -> String {
    let asks: Vec<String> = asks.iter().map(|(task, call)| format!("{call} (task {task})")).collect();
    if asks.is_empty() { "nothing".to_owned() } else { asks.join(", ") }
}

/// Two things as people read them, or in full if that shows no difference.
pub(super) fn apart<T: fmt::Debug + ?Sized>(
    one: &T,
    other: &T,
    brief: impl Fn(&T) -> String,
) -> (String, String) {
    let texts = (brief(one), brief(other));
    if texts.0 == texts.1 { (format!("{one:?}"), format!("{other:?}")) } else { texts }
}
