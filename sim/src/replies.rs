//! Which replies a call may get: all that it was seen to get anywhere in its program.

use std::collections::{BTreeMap, BTreeSet};

use crate::learn::{AnswerId, CallId, TreeId};

/// A call of a program, wherever it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AskedId(u32);

/// What the calls of the programs of a forest were answered.
#[derive(Default)]
pub(crate) struct Replies {
    ids: BTreeMap<(TreeId, CallId), AskedId>,
    /// Ascending.
    replies: Vec<BTreeSet<AnswerId>>,
    /// Whether a call was answered in another way since this was last set to `false`.
    pub(crate) has_news: bool,
}

impl Replies {
    /// A call of the program with this main task.
    pub(crate) fn asked(&mut self, main: TreeId, call: CallId) -> AskedId {
        let fresh = AskedId(u32::try_from(self.replies.len()).unwrap_or(u32::MAX));
        let id = *self.ids.entry((main, call)).or_insert(fresh);
        if id == fresh {
            self.replies.push(BTreeSet::new());
        }
        id
    }

    /// It was answered.
    pub(crate) fn note(&mut self, asked: AskedId, answer: AnswerId) {
        self.has_news |= self.replies[asked.0 as usize].insert(answer);
    }

    /// What it was answered.
    pub(crate) fn of(&self, asked: AskedId) -> &BTreeSet<AnswerId> {
        &self.replies[asked.0 as usize]
    }
}
