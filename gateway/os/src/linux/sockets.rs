//! TCP and abstract Unix sockets that never make the process wait, except where the call says that it waits.
//!
//! Every socket is close-on-exec and non-blocking from its first moment, so no child inherits a port and no full
//! backlog stops the runtime.
//!
//! What waits (`accept`, `receive`) needs a tokio runtime with I/O and time enabled.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Weak;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::Errno as Raw;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, ipproto, sockopt,
};

use super::files::{buffer, count_of, done};
use super::table::{Entry, Table, errno};
use crate::{Errno, Fd, PeerCredentials, Pid, Reply, Uid};

pub(super) fn bind_tcp(table: &Table, address: SocketAddr) -> Result<Reply, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags(), Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(Reply::Fd(table.insert(socket)))
}

pub(super) fn listen(table: &Table, fd: Fd, backlog: u16) -> Result<Reply, Errno> {
    done(rustix::net::listen(table.get(fd)?, i32::from(backlog)))
}

pub(super) fn listen_unix(table: &Table, name: &str, backlog: u16) -> Result<Reply, Errno> {
    let (socket, address) = unix(name)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, i32::from(backlog))?;
    Ok(Reply::Fd(table.insert(socket)))
}

pub(super) fn connect_unix(table: &Table, name: &str) -> Result<Reply, Errno> {
    let (socket, address) = unix(name)?;
    rustix::net::connect(&socket, &address)?;
    Ok(Reply::Fd(table.insert(socket)))
}

/// Asked through tokio, because rustix 1.1 reads the answer into a process id that cannot hold the 0 of a process
/// which is not visible from here.
pub(super) fn peer_credentials(table: &Table, fd: Fd) -> Result<Reply, Errno> {
    let socket = std::os::unix::net::UnixStream::from(table.get(fd)?.duplicate()?);
    let credentials = tokio::net::UnixStream::from_std(socket)
        .and_then(|stream| stream.peer_cred())
        .map_err(|error| errno(&error))?;
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).and_then(Pid::new);
    if pid.is_none() && credentials.uid() == u32::MAX {
        // What the kernel says of a socket that has no peer or is no Unix socket. It is nobody's identity.
        return Err(Raw::NOTCONN.into());
    }
    Ok(Reply::Peer(PeerCredentials { pid, uid: Uid(credentials.uid()) }))
}

pub(super) fn send(table: &Table, fd: Fd, bytes: &[u8]) -> Result<Reply, Errno> {
    let how = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    Ok(count_of(rustix::net::send(table.get(fd)?, bytes, how)?))
}

pub(super) async fn receive(table: &Table, fd: Fd, length: u32, deadline_ms: u32) -> Result<Reply, Errno> {
    // Without waiting first, so that what is no socket says so, and what has come already is not late.
    let attempt = receive_now(table.get(fd)?.as_fd(), length);
    if attempt != Err(Errno::WouldBlock) {
        return attempt.map(Reply::Bytes);
    }
    let socket = table.watch(fd)?;
    let arrival = poll_fn(|context| poll(&socket, context, |fd| receive_now(fd, length)));
    match tokio::time::timeout(Duration::from_millis(u64::from(deadline_ms)), arrival).await {
        Ok(received) => received.map(Reply::Bytes),
        Err(_) => Err(Errno::TimedOut),
    }
}

/// Waits for a connection on any of the sockets; `EINVAL` if there are none, or one of them does not listen.
pub(super) async fn accept(table: &Table, fds: Vec<Fd>) -> Result<Reply, Errno> {
    let mut listeners = Vec::with_capacity(fds.len());
    for fd in fds {
        if !sockopt::socket_acceptconn(table.get(fd)?)? {
            return Err(Errno::InvalidArgument);
        }
        listeners.push((fd, table.watch(fd)?));
    }
    if listeners.is_empty() {
        return Err(Errno::InvalidArgument);
    }
    let (on, stream) = poll_fn(|context| poll_accept(&listeners, context)).await?;
    Ok(Reply::Accepted { on, stream: table.insert(stream) })
}

/// A second descriptor of a listening TCP socket; `EBADF` if it is anything else.
pub(super) fn listener(table: &Table, fd: Fd) -> Result<std::net::TcpListener, Errno> {
    let socket = table.get(fd)?;
    let family = sockopt::socket_domain(&socket).map_err(|_| Errno::BadDescriptor)?;
    let is_tcp = [AddressFamily::INET, AddressFamily::INET6].contains(&family)
        && sockopt::socket_type(&socket)? == SocketType::STREAM;
    if !is_tcp || !sockopt::socket_acceptconn(&socket)? {
        return Err(Errno::BadDescriptor);
    }
    let listener = std::net::TcpListener::from(socket.duplicate()?);
    listener.set_nonblocking(true).map_err(|error| errno(&error))?;
    Ok(listener)
}

fn poll_accept(listeners: &[(Fd, Weak<Entry>)], context: &Context<'_>) -> Poll<Result<(Fd, OwnedFd), Errno>> {
    for (fd, listener) in listeners {
        if let Poll::Ready(accepted) = poll(listener, context, accept_now) {
            return Poll::Ready(accepted.map(|stream| (*fd, stream)));
        }
    }
    Poll::Pending
}

/// Attempts something on a descriptor that may be closed while the task waits.
fn poll<T>(
    socket: &Weak<Entry>,
    context: &Context<'_>,
    attempt: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
) -> Poll<Result<T, Errno>> {
    match socket.upgrade() {
        Some(entry) => entry.poll_readable(context, attempt),
        None => Poll::Ready(Err(Errno::BadDescriptor)),
    }
}

fn accept_now(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    loop {
        match rustix::net::accept_with(fd, flags()) {
            Ok(stream) => return Ok(stream),
            // Linux reports the troubles of the connection that was next in the queue as errors of accept(2), and the
            // manual says to treat them like EAGAIN and retry. The listener is not at fault.
            Err(
                Raw::INTR
                | Raw::CONNABORTED
                | Raw::NETDOWN
                | Raw::PROTO
                | Raw::NOPROTOOPT
                | Raw::HOSTDOWN
                | Raw::NONET
                | Raw::HOSTUNREACH
                | Raw::NETUNREACH,
            ) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn receive_now(fd: BorrowedFd<'_>, length: u32) -> Result<Vec<u8>, Errno> {
    let mut bytes = buffer(length)?;
    if length > 0 {
        rustix::net::recv(fd, rustix::buffer::spare_capacity(&mut bytes), RecvFlags::DONTWAIT)?;
    }
    Ok(bytes)
}

/// A Unix socket and the abstract address of that name.
fn unix(name: &str) -> Result<(OwnedFd, SocketAddrUnix), Errno> {
    let address = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags(), None)?;
    Ok((socket, address))
}

/// How every socket is made.
fn flags() -> SocketFlags {
    SocketFlags::CLOEXEC | SocketFlags::NONBLOCK
}
