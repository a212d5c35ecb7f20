//! What a machine keeps from a gateway, or does behind its back: every lie under a design is one rule.
//!
//! So each lock is compiled twice for a machine, once as it ships and once for all that can be altered under it. A type of
//! operating system for each kind of lie would have it compiled eight times, which takes longer than everything else.

use gateway::Claim;
use portcullis_os::{Call, Errno, Reply};
use sim::Rule;

use super::blind::Blind;
use super::{Design, Slip};
use crate::mutants::{Leaking, Lie};

/// All that is altered for one process.
#[derive(Clone, Debug)]
pub(super) struct Altered {
    part: Part,
    is_blind: bool,
}

/// What is wrong with the lock.
#[derive(Clone, Debug)]
enum Part {
    /// Nothing.
    Whole,
    /// A part of it does nothing.
    Without(Box<Lie>),
    /// It slips.
    Slipping(Slip),
    /// Its child inherits something.
    Leaking(Leaking),
}

impl Altered {
    /// What is altered for a design; `None`: nothing.
    pub(super) fn of(design: Design, claim: &Claim, is_blind: bool) -> Option<Self> {
        let part = match design {
            Design::Without(token) => Part::Without(Box::new(Lie::new(token, claim))),
            Design::Slipping(slip) => Part::Slipping(slip),
            Design::Leaking(leak) => Part::Leaking(Leaking::new(leak, claim)),
            Design::Refgate
            | Design::Naive(_)
            | Design::Openclaw(_)
            | Design::Endless(_)
            | Design::Own(_) => Part::Whole,
        };
        (is_blind || !matches!(part, Part::Whole)).then_some(Self { part, is_blind })
    }

    /// The rule of the part that is wrong, if there is one.
    fn part(&mut self) -> Option<&mut dyn Rule> {
        match &mut self.part {
            Part::Whole => None,
            Part::Without(lie) => Some(&mut **lie),
            Part::Slipping(slip) => Some(slip),
            Part::Leaking(leaking) => Some(leaking),
        }
    }
}

impl Rule for Altered {
    fn rewrite(&mut self, call: Call) -> Call {
        match self.part() {
            Some(part) => part.rewrite(call),
            None => call,
        }
    }

    fn first(&mut self, call: &Call) -> Vec<Call> {
        self.part().map_or_else(Vec::new, |part| part.first(call))
    }

    fn instead(&mut self, call: &Call) -> Option<Result<Reply, Errno>> {
        if let Some(reply) = self.part().and_then(|part| part.instead(call)) {
            return Some(reply);
        }
        // Who is blind takes this for the answer of the machine.
        let reply = if self.is_blind { Blind.instead(call)? } else { return None };
        self.saw(call, &reply);
        Some(reply.map(|reply| self.distort(call, reply)))
    }

    fn saw(&mut self, call: &Call, reply: &Result<Reply, Errno>) {
        if let Some(part) = self.part() {
            part.saw(call, reply);
        }
    }

    fn distort(&mut self, call: &Call, reply: Reply) -> Reply {
        match self.part() {
            Some(part) => part.distort(call, reply),
            None => reply,
        }
    }
}
