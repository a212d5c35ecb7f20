//! TCP and Unix sockets that never make the process wait, except where the call says that it waits.
//!
//! Every socket is close-on-exec and non-blocking from its first moment, so no child inherits a port and no full
//! backlog stops the runtime.
//!
//! What waits (`accept`, `connect_tcp`, `receive`) needs a tokio runtime with I/O and time enabled.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Weak;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::{Errno as Raw, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, ipproto, sockopt,
};

use super::files::{buffer, count_of, done};
use super::table::{Entry, Table, errno, writing};
use crate::{BindOptions, Errno, Fd, PeerCredentials, Pid, Reply, Uid, UnixName};

pub(super) fn bind_tcp(table: &Table, address: SocketAddr, options: BindOptions) -> Result<Reply, Errno> {
    let socket = tcp(address)?;
    sockopt::set_socket_reuseaddr(&socket, options.reuse_address)?;
    sockopt::set_socket_reuseport(&socket, options.reuse_port)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, options.v6_only)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(Reply::Fd(table.insert(socket)))
}

/// The socket is in no table before it is connected, so nobody can close it while this waits.
pub(super) async fn connect_tcp(
    table: &Table,
    address: SocketAddr,
    from: Option<SocketAddr>,
    deadline_ms: u32,
) -> Result<Reply, Errno> {
    let socket = tcp(address)?;
    if address.is_ipv6() {
        // The default is a setting of the machine (`net.ipv6.bindv6only`).
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    if let Some(from) = from {
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &from)?;
    }
    // On a loopback device the answer is there when the first attempt returns, and the second one tells it.
    let mut attempt = connect_now(socket.as_fd(), address);
    if attempt == Err(Errno::WouldBlock) {
        attempt = connect_now(socket.as_fd(), address);
    }
    if attempt != Err(Errno::WouldBlock) {
        return attempt.map(|()| Reply::Fd(table.insert(socket)));
    }
    let connected = writing(socket, |socket| connect_now(socket, address));
    match tokio::time::timeout(Duration::from_millis(u64::from(deadline_ms)), connected).await {
        Ok(connected) => connected.map(|(socket, ())| Reply::Fd(table.insert(socket))),
        Err(_) => Err(Errno::TimedOut),
    }
}

/// connect(2), again and again on one socket: it tells how far the first one has come. `EAGAIN` while it is on its way.
fn connect_now(socket: BorrowedFd<'_>, address: SocketAddr) -> Result<(), Errno> {
    match retry_on_intr(|| rustix::net::connect(socket, &address)) {
        Ok(()) | Err(Raw::ISCONN) => Ok(()),
        Err(Raw::INPROGRESS | Raw::ALREADY) => Err(Errno::WouldBlock),
        Err(errno) => Err(errno.into()),
    }
}

/// Of a socket without such an address it is `EAFNOSUPPORT`.
pub(super) fn local_address(table: &Table, fd: Fd) -> Result<Reply, Errno> {
    let address = rustix::net::getsockname(table.get(fd)?)?;
    Ok(Reply::Address(SocketAddr::try_from(address)?))
}

pub(super) fn listen(table: &Table, fd: Fd, backlog: u16) -> Result<Reply, Errno> {
    done(rustix::net::listen(table.get(fd)?, i32::from(backlog)))
}

pub(super) fn listen_unix(table: &Table, name: &UnixName, backlog: u16) -> Result<Reply, Errno> {
    let (socket, address) = unix(name)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, i32::from(backlog))?;
    Ok(Reply::Fd(table.insert(socket)))
}

pub(super) fn connect_unix(table: &Table, name: &UnixName) -> Result<Reply, Errno> {
    let (socket, address) = unix(name)?;
    rustix::net::connect(&socket, &address)?;
    Ok(Reply::Fd(table.insert(socket)))
}

/// Asked through nix, because rustix 1.1 reads the answer into a process id that cannot hold the 0 of a process which is
/// not visible from here.
pub(super) fn peer_credentials(table: &Table, fd: Fd) -> Result<Reply, Errno> {
    let credentials =
        nix::sys::socket::getsockopt(&table.get(fd)?, nix::sys::socket::sockopt::PeerCredentials)
            .map_err(|errno| Errno::from_raw(errno as i32))?;
    let pid = u32::try_from(credentials.pid()).ok().and_then(Pid::new);
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

/// Waits for a connection on any of the sockets; `EINVAL` if there are none, or one of them does not listen. A connection
/// that is there already is taken without waiting, so that a ready socket needs no runtime.
pub(super) async fn accept(table: &Table, fds: Vec<Fd>) -> Result<Reply, Errno> {
    if fds.is_empty() {
        return Err(Errno::InvalidArgument);
    }
    for fd in &fds {
        if !sockopt::socket_acceptconn(table.get(*fd)?)? {
            return Err(Errno::InvalidArgument);
        }
    }
    let mut listeners = Vec::with_capacity(fds.len());
    for on in fds {
        match accept_now(table.get(on)?.as_fd()) {
            Ok(stream) => return Ok(Reply::Accepted { on, stream: table.insert(stream) }),
            Err(Errno::WouldBlock) => listeners.push((on, table.watch(on)?)),
            Err(errno) => return Err(errno),
        }
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
pub(super) fn poll<T>(
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
    } else {
        // Nothing is taken, but a socket still says that it has nothing, or is not connected.
        rustix::net::recv(fd, &mut [0_u8; 0], RecvFlags::DONTWAIT)?;
    }
    Ok(bytes)
}

fn tcp(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    Ok(rustix::net::socket_with(family, SocketType::STREAM, flags(), Some(ipproto::TCP))?)
}

/// A Unix socket and the address of that name. An empty path is refused here, because the kernel would take it for an
/// abstract name.
fn unix(name: &UnixName) -> Result<(OwnedFd, SocketAddrUnix), Errno> {
    let address = match name {
        UnixName::Abstract(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
        UnixName::Path(path) if path.as_os_str().is_empty() => return Err(Errno::NotFound),
        UnixName::Path(path) => SocketAddrUnix::new(path.as_path())?,
    };
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags(), None)?;
    Ok((socket, address))
}

/// How every socket is made.
fn flags() -> SocketFlags {
    SocketFlags::CLOEXEC | SocketFlags::NONBLOCK
}
