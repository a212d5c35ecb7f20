//! flock(2): the lock belongs to the open file description, and whoever has a descriptor of it holds the lock.
//!
//! # Invariants
//!
//! - Two descriptions of one inode exclude each other, in one process as in two.
//! - A conversion is an unlock and a try: one that fails has lost the old lock.

use portcullis_os::{Errno, Fd, FlockMode, Reply};

use super::descriptions::DescriptionId;
use super::environment::LockSupport;
use super::inodes::Held;
use super::{Effect, Kernel, ProcessId};

impl Kernel {
    /// flock(2) with `LOCK_NB`. A read-only descriptor will do. A socket has an inode of its own, so its lock has no
    /// rival and nobody sees it.
    pub(super) fn flock(&mut self, who: ProcessId, fd: Fd, mode: FlockMode) -> Result<Reply, Errno> {
        let id = self.description_of(who, fd)?;
        let Some(number) = self.opened_inode(who, fd)? else { return Ok(Reply::Done) };
        let inode = self.inode(number);
        let enforced = match self.mounts[inode.mount].locks {
            LockSupport::Everything => true,
            LockSupport::FilesOnly if inode.is_directory() => return Err(Errno::BadDescriptor),
            LockSupport::FilesOnly => true,
            LockSupport::Nothing => return Err(Errno::NoLocks),
            LockSupport::Unenforced => false,
        };
        let exclusive = match mode {
            FlockMode::Exclusive => true,
            FlockMode::Shared => false,
            FlockMode::Unlock => {
                self.unlock(number, id);
                return Ok(Reply::Done);
            }
        };
        if inode.locks.get(&id).is_none_or(|held| held.exclusive != exclusive) {
            self.unlock(number, id);
            if enforced && self.conflicts(number, exclusive) {
                return Err(Errno::WouldBlock);
            }
            let taken_by = self.pid(who);
            self.inode_mut(number).locks.insert(id, Held { exclusive, taken_by });
        }
        if exclusive {
            let file = self.inode(number).id(number);
            self.effects.tell(Effect::Locked { by: who, file });
        }
        Ok(Reply::Done)
    }

    fn unlock(&mut self, number: u64, id: DescriptionId) {
        if self.inode(number).locks.get(&id).is_some() {
            self.inode_mut(number).locks.remove(&id);
        }
    }

    fn conflicts(&self, number: u64, exclusive: bool) -> bool {
        self.inode(number).locks.values().any(|held| exclusive || held.exclusive)
    }
}
