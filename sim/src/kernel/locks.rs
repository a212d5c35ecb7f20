//! flock(2), whom its locks belong to, and what a file system makes of any lock.
//!
//! There are three kinds of locks: flocks and `F_OFD_SETLK` belong to an open file description, `F_SETLK` to a process.
//! On a local file system flocks know nothing of the other two, see [`ranges`](super::ranges).
//!
//! # Invariants
//!
//! - Two descriptions of one inode exclude each other, in one process as in two.
//! - A conversion is an unlock and a try: one that fails has lost the old lock.
//! - A lock goes when its description goes. That of a process goes as well when the process closes any descriptor of
//!   the file, be it another one than the lock was taken through.

use std::path::Path;

use portcullis_os::{Errno, Fd, LockMode, Reply};

use super::descriptions::{DescriptionId, Object};
use super::inodes::Held;
use super::ranges::{RangeLocks, Target};
use super::table::Table;
use super::{Effect, Kernel, ProcessId};

/// What locks of every kind do on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockSupport {
    /// They lock files and directories, on all hosts.
    Everything,
    /// They lock files on all hosts; a directory is [`Errno::BadDescriptor`], as wherever a lock needs a descriptor that is
    /// open for writing.
    FilesOnly,
    /// A flock on a file is a byte range lock of its description on all of it, as NFS has it since Linux 2.6.12 (flock(2)):
    /// it meets the locks of fcntl(2), an exclusive one needs a descriptor that is open for writing (`nfs4_proc_lock`), a
    /// failed conversion keeps the old lock (`_nfs4_proc_setlk`), and all hosts see it. A lock on a directory stays on its
    /// host, because `nfs_dir_operations` has no locks of its own.
    Emulated,
    /// They exclude the processes of one host and nobody on another, as NFS mounted with `local_lock=all`.
    PerHost,
    /// They are all refused with [`Errno::NoLocks`].
    Nothing,
    /// They are all granted, and exclude nobody.
    Unenforced,
    /// They are all refused with this error, for instance [`Errno::NotImplemented`] or [`Errno::NotSupported`].
    Fails(Errno),
}

/// Whom a lock belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Owner {
    Description(DescriptionId),
    Process(ProcessId),
}

impl Owner {
    /// A process on the host whose kernel keeps the lock. A description never leaves the host that it was made on.
    const fn process(self) -> ProcessId {
        match self {
            Self::Description(id) => id.creator,
            Self::Process(process) => process,
        }
    }
}

/// What locks do on one inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LockRules {
    reach: Reach,
    /// Whether flocks and byte range locks meet.
    pub(super) kinds_meet: bool,
}

/// Whose locks are in each other's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Everybody,
    SameHost,
    Nobody,
}

impl LockRules {
    /// Those of a file system that only one kernel sees.
    pub(super) const LOCAL: Self = Self::of(Reach::Everybody);

    const fn of(reach: Reach) -> Self {
        Self { reach, kinds_meet: false }
    }
}

impl Kernel {
    /// flock(2) with `LOCK_NB`. A read-only descriptor will do. A socket has an inode of its own, so its lock has no
    /// rival and nobody sees it. Locks on a pidfd, which Linux grants, are not modelled: [`Errno::NotImplemented`].
    pub(super) fn flock(&mut self, who: ProcessId, fd: Fd, mode: LockMode) -> Result<Reply, Errno> {
        let id = self.description_of(who, fd)?;
        if let Object::Pidfd { .. } = self.object(who, fd)? {
            return Err(Errno::NotImplemented);
        }
        let Some(number) = self.opened_inode(who, fd)? else { return Ok(Reply::Done) };
        let rules = self.lock_rules(number)?;
        let exclusive = match mode {
            LockMode::Exclusive => true,
            LockMode::Shared => false,
            LockMode::Unlock => {
                self.drop_flock(number, id);
                self.forgive(Target::File(number), Owner::Description(id));
                return Ok(Reply::Done);
            }
        };
        if rules.kinds_meet && exclusive && !self.is_writable(who, fd)? {
            return Err(Errno::BadDescriptor);
        }
        if self.inode(number).locks.get(&id).is_none_or(|held| held.exclusive != exclusive) {
            if !rules.kinds_meet {
                self.drop_flock(number, id);
            }
            if self.keeps_flock_out(number, rules, id, exclusive) {
                return Err(Errno::WouldBlock);
            }
            let taken_by = self.number_on_host(who);
            self.inode_mut(number).locks.insert(id, Held { exclusive, taken_by });
        }
        if exclusive {
            let file = self.inode(number).id(number);
            self.effects.tell(Effect::Locked { by: who, file });
        }
        Ok(Reply::Done)
    }

