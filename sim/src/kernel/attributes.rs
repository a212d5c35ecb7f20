//! What is known of a file beside its bytes: mode, times; and the mask that takes bits from modes.
//!
//! Only the owner and root may change them. Groups are not modelled, so no bit is lost on the way.

use portcullis_os::{Errno, Fd, Reply};

use super::inodes::Inode;
use super::{Effect, Kernel, ProcessId};

/// The bits of a mode that say who may do what.
const MODE_BITS: u32 = 0o7777;
/// The bits that a mask can take away.
const MASK_BITS: u32 = 0o777;

impl Kernel {
    /// fchmod(2). The mode of a socket, which Linux lets anybody see and change, is not modelled:
    /// [`Errno::NotImplemented`].
    pub(super) fn set_mode(&mut self, who: ProcessId, fd: Fd, mode: u32) -> Result<Reply, Errno> {
        self.set_attribute(who, fd, |inode| inode.mode = mode & MODE_BITS)
    }

    /// futimens(2), for the time of the last change of the bytes. Any time will do, while ext4 ends in the year 2446. As for
    /// sockets, see [`Kernel::set_mode`].
    pub(super) fn set_modified(&mut self, who: ProcessId, fd: Fd, modified_ns: u64) -> Result<Reply, Errno> {
        self.set_attribute(who, fd, |inode| inode.modified_ns = modified_ns)
    }

    /// A descriptor that is only for reading will do (`chmod_common`, `setattr_prepare`).
    fn set_attribute(
        &mut self,
        who: ProcessId,
        fd: Fd,
        set: impl FnOnce(&mut Inode),
    ) -> Result<Reply, Errno> {
        let spot = self.opened_spot(who, fd)?.ok_or(Errno::NotImplemented)?;
        self.check_writable(spot)?;
        self.check_owner(who, spot.inode)?;
        self.check_change(spot.inode)?;
        self.change(who, spot.inode, set);
        Ok(Reply::Done)
    }

    fn check_owner(&self, who: ProcessId, number: u64) -> Result<(), Errno> {
        let uid = self.process(who).birth.uid;
        if uid.0 == 0 || uid == self.inode(number).uid { Ok(()) } else { Err(Errno::NotPermitted) }
    }

    /// Changes an attribute of a file, and says so.
    pub(super) fn change(&mut self, who: ProcessId, number: u64, set: impl FnOnce(&mut Inode)) {
        let inode = self.inode_mut(number);
        set(inode);
        let file = inode.id(number);
        self.effects.tell(Effect::Changed { by: who, file });
    }

    /// umask(2).
    pub(super) fn set_umask(&mut self, who: ProcessId, mask: u32) -> Result<Reply, Errno> {
        let old = std::mem::replace(&mut self.process_mut(who).umask, mask & MASK_BITS);
        Ok(Reply::Word(u64::from(old)))
    }
}
