//! One worker of a run: a real machine that is replaced when it is worn out or broken.

use crate::machine::Machine;
use crate::pair::{self, Course, Health, Verdict};
use crate::real::{Lab, Trouble};
use crate::sequence::Sequence;
use crate::simulation::Scenery;
use crate::symbols::{SEQUENCES, Site};

/// Real machines, one after the other.
#[derive(Debug)]
pub struct Lane {
    lab: Lab,
    used: u16,
}

impl Lane {
    /// Makes the first machine.
    ///
    /// # Errors
    ///
    /// [`Trouble::Impossible`] where there can be none.
    pub fn new() -> Result<Self, Trouble> {
        Ok(Self { lab: Lab::new()?, used: 0 })
    }

    /// The users that a process can have.
    pub fn users(&self) -> &[u32] {
        self.lab.users()
    }

    /// Where the next sequence would be run.
    pub fn scenery(&self) -> Scenery {
        let directory = self.lab.root().join(self.used.to_string());
        let site = Site { directory, number: self.used, program: self.lab.program() };
        let owner = self.lab.users().first().copied().unwrap_or_default();
        Scenery { site, command: self.lab.command(), executed: self.lab.executed(), owner }
    }

    /// Runs a sequence beside a simulated machine.
    ///
    /// # Errors
    ///
    /// [`Trouble`] if no real machine can be had any more.
    pub fn run<M: Machine>(&mut self, machine: M, sequence: &Sequence) -> Result<Course, Trouble> {
        let scenery = self.scenery();
        self.used += 1;
        match pair::run(machine, &mut self.lab, sequence, &scenery) {
            Ok((course, Health::Sound)) if self.used < SEQUENCES => Ok(course),
            Ok((course, Health::Sound | Health::Broken)) => {
                self.renew()?;
                Ok(course)
            }
            Err(Trouble::Broken(reason)) => {
                self.renew()?;
                Ok(Course { lines: Vec::new(), verdict: Verdict::Differs(reason) })
            }
            Err(trouble @ Trouble::Impossible(_)) => Err(trouble),
        }
    }

    /// A machine that has just booted. Namespaces that are hard to get are asked for once more.
    fn renew(&mut self) -> Result<(), Trouble> {
        self.lab = Lab::new().or_else(|_| Lab::new())?;
        self.used = 0;
        Ok(())
    }
}
