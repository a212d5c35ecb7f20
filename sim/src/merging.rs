//! When histories are merged: what is spent on it is in proportion to what a search has cost without.
//!
//! To merge what a program has forgotten is cheap where it is written in stages, and takes exponential time where it asks
//! much in a row and forgets it at the end. Nobody knows beforehand which it is, nor how many states there would be
//! without. So little is spent at first; if that does not do, the search goes on over the tree of histories, and each time
//! it has met four times as many states it is tried again, with as much effort as they have cost.

use crate::engine::Engine;
use crate::world::Checker;

/// So many replies are given at first.
const LITTLE: usize = 20_000;

/// After so many states without merging it is tried again.
const FIRST_TRY: usize = 16_384;

/// So many replies cost about what one state costs.
const REPLIES_PER_STATE: usize = 16;

/// A pass that merges and meets an unseen reply ends after so many states.
const FIRST_PATIENCE: usize = 256;

/// What becomes of the histories between two passes of a search, and in the middle of one.
#[derive(Clone, Copy)]
pub(crate) struct Merging {
    /// Whether histories are merged as far as they are known. Then a reply that was not seen before makes a pass void.
    is_on: bool,
    /// A pass in which a program does something unseen ends after so many states.
    patience: usize,
    /// After so many states of a pass that merges nothing it is tried again.
    next_try: usize,
    /// Histories were merged in the middle of a pass.
    begins_anew: bool,
}

impl Merging {
    /// Before the first pass.
    pub(crate) const FIRST: Self =
        Self { is_on: true, patience: FIRST_PATIENCE, next_try: FIRST_TRY, begins_anew: false };

    /// No history is ever merged.
    pub(crate) const NEVER: Self = Self { is_on: false, next_try: usize::MAX, ..Self::FIRST };

    /// Whether histories are merged.
    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether a pass that has met so many states proves nothing, so that it may end here. Tries to merge if it is time.
    pub(crate) fn is_in_vain<C: Checker>(&mut self, engine: &mut Engine<'_, C>, states: usize) -> bool {
        if self.is_on {
            return states > self.patience && engine.has_grown();
        }
        self.begins_anew = states >= self.next_try && self.try_with(engine, states);
        self.begins_anew
    }

    /// Whether the last pass proves nothing: it has met a reply that a call had not given before, or histories were merged in
    /// the middle of it. Then everything is prepared for the next one.
    pub(crate) fn goes_on<C: Checker>(&mut self, engine: &mut Engine<'_, C>, states: usize) -> bool {
        if std::mem::take(&mut self.begins_anew) {
            return true;
        }
        if !self.is_on || !engine.has_grown() {
            return false;
        }
        self.patience = self.patience.max(states * 4);
        self.is_on = engine.minimise(LITTLE.max(REPLIES_PER_STATE * states));
        self.next_try = self.next_try.max(states * 4);
        true
    }

    /// Spends on merging what at least a middling search would cost. Answers whether a pass has to begin anew.
    pub(crate) fn insist<C: Checker>(&mut self, engine: &mut Engine<'_, C>, states: usize) -> bool {
        !self.is_on && self.next_try < usize::MAX && self.try_with(engine, states.max(FIRST_TRY))
    }

    fn try_with<C: Checker>(&mut self, engine: &mut Engine<'_, C>, states: usize) -> bool {
        self.next_try = self.next_try.max(states.saturating_mul(4));
        self.is_on = engine.minimise(REPLIES_PER_STATE.saturating_mul(states));
        self.is_on
    }
}
