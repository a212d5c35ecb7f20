//! The real operating system answers: what the kernel says is what the caller gets, error numbers included.
//!
//! System calls go through rustix, diagnosis reads `/proc`, waiting is done by tokio. Nothing is asked of another
//! program, and no descriptor is named by a bare number outside of the table that owns it.
//!
//! # Invariants
//!
//! - Every descriptor is close-on-exec from its first moment: no child inherits a lock or a port that it was not meant to
//!   have.
//! - A descriptor is closed when its number is given back, whatever still waits on it.

mod children;
mod descriptors;
mod files;
mod names;
mod parse;
mod processes;
mod ranges;
pub mod raw;
mod signals;
mod sockets;
mod table;
mod wakers;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::rand::GetRandomFlags;
use rustix::time::ClockId;
use tokio::net::TcpStream;

use crate::{Call, Cell, Clock, Errno, Fd, Listener, Notice, Os, Port, Reply, Uid};
use signals::Signals;
use table::{Table, errno};

/// The Linux that this process runs on. All clones are the same process: they share descriptors and signals.
///
/// It needs a tokio runtime with I/O and time enabled, and one only: what has been waited on stays registered with the
/// runtime that waited first.
#[derive(Clone)]
pub struct Linux {
    shared: Arc<Shared>,
}

struct Shared {
    table: Table,
    signals: Signals,
    cells: Mutex<BTreeMap<Cell, u64>>,
    notices: Box<dyn Fn(&Notice) + Send + Sync>,
}

impl Linux {
    /// A process without open descriptors, except those that it inherited and cannot name. Each [`Call::Notify`] goes to
    /// `notices`, in the task that makes the call: it must not wait for anybody.
    pub fn new(notices: impl Fn(&Notice) + Send + Sync + 'static) -> Self {
        let shared = Shared {
            table: Table::default(),
            signals: Signals::default(),
            cells: Mutex::default(),
            notices: Box::new(notices),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes over a descriptor that this process has inherited, and gives it the same number among those that it has
    /// opened. It stays inheritable until [`Call::SetInherit`] says otherwise.
    ///
    /// A caller names only what it was told to have inherited: what another part of this process has opened would be
    /// closed under its hands.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`] if nothing is open under that number, [`Errno::Exists`] if it is known already.
    pub fn adopt(&self, number: i32) -> Result<Fd, Errno> {
        let Shared { table, .. } = &*self.shared;
        if table.get(Fd(number)).is_ok() {
            return Err(Errno::Exists);
        }
        Ok(table.insert(raw::adopt(number)?))
    }
}

impl fmt::Debug for Linux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linux").field("table", &self.shared.table).finish_non_exhaustive()
    }
}

impl Os for Linux {
    type Listener = LinuxListener;

