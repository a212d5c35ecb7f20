//! The promises of a scenario, checked after every step and at every end.
//!
//! A check looks at the machine and at what processes have told; it never asks the lock code. Checks about the past keep
//! a [`Memory`], which is part of the state that is explored.

mod handoff;
mod outcome;
mod safety;
mod supervised;
mod tenures;
mod truth;
mod words;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gateway::PortBlock;
use sim::{Checker, Step, View, Violation};

use crate::scenario::{Check, Expect};

pub use outcome::fate;
pub use tenures::Reader;
pub(crate) use words::{forbidden, tells};

/// What the process of a slot is in the scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A gateway that competes.
    Gateway(Stake),
    /// A process that is none of their business.
    Bystander,
    /// A process that the gateway of a slot has opened, and that is none of the business of others.
    Browser {
        /// The slot.
        of: usize,
    },
    /// A process that is no gateway, and whose doings may be in the way of one for as long as it lives.
    Actor,
    /// A child of a gateway: what it holds it holds by oversight, and it is in nobody's way by right.
    Child,
    /// A gateway that is started only to see whether one still can.
    Probe(Stake),
}

/// What a gateway competes for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stake {
    /// Its state directory.
    pub state: PathBuf,
    /// The files whose locks it needs, the state directory first.
    pub locked: Vec<PathBuf>,
    /// Its block of ports.
    pub ports: PortBlock,
    /// Every port that it reserves, those outside the block included.
    pub all_ports: BTreeSet<u16>,
    /// Whether it may end an owner of the state directory that it has found stopped.
    pub force: bool,
    /// Whether it may ask an owner to hand over.
    pub takeover: bool,
    /// Whether it sees nothing of others, and so cannot name anybody.
    pub blind: bool,
}

/// What the checks about the past remember.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Memory {
    truth: truth::Memory,
    tenures: tenures::Memory,
    handoff: handoff::Memory,
    words: words::Memory,
}

/// Everything that is checked in one case.
#[derive(Clone, Debug)]
pub struct Checks {
    /// The name and the role of each slot.
    pub slots: Vec<(String, Role)>,
    /// What the scenario expects.
    pub expect: Expect,
    /// The slots that are probes.
    pub probes: Vec<usize>,
    /// Who reads the journals of the owners.
    pub reader: Reader,
}

impl Checks {
    fn wants(&self, check: Check) -> bool {
        self.expect.always.iter().any(|wanted| wanted.value == check)
    }

    /// Whether anybody may be ended by force.
    fn forces(&self) -> bool {
        (0..self.slots.len()).any(|slot| self.stake(slot).is_some_and(|stake| stake.force))
    }

    fn name(&self, slot: usize) -> &str {
        &self.slots[slot].0
    }

    /// What the process of a slot competes for, if it is a gateway.
    fn stake(&self, slot: usize) -> Option<&Stake> {
        match &self.slots[slot].1 {
            Role::Gateway(stake) | Role::Probe(stake) => Some(stake),
            Role::Bystander | Role::Browser { .. } | Role::Actor | Role::Child => None,
        }
    }
}

/// Whether two different paths lead to one directory.
fn is_one_directory(view: &View<'_>, one: &Path, other: &Path) -> bool {
    one != other && view.kernel.lookup(one).is_some_and(|file| view.kernel.lookup(other) == Some(file))
}

fn broken(check: Check, says: String) -> Violation {
    Violation { check: check.id().to_owned(), says }
}

impl Checker for Checks {
    type Memory = Memory;

    fn start(&self) -> Memory {
        Memory {
            truth: truth::Memory::new(self.slots.len()),
            tenures: tenures::Memory::default(),
            handoff: handoff::Memory::default(),
            words: words::Memory::default(),
        }
    }

    fn step(&self, memory: &mut Memory, view: &View<'_>, step: &Step<'_>) -> Result<(), Violation> {
        if self.wants(Check::Truthful) || self.forces() {
            memory.truth.witness(self, view, step);
        }
        for check in Check::ALL {
            if !self.wants(check) {
                continue;
            }
            match check {
                Check::SingleOwner => self.single_owner(view)?,
                Check::SingleWriter => self.single_writer(&mut memory.tenures, view, step)?,
                Check::NoTheft => self.no_theft(view, step)?,
                Check::NoForeignUnlink => self.no_foreign_unlink(view, step)?,
                Check::NoCollateral => self.no_collateral(&memory.truth, view, step)?,
                Check::PortsDisjoint => self.ports_disjoint(view)?,
                Check::ConfigIdentity => self.config_identity(view)?,
                Check::EffectAfterLock => self.effect_after_lock(view, step)?,
                Check::FailFast => self.fail_fast(view, step)?,
                Check::ClockFree => self.clock_free(view, step)?,
                Check::Handoff => self.handoff(&mut memory.handoff, view, step)?,
                Check::Truthful => self.truthful(&memory.truth, view, step)?,
                // Judged in `probed`, where a fresh gateway was given the machine for itself, and where nothing more happens.
                Check::NoWedge | Check::NoDeadEnd => {}
            }
        }
        self.refusal_says(view, step)?;
        self.refusal_comes(&mut memory.words, view, step)?;
        self.refusal_names(view, step)
    }

    fn end(&self, memory: &Memory, view: &View<'_>) -> Result<usize, Violation> {
        self.refusal_exits(view)?;
        self.no_dead_end(view)?;
        self.handed_off(&memory.handoff, view)?;
        self.outcome(view)
    }

    fn endless(&self, view: &View<'_>, restless: &[usize]) -> Violation {
        self.no_dead_end(view).err().unwrap_or_else(|| self.never_settles(view, restless))
    }

    fn counts_calls(&self) -> bool {
        self.wants(Check::FailFast)
    }

    fn probes(&self) -> &[usize] {
        if self.wants(Check::NoWedge) { &self.probes } else { &[] }
    }

    fn is_free(&self, probe: usize, view: &View<'_>) -> bool {
        let Some(wanted) = self.stake(probe) else { return false };
        let stands_in_the_way = |slot: &usize| match &self.slots[*slot].1 {
            Role::Gateway(stake) | Role::Probe(stake) => {
                !stake.all_ports.is_disjoint(&wanted.all_ports)
                    || stake.locked.iter().any(|path| wanted.locked.contains(path))
                    || is_one_directory(view, &stake.state, &wanted.state)
            }
            Role::Actor => true,
            Role::Child => false,
            Role::Bystander | Role::Browser { .. } => {
                let listeners = view.kernel.listeners(wanted.ports.base());
                listeners.iter().any(|(_, process)| view.slots[*slot].process == Some(*process))
            }
        };
        !(0..self.slots.len()).filter(|slot| view.is_alive(*slot)).any(|slot| stands_in_the_way(&slot))
    }

    fn probed(&self, probe: usize, view: &View<'_>) -> Result<(), Violation> {
        if view.slots[probe].ready {
            return Ok(());
        }
        let name = self.name(probe);
        let fate = fate(view, probe);
        Err(broken(
            Check::NoWedge,
            format!("nothing alive stands in the way, and a fresh {name} that runs alone ends as {fate}"),
        ))
    }
}
