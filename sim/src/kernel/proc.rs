//! What `/proc` tells about processes, locks and sockets: hints about others, stale as soon as they are read.
//!
//! Each pid namespace has a `/proc` of its own, which shows who has a pid there. Names, states and command lines are open
//! to everybody, unless the namespace hides them. Descriptors of another user's process are not. A zombie has none, and its
//! `fd` directory belongs to root, but not `fdinfo`. A process that is dying is shown as running, with no command line and no
//! descriptors, even while it still holds some (`exit_mm` and `exit_files` come before `exit_notify`). A thread is found
//! under its own number and is not listed; it shows what its process shows. `/proc/locks` names who took a lock;
//! `/proc/PID/fdinfo` who holds it.

use portcullis_os::{Errno, FileId, Pid, Port, ProcessState, ProcessStatus, Reply, TcpRow, TcpState};

use super::descriptions::{DescriptionId, Object};
use super::process::Stage;
use super::{Kernel, NetworkNamespace, ProcessId};

impl Kernel {
    /// The numbers in `/proc`, zombies included.
    pub(super) fn list_processes(&self, who: ProcessId) -> Result<Reply, Errno> {
        let namespace = self.process(who).birth.place.pids;
        let mut pids: Vec<Pid> = self
            .processes()
            .filter(|process| self.process(*process).is_listed() && self.is_shown(who, *process))
            .filter_map(|process| self.pid_in(namespace, process))
            .collect();
        pids.sort_unstable();
        Ok(Reply::Pids(pids))
    }

    /// `/proc/PID/stat`, see proc_pid_stat(5). A parent outside of the pid namespace shows as none.
    pub(super) fn process_status(&self, who: ProcessId, pid: Pid) -> Result<Reply, Errno> {
        let process = self.process(self.look_up(who, pid)?);
        let namespace = self.process(who).birth.place.pids;
        let thread = self.thread_in(namespace, pid);
        Ok(Reply::Process(ProcessStatus {
            name: process.image.name.clone(),
            state: match process.stage {
                Stage::Running | Stage::Dying(_) => ProcessState::Running,
                Stage::Stopped => ProcessState::Stopped,
                Stage::Uninterruptible => ProcessState::Uninterruptible,
                Stage::Zombie(_) | Stage::Reaped(_) => ProcessState::Zombie,
            },
            parent: process.parent.and_then(|parent| self.pid_in(namespace, parent)),
            start: thread.map_or(process.birth.start, |(_, thread)| thread.start),
        }))
    }

    /// `/proc/PID/cmdline`, see proc_pid_cmdline(5): empty for the dying and for a zombie, whose memory is gone.
    pub(super) fn process_command(&self, who: ProcessId, pid: Pid) -> Result<Reply, Errno> {
        let process = self.process(self.look_up(who, pid)?);
        let command = if process.is_alive() { process.image.command.clone() } else { String::new() };
        Ok(Reply::Text(command))
    }

    /// The flocks in the `lock:` lines of `/proc/PID/fdinfo/*`, see proc_pid_fdinfo(5).
    pub(super) fn holds_lock(&self, who: ProcessId, pid: Pid, file: FileId) -> Result<Reply, Errno> {
        let mut opened = self.inspect(who, pid, Listing::Fdinfo)?.into_iter();
        let inode = self.inodes.get(&file.inode).filter(|inode| inode.id(file.inode) == file);
        let holds = inode.is_some_and(|inode| opened.any(|id| inode.locks.get(&id).is_some()));
        Ok(Reply::Truth(holds))
    }

    /// The `socket:[N]` links of `/proc/PID/fd`, see proc_pid_fd(5).
    pub(super) fn holds_socket(&self, who: ProcessId, pid: Pid, socket: u64) -> Result<Reply, Errno> {
        let opened = self.inspect(who, pid, Listing::Fd)?;
        let mut sockets = opened.into_iter().filter_map(|id| self.description(id).object.socket());
        Ok(Reply::Truth(sockets.any(|other| other == socket)))
    }

