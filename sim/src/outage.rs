//! The outcomes of a loss of power, as choices of a search.
//!
//! A search asks first how many there are, and then for one after the other, with only searches that lose no more power
//! in between. So the outcomes of one machine are remembered until another one is asked about.

use crate::kernel::{HostId, Kernel};
use crate::world::Violation;

/// More outcomes of one loss of power are not explored: a step of a schedule is a number below 256, and there are other
/// choices.
const MOST: usize = 200;

/// What became of the machine that was asked about last.
pub(crate) struct Outages {
    last: Option<(Kernel, HostId, Vec<Kernel>)>,
}

impl Outages {
    pub(crate) const fn new() -> Self {
        Self { last: None }
    }

    /// How many outcomes there are.
    ///
    /// # Errors
    ///
    /// If they are too many.
    pub(crate) fn count(&mut self, kernel: &Kernel, host: HostId) -> Result<usize, Violation> {
        let found = self.outcomes(kernel, host).len();
        if found > 0 && found <= MOST {
            return Ok(found);
        }
        let says = format!("a loss of power has more than {MOST} outcomes: sync more, or write less");
        Err(Violation { check: "explorable".to_owned(), says })
    }

    /// One of them.
    pub(crate) fn outcome(&mut self, kernel: &Kernel, host: HostId, number: usize) -> Kernel {
        match self.outcomes(kernel, host).get(number) {
            Some(outcome) => outcome.clone(),
            None => unreachable!("outcome {number} of a loss of power was never counted"),
        }
    }

    /// None if they are too many.
    fn outcomes(&mut self, kernel: &Kernel, host: HostId) -> &[Kernel] {
        let is_known = self.last.as_ref().is_some_and(|(last, of, _)| *of == host && last == kernel);
        if !is_known {
            self.last = None;
        }
        let compute = || (kernel.clone(), host, kernel.power_loss_outcomes(host).unwrap_or_default());
        &self.last.get_or_insert_with(compute).2
    }
}
