//! What `/proc` tells about processes, locks and sockets: hints about others, stale as soon as they are read.
//!
//! Names, states and command lines are open to everybody. Descriptors of another user's process are not, nor those of a
//! zombie, whose `fd` directory belongs to root. `/proc/locks` names who took a lock; `/proc/PID/fdinfo` who holds it.

use portcullis_os::{Errno, FileId, Pid, Port, ProcessState, ProcessStatus, Reply, TcpRow, TcpState};

use super::descriptions::Object;
use super::process::{Process, Stage};
use super::{Kernel, ProcessId};

impl Kernel {
    /// The numbers in `/proc`, zombies included.
    pub(super) fn list_processes(&self) -> Result<Reply, Errno> {
        let mut pids: Vec<Pid> = self
            .processes()
            .map(|process| self.process(process))
            .filter(|process| process.is_listed())
            .map(|process| process.birth.pid)
            .collect();
        pids.sort_unstable();
        Ok(Reply::Pids(pids))
    }

    /// `/proc/PID/stat`, see proc_pid_stat(5). A parent outside of the pid namespace shows as none.
    pub(super) fn process_status(&self, pid: Pid) -> Result<Reply, Errno> {
        let id = self.process_of(pid).ok_or(Errno::NotFound)?;
        let process = self.process(id);
        let parent = self.living_parent(id).filter(|parent| *parent != ProcessId::ENVIRONMENT);
        Ok(Reply::Process(ProcessStatus {
            name: process.birth.name.clone(),
            state: match process.stage {
                Stage::Running => ProcessState::Running,
                Stage::Stopped => ProcessState::Stopped,
                Stage::Zombie(_) | Stage::Reaped(_) => ProcessState::Zombie,
            },
            parent: parent.map(|parent| self.pid(parent)),
            start: process.birth.start,
        }))
    }

    /// `/proc/PID/cmdline`, see proc_pid_cmdline(5): empty for a zombie, whose memory is gone.
    pub(super) fn process_command(&self, pid: Pid) -> Result<Reply, Errno> {
        let process = self.process(self.process_of(pid).ok_or(Errno::NotFound)?);
        let command = if process.is_alive() { process.birth.command.clone() } else { String::new() };
        Ok(Reply::Text(command))
    }

    /// The `lock:` lines of `/proc/PID/fdinfo/*`, see proc_pid_fdinfo(5).
    pub(super) fn holds_lock(&self, who: ProcessId, pid: Pid, file: FileId) -> Result<Reply, Errno> {
        let process = self.inspect(who, pid)?;
        let inode = self.inodes.get(&file.inode).filter(|inode| inode.id(file.inode) == file);
        let holds =
            inode.is_some_and(|inode| process.descriptors.values().any(|id| inode.locks.get(id).is_some()));
        Ok(Reply::Truth(holds))
    }

    /// The `socket:[N]` links of `/proc/PID/fd`, see proc_pid_fd(5).
    pub(super) fn holds_socket(&self, who: ProcessId, pid: Pid, socket: u64) -> Result<Reply, Errno> {
        let process = self.inspect(who, pid)?;
        let mut sockets = process.descriptors.values().filter_map(|id| self.description(*id).object.socket());
        Ok(Reply::Truth(sockets.any(|other| other == socket)))
    }

    /// The lines of `/proc/locks` about one file, see proc_locks(5).
    pub(super) fn lock_takers(&self, file: FileId) -> Result<Reply, Errno> {
        let inode = self.inodes.get(&file.inode).filter(|inode| inode.id(file.inode) == file);
        let mut pids: Vec<Pid> =
            inode.iter().flat_map(|inode| inode.locks.values()).map(|held| held.taken_by).collect();
        pids.sort_unstable();
        Ok(Reply::Pids(pids))
    }

    /// The lines of `/proc/net/tcp` and `tcp6` about one port, see proc_pid_net(5). A socket that is bound and does not
    /// listen is not in them.
    pub(super) fn tcp_table(&self, port: Port) -> Result<Reply, Errno> {
        let mut rows: Vec<TcpRow> = self
            .tcp_sockets()
            .filter(|socket| socket.listening && socket.address.port() == port.get())
            .map(|socket| TcpRow {
                local: socket.address,
                state: TcpState::Listen,
                uid: socket.uid,
                socket: socket.socket,
            })
            .collect();
        rows.sort_unstable();
        Ok(Reply::Tcp(rows))
    }

    /// Opens `/proc/PID/fd` or `fdinfo`, as far as the asker may (ptrace(2), `PTRACE_MODE_READ`).
    fn inspect(&self, who: ProcessId, pid: Pid) -> Result<&Process, Errno> {
        let process = self.process(self.process_of(pid).ok_or(Errno::NotFound)?);
        let uid = self.process(who).birth.uid;
        if uid.0 == 0 || uid == process.birth.uid && process.is_alive() {
            Ok(process)
        } else {
            Err(Errno::AccessDenied)
        }
    }
}

impl Object {
    fn socket(&self) -> Option<u64> {
        match self {
            Self::File { .. } => None,
            Self::Tcp(tcp) => Some(tcp.socket),
            Self::UnixListener(listener) => Some(listener.socket),
            Self::UnixStream { socket, .. } => Some(*socket),
        }
    }
}
