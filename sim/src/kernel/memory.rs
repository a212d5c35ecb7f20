//! Words of memory that the tasks of one process share. They are the machine's, so that a step of one task can come
//! between two of another; they go with the process.

use portcullis_os::{Cell, Errno, Reply};

use super::{Kernel, ProcessId};

impl Kernel {
    pub(super) fn load(&self, who: ProcessId, cell: Cell) -> Result<Reply, Errno> {
        Ok(Reply::Word(self.process(who).cells.get(&cell).copied().unwrap_or(0)))
    }

    /// A word that is 0 again is like one that was never written, so that the two are one state.
    pub(super) fn store(&mut self, who: ProcessId, cell: Cell, value: u64) -> Result<Reply, Errno> {
        let cells = &mut self.process_mut(who).cells;
        if value == 0 {
            cells.remove(&cell);
        } else {
            cells.insert(cell, value);
        }
        Ok(Reply::Done)
    }
}
