//! Descriptors on their way through a Unix socket: nobody has them, and what they stand for stays held.
//!
//! The limit of descriptors that one user may have under way (`ETOOMANYREFS`) is not modelled.
//!
//! # Invariants
//!
//! - A description lives while a descriptor refers to it, or a message that somebody could still receive. Messages that
//!   only refer to each other go at once; the real kernel needs a moment for that (`net/unix/garbage.c`).

use std::collections::BTreeSet;

use portcullis_os::{Errno, FOREVER_MS, Fd, Reply};

use super::descriptions::{DescriptionId, Object};
use super::tcp::Side;
use super::{Kernel, ProcessId, Readiness};

/// The byte that a descriptor comes with.
const COMPANION: &[u8] = &[0];

impl Kernel {
    /// sendmsg(2) with `SCM_RIGHTS`. A TCP socket takes the byte and ignores the rest (`__sock_cmsg_send`).
    pub(super) fn send_fd(&mut self, who: ProcessId, socket: Fd, fd: Fd) -> Result<Reply, Errno> {
        let stream = match self.object(who, socket)? {
            Object::UnixStream { connection, side, .. } => Some((*connection, *side)),
            Object::UnixListener(_) | Object::Tcp(_) | Object::File { .. } | Object::Pidfd { .. } => None,
        };
        // A number that is not open is never sent, not even to who would ignore it.
        let passed = self.description_of(who, fd)?;
        let sent = match stream {
            Some(stream) => self.send_stream(stream, COMPANION, Some(passed)),
            None => self.send(who, socket, COMPANION),
        };
        sent.map(|_| Reply::Done)
    }

    /// Without a deadline it waits as long as nothing comes and the other end is open.
    pub(super) fn receive_fd_readiness(&self, who: ProcessId, socket: Fd, deadline_ms: u32) -> Readiness {
        match self.receive_readiness(who, socket) {
            Readiness::WaitsUntilDeadline if deadline_ms == FOREVER_MS => Readiness::Waits,
            readiness @ (Readiness::Ready | Readiness::Waits | Readiness::WaitsUntilDeadline) => readiness,
        }
    }

    /// recvmsg(2) of one byte with `MSG_CMSG_CLOEXEC`. Where there is no descriptor left to be had, the kernel takes the
    /// byte, drops what came with it and says `MSG_CTRUNC` (`scm_detach_fds`).
    pub(super) fn receive_fd(&mut self, who: ProcessId, socket: Fd) -> Result<Reply, Errno> {
        let Object::UnixStream { connection, side, .. } = self.object(who, socket)? else {
            return self.receive(who, socket, 1).and(Err(Errno::NotFound));
        };
        let (connection, side) = (*connection, *side);
        let passed = self.receive_stream(connection, side, 1)?.passed.ok_or(Errno::NotFound)?;
        let given = self.give(who, passed);
        if given.is_err() {
            self.discard_passed(passed);
        }
        given.map(Reply::Fd)
    }

    /// Drops a descriptor that came with a byte which somebody has read.
    pub(super) fn discard_passed(&mut self, id: DescriptionId) {
        self.dismiss(id);
        self.collect_cycles();
    }

    /// Drops what is under way to sockets that are themselves only under way to such sockets.
    pub(super) fn collect_cycles(&mut self) {
        if !self.connections.values().any(|connection| connection.carries_descriptors()) {
            return;
        }
        let held = self
            .processes
            .iter()
            .flat_map(|process| process.descriptors.values().map(|descriptor| descriptor.description));
        let mut found: Vec<DescriptionId> = held.collect();
        let mut reachable = BTreeSet::new();
        while let Some(id) = found.pop() {
            if reachable.insert(id) {
                found.extend(self.inboxes(id).into_iter().flat_map(|(connection, side)| {
                    self.connection(connection).end(side).passed().collect::<Vec<_>>()
                }));
            }
        }
        let lost = self.descriptions().map(|(id, _)| id).filter(|id| !reachable.contains(id));
        let inboxes: Vec<(u64, Side)> = lost.flat_map(|id| self.inboxes(id)).collect();
        let dropped: Vec<DescriptionId> =
            inboxes.into_iter().flat_map(|(connection, side)| self.take_passed(connection, side)).collect();
        for id in dropped {
            self.dismiss(id);
        }
    }

    /// Where something that was sent could be received from a description.
    fn inboxes(&self, id: DescriptionId) -> Vec<(u64, Side)> {
        match &self.description(id).object {
            Object::UnixStream { connection, side, .. } => vec![(*connection, *side)],
            Object::UnixListener(listener) => {
                listener.pending.iter().map(|connection| (*connection, Side::Server)).collect()
            }
            Object::Tcp(_) | Object::File { .. } | Object::Pidfd { .. } => Vec::new(),
        }
    }
}
