//! Calls that are left out because the real kernel may answer them in more than one way.
//!
//! - Of several sockets that listen on one port by `SO_REUSEPORT`, a hash of the addresses chooses who is connected to; so
//!   nobody connects to such a port.
//! - Unix sockets that are only under way to each other are found by a garbage collector, some time later; so a sequence
//!   sends at most one Unix socket, and not to where the name of that socket leads.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_os::{Call, Fd, Reply, UnixName};

use crate::sequence::Label;
use crate::symbols::label_of;

/// What must be known of the steps so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// The ports of sockets that were bound with `SO_REUSEPORT`.
    sharing: BTreeMap<Label, u16>,
    /// Those of them that listen.
    listening: BTreeSet<Label>,
    /// Where Unix sockets are bound, or are connected to.
    names: BTreeMap<Label, UnixName>,
    /// Descriptors that came over a socket, whatever they are.
    received: BTreeSet<Label>,
    has_sent_socket: bool,
}

impl Rules {
    /// Whether there is only one right answer to a call, as far as its kind decides.
    pub(super) fn admit(&self, template: &Call) -> bool {
        match template {
            Call::ConnectTcp { address, .. } => {
                let rivals =
                    self.listening.iter().filter(|label| self.sharing.get(label) == Some(&address.port()));
                rivals.count() < 2
            }
            Call::SendFd { socket, fd } => self.may_send(*socket, *fd),
            _ => true,
        }
    }

    fn may_send(&self, socket: Fd, fd: Fd) -> bool {
        let (Some(way), Some(sent)) = (label_of(socket), label_of(fd)) else { return true };
        match self.names.get(&sent) {
            Some(name) => !self.has_sent_socket && self.names.get(&way).is_some_and(|leads| leads != name),
            None => !(self.has_sent_socket && self.received.contains(&sent)),
        }
    }

    /// Remembers what a call has done.
    pub(super) fn learn(&mut self, label: Label, template: &Call, reply: &Reply) {
        match template {
            Call::BindTcp { address, options } if options.reuse_port => {
                self.sharing.insert(label, address.port());
            }
            Call::Listen { fd, .. } => {
                self.listening.extend(label_of(*fd).filter(|label| self.sharing.contains_key(label)));
            }
            Call::ListenUnix { name, .. } | Call::ConnectUnix { name } => {
                self.names.insert(label, name.clone());
            }
            Call::Accept { fds } => {
                // Of several listeners the first that is a Unix socket will do: they are all left out alike.
                let names = fds.iter().filter_map(|fd| self.names.get(&label_of(*fd)?).cloned()).next();
                self.names.extend(names.map(|name| (label, name)));
            }
            Call::Duplicate { fd } => self.copy(label, *fd),
            Call::SendFd { fd, .. } => {
                self.has_sent_socket |= label_of(*fd).is_some_and(|sent| self.names.contains_key(&sent));
            }
            Call::ReceiveFd { .. } => {
                self.received.insert(label);
            }
            _ => {}
        }
        let _ = reply;
    }

    fn copy(&mut self, label: Label, fd: Fd) {
        let Some(from) = label_of(fd) else { return };
        if let Some(port) = self.sharing.get(&from).copied() {
            self.sharing.insert(label, port);
        }
        if let Some(name) = self.names.get(&from).cloned() {
            self.names.insert(label, name);
        }
        if self.received.contains(&from) {
            self.received.insert(label);
        }
    }
}
