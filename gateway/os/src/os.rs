//! The one door out of a process, and typed names for everything that goes through it.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use crate::listener::{Listener, Round, StreamOf};
use crate::{
    BindOptions, ByteRange, Call, Cell, Clock, Descriptor, Ending, Errno, Fd, FileId, FileStatus, FileSystem,
    Links, LockMode, Namespaces, Notice, Open, PeerCredentials, Pid, Port, ProcessStatus, RangeOwner, Reply,
    Signal, TcpRow, Uid, UnixName, Watched, reply::unexpected, take,
};

/// The operating system as one process sees it.
///
/// The first three operations, [`Os::listener`] and [`Os::dial`] are what an executor implements. All others are typed names for
/// one [`Call`] each; protocol code uses those and never sees a [`Reply`]. The typed operations return what the kernel says as [`Errno`], and panic only if an executor replies in another kind.
pub trait Os: Clone + Send + Sync + 'static {
    /// What a listening TCP socket becomes when it is handed to a server.
    type Listener: Listener;

    /// Takes one step of the machine.
    fn call(&self, call: Call) -> impl Future<Output = Result<Reply, Errno>> + Send;

    /// Starts a child task of this process, which lives until it ends or the process does. Tasks that await nothing but `Os`
    /// share nothing but descriptors and cells ([`Os::load`], [`Os::store`]).
    fn task(&self, body: impl Future<Output = ()> + Send + 'static);

    /// Starts a child task that does the same again and again, until it says that it is over. Nothing is carried from one
    /// round to the next, so one that serves for ever has only the histories of one round, as an executor that learns them needs.
    fn repeat<F>(&self, round: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Round> + Send + 'static,
    {
        self.task(async move { while round().await == Round::Again {} });
    }

    /// Closes a descriptor from a destructor, where nothing can be awaited.
    fn discard(&self, fd: Fd);

    /// Hands a listening TCP socket to a server. The descriptor stays open, so the port stays taken.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`] unless `fd` is a listening TCP socket; [`Errno::NotSupported`] where there is no server.
    fn listener(&self, fd: Fd) -> Result<Self::Listener, Errno>;

    /// Connects to a TCP server by name or address, for bulk data, which is outside of the world of [`Call`]s.
    ///
    /// # Errors
    ///
    /// What connect(2) says, or that nobody knows the name; [`io::ErrorKind::Unsupported`] where there is no network.
    fn dial(&self, host: &str, port: Port) -> impl Future<Output = io::Result<StreamOf<Self>>> + Send;

    /// Any call, with the one kind of reply that answers it taken apart.
    fn answer<T>(
        &self,
        call: Call,
        take: fn(Reply) -> Result<T, Reply>,
    ) -> impl Future<Output = Result<T, Errno>> + Send {
        async move {
            match take(self.call(call.clone()).await?) {
                Ok(value) => Ok(value),
                Err(other) => unexpected(&call, &other),
            }
        }
    }

    /// [`Call::Open`] relative to the root.
    fn open(&self, path: &Path, open: Open) -> impl Future<Output = Result<Descriptor<Self>, Errno>> + Send {
        self.descriptor(Call::Open { at: None, path: path.to_owned(), open })
    }

    /// [`Call::Open`] relative to a directory.
    fn open_at(
        &self,
        at: &Descriptor<Self>,
        path: impl AsRef<Path>,
        open: Open,
    ) -> impl Future<Output = Result<Descriptor<Self>, Errno>> + Send {
        self.descriptor(Call::Open { at: Some(at.fd()), path: path.as_ref().to_owned(), open })
    }

    /// A call that answers with a new descriptor.
    fn descriptor(&self, call: Call) -> impl Future<Output = Result<Descriptor<Self>, Errno>> + Send {
        async move {
            let fd = self.answer(call, take::fd).await?;
            Ok(Descriptor::new(self.clone(), fd))
        }
    }

    /// A call that answers `Done`.
    fn done(&self, call: Call) -> impl Future<Output = Result<(), Errno>> + Send {
        self.answer(call, take::done)
    }

    /// [`Call::Close`] by number. [`Descriptor::close`] is the usual way.
    fn close(&self, fd: Fd) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::Close { fd })
    }

    /// [`Call::Read`].
    fn read(
        &self,
        file: &Descriptor<Self>,
        offset: u64,
        length: u32,
    ) -> impl Future<Output = Result<Vec<u8>, Errno>> + Send {
        self.bytes(Call::Read { fd: file.fd(), offset, length })
    }

    /// A call that answers with bytes.
    fn bytes(&self, call: Call) -> impl Future<Output = Result<Vec<u8>, Errno>> + Send {
        self.answer(call, take::bytes)
    }

    /// [`Call::Write`]: how many bytes were taken.
    fn write(
        &self,
        file: &Descriptor<Self>,
        offset: u64,
        bytes: &[u8],
    ) -> impl Future<Output = Result<u32, Errno>> + Send {
        self.count(Call::Write { fd: file.fd(), offset, bytes: bytes.to_owned() })
    }

    /// A call that answers with a count.
    fn count(&self, call: Call) -> impl Future<Output = Result<u32, Errno>> + Send {
        self.answer(call, take::count)
    }

    /// [`Call::Truncate`].
    fn truncate(
        &self,
        file: &Descriptor<Self>,
        length: u64,
    ) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::Truncate { fd: file.fd(), length })
    }

    /// [`Call::Sync`].
    fn sync(&self, file: &Descriptor<Self>) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::Sync { fd: file.fd() })
    }

    /// [`Call::Stat`] relative to the root.
    fn stat(&self, path: &Path, links: Links) -> impl Future<Output = Result<FileStatus, Errno>> + Send {
        self.status(Call::Stat { at: None, path: path.to_owned(), links })
    }

    /// [`Call::Stat`] relative to a directory.
    fn stat_at(
        &self,
        at: &Descriptor<Self>,
        path: impl AsRef<Path>,
        links: Links,
    ) -> impl Future<Output = Result<FileStatus, Errno>> + Send {
        self.status(Call::Stat { at: Some(at.fd()), path: path.as_ref().to_owned(), links })
    }

    /// [`Call::StatFd`].
    fn stat_fd(&self, file: &Descriptor<Self>) -> impl Future<Output = Result<FileStatus, Errno>> + Send {
        self.status(Call::StatFd { fd: file.fd() })
    }

    /// A call that answers with the status of a file.
    fn status(&self, call: Call) -> impl Future<Output = Result<FileStatus, Errno>> + Send {
        self.answer(call, take::file)
    }

    /// [`Call::FileSystem`].
    fn file_system(&self, file: &Descriptor<Self>) -> impl Future<Output = Result<FileSystem, Errno>> + Send {
        self.answer(Call::FileSystem { fd: file.fd() }, take::file_system)
    }

    /// [`Call::MakeDirectory`] relative to the root.
    fn make_directory(&self, path: &Path, mode: u32) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::MakeDirectory { at: None, path: path.to_owned(), mode })
    }

    /// [`Call::Rename`] inside one directory.
    fn rename_at(
        &self,
        at: &Descriptor<Self>,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
    ) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::Rename {
            from_at: Some(at.fd()),
            from: from.as_ref().to_owned(),
            to_at: Some(at.fd()),
            to: to.as_ref().to_owned(),
            replace: true,
        })
    }

    /// [`Call::Unlink`] relative to the root.
    fn unlink(&self, path: &Path) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::Unlink { at: None, path: path.to_owned() })
    }

    /// [`Call::Flock`].
    fn flock(
        &self,
        file: &Descriptor<Self>,
        mode: LockMode,
    ) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::Flock { fd: file.fd(), mode })
    }

    /// [`Call::OwnPid`].
    fn own_pid(&self) -> impl Future<Output = Result<Pid, Errno>> + Send {
        self.answer(Call::OwnPid, take::pid)
    }

    /// [`Call::OwnUid`].
    fn own_uid(&self) -> impl Future<Output = Result<Uid, Errno>> + Send {
        self.answer(Call::OwnUid, take::uid)
    }

    /// [`Call::Kill`].
    fn kill(&self, pid: Pid, signal: Option<Signal>) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::Kill { pid, signal })
    }

    /// [`Call::CatchSignals`].
    fn catch_signals(&self) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::CatchSignals)
    }

    /// [`Call::NextSignal`].
    fn next_signal(&self) -> impl Future<Output = Result<Signal, Errno>> + Send {
        self.answer(Call::NextSignal, take::signal)
    }

    /// [`Call::Watch`].
    fn watch(
        &self,
        places: Vec<Watched>,
        period_ms: u32,
    ) -> impl Future<Output = Result<Signal, Errno>> + Send {
        self.answer(Call::Watch { places, period_ms }, take::signal)
    }

    /// [`Call::Processes`].
    fn processes(&self) -> impl Future<Output = Result<Vec<Pid>, Errno>> + Send {
        self.answer(Call::Processes, take::pids)
    }

    /// [`Call::ProcessStatus`].
    fn process_status(&self, pid: Pid) -> impl Future<Output = Result<ProcessStatus, Errno>> + Send {
        self.answer(Call::ProcessStatus { pid }, take::process)
    }

    /// [`Call::ProcessCommand`].
    fn process_command(&self, pid: Pid) -> impl Future<Output = Result<String, Errno>> + Send {
        self.text(Call::ProcessCommand { pid })
    }

    /// A call that answers with text.
    fn text(&self, call: Call) -> impl Future<Output = Result<String, Errno>> + Send {
        self.answer(call, take::text)
    }

    /// [`Call::HoldsLock`].
    fn holds_lock(&self, pid: Pid, file: FileId) -> impl Future<Output = Result<bool, Errno>> + Send {
        self.answer(Call::HoldsLock { pid, file }, take::truth)
    }

    /// [`Call::HoldsSocket`].
    fn holds_socket(&self, pid: Pid, socket: u64) -> impl Future<Output = Result<bool, Errno>> + Send {
        self.answer(Call::HoldsSocket { pid, socket }, take::truth)
    }

    /// [`Call::LockTakers`].
    fn lock_takers(&self, file: FileId) -> impl Future<Output = Result<Vec<Pid>, Errno>> + Send {
        self.answer(Call::LockTakers { file }, take::pids)
    }

    /// [`Call::TcpSockets`].
    fn tcp_sockets(&self, port: Port) -> impl Future<Output = Result<Vec<TcpRow>, Errno>> + Send {
        self.answer(Call::TcpSockets { port }, take::tcp)
    }

    /// [`Call::TcpListeners`], by the lowest and the highest port.
    fn tcp_listeners(&self, ports: [Port; 2]) -> impl Future<Output = Result<Vec<TcpRow>, Errno>> + Send {
        let [first, last] = ports;
        self.answer(Call::TcpListeners { first, last }, take::tcp)
    }

    /// [`Call::BindTcp`], as a server does it.
    fn bind_tcp(&self, address: SocketAddr) -> impl Future<Output = Result<Descriptor<Self>, Errno>> + Send {
        self.descriptor(Call::BindTcp { address, options: BindOptions::SERVER })
    }

    /// [`Call::ListenUnix`] under an abstract name.
    fn listen_unix(
        &self,
        name: String,
        backlog: u16,
    ) -> impl Future<Output = Result<Descriptor<Self>, Errno>> + Send {
        self.descriptor(Call::ListenUnix { name: UnixName::Abstract(name), backlog })
    }

    /// [`Call::Listen`].
    fn listen(
        &self,
        socket: &Descriptor<Self>,
        backlog: u16,
    ) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::Listen { fd: socket.fd(), backlog })
    }

    /// [`Call::Accept`].
    fn accept(&self, fds: Vec<Fd>) -> impl Future<Output = Result<(Fd, Descriptor<Self>), Errno>> + Send {
        async move {
            let (on, stream) = self.answer(Call::Accept { fds }, take::accepted).await?;
            Ok((on, Descriptor::new(self.clone(), stream)))
        }
    }

    /// [`Call::ConnectUnix`] under an abstract name.
    fn connect_unix(&self, name: String) -> impl Future<Output = Result<Descriptor<Self>, Errno>> + Send {
        self.descriptor(Call::ConnectUnix { name: UnixName::Abstract(name) })
    }

    /// [`Call::PeerCredentials`].
    fn peer_credentials(
        &self,
        socket: &Descriptor<Self>,
    ) -> impl Future<Output = Result<PeerCredentials, Errno>> + Send {
        self.answer(Call::PeerCredentials { fd: socket.fd() }, take::peer)
    }

    /// [`Call::Send`]: how many bytes were taken.
    fn send(
        &self,
        socket: &Descriptor<Self>,
        bytes: Vec<u8>,
    ) -> impl Future<Output = Result<u32, Errno>> + Send {
        self.count(Call::Send { fd: socket.fd(), bytes })
    }

    /// [`Call::Receive`].
    fn receive(
        &self,
        socket: &Descriptor<Self>,
        length: u32,
        deadline_ms: u32,
    ) -> impl Future<Output = Result<Vec<u8>, Errno>> + Send {
        self.bytes(Call::Receive { fd: socket.fd(), length, deadline_ms })
    }

    /// [`Call::ReadClock`], in nanoseconds.
    fn read_clock(&self, clock: Clock) -> impl Future<Output = Result<u64, Errno>> + Send {
        self.answer(Call::ReadClock { clock }, take::nanoseconds)
    }

    /// [`Call::Sleep`].
    fn sleep(&self, milliseconds: u32) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::Sleep { milliseconds })
    }

    /// [`Call::Random`].
    fn random(&self) -> impl Future<Output = Result<[u8; 16], Errno>> + Send {
        self.answer(Call::Random, take::random)
    }

    /// [`Call::BootId`].
    fn boot_id(&self) -> impl Future<Output = Result<String, Errno>> + Send {
        self.text(Call::BootId)
    }

    /// [`Call::Load`].
    fn load(&self, cell: Cell) -> impl Future<Output = Result<u64, Errno>> + Send {
        self.answer(Call::Load { cell }, take::word)
    }

    /// [`Call::Store`].
    fn store(&self, cell: Cell, value: u64) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::Store { cell, value })
    }

    /// [`Call::Link`] inside one directory.
    fn link_at(
        &self,
        at: &Descriptor<Self>,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
    ) -> impl Future<Output = Result<(), Errno>> + Send {
        let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
        self.done(Call::Link { from_at: Some(at.fd()), from, to_at: Some(at.fd()), to })
    }

    /// [`Call::ReadDirectory`].
    fn read_directory(
        &self,
        directory: &Descriptor<Self>,
    ) -> impl Future<Output = Result<Vec<OsString>, Errno>> + Send {
        self.answer(Call::ReadDirectory { fd: directory.fd() }, take::names)
    }

    /// [`Call::SetMode`].
    fn set_mode(&self, file: &Descriptor<Self>, mode: u32) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::SetMode { fd: file.fd(), mode })
    }

    /// [`Call::LockRange`].
    fn lock_range(
        &self,
        file: &Descriptor<Self>,
        owner: RangeOwner,
        mode: LockMode,
        range: ByteRange,
    ) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::LockRange { fd: file.fd(), owner, mode, range })
    }

    /// [`Call::SetInherit`].
    fn set_inherit(
        &self,
        of: &Descriptor<Self>,
        inherit: bool,
    ) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::SetInherit { fd: of.fd(), inherit })
    }

    /// [`Call::SendFd`].
    fn send_fd(
        &self,
        socket: &Descriptor<Self>,
        descriptor: &Descriptor<Self>,
    ) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::SendFd { socket: socket.fd(), fd: descriptor.fd() })
    }

    /// [`Call::ReceiveFd`].
    fn receive_fd(
        &self,
        socket: &Descriptor<Self>,
        deadline_ms: u32,
    ) -> impl Future<Output = Result<Descriptor<Self>, Errno>> + Send {
        self.descriptor(Call::ReceiveFd { socket: socket.fd(), deadline_ms })
    }

    /// [`Call::OwnNamespaces`].
    fn own_namespaces(&self) -> impl Future<Output = Result<Namespaces, Errno>> + Send {
        self.answer(Call::OwnNamespaces, take::namespaces)
    }

    /// [`Call::Spawn`].
    fn spawn(&self, command: Vec<String>) -> impl Future<Output = Result<Pid, Errno>> + Send {
        self.answer(Call::Spawn { command }, take::pid)
    }

    /// [`Call::Reap`].
    fn reap(&self, pid: Pid) -> impl Future<Output = Result<Ending, Errno>> + Send {
        self.answer(Call::Reap { pid }, take::ended)
    }

    /// [`Call::OpenPidfd`].
    fn open_pidfd(&self, pid: Pid) -> impl Future<Output = Result<Descriptor<Self>, Errno>> + Send {
        self.descriptor(Call::OpenPidfd { pid })
    }

    /// [`Call::SignalPidfd`].
    fn signal_pidfd(
        &self,
        process: &Descriptor<Self>,
        signal: Option<Signal>,
    ) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::SignalPidfd { fd: process.fd(), signal })
    }

    /// [`Call::WaitPidfd`].
    fn wait_pidfd(
        &self,
        process: &Descriptor<Self>,
        deadline_ms: u32,
    ) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::WaitPidfd { fd: process.fd(), deadline_ms })
    }

    /// [`Call::ConnectTcp`] from a port that the kernel chooses.
    fn connect_tcp(
        &self,
        address: SocketAddr,
        deadline_ms: u32,
    ) -> impl Future<Output = Result<Descriptor<Self>, Errno>> + Send {
        self.descriptor(Call::ConnectTcp { address, from: None, deadline_ms })
    }

    /// [`Call::Notify`].
    fn notify(&self, notice: Notice) -> impl Future<Output = Result<(), Errno>> + Send {
        self.done(Call::Notify(notice))
    }
}
