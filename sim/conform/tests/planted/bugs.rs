//! Kernels with one mistake each: decorators that answer as the right one does, except in one point.
//!
//! Each mistake is one that a simulated kernel could really have, and most are ones that a lock would trip over.

use std::path::Path;

use conform::machine::Machine;
use portcullis_os::{
    Call, Errno, Fd, FileId, FileStatus, Links, LockMode, Open, PeerCredentials, Pid, ProcessState,
    RangeOwner, Reply, UnixName,
};
use sim::Kernel;
use sim::kernel::{Completion, Life, ProcessId};

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    FlockAlwaysSucceeds,
    FailedUpgradeKeepsTheSharedLock,
    PosixLockSurvivesAnotherClose,
    ForkInheritsPosixLocks,
    ExecKeepsEveryDescriptor,
    CopiesAreOpenedAnew,
    CloseOfACopyUnlocks,
    OfdLocksBelongToTheProcess,
    ReadersLockExclusively,
    LockIsLostOnRename,
    UnlinkFreesAnOpenFile,
    RenameReachesOpenFiles,
    ExclusiveFollowsDanglingLinks,
    NoFollowFollows,
    AppendIsIgnored,
    NoReplaceReplaces,
    MakeDirectoryForgives,
    UmaskIsIgnored,
    RootIsDenied,
    StickyIsIgnored,
    LinksAreNotCounted,
    TimesAreNotKept,
    ZombieCannotBeSignalled,
    ZombieIsNotListed,
    PidfdOfAZombieIsGone,
    ReusedAddressTakesListeners,
    UnsharedBindIgnoresTheBound,
    ListenNeverConflicts,
    AbstractNameSurvives,
    StaleSocketFileIsReplaced,
    BacklogHoldsOneMore,
    PeerIsWhoeverAsks,
    SentDescriptorLeavesItsSender,
    ResetIsAnEnd,
    SendToTheClosedSucceeds,
    DescriptorsAreUnlimited,
}

/// Every mistake, and within how many sequences it must be found.
pub(crate) const ALL: [(Bug, u32); 36] = [
    (Bug::FlockAlwaysSucceeds, 200),
    (Bug::FailedUpgradeKeepsTheSharedLock, 200),
    (Bug::PosixLockSurvivesAnotherClose, 500),
    (Bug::ForkInheritsPosixLocks, 500),
    (Bug::ExecKeepsEveryDescriptor, 500),
    (Bug::CopiesAreOpenedAnew, 2000),
    (Bug::CloseOfACopyUnlocks, 2000),
    (Bug::OfdLocksBelongToTheProcess, 500),
    (Bug::ReadersLockExclusively, 200),
    (Bug::LockIsLostOnRename, 2000),
    (Bug::UnlinkFreesAnOpenFile, 500),
    (Bug::RenameReachesOpenFiles, 2000),
    (Bug::ExclusiveFollowsDanglingLinks, 2000),
    (Bug::NoFollowFollows, 500),
    (Bug::AppendIsIgnored, 2000),
    (Bug::NoReplaceReplaces, 1000),
    (Bug::MakeDirectoryForgives, 200),
    (Bug::UmaskIsIgnored, 500),
    (Bug::RootIsDenied, 2000),
    (Bug::StickyIsIgnored, 2000),
    (Bug::LinksAreNotCounted, 500),
    (Bug::TimesAreNotKept, 500),
    (Bug::ZombieCannotBeSignalled, 500),
    (Bug::ZombieIsNotListed, 500),
    (Bug::PidfdOfAZombieIsGone, 2000),
    (Bug::ReusedAddressTakesListeners, 500),
    (Bug::UnsharedBindIgnoresTheBound, 500),
    (Bug::ListenNeverConflicts, 1000),
    (Bug::AbstractNameSurvives, 500),
    (Bug::StaleSocketFileIsReplaced, 500),
    (Bug::BacklogHoldsOneMore, 2000),
    (Bug::PeerIsWhoeverAsks, 500),
    (Bug::SentDescriptorLeavesItsSender, 1000),
    (Bug::ResetIsAnEnd, 2000),
    (Bug::SendToTheClosedSucceeds, 1000),
    (Bug::DescriptorsAreUnlimited, 500),
];

/// A kernel with a mistake.
#[derive(Clone, Debug)]
pub(crate) struct Planted {
    kernel: Kernel,
    bug: Bug,
    memory: Memory,
}

