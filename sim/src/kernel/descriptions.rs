//! A descriptor is a number in one process; what it stands for is an open file description, and that holds the lock.
//!
//! Several descriptors can be on one description, in one process or in many: by duplication, by fork, or because one was
//! sent to another process. A description that is on its way in a message has a reference and no descriptor.
//!
//! # Invariants
//!
//! - A new descriptor gets the lowest number that is free in its process, from 3.
//! - A description goes with its last reference, and takes its locks, its name or its port with it.
//! - Who creates a description numbers it by what it did itself: a number that others have shared is not given out
//!   again, so that it makes no difference when they close it.

use std::fmt;

use portcullis_os::{Errno, Fd, Reply, Uid};

use super::mounts::ViewId;
use super::paths::Spot;
use super::tcp::{Role, Side, TcpSocket};
use super::unix::UnixListener;
use super::{Kernel, ProcessId};
use crate::shared::Shared;

/// 0, 1 and 2 are the standard streams.
const FIRST_FD: i32 = 3;

/// Which open file description: whose it was, and its number among those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct DescriptionId {
    pub(super) creator: ProcessId,
    number: u32,
}

/// One entry of the table of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Descriptor {
    pub(super) description: DescriptionId,
    /// Whether it outlives execve(2). The opposite of `FD_CLOEXEC`.
    pub(super) inherit: bool,
}

/// An open file description.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Description {
    pub(super) object: Object,
    /// How many descriptors, and messages on their way, refer to it.
    references: u32,
}

/// What a description is open on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Object {
    File { inode: u64, writable: bool, append: bool, view: ViewId, handle: Handle },
    Tcp(TcpSocket),
    UnixListener(UnixListener),
    UnixStream { socket: u64, uid: Uid, connection: u64, side: Side },
    Pidfd { process: ProcessId },
}

/// Whether a server still knows the file that a description is open on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Handle {
    Known,
    Forgotten,
}

impl fmt::Display for DescriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "description {} of process {}", self.number, self.creator.0)
    }
}

impl Object {
    /// The file that it is open on.
    pub(super) const fn opened_inode(&self) -> Option<u64> {
        match self {
            Self::File { inode, .. } => Some(*inode),
            Self::Tcp(_) | Self::UnixListener(_) | Self::UnixStream { .. } | Self::Pidfd { .. } => None,
        }
    }

    /// The server does not know the file any more.
    pub(super) const fn forget(&mut self) {
        match self {
            Self::File { handle, .. } => *handle = Handle::Forgotten,
            Self::Tcp(_) | Self::UnixListener(_) | Self::UnixStream { .. } | Self::Pidfd { .. } => {}
        }
    }

    /// The file that can be written through it.
    pub(super) const fn written_inode(&self) -> Option<u64> {
        match self {
            Self::File { inode, writable: true, .. } => Some(*inode),
            Self::File { .. }
            | Self::Tcp(_)
            | Self::UnixListener(_)
            | Self::UnixStream { .. }
            | Self::Pidfd { .. } => None,
        }
    }
}

impl Kernel {
    /// close(2).
    pub(super) fn close(&mut self, who: ProcessId, fd: Fd) -> Result<Reply, Errno> {
        self.description_of(who, fd)?;
        self.forget(who, fd);
        Ok(Reply::Done)
    }

    /// Gives a process a descriptor of a new description.
    ///
    /// # Errors
    ///
    /// [`Errno::TooManyFiles`] if it has as many as it may have. Ask [`Kernel::free_fd`] before anything is changed.
    pub(super) fn install(&mut self, who: ProcessId, object: Object) -> Result<Fd, Errno> {
        self.free_fd(who)?;
        let process = self.process_mut(who);
        let number = lowest_free(process.descriptions.keys().copied(), process.asked.shared);
        process.descriptions.insert(number, Shared::new(Description { object, references: 1 }));
        self.give(who, DescriptionId { creator: who, number })
    }

    /// Gives a process a descriptor of a description, close-on-exec. A reference that was counted before is used up.
    ///
    /// # Errors
    ///
    /// [`Errno::TooManyFiles`], and the reference is still counted.
    pub(super) fn give(&mut self, who: ProcessId, id: DescriptionId) -> Result<Fd, Errno> {
        let fd = self.free_fd(who)?;
        self.process_mut(who).descriptors.insert(fd, Descriptor { description: id, inherit: false });
        Ok(fd)
    }

    /// Counts one more reference to a description, for the process that has it.
    pub(super) fn refer(&mut self, id: DescriptionId) {
        self.description_mut(id).references += 1;
    }

    /// Counts one more reference to a description, for somebody else than the process that has it: its number is not given
    /// out again.
    pub(super) fn share(&mut self, id: DescriptionId) {
        self.refer(id);
        let creator = self.process(id.creator);
        if creator.is_alive() && creator.asked.shared <= id.number {
            self.process_mut(id.creator).asked.shared = id.number + 1;
        }
    }

    /// The descriptor that the next call of a process would return.
    pub(super) fn free_fd(&self, who: ProcessId) -> Result<Fd, Errno> {
        let mut free = FIRST_FD;
        for fd in self.process(who).descriptors.keys() {
            if fd.0 > free {
                break;
            }
            free = fd.0 + 1;
        }
        let limit = i32::try_from(self.process(who).descriptor_limit).unwrap_or(i32::MAX);
        if free < limit { Ok(Fd(free)) } else { Err(Errno::TooManyFiles) }
    }

