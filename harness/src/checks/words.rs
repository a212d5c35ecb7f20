//! What a refusal says to people, and how long it takes to come.
//!
//! A gateway tells its sentence in a note after its refusal, where the scenario asks for it. Time is what has passed on the
//! clock since the start and every deadline of its own calls that has passed, for the clock of the machine stands still
//! while somebody waits for one.

use std::collections::BTreeMap;

use portcullis_os::{Call, Errno, Notice};
use sim::kernel::Effect;
use sim::{Step, View, Violation};

use super::{Checks, Role};

/// For each slot that is starting, how many milliseconds it has waited for deadlines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Memory {
    waited_ms: BTreeMap<usize, u64>,
}

/// The word of a sentence that it must not have, if there is one.
pub(crate) fn forbidden<'w>(never_says: &'w [String], sentence: &str) -> Option<&'w str> {
    let sentence = sentence.to_lowercase();
    never_says.iter().map(String::as_str).find(|word| sentence.contains(&word.to_lowercase()))
}

/// That it says so, with its sentence.
pub(crate) fn tells(sentence: &str, word: &str) -> String {
    format!("tells people \"{sentence}\", and must never say \"{word}\"")
}

impl Checks {
    /// Whether a refusal says what the scenario forbids.
    pub(super) fn refusal_says(&self, view: &View<'_>, step: &Step<'_>) -> Result<(), Violation> {
        let Some(refusal) = &self.expect.refusal else { return Ok(()) };
        for effect in step.effects {
            let Effect::Notified { process, notice: Notice::Noted(sentence) } = effect else { continue };
            let Some(slot) = view.slot_of(*process).filter(|slot| self.is_judged(*slot)) else { continue };
            let Some((code, _)) = &view.slots[slot].refused else { continue };
            if let Some(word) = forbidden(&refusal.value.never_says, sentence) {
                let says = format!("{} says {code} and {}", self.name(slot), tells(sentence, word));
                return Err(Violation { check: "refusal".to_owned(), says });
            }
        }
        Ok(())
    }

    /// Whether a refusal comes later than the scenario allows.
    pub(super) fn refusal_comes(
        &self,
        memory: &mut Memory,
        view: &View<'_>,
        step: &Step<'_>,
    ) -> Result<(), Violation> {
        let within_ms = self.expect.refusal.as_ref().and_then(|refusal| refusal.value.within_ms);
        let Some(within_ms) = within_ms else { return Ok(()) };
        // Who owns, or is gone, is refused nothing any more.
        memory.waited_ms.retain(|slot, _| view.can_act(*slot) && view.slots[*slot].owner.is_none());
        let Some(slot) = step.slot.filter(|slot| self.is_judged(*slot)) else { return Ok(()) };
        if view.slots[slot].owner.is_none()
            && view.can_act(slot)
            && let Some(passed) = deadline_passed(step)
        {
            *memory.waited_ms.entry(slot).or_default() += u64::from(passed);
        }
        for effect in step.effects {
            let Effect::Notified { process, notice: Notice::Refused { code, .. } } = effect else { continue };
            let waited_ms = memory.waited_ms.remove(&slot).unwrap_or_default();
            let took_ms = view.kernel.age_ms(*process) + waited_ms;
            if took_ms > within_ms {
                let name = self.name(slot);
                let says = format!("{name} says {code} after {took_ms} ms, later than {within_ms} ms");
                return Err(Violation { check: "refusal".to_owned(), says });
            }
        }
        Ok(())
    }

    fn is_judged(&self, slot: usize) -> bool {
        matches!(self.slots[slot].1, Role::Gateway(_))
    }
}

/// The deadline of a call that has ended because it has passed, in milliseconds. A sleep is nothing else.
fn deadline_passed(step: &Step<'_>) -> Option<u32> {
    match (step.call?, step.reply?) {
        (Call::Sleep { milliseconds }, _) => Some(*milliseconds),
        (call, Err(Errno::TimedOut)) => call.deadline_ms(),
        (_, _) => None,
    }
}
