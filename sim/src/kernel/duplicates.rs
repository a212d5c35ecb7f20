//! Descriptors that are copied, and those that outlive an exec.
//!
//! Both are about the entry in the table of one process, see fcntl(2): a copy is on the same open file description, so it
//! holds the same lock; `FD_CLOEXEC` belongs to the entry, so two copies can differ in it.

use portcullis_os::{Errno, Fd, Reply};

use super::{Kernel, ProcessId};

impl Kernel {
    /// `F_DUPFD_CLOEXEC`: the lowest number that is free, and close-on-exec whatever the original is.
    pub(super) fn duplicate(&mut self, who: ProcessId, fd: Fd) -> Result<Reply, Errno> {
        let id = self.description_of(who, fd)?;
        self.free_fd(who)?;
        self.refer(id);
        Ok(Reply::Fd(self.give(who, id)?))
    }

    /// `F_SETFD`.
    pub(super) fn set_inherit(&mut self, who: ProcessId, fd: Fd, inherit: bool) -> Result<Reply, Errno> {
        self.description_of(who, fd)?;
        if let Some(descriptor) = self.process_mut(who).descriptors.get_mut(&fd) {
            descriptor.inherit = inherit;
        }
        Ok(Reply::Done)
    }
}
