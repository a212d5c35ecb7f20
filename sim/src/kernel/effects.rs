//! What happened in the machine, told once to whoever checks it.
//!
//! An effect is news and not state: it is drained after each step, so two kernels that got to the same state on different
//! ways are equal.

use std::hash::{Hash, Hasher};

use portcullis_os::{FileId, FileKind, Notice, Signal};

use super::{Ending, Kernel, ProcessId};

/// One thing that happened, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// A signal was sent, whatever came of it. Asking with `kill(pid, 0)` sends none.
    Signalled {
        /// Who sent it.
        by: ProcessId,
        /// Who has the pid that it was sent to.
        target: ProcessId,
        /// Which signal.
        signal: Signal,
    },
    /// A file or directory came into being.
    Created {
        /// Who made it.
        by: ProcessId,
        /// Which inode it is.
        file: FileId,
        /// Of what kind.
        kind: FileKind,
    },
    /// A file that existed was written, truncated, emptied when it was opened, or given another mode, owner or time.
    Changed {
        /// Who did it.
        by: ProcessId,
        /// Which inode.
        file: FileId,
    },
    /// A name was removed, or replaced by another file that was renamed over it.
    Unlinked {
        /// Who did it.
        by: ProcessId,
        /// The inode that lost a name.
        file: FileId,
    },
    /// A file got one more name.
    Linked {
        /// Who did it.
        by: ProcessId,
        /// Which inode.
        file: FileId,
    },
    /// A file got another name.
    Renamed {
        /// Who did it.
        by: ProcessId,
        /// Which inode.
        file: FileId,
    },
    /// An exclusive flock was granted.
    Locked {
        /// To whom.
        by: ProcessId,
        /// On which inode.
        file: FileId,
    },
    /// A process was made by another one, with everything that one has.
    Spawned {
        /// Who made it.
        by: ProcessId,
        /// Which it is.
        child: ProcessId,
    },
    /// A process came to its end. Everything it held is already released.
    Died {
        /// Which.
        process: ProcessId,
        /// How.
        how: Ending,
    },
    /// A process said something about itself.
    Notified {
        /// Which.
        process: ProcessId,
        /// What.
        notice: Notice,
    },
}

/// The effects that nobody has taken yet. Equal to any other journal: news is no part of a state.
#[derive(Clone, Debug)]
pub(super) struct Journal(Vec<Effect>);

impl Journal {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn tell(&mut self, effect: Effect) {
        self.0.push(effect);
    }
}

impl PartialEq for Journal {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Journal {}

impl Hash for Journal {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Kernel {
    /// Whether anything happened that nobody has taken yet.
    pub(crate) const fn has_effects(&self) -> bool {
        !self.effects.0.is_empty()
    }

    /// What happened since the last time, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects.0)
    }
}