    /// The flocks in `/proc/locks` on one file, see proc_locks(5). A kernel lists the locks that its own processes took.
    pub(super) fn lock_takers(&self, who: ProcessId, file: FileId) -> Result<Reply, Errno> {
        let inode = self.inodes.get(&file.inode).filter(|inode| inode.id(file.inode) == file);
        let host = self.host_of(who);
        let held = inode.iter().flat_map(|inode| inode.locks.iter());
        let mut pids: Vec<Pid> = held
            .filter(|(id, _)| self.host_of(id.creator) == host)
            .filter_map(|(_, held)| self.taker_seen_by(who, held.taken_by))
            .collect();
        pids.sort_unstable();
        pids.dedup();
        Ok(Reply::Pids(pids))
    }

    /// The lines of `/proc/net/tcp` and `tcp6` about one port, see proc_pid_net(5). A socket that is bound and does not
    /// listen is not in them.
    pub(super) fn tcp_table(&self, who: ProcessId, port: Port) -> Result<Reply, Errno> {
        let network = self.process(who).birth.place.network;
        let mut rows: Vec<TcpRow> = self
            .listener_rows(network)
            .chain(self.connection_rows(network))
            .filter(|row| row.local.port() == port.get())
            .collect();
        rows.sort_unstable();
        Ok(Reply::Tcp(rows))
    }

    /// The same of all listeners on ports from one to another.
    pub(super) fn tcp_listeners_between(
        &self,
        who: ProcessId,
        first: Port,
        last: Port,
    ) -> Result<Reply, Errno> {
        let network = self.process(who).birth.place.network;
        let ports = first.get()..=last.get();
        let mut rows: Vec<TcpRow> =
            self.listener_rows(network).filter(|row| ports.contains(&row.local.port())).collect();
        rows.sort_unstable();
        Ok(Reply::Tcp(rows))
    }

    fn listener_rows(&self, network: NetworkNamespace) -> impl Iterator<Item = TcpRow> {
        self.tcp_sockets().filter_map(move |(_, tcp)| {
            let binding = tcp.listening().filter(|binding| binding.network == network)?;
            let state = TcpState::Listen;
            Some(TcpRow { local: binding.address, state, uid: binding.uid, socket: tcp.socket })
        })
    }

    /// Whose entry of `/proc` a number is, be it listed or not.
    fn look_up(&self, who: ProcessId, pid: Pid) -> Result<ProcessId, Errno> {
        let namespace = self.process(who).birth.place.pids;
        let found = self.addressed(namespace, pid).filter(|process| self.is_shown(who, *process));
        found.ok_or(Errno::NotFound)
    }

    /// What `/proc/PID/fd` or `fdinfo` lists, as far as the asker may know (ptrace(2), `PTRACE_MODE_READ`). Who has no memory
    /// left has no owner that `fd` could belong to (`task_dump_owner`); everybody may enter `fdinfo`, if they may look at
    /// the process (`proc_fdinfo_permission`).
    fn inspect(&self, who: ProcessId, pid: Pid, listing: Listing) -> Result<Vec<DescriptionId>, Errno> {
        let id = self.look_up(who, pid)?;
        let (process, uid) = (self.process(id), self.process(who).birth.uid);
        let is_alive = process.is_alive();
        if uid.0 == 0 || uid == process.birth.uid && (is_alive || listing == Listing::Fdinfo) {
            Ok(if is_alive { self.opened(id).collect() } else { Vec::new() })
        } else {
            Err(Errno::AccessDenied)
        }
    }
}

/// A directory of `/proc/PID`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listing {
    Fd,
    Fdinfo,
}

impl Object {
    fn socket(&self) -> Option<u64> {
        match self {
            Self::File { .. } | Self::Pidfd { .. } => None,
            Self::Tcp(tcp) => Some(tcp.socket),
            Self::UnixListener(listener) => Some(listener.socket),
            Self::UnixStream { socket, .. } => Some(*socket),
        }
    }
}
