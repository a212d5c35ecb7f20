//! A descriptor that closes itself, as a step of its own that others can get between.

use crate::{Errno, Fd, Os};

/// An open descriptor of this process. Dropping it closes it.
#[derive(Debug)]
pub struct Descriptor<O: Os> {
    os: O,
    fd: Option<Fd>,
}

impl<O: Os> Descriptor<O> {
    pub(crate) const fn new(os: O, fd: Fd) -> Self {
        Self { os, fd: Some(fd) }
    }

    /// Its number in this process.
    ///
    /// # Panics
    ///
    /// Never: only [`Descriptor::close`] and [`Descriptor::leak`] take the number out, and both consume the value.
    pub fn fd(&self) -> Fd {
        match self.fd {
            Some(fd) => fd,
            None => unreachable!("a descriptor is used after it was closed"),
        }
    }

    /// Closes it now, and tells how that went. The descriptor is gone either way.
    ///
    /// # Errors
    ///
    /// What close(2) says, for instance a write error that the kernel reports late.
    pub async fn close(mut self) -> Result<(), Errno> {
        match self.fd.take() {
            Some(fd) => self.os.close(fd).await,
            None => Ok(()),
        }
    }

    /// Gives the number away. It stays open until the process ends or somebody closes it by number.
    pub fn leak(mut self) -> Fd {
        let fd = self.fd();
        self.fd = None;
        fd
    }
}

impl<O: Os> Drop for Descriptor<O> {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take() {
            self.os.discard(fd);
        }
    }
}
