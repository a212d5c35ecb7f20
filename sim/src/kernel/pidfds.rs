//! Processes held by descriptor: a number that is given away to somebody else no longer matters.
//!
//! See pidfd_open(2) and pidfd_send_signal(2). A pidfd stays on its process whatever becomes of the pid, can be passed and
//! inherited like any descriptor, and keeps nothing of the process alive.
//!
//! Linux grants locks on a pidfd, as on any file; they are not modelled, and [`Errno::NotImplemented`].

use portcullis_os::{Errno, FOREVER_MS, Fd, FileId, FileKind, FileStatus, Pid, Reply, Signal, Uid};

use super::descriptions::Object;
use super::{Kernel, ProcessId, Readiness};

/// The device of pidfds. It differs from boot to boot.
const DEVICE: u64 = 5;
/// `PID_FS_MAGIC`, from `linux/magic.h`.
pub(super) const MAGIC: u64 = 0x5049_4446;

impl Kernel {
    /// pidfd_open(2). A zombie can be opened; a second thread is [`Errno::NotFound`] (`pidfd_prepare`; older kernels say
    /// `EINVAL`). Neither another user nor `hidepid` is in the way.
    pub(super) fn open_pidfd(&mut self, who: ProcessId, pid: Pid) -> Result<Reply, Errno> {
        let namespace = self.process(who).birth.place.pids;
        let Some(process) = self.process_in(namespace, pid) else {
            let is_thread = self.thread_in(namespace, pid).is_some();
            return Err(if is_thread { Errno::NotFound } else { Errno::NoProcess });
        };
        Ok(Reply::Fd(self.install(who, Object::Pidfd { process })?))
    }

    /// pidfd_send_signal(2): as kill(2), but who was reaped is [`Errno::NoProcess`] whoever has the pid now, and who is not
    /// in the sender's namespace is [`Errno::InvalidArgument`] (`access_pidfd_pidns`).
    pub(super) fn signal_pidfd(
        &mut self,
        who: ProcessId,
        fd: Fd,
        signal: Option<Signal>,
    ) -> Result<Reply, Errno> {
        let target = self.pidfd(who, fd)?;
        let namespace = self.process(who).birth.place.pids;
        self.pid_in(namespace, target).ok_or(Errno::InvalidArgument)?;
        if !self.process(target).is_listed() {
            return Err(Errno::NoProcess);
        }
        self.signal_checked(who, target, signal)
    }

    /// poll(2) of a pidfd.
    pub(super) fn wait_pidfd(&self, who: ProcessId, fd: Fd) -> Result<Reply, Errno> {
        self.pidfd(who, fd).map(|_| Reply::Done)
    }

    /// It is readable once its process is dead: not before everything that the process held is free (`pidfd_poll`).
    pub(super) fn pidfd_readiness(&self, who: ProcessId, fd: Fd, deadline_ms: u32) -> Readiness {
        match self.pidfd(who, fd) {
            Ok(process) if deadline_ms == FOREVER_MS && !self.process(process).is_dead() => Readiness::Waits,
            Ok(process) if !self.process(process).is_dead() => Readiness::WaitsUntilDeadline,
            Ok(_) | Err(_) => Readiness::Ready,
        }
    }

    /// Whose pidfd a descriptor is.
    fn pidfd(&self, who: ProcessId, fd: Fd) -> Result<ProcessId, Errno> {
        match self.object(who, fd)? {
            Object::Pidfd { process } => Ok(*process),
            Object::File { .. } | Object::Tcp(_) | Object::UnixListener(_) | Object::UnixStream { .. } => {
                Err(Errno::BadDescriptor)
            }
        }
    }
}

/// fstat(2) of a pidfd. All pidfds of one process have one inode, which no other process has during one boot.
pub(super) fn status(process: ProcessId) -> FileStatus {
    FileStatus {
        id: FileId { device: DEVICE, inode: u64::from(process.0) },
        kind: FileKind::Special,
        mode: 0o700,
        uid: Uid(0),
        links: 1,
        size: 0,
        modified_ns: 0,
    }
}