/// What a mistake has to remember.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// Who has locked what through which descriptor.
    locked: Vec<(ProcessId, Call)>,
    forked: Vec<ProcessId>,
    unlinked: Vec<FileId>,
    replaced: Vec<(FileId, FileId)>,
    names: Vec<UnixName>,
}

impl Planted {
    pub(crate) fn new(bug: Bug) -> Self {
        Self { kernel: Kernel::new(), bug, memory: Memory::default() }
    }

    fn ask(&mut self, who: ProcessId, call: &Call) -> Result<Reply, Errno> {
        self.kernel.perform(who, call, Completion::Normal)
    }

    /// Asks without leaving a trace.
    fn look(&self, who: ProcessId, call: &Call) -> Result<Reply, Errno> {
        self.kernel.clone().perform(who, call, Completion::Normal)
    }

    fn status(&self, who: ProcessId, fd: Fd) -> Option<FileStatus> {
        match self.look(who, &Call::StatFd { fd }) {
            Ok(Reply::File(status)) => Some(status),
            _ => None,
        }
    }

    fn stat(&self, who: ProcessId, at: Option<Fd>, path: &Path, links: Links) -> Result<FileStatus, Errno> {
        match self.look(who, &Call::Stat { at, path: path.to_owned(), links })? {
            Reply::File(status) => Ok(status),
            other => panic!("{other}"),
        }
    }

    fn is_zombie(&self, who: ProcessId, pid: Pid) -> bool {
        let status = self.look(who, &Call::ProcessStatus { pid });
        matches!(status, Ok(Reply::Process(status)) if status.state == ProcessState::Zombie)
    }

    /// The call that is carried out in place of the one that was asked for.
    fn misread(&self, who: ProcessId, call: &Call) -> Call {
        match (self.bug, call) {
            (Bug::ExclusiveFollowsDanglingLinks, Call::Open { at, path, open }) if open.exclusive => {
                let is_link = self.stat(who, *at, path, Links::NoFollow).is_ok();
                let is_dangling = self.stat(who, *at, path, Links::Follow) == Err(Errno::NotFound);
                let open = Open { exclusive: !(is_link && is_dangling), no_follow: false, ..*open };
                Call::Open { at: *at, path: path.clone(), open }
            }
            (Bug::NoFollowFollows, Call::Open { at, path, open }) => {
                Call::Open { at: *at, path: path.clone(), open: Open { no_follow: false, ..*open } }
            }
            (Bug::AppendIsIgnored, Call::Open { at, path, open }) => {
                Call::Open { at: *at, path: path.clone(), open: Open { append: false, ..*open } }
            }
            (Bug::OfdLocksBelongToTheProcess, Call::LockRange { fd, mode, range, .. }) => {
                Call::LockRange { fd: *fd, owner: RangeOwner::Process, mode: *mode, range: *range }
            }
            (Bug::NoReplaceReplaces, Call::Rename { from_at, from, to_at, to, .. }) => Call::Rename {
                from_at: *from_at,
                from: from.clone(),
                to_at: *to_at,
                to: to.clone(),
                replace: true,
            },
            (Bug::BacklogHoldsOneMore, Call::ListenUnix { name, backlog }) => {
                Call::ListenUnix { name: name.clone(), backlog: backlog + 1 }
            }
            _ => call.clone(),
        }
    }

    /// What happens before the call.
    fn prepare(&mut self, who: ProcessId, call: &Call) {
        match (self.bug, call) {
            (Bug::UmaskIsIgnored, Call::Open { .. } | Call::MakeDirectory { .. }) => {
                let _ = self.ask(who, &Call::SetUmask { mask: 0 });
            }
            (Bug::CloseOfACopyUnlocks, Call::Close { fd }) => {
                let _ = self.ask(who, &Call::Flock { fd: *fd, mode: LockMode::Unlock });
            }
            (Bug::UnlinkFreesAnOpenFile, Call::Unlink { at, path }) => {
                if let Ok(status) = self.stat(who, *at, path, Links::NoFollow) {
                    self.memory.unlinked.push(status.id);
                }
            }
            (Bug::RenameReachesOpenFiles, Call::Rename { from_at, from, to_at, to, replace: true }) => {
                let old = self.stat(who, *to_at, to, Links::NoFollow);
                let new = self.stat(who, *from_at, from, Links::NoFollow);
                if let (Ok(old), Ok(new)) = (old, new) {
                    self.memory.replaced.push((old.id, new.id));
                }
            }
            (Bug::DescriptorsAreUnlimited, _) => self.kernel.limit_descriptors(who, 1024),
            _ => {}
        }
    }

