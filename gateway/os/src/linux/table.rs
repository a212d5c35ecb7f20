//! The descriptors that this process has opened, by number: forgetting one closes it, whoever still waits on it.
//!
//! The table owns every descriptor, so a number that it does not know is `EBADF` and never somebody else's file. The
//! kernel gives a number out again only after it was closed, and it is closed only after it left the table.
//!
//! What waits on a descriptor keeps no hold on it: closing frees the port or the lock at once, and the waiter is woken
//! and told `EBADF`. With a strong reference a listener would stay open until the waiting task happened to run.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::wakers::{Wakers, lock};
use crate::{Errno, Fd};

/// The open descriptors of this process, except those that it neither opened nor adopted.
#[derive(Debug, Default)]
pub(super) struct Table(Mutex<BTreeMap<Fd, Arc<Entry>>>);

/// One open descriptor.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its place in the epoll of the runtime, made at the first wait and kept: a process that accepts on a hundred
    /// sockets would otherwise register all of them for every connection. Declared first, so that it is dropped first:
    /// a number must leave the epoll before the kernel can give it out again.
    registration: Mutex<Option<AsyncFd<Arc<OwnedFd>>>>,
    waiters: Arc<Wakers>,
    fd: Arc<OwnedFd>,
}

/// Where a path starts.
pub(super) enum Start {
    /// At the root: the path is absolute.
    Root,
    /// At an open directory.
    Directory(Arc<Entry>),
}

impl Table {
    /// Takes a descriptor in and returns its number.
    pub(super) fn insert(&self, fd: OwnedFd) -> Fd {
        let number = Fd(fd.as_raw_fd());
        let entry =
            Entry { registration: Mutex::new(None), waiters: Arc::new(Wakers::default()), fd: Arc::new(fd) };
        lock(&self.0).insert(number, Arc::new(entry));
        number
    }

    /// The descriptor of this number. Hold it for one system call, never across an `await`: it stays open so long.
    pub(super) fn get(&self, fd: Fd) -> Result<Arc<Entry>, Errno> {
        lock(&self.0).get(&fd).cloned().ok_or(Errno::BadDescriptor)
    }

    /// The descriptor of this number, without holding it open.
    pub(super) fn watch(&self, fd: Fd) -> Result<Weak<Entry>, Errno> {
        self.get(fd).map(|entry| Arc::downgrade(&entry))
    }

    /// Where a path relative to `at` starts.
    pub(super) fn start(&self, at: Option<Fd>) -> Result<Start, Errno> {
        at.map_or(Ok(Start::Root), |fd| self.get(fd).map(Start::Directory))
    }

    /// Closes a descriptor. A write error that close(2) would report late is not seen: who must know asks fsync(2).
    pub(super) fn close(&self, fd: Fd) -> Result<(), Errno> {
        // Taken out under the lock, dropped outside of it: closing a file may take a while.
        let entry = lock(&self.0).remove(&fd);
        entry.map(drop).ok_or(Errno::BadDescriptor)
    }
}

impl Entry {
    /// A second descriptor of the same open file description, outside of the table.
    pub(super) fn duplicate(&self) -> Result<OwnedFd, Errno> {
        self.fd.try_clone().map_err(|error| errno(&error))
    }

    /// Attempts something until it no longer answers `EAGAIN`, waiting for readability in between.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O enabled.
    pub(super) fn poll_readable<T>(
        &self,
        context: &Context<'_>,
        mut attempt: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Poll<Result<T, Errno>> {
        self.waiters.add(context.waker());
        let waker = Waker::from(Arc::clone(&self.waiters));
        let mut context = Context::from_waker(&waker);
        let mut registration = lock(&self.registration);
        let registration = match &mut *registration {
            Some(made) => made,
            none => none.insert(register(Arc::clone(&self.fd), Interest::READABLE)?),
        };
        loop {
            let Poll::Ready(ready) = registration.poll_read_ready(&mut context) else {
                return Poll::Pending;
            };
            let mut ready = ready.map_err(|error| errno(&error))?;
            match attempt(self.fd.as_fd()) {
                Err(Errno::WouldBlock) => ready.clear_ready(),
                answer => return Poll::Ready(answer),
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Nobody can reach the entry any more, so each waiter that is woken here finds it gone.
        self.waiters.wake_all();
    }
}

impl AsFd for Entry {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsFd for Start {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root => rustix::fs::CWD,
            Self::Directory(entry) => entry.as_fd(),
        }
    }
}

/// Attempts something on a descriptor that is in no table yet until it no longer answers `EAGAIN`, waiting for
/// writability in between, and gives the descriptor back.
///
/// # Panics
///
/// Outside of a tokio runtime with I/O enabled.
pub(super) async fn writing<T>(
    fd: OwnedFd,
    mut attempt: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
) -> Result<(OwnedFd, T), Errno> {
    let fd = register(fd, Interest::WRITABLE)?;
    loop {
        let mut ready = fd.writable().await.map_err(|error| errno(&error))?;
        match attempt(fd.as_fd()) {
            Err(Errno::WouldBlock) => ready.clear_ready(),
            answer => {
                drop(ready);
                return answer.map(|value| (fd.into_inner(), value));
            }
        }
    }
}

/// Enters a descriptor into the epoll of the current runtime.
#[expect(
    deprecated,
    reason = "its successor is unsafe because other types may change or close their descriptor; an `OwnedFd` cannot"
)]
fn register<T: AsRawFd>(fd: T, interest: Interest) -> Result<AsyncFd<T>, Errno> {
    AsyncFd::with_interest(fd, interest).map_err(|error| errno(&error))
}

/// The error number inside an error of the standard library.
pub(super) fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::InputOutput, Errno::from_raw)
}
