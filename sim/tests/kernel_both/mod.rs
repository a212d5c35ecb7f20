//! The same process on the simulated kernel and on the real one, which have to agree on every answer.

use std::path::PathBuf;

use portcullis_os::{
    ByteRange, Call, Errno, Fd, FileId, Linux, LockMode, Open, Os, Pid, RangeHolder, RangeOwner, Reply,
};
use sim::Kernel;
use sim::kernel::ProcessId;
use tempfile::TempDir;

use crate::kernel_machine::{USER, ask, fd, start};

/// What a lock is that was granted.
pub(crate) const DONE: Result<Reply, Errno> = Ok(Reply::Done);

/// A kind of lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Flock,
    Range(RangeOwner),
}

pub(crate) const KINDS: [Kind; 3] =
    [Kind::Flock, Kind::Range(RangeOwner::Process), Kind::Range(RangeOwner::Description)];

impl Kind {
    /// The call that locks a whole file.
    pub(crate) fn lock(self, fd: Fd, mode: LockMode) -> Call {
        match self {
            Self::Flock => Call::Flock { fd, mode },
            Self::Range(owner) => Call::LockRange { fd, owner, mode, range: ByteRange::WHOLE },
        }
    }
}

/// The same process on both kernels. Descriptors are known by the order in which they were opened.
pub(crate) struct Both {
    pub(crate) kernel: Kernel,
    pub(crate) sim: ProcessId,
    linux: Linux,
    open: Vec<(Fd, Fd)>,
    home: TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Both {
    /// A process with a directory of its own.
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut kernel = Kernel::new();
        kernel.make_directory(home.path(), 0o700, USER);
        let sim = start(&mut kernel, "refgate");
        Self { kernel, sim, linux: Linux::new(|_| {}), open: Vec::new(), home, runtime }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn open(&mut self, name: &str, open: Open) -> usize {
        let call = Call::Open { at: None, path: self.path(name), open };
        self.opened([call.clone(), call])
    }

    pub(crate) fn write(&mut self, name: &str) -> usize {
        self.open(name, Open::read_write_create())
    }

    pub(crate) fn read(&mut self, name: &str) -> usize {
        self.open(name, Open::read())
    }

    /// A socket with an abstract name that no other test has.
    pub(crate) fn listen(&mut self, name: &str) -> usize {
        let name = format!("{}-{name}", self.home.path().display());
        let call = Call::ListenUnix { name: name.into(), backlog: 1 };
        self.opened([call.clone(), call])
    }

    /// One more descriptor of the same description.
    pub(crate) fn duplicate(&mut self, of: usize) -> usize {
        let (simulated, real) = self.open[of];
        self.opened([simulated, real].map(|fd| Call::Duplicate { fd }))
    }

    /// What a call opens, on the simulated kernel and on the real one.
    fn opened(&mut self, [simulated, real]: [Call; 2]) -> usize {
        let simulated = fd(ask(&mut self.kernel, self.sim, simulated));
        let real = fd(self.runtime.block_on(self.linux.call(real)));
        self.open.push((simulated, real));
        self.open.len() - 1
    }

    /// Makes a call on both kernels and returns the answer on which they agree. Pids are those of the simulated one.
    pub(crate) fn ask(&mut self, of: usize, call: impl Fn(Fd) -> Call) -> Result<Reply, Errno> {
        let (fd, real_fd) = self.open[of];
        let simulated = ask(&mut self.kernel, self.sim, call(fd));
        let real = self.runtime.block_on(self.linux.call(call(real_fd)));
        let real = self.translated(real);
        assert_eq!(simulated, real, "simulated and real: {:?}", call(fd));
        simulated
    }

    /// A real answer with the pid of the simulated process in it.
    fn translated(&self, real: Result<Reply, Errno>) -> Result<Reply, Errno> {
        let own = self.runtime.block_on(self.linux.own_pid()).unwrap();
        let translated = |pid: Pid| if pid == own { self.kernel.pid(self.sim) } else { pid };
        match real {
            Ok(Reply::Range(Some(holder))) => {
                Ok(Reply::Range(Some(RangeHolder { pid: holder.pid.map(translated), ..holder })))
            }
            Ok(Reply::Pids(pids)) => Ok(Reply::Pids(pids.into_iter().map(translated).collect())),
            other => other,
        }
    }

    /// Makes a call about a file on both kernels.
    pub(crate) fn ask_of_file(
        &mut self,
        name: &str,
        call: impl Fn(FileId, Pid) -> Call,
    ) -> Result<Reply, Errno> {
        use std::os::unix::fs::MetadataExt as _;
        let path = self.path(name);
        let status = std::fs::metadata(&path).unwrap();
        let real_file = FileId { device: status.dev(), inode: status.ino() };
        let real_pid = self.runtime.block_on(self.linux.own_pid()).unwrap();
        let real = self.runtime.block_on(self.linux.call(call(real_file, real_pid)));
        let call = call(self.kernel.lookup(&path).unwrap(), self.kernel.pid(self.sim));
        let simulated = ask(&mut self.kernel, self.sim, call.clone());
        assert_eq!(simulated, self.translated(real), "simulated and real: {call:?}");
        simulated
    }

    pub(crate) fn lock(&mut self, of: usize, kind: Kind, mode: LockMode) -> Result<Reply, Errno> {
        self.ask(of, |fd| kind.lock(fd, mode))
    }

    pub(crate) fn lock_range(
        &mut self,
        of: usize,
        owner: RangeOwner,
        mode: LockMode,
        (start, length): (u64, u64),
    ) -> Result<Reply, Errno> {
        self.ask(of, |fd| Call::LockRange { fd, owner, mode, range: ByteRange { start, length } })
    }

    pub(crate) fn holder(
        &mut self,
        of: usize,
        owner: RangeOwner,
        mode: LockMode,
        (start, length): (u64, u64),
    ) -> Result<Reply, Errno> {
        self.ask(of, |fd| Call::RangeHolder { fd, owner, mode, range: ByteRange { start, length } })
    }

    /// A descriptor that was never opened.
    pub(crate) fn nothing(&mut self) -> usize {
        self.open.push((Fd(900), Fd(900)));
        self.open.len() - 1
    }

    pub(crate) fn close(&mut self, of: usize) {
        assert_eq!(self.ask(of, |fd| Call::Close { fd }), DONE);
    }

    /// The lock that a process has, or a description.
    pub(crate) fn held(
        &self,
        owner: RangeOwner,
        mode: LockMode,
        (start, length): (u64, u64),
    ) -> Result<Reply, Errno> {
        let pid = (owner == RangeOwner::Process).then(|| self.kernel.pid(self.sim));
        Ok(Reply::Range(Some(RangeHolder { mode, range: ByteRange { start, length }, pid })))
    }
}
