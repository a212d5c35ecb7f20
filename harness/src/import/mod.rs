//! The logs of an incident as one timeline and one scenario, offline: nothing of it is run here.
//!
//! Each log is read line by line into the lives of processes (`gather`); these get names, and their events one order as far
//! as the clocks tell (`incident`); from the order follow the steps that there must have been (`script`), and all of it
//! becomes a scenario file (`write`) and a picture (`lanes`).
//!
//! # Invariants
//!
//! - No input panics, and none takes more memory than its events.
//! - Nothing is dropped silently: every line is an event, a note, or counted with its place.

mod gather;
mod heard;
mod incident;
mod lanes;
mod lines;
mod script;
mod time;
mod write;

use std::io::BufRead;

pub use gather::{Counted, GatherError, MOST_EVENTS, MOST_LIVES, Summary};
pub use incident::Incident;
pub use lines::LONGEST;

use crate::scenario::Happening;
use crate::target::Target;
use gather::Gathered;
use incident::Given;
use script::Script;

/// A log that is to be read.
pub struct Log<R> {
    /// What it is called.
    pub name: String,
    /// What its process is called; the second and every other one get a number.
    pub of: Option<String>,
    /// Its lines.
    pub lines: R,
}

/// An incident, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// What the logs say.
    pub incident: Incident,
    script: Script,
}

/// Reads logs into an incident. `skew_ms`: by how much two clocks may differ.
///
/// # Errors
///
/// Why one of the logs cannot be used.
pub fn import<R: BufRead>(
    logs: Vec<Log<R>>,
    target: Option<&Target>,
    skew_ms: u64,
) -> Result<Imported, GatherError> {
    let mut gathered = Gathered::default();
    let mut names = Vec::new();
    for Log { name, of, lines } in logs {
        gathered.add(&name, lines, target)?;
        names.push(of);
    }
    let tells = tells(target);
    let incident =
        incident::compose(gathered, Given { names, skew_us: skew_ms.saturating_mul(1_000), tells });
    let script = script::infer(&incident);
    Ok(Imported { incident, script })
}

/// What every log tells whose lines are read by a target, or are those of `refgate`.
fn tells(target: Option<&Target>) -> Vec<Happening> {
    let words = Happening::ALL.into_iter().map(|(_, what)| what).filter(|what| what.is_word());
    let of_target = |what: &Happening| {
        target.is_none_or(|target| {
            target.tells_events()
                || target
                    .log
                    .events
                    .iter()
                    .any(|event| Happening::of(&event.emits).is_some_and(|emits| emits.kind() == *what))
        })
    };
    words.filter(of_target).collect()
}

impl Imported {
    /// How many events there are, those that were inferred included.
    pub fn events(&self) -> usize {
        self.incident.events.len()
    }

    /// The incident in lanes, line by line.
    pub fn lanes(&self) -> Vec<String> {
        lanes::render(&self.incident, &self.script)
    }

    /// The text of a scenario file.
    pub fn scenario(&self) -> String {
        write::scenario(&self.incident, &self.script)
    }
}
