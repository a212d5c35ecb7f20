//! A descriptor is a number in one process; what it stands for is an open file description, and that holds the lock.
//!
//! Today each description has one descriptor, because no call shares one. The two are apart all the same: inherited
//! descriptors are where lock designs fail, and they will come.
//!
//! # Invariants
//!
//! - A new descriptor gets the lowest number that is free in its process, from 3.
//! - A description goes with its last descriptor, and takes its flock, its name or its port with it.

use std::net::SocketAddr;

use portcullis_os::{Errno, Fd, Reply, Uid};

use super::shared::Shared;
use super::unix::{Side, UnixListener};
use super::{Kernel, ProcessId};

/// 0, 1 and 2 are the standard streams.
const FIRST_FD: i32 = 3;
/// `RLIMIT_NOFILE`: the usual soft limit.
const FD_LIMIT: i32 = 1024;

/// Which open file description: whose it was, and its number among those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct DescriptionId {
    creator: ProcessId,
    number: u32,
}

/// An open file description.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Description {
    pub(super) object: Object,
    /// How many descriptors refer to it.
    descriptors: u32,
}

/// What a description is open on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Object {
    File { inode: u64, writable: bool },
    Tcp(TcpSocket),
    UnixListener(UnixListener),
    UnixStream { socket: u64, uid: Uid, connection: u64, side: Side },
}

/// A TCP socket that is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TcpSocket {
    pub(super) socket: u64,
    pub(super) uid: Uid,
    pub(super) address: SocketAddr,
    pub(super) listening: bool,
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
        let fd = self.free_fd(who)?;
        let process = self.process_mut(who);
        let number = lowest_free(process.descriptions.keys().copied());
        process.descriptions.insert(number, Shared::new(Description { object, descriptors: 1 }));
        process.descriptors.insert(fd, DescriptionId { creator: who, number });
        Ok(fd)
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
        if free < FD_LIMIT { Ok(Fd(free)) } else { Err(Errno::TooManyFiles) }
    }

    /// Removes a descriptor, and its description if that was the last one.
    pub(super) fn forget(&mut self, who: ProcessId, fd: Fd) {
        let Some(id) = self.process_mut(who).descriptors.remove(&fd) else { return };
        let description = self.description_mut(id);
        description.descriptors -= 1;
        if description.descriptors > 0 {
            return;
        }
        if let Some(description) = self.process_mut(id.creator).descriptions.remove(&id.number) {
            match &description.object {
                Object::File { inode, .. } => self.close_file(id, *inode),
                // A port is taken by the description itself.
                Object::Tcp(_) => {}
                Object::UnixListener(listener) => self.refuse_pending(&listener.pending),
                Object::UnixStream { connection, side, .. } => self.hang_up(*connection, *side),
            }
        }
    }

    /// The last close of a file: its flock goes, and the inode if it has no name.
    fn close_file(&mut self, id: DescriptionId, number: u64) {
        let inode = self.inode_mut(number);
        inode.locks.remove(&id);
        inode.opened -= 1;
        self.drop_unreferenced(number);
    }

    pub(super) fn description_of(&self, who: ProcessId, fd: Fd) -> Result<DescriptionId, Errno> {
        self.process(who).descriptors.get(&fd).copied().ok_or(Errno::BadDescriptor)
    }

    pub(super) fn object(&self, who: ProcessId, fd: Fd) -> Result<&Object, Errno> {
        Ok(&self.description(self.description_of(who, fd)?).object)
    }

    /// The inode that a descriptor is open on; `None` for a socket.
    pub(super) fn opened_inode(&self, who: ProcessId, fd: Fd) -> Result<Option<u64>, Errno> {
        match self.object(who, fd)? {
            Object::File { inode, .. } => Ok(Some(*inode)),
            Object::Tcp(_) | Object::UnixListener(_) | Object::UnixStream { .. } => Ok(None),
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

/// The smallest number that is not in an ascending sequence.
fn lowest_free(taken: impl Iterator<Item = u32>) -> u32 {
    taken.zip(0..).take_while(|(number, expected)| number == expected).count() as u32
}

#[cfg(test)]
mod tests {
    use super::lowest_free;

    #[test]
    fn the_lowest_gap_is_taken_first() {
        assert_eq!(lowest_free([].into_iter()), 0);
        assert_eq!(lowest_free([0, 1, 2].into_iter()), 3);
        assert_eq!(lowest_free([0, 2, 3].into_iter()), 1);
        assert_eq!(lowest_free([1].into_iter()), 0);
    }
}