    /// What locks do on a file, or the error with which its file system answers all of them.
    pub(super) fn lock_rules(&self, number: u64) -> Result<LockRules, Errno> {
        let inode = self.inode(number);
        match (self.mounts[inode.mount].locks, inode.is_directory()) {
            (LockSupport::FilesOnly, true) => Err(Errno::BadDescriptor),
            (LockSupport::Everything, _) | (LockSupport::FilesOnly, false) => {
                Ok(LockRules::of(Reach::Everybody))
            }
            (LockSupport::Emulated, false) => Ok(LockRules { reach: Reach::Everybody, kinds_meet: true }),
            (LockSupport::PerHost, _) | (LockSupport::Emulated, true) => Ok(LockRules::of(Reach::SameHost)),
            (LockSupport::Unenforced, _) => Ok(LockRules::of(Reach::Nobody)),
            (LockSupport::Nothing, _) => Err(Errno::NoLocks),
            (LockSupport::Fails(errno), _) => Err(errno),
        }
    }

    /// Whether the locks of two owners can be in each other's way at all.
    pub(super) fn are_rivals(&self, rules: LockRules, one: Owner, other: Owner) -> bool {
        one != other
            && match rules.reach {
                Reach::Everybody => true,
                Reach::SameHost => self.host_of(one.process()) == self.host_of(other.process()),
                Reach::Nobody => false,
            }
    }

    /// The first flock on a file that is in the way of a lock.
    pub(super) fn flock_in_the_way(
        &self,
        number: u64,
        rules: LockRules,
        owner: Owner,
        exclusive: bool,
    ) -> Option<(DescriptionId, Held)> {
        let mut flocks = self.inode(number).locks.iter().map(|(id, held)| (*id, *held));
        flocks.find(|(id, held)| {
            (exclusive || held.exclusive) && self.are_rivals(rules, owner, Owner::Description(*id))
        })
    }

    fn keeps_flock_out(&self, number: u64, rules: LockRules, id: DescriptionId, exclusive: bool) -> bool {
        let owner = Owner::Description(id);
        if rules.kinds_meet {
            self.keeps_whole_out(number, rules, owner, exclusive)
        } else {
            self.flock_in_the_way(number, rules, owner, exclusive).is_some()
        }
    }

    fn drop_flock(&mut self, number: u64, id: DescriptionId) {
        if self.inode(number).locks.get(&id).is_some() {
            self.inode_mut(number).locks.remove(&id);
        }
    }

    /// Drops what a process has locked with `F_SETLK`: it is closing a descriptor of that file (`locks_remove_posix` in
    /// `fs/locks.c`).
    pub(super) fn drop_process_locks(&mut self, who: ProcessId, id: DescriptionId) {
        self.drop_ranges(self.target(id), Owner::Process(who));
    }

    /// Drops what belongs to a description that is about to be closed for good (`locks_remove_file` in `fs/locks.c`).
    pub(super) fn drop_description_locks(&mut self, id: DescriptionId) {
        let target = self.target(id);
        if let Target::File(number) = target {
            self.drop_flock(number, id);
        }
        self.drop_ranges(target, Owner::Description(id));
    }

    fn target(&self, id: DescriptionId) -> Target {
        match self.description(id).object {
            Object::File { inode, .. } => Target::File(inode),
            Object::Tcp(_) | Object::UnixListener(_) | Object::UnixStream { .. } | Object::Pidfd { .. } => {
                Target::Other(id)
            }
        }
    }

    /// All locks on the file system of this path vanish, as on NFSv4 when a client has not renewed its lease in time and
    /// cannot get its locks back. Nobody is told: whoever held one finds out when he reads or writes through the
    /// description or, if it was taken with `F_SETLK`, in the process that it belonged to. That is
    /// [`Errno::InputOutput`] until the lock is given back or the file is closed (`nfs4_copy_lock_stateid` in
    /// `fs/nfs/nfs4state.c`). Here it shows at once, while NFS can take a write into its cache first.
    ///
    /// # Panics
    ///
    /// If the path does not exist.
    pub fn lose_locks(&mut self, path: &Path) {
        let Some(found) = self.found(path) else { panic!("{} does not exist", path.display()) };
        let mount = self.inode(found).mount;
        let locked = self.inodes.iter().filter(|(_, inode)| inode.mount == mount && inode.is_locked());
        let locked: Vec<u64> = locked.map(|(number, _)| *number).collect();
        for number in locked {
            let inode = self.inode_mut(number);
            let flocks = inode.locks.keys().map(|id| Owner::Description(*id));
            inode.lost.extend(flocks.chain(inode.ranges.owners()));
            inode.lost.sort_unstable();
            inode.lost.dedup();
            inode.locks = Table::new();
            inode.ranges = RangeLocks::NONE;
        }
    }

    /// Whether a process may read and write through a descriptor: not if that relies on a lock that was lost.
    pub(super) fn check_locks_kept(&self, who: ProcessId, fd: Fd) -> Result<(), Errno> {
        let Some(number) = self.opened_inode(who, fd)? else { return Ok(()) };
        let owners = [Owner::Process(who), Owner::Description(self.description_of(who, fd)?)];
        let lost = &self.inode(number).lost;
        if owners.iter().any(|owner| lost.contains(owner)) { Err(Errno::InputOutput) } else { Ok(()) }
    }

    /// Whoever gives back a lock that was lost can go on.
    pub(super) fn forgive(&mut self, target: Target, owner: Owner) {
        if let Target::File(number) = target
            && self.inode(number).lost.contains(&owner)
        {
            self.inode_mut(number).lost.retain(|lost| *lost != owner);
        }
    }
}