    /// Removes a descriptor, and its description if that was the last reference.
    pub(super) fn forget(&mut self, who: ProcessId, fd: Fd) {
        if let Some(descriptor) = self.process_mut(who).descriptors.remove(&fd) {
            self.drop_process_locks(who, descriptor.description);
            self.dismiss(descriptor.description);
            self.collect_cycles();
        }
    }

    /// Counts one reference to a description less. With the last one it goes.
    pub(super) fn dismiss(&mut self, id: DescriptionId) {
        let description = self.description_mut(id);
        description.references -= 1;
        if description.references > 0 {
            return;
        }
        self.drop_description_locks(id);
        if let Some(description) = self.process_mut(id.creator).descriptions.remove(&id.number) {
            match &description.object {
                Object::File { inode, .. } => self.close_file(*inode),
                Object::Tcp(tcp) => {
                    match &tcp.role {
                        // A port is taken by the description itself.
                        Role::Bound(_) => {}
                        Role::Listening { pending, .. } => self.reset_pending(pending),
                        Role::Connected { connection, side } => self.hang_up_tcp(*connection, *side),
                    }
                    self.tidy_ports();
                }
                // It holds nothing.
                Object::Pidfd { .. } => {}
                Object::UnixListener(listener) => self.refuse_pending(&listener.pending),
                Object::UnixStream { connection, side, .. } => self.hang_up(*connection, *side),
            }
        }
    }

    /// The last close of a file: the inode goes if it has no name.
    fn close_file(&mut self, number: u64) {
        self.inode_mut(number).opened -= 1;
        self.drop_unreferenced(number);
    }

    pub(super) fn description_of(&self, who: ProcessId, fd: Fd) -> Result<DescriptionId, Errno> {
        let descriptor = self.process(who).descriptors.get(&fd).ok_or(Errno::BadDescriptor)?;
        Ok(descriptor.description)
    }

    pub(super) fn object(&self, who: ProcessId, fd: Fd) -> Result<&Object, Errno> {
        Ok(&self.description(self.description_of(who, fd)?).object)
    }

    /// The inode that a descriptor is open on; `None` for a socket or pidfd.
    ///
    /// # Errors
    ///
    /// [`Errno::StaleHandle`] if its file system does not know it any more.
    pub(super) fn opened_inode(&self, who: ProcessId, fd: Fd) -> Result<Option<u64>, Errno> {
        Ok(self.opened_spot(who, fd)?.map(|spot| spot.inode))
    }

    /// The inode that a descriptor is open on, and how it was reached; `None` for a socket.
    pub(super) fn opened_spot(&self, who: ProcessId, fd: Fd) -> Result<Option<Spot>, Errno> {
        match self.object(who, fd)? {
            Object::File { handle: Handle::Forgotten, .. } => Err(Errno::StaleHandle),
            Object::File { inode, view, handle: Handle::Known, .. } => {
                self.check_handle(who, *inode)?;
                Ok(Some(Spot { view: *view, inode: *inode }))
            }
            Object::Tcp(_) | Object::UnixListener(_) | Object::UnixStream { .. } | Object::Pidfd { .. } => {
                Ok(None)
            }
        }
    }

    pub(super) fn description(&self, id: DescriptionId) -> &Description {
        match self.process(id.creator).descriptions.get(&id.number) {
            Some(description) => description,
            None => unreachable!("a descriptor refers to a description that is gone"),
        }
    }

    pub(super) fn description_mut(&mut self, id: DescriptionId) -> &mut Description {
        match self.process_mut(id.creator).descriptions.get_mut(&id.number) {
            Some(description) => description.edit(),
            None => unreachable!("a descriptor refers to a description that is gone"),
        }
    }

    /// Every description there is, with its id. Ascending by creator and number.
    pub(super) fn descriptions(&self) -> impl Iterator<Item = (DescriptionId, &Description)> {
        self.processes.iter().zip(0..).flat_map(|(process, creator)| {
            process.descriptions.iter().map(move |(number, description)| {
                (DescriptionId { creator: ProcessId(creator), number: *number }, &**description)
            })
        })
    }
}

/// The smallest number from `least` on that is not in an ascending sequence.
fn lowest_free(taken: impl Iterator<Item = u32>, least: u32) -> u32 {
    let above = taken.skip_while(|number| *number < least);
    least + above.zip(least..).take_while(|(number, expected)| number == expected).count() as u32
}

#[cfg(test)]
mod tests {
    use super::lowest_free;

    #[test]
    fn the_lowest_gap_is_taken_first() {
        assert_eq!(lowest_free([].into_iter(), 0), 0);
        assert_eq!(lowest_free([0, 1, 2].into_iter(), 0), 3);
        assert_eq!(lowest_free([0, 2, 3].into_iter(), 0), 1);
        assert_eq!(lowest_free([1].into_iter(), 0), 0);
        assert_eq!(lowest_free([0, 3].into_iter(), 2), 2);
        assert_eq!(lowest_free([0, 2, 3].into_iter(), 2), 4);
    }
}