    /// What is answered in place of the right answer.
    fn answer(
        &mut self,
        who: ProcessId,
        call: &Call,
        before: &Kernel,
        right: Result<Reply, Errno>,
    ) -> Result<Reply, Errno> {
        match (self.bug, call, &right) {
            (Bug::FlockAlwaysSucceeds, Call::Flock { .. }, Err(Errno::WouldBlock)) => Ok(Reply::Done),
            (Bug::FailedUpgradeKeepsTheSharedLock, Call::Flock { .. }, Err(Errno::WouldBlock)) => {
                self.kernel = before.clone();
                right
            }
            (Bug::PosixLockSurvivesAnotherClose, Call::LockRange { .. }, Ok(_))
            | (Bug::LockIsLostOnRename, Call::Flock { .. }, Ok(_)) => {
                self.memory.locked.push((who, call.clone()));
                right
            }
            (Bug::PosixLockSurvivesAnotherClose, Call::Close { .. }, Ok(_)) => {
                for (owner, call) in self.memory.locked.clone() {
                    if owner == who {
                        let _ = self.ask(who, &call);
                    }
                }
                right
            }
            (Bug::LockIsLostOnRename, Call::Rename { .. }, Ok(_)) => {
                for (owner, call) in std::mem::take(&mut self.memory.locked) {
                    if let (Call::Flock { fd, .. }, Life::Running) = (call, self.kernel.life(owner)) {
                        let _ = self.ask(owner, &Call::Flock { fd, mode: LockMode::Unlock });
                    }
                }
                right
            }
            (
                Bug::ForkInheritsPosixLocks,
                Call::LockRange { owner: RangeOwner::Process, .. },
                Err(Errno::WouldBlock),
            ) if self.memory.forked.contains(&who) => Ok(Reply::Done),
            (Bug::CopiesAreOpenedAnew, Call::Flock { fd: _, mode: LockMode::Unlock }, Ok(_))
                if self.memory.forked.contains(&who) =>
            {
                self.kernel = before.clone();
                right
            }
            (Bug::ReadersLockExclusively, Call::LockRange { .. }, Err(Errno::BadDescriptor)) => {
                Ok(Reply::Done)
            }
            (Bug::UnlinkFreesAnOpenFile, Call::StatFd { .. }, Ok(Reply::File(status)))
                if status.links == 0 && self.memory.unlinked.contains(&status.id) =>
            {
                Err(Errno::StaleHandle)
            }
            (Bug::RenameReachesOpenFiles, Call::StatFd { .. }, Ok(Reply::File(status))) => {
                let new = self.memory.replaced.iter().find(|(old, _)| *old == status.id);
                let id = new.map_or(status.id, |(_, new)| *new);
                Ok(Reply::File(FileStatus { id, ..*status }))
            }
            (Bug::LinksAreNotCounted, Call::StatFd { .. } | Call::Stat { .. }, Ok(Reply::File(status))) => {
                Ok(Reply::File(FileStatus { links: 1, ..*status }))
            }
            (Bug::TimesAreNotKept, Call::SetModified { .. }, Ok(_)) => {
                self.kernel = before.clone();
                right
            }
            (Bug::MakeDirectoryForgives, Call::MakeDirectory { .. }, Err(Errno::Exists)) => Ok(Reply::Done),
            (Bug::StickyIsIgnored, Call::Unlink { at: None, path }, Err(Errno::NotPermitted)) => {
                self.kernel.remove(path).map(|()| Reply::Done)
            }
            (Bug::ZombieCannotBeSignalled, Call::Kill { pid, .. }, Ok(_)) if self.is_zombie(who, *pid) => {
                Err(Errno::NoProcess)
            }
            (Bug::ZombieIsNotListed, Call::Processes, Ok(Reply::Pids(pids))) => {
                let alive = pids.iter().copied().filter(|pid| !self.is_zombie(who, *pid));
                Ok(Reply::Pids(alive.collect()))
            }
            (Bug::PeerIsWhoeverAsks, Call::PeerCredentials { .. }, Ok(Reply::Peer(peer))) => {
                Ok(Reply::Peer(PeerCredentials { pid: Some(self.kernel.pid(who)), ..*peer }))
            }
            _ => self.answer_of_sockets(who, call, right),
        }
    }