    #[expect(clippy::too_many_lines, reason = "one arm a call")]
    async fn call(&self, call: Call) -> Result<Reply, Errno> {
        let Shared { table, signals, cells, notices } = &*self.shared;
        match call {
            Call::Open { at, path, open } => files::open(table, at, &path, open),
            Call::Close { fd } => table.close(fd).map(|()| Reply::Done),
            Call::Read { fd, offset, length } => files::read(table, fd, offset, length),
            Call::Write { fd, offset, bytes } => files::write(table, fd, offset, &bytes),
            Call::Truncate { fd, length } => files::truncate(table, fd, length),
            Call::Sync { fd } => files::sync(table, fd),
            Call::Stat { at, path, links } => files::stat(table, at, &path, links),
            Call::StatFd { fd } => files::stat_fd(table, fd),
            Call::FileSystem { fd } => files::file_system(table, fd),
            Call::MakeDirectory { at, path, mode } => files::make_directory(table, at, &path, mode),
            Call::Rename { from_at, from, to_at, to, replace } => {
                files::rename(table, (from_at, &from), (to_at, &to), replace)
            }
            Call::Link { from_at, from, to_at, to } => names::link(table, (from_at, &from), (to_at, &to)),
            Call::Symlink { target, at, path } => names::symlink(table, &target, at, &path),
            Call::ReadLink { at, path } => names::read_link(table, at, &path),
            Call::RemoveDirectory { at, path } => names::remove_directory(table, at, &path),
            Call::ReadDirectory { fd } => names::read_directory(table, fd),
            Call::SetMode { fd, mode } => names::set_mode(table, fd, mode),
            Call::SetModified { fd, modified_ns } => names::set_modified(table, fd, modified_ns),
            Call::SetUmask { mask } => names::set_umask(mask),
            Call::Unlink { at, path } => files::unlink(table, at, &path),
            Call::Flock { fd, mode } => files::flock(table, fd, mode),
            Call::LockRange { fd, owner, mode, range } => ranges::lock(table, fd, owner, mode, range),
            Call::RangeHolder { fd, owner, mode, range } => ranges::holder(table, fd, owner, mode, range),
            Call::Duplicate { fd } => descriptors::duplicate(table, fd),
            Call::SetInherit { fd, inherit } => descriptors::set_inherit(table, fd, inherit),
            Call::SendFd { socket, fd } => descriptors::send(table, socket, fd),
            Call::ReceiveFd { socket, deadline_ms } => descriptors::receive(table, socket, deadline_ms).await,
            Call::OwnPid => processes::own_pid(),
            Call::OwnUid => Ok(Reply::Uid(Uid(rustix::process::geteuid().as_raw()))),
            Call::OwnNamespaces => children::own_namespaces(),
            Call::Spawn { command } => children::spawn(&command),
            Call::Reap { pid } => children::reap(pid),
            Call::OpenPidfd { pid } => children::open_pidfd(table, pid),
            Call::SignalPidfd { fd, signal } => children::signal_pidfd(table, fd, signal),
            Call::WaitPidfd { fd, deadline_ms } => children::wait_pidfd(table, fd, deadline_ms).await,
            Call::Kill { pid, signal } => processes::kill(pid, signal),
            Call::CatchSignals => signals.catch(),
            Call::NextSignal => signals.next().await,
            Call::Watch { places, period_ms } => signals.watch(table, &places, period_ms).await,
            Call::Processes => processes::list(),
            Call::ProcessStatus { pid } => processes::status(pid),
            Call::ProcessCommand { pid } => processes::command(pid),
            Call::HoldsLock { pid, file } => processes::holds_lock(pid, file),
            Call::HoldsSocket { pid, socket } => processes::holds_socket(pid, socket),
            Call::LockTakers { file } => processes::lock_takers(file),
            Call::TcpSockets { port } => processes::tcp_sockets(port),
            Call::TcpListeners { first, last } => processes::tcp_listeners(first, last),
            Call::BindTcp { address, options } => sockets::bind_tcp(table, address, options),
            Call::ConnectTcp { address, from, deadline_ms } => {
                sockets::connect_tcp(table, address, from, deadline_ms).await
            }
            Call::LocalAddress { fd } => sockets::local_address(table, fd),
            Call::ListenUnix { name, backlog } => sockets::listen_unix(table, &name, backlog),
            Call::Listen { fd, backlog } => sockets::listen(table, fd, backlog),
            Call::Accept { fds } => sockets::accept(table, fds).await,
            Call::ConnectUnix { name } => sockets::connect_unix(table, &name),
            Call::PeerCredentials { fd } => sockets::peer_credentials(table, fd),
            Call::Send { fd, bytes } => sockets::send(table, fd, &bytes),
            Call::Receive { fd, length, deadline_ms } => {
                sockets::receive(table, fd, length, deadline_ms).await
            }
            Call::ReadClock { clock } => Ok(Reply::Nanoseconds(read_clock(clock))),
            Call::Sleep { milliseconds } => {
                tokio::time::sleep(Duration::from_millis(u64::from(milliseconds))).await;
                Ok(Reply::Done)
            }
            Call::Random => random(),
            Call::BootId => processes::boot_id(),
            Call::Load { cell } => {
                let cells = cells.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(Reply::Word(cells.get(&cell).copied().unwrap_or_default()))
            }
            Call::Store { cell, value } => {
                cells.lock().unwrap_or_else(PoisonError::into_inner).insert(cell, value);
                Ok(Reply::Done)
            }
            Call::Notify(notice) => {
                notices(&notice);
                Ok(Reply::Done)
            }
        }
    }

    async fn read_clock(&self, clock: Clock) -> Result<u64, Errno> {
        // A server reads it with each message: the way by a call would cost more than the clock.
        Ok(read_clock(clock))
    }

    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(body);
    }

    fn discard(&self, fd: Fd) {
        // A destructor has nobody to tell. A number that is unknown was closed before, and is not closed twice.
        let _ = self.shared.table.close(fd);
    }

    fn listener(&self, fd: Fd) -> Result<LinuxListener, Errno> {
        let socket = sockets::listener(&self.shared.table, fd)?;
        tokio::net::TcpListener::from_std(socket).map(LinuxListener).map_err(|error| errno(&error))
    }

    async fn dial(&self, host: &str, port: Port) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((host, port.get())).await?;
        // As for what is accepted.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

/// A listening TCP socket in the hands of a server. Dropping it does not free the port: the descriptor that it was made
/// from still holds it.
#[derive(Debug)]
pub struct LinuxListener(tokio::net::TcpListener);

impl Listener for LinuxListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        // Messages are small and answered one by one. Where the option cannot be set they are only slower.
        let _ = stream.set_nodelay(true);
        Ok((stream, peer))
    }
}

fn read_clock(clock: Clock) -> u64 {
    let time = rustix::time::clock_gettime(match clock {
        Clock::Wall => ClockId::Realtime,
        Clock::Monotonic => ClockId::Monotonic,
        Clock::Boot => ClockId::Boottime,
    });
    // A wall clock that is set before 1970 reads 0.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// The kernel never cuts requests of up to 256 bytes short (getrandom(2)).
fn random() -> Result<Reply, Errno> {
    let mut bytes = [0; 16];
    rustix::io::retry_on_intr(|| rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty()))?;
    Ok(Reply::Random(bytes))
}
