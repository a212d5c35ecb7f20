//! Descriptors that are copied, inherited, or sent to somebody else.

use std::future::poll_fn;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::FdFlags;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

use super::files::done;
use super::sockets::poll;
use super::table::Table;
use crate::{Errno, FOREVER_MS, Fd, Reply};

/// The lowest number that is free after the standard streams.
pub(super) fn duplicate(table: &Table, fd: Fd) -> Result<Reply, Errno> {
    Ok(Reply::Fd(table.insert(table.get(fd)?.duplicate()?)))
}

pub(super) fn set_inherit(table: &Table, fd: Fd, inherit: bool) -> Result<Reply, Errno> {
    let flags = if inherit { FdFlags::empty() } else { FdFlags::CLOEXEC };
    done(rustix::io::fcntl_setfd(&table.get(fd)?, flags))
}

/// One byte and the descriptor. Once it is sent it is open until somebody receives it or the stream is closed.
pub(super) fn send(table: &Table, socket: Fd, fd: Fd) -> Result<Reply, Errno> {
    let (socket, file) = (table.get(socket)?, table.get(fd)?);
    let files = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&files)) {
        unreachable!("there is room for one descriptor")
    }
    let how = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(&*socket, &[IoSlice::new(&[0])], &mut control, how)?;
    Ok(Reply::Done)
}

/// `EMFILE` if the descriptor is lost because this process has too many: the kernel has taken it off the stream then.
///
/// A socket that is received is made non-blocking, for everybody who has it: it could stop the runtime otherwise.
pub(super) async fn receive(table: &Table, socket: Fd, deadline_ms: u32) -> Result<Reply, Errno> {
    let mut received = receive_now(table.get(socket)?.as_fd());
    if received.as_ref().is_err_and(|errno| *errno == Errno::WouldBlock) {
        let socket = table.watch(socket)?;
        let arrival = poll_fn(|context| poll(&socket, context, receive_now));
        let deadline = Duration::from_millis(u64::from(deadline_ms));
        received = if deadline_ms == FOREVER_MS {
            arrival.await
        } else {
            tokio::time::timeout(deadline, arrival).await.unwrap_or(Err(Errno::TimedOut))
        };
    }
    let received = received?;
    if rustix::net::sockopt::socket_type(&received).is_ok() {
        rustix::io::ioctl_fionbio(&received, true)?;
    }
    Ok(Reply::Fd(table.insert(received)))
}

fn receive_now(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let how = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let message = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, how)?;
    let mut received = control.drain().flat_map(|message| {
        if let RecvAncillaryMessage::ScmRights(files) = message { files.collect() } else { Vec::new() }
    });
    match received.next() {
        Some(file) => Ok(file),
        None if message.flags.contains(ReturnFlags::CTRUNC) => Err(Errno::TooManyFiles),
        None => Err(Errno::NotFound),
    }
}