    fn answer_of_sockets(
        &mut self,
        who: ProcessId,
        call: &Call,
        right: Result<Reply, Errno>,
    ) -> Result<Reply, Errno> {
        match (self.bug, call, &right) {
            (Bug::RootIsDenied, Call::Open { .. }, Ok(Reply::Fd(fd))) => {
                let is_root = self.look(who, &Call::OwnUid) == Ok(Reply::Uid(portcullis_os::Uid(0)));
                let is_closed = self.status(who, *fd).is_some_and(|status| status.mode & 0o400 == 0);
                if is_root && is_closed {
                    let _ = self.ask(who, &Call::Close { fd: *fd });
                    return Err(Errno::AccessDenied);
                }
                right
            }
            (Bug::PidfdOfAZombieIsGone, Call::WaitPidfd { .. }, Ok(_)) => Err(Errno::NoProcess),
            (
                Bug::ReusedAddressTakesListeners,
                Call::BindTcp { address, options },
                Err(Errno::AddressInUse),
            ) if options.reuse_address => {
                let address = std::net::SocketAddr::new(address.ip(), 0);
                self.ask(who, &Call::BindTcp { address, options: *options })
            }
            (
                Bug::UnsharedBindIgnoresTheBound,
                Call::BindTcp { address, options },
                Err(Errno::AddressInUse),
            ) => {
                let options = portcullis_os::BindOptions { reuse_address: true, ..*options };
                self.ask(who, &Call::BindTcp { address: *address, options })
            }
            (Bug::ListenNeverConflicts, Call::Listen { .. }, Err(Errno::AddressInUse)) => Ok(Reply::Done),
            (
                Bug::AbstractNameSurvives,
                Call::ListenUnix { name: name @ UnixName::Abstract(_), .. },
                Ok(Reply::Fd(fd)),
            ) => {
                if self.memory.names.contains(name) {
                    let _ = self.ask(who, &Call::Close { fd: *fd });
                    return Err(Errno::AddressInUse);
                }
                self.memory.names.push(name.clone());
                right
            }
            (
                Bug::StaleSocketFileIsReplaced,
                Call::ListenUnix { name: UnixName::Path(path), .. },
                Err(Errno::AddressInUse),
            ) => {
                let _ = self.kernel.remove(path);
                self.ask(who, call)
            }
            (Bug::SentDescriptorLeavesItsSender, Call::SendFd { fd, .. }, Ok(_)) => {
                let _ = self.ask(who, &Call::Close { fd: *fd });
                right
            }
            (Bug::ResetIsAnEnd, Call::Receive { .. }, Err(Errno::ConnectionReset)) => {
                Ok(Reply::Bytes(Vec::new()))
            }
            (Bug::SendToTheClosedSucceeds, Call::Send { bytes, .. }, Err(Errno::BrokenPipe)) => {
                Ok(Reply::Count(bytes.len() as u32))
            }
            _ => right,
        }
    }
}

impl Machine for Planted {
    fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    fn kernel_mut(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    fn perform(&mut self, who: ProcessId, call: &Call, how: Completion) -> Result<Reply, Errno> {
        if how == Completion::TimedOut {
            return self.kernel.perform(who, call, how);
        }
        self.prepare(who, call);
        let before = self.kernel.clone();
        let call = self.misread(who, call);
        let right = self.kernel.perform(who, &call, how);
        // A call that has ended its caller has nobody to answer, and nobody to look around with.
        if self.kernel.life(who) != Life::Running { right } else { self.answer(who, &call, &before, right) }
    }

    fn fork(&mut self, who: ProcessId) -> Result<ProcessId, Errno> {
        let child = self.kernel.fork(who)?;
        self.memory.forked.push(child);
        Ok(child)
    }

    fn exec(&mut self, who: ProcessId, name: &str, command: &str) {
        if self.bug == Bug::ExecKeepsEveryDescriptor {
            for fd in 3..64 {
                let _ = self.ask(who, &Call::SetInherit { fd: Fd(fd), inherit: true });
            }
        }
        self.kernel.exec(who, name, command);
    }
}
