//! A real bystander that takes the connections to its ports: one thread that polls, so that it takes no pid for another.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};

use crate::scenario::Answers;

/// How much of a request is read, in bytes.
const LONGEST: usize = 4096;

/// Answers for as long as the process lives. Comes back only if the kernel refuses.
pub(super) fn serve(listeners: &[TcpListener], answers: Answers) {
    if listeners.iter().any(|listener| listener.set_nonblocking(true).is_err()) {
        return;
    }
    let mut streams: Vec<TcpStream> = Vec::new();
    loop {
        let of_listeners = listeners.iter().map(|listener| listener.as_fd());
        let fds = of_listeners.chain(streams.iter().map(|stream| stream.as_fd()));
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        if rustix::io::retry_on_intr(|| poll(&mut fds, None)).is_err() {
            return;
        }
        streams.retain_mut(|stream| !is_over(stream, answers));
        for listener in listeners {
            while let Ok((stream, _)) = listener.accept() {
                // One that cannot be polled would hold up all others.
                if answers != Answers::Closes && stream.set_nonblocking(true).is_ok() {
                    streams.push(stream);
                }
            }
        }
    }
}

/// Goes on with a connection, and says whether it is to be closed.
fn is_over(stream: &mut TcpStream, answers: Answers) -> bool {
    let mut bytes = [0; LONGEST];
    match stream.read(&mut bytes) {
        Ok(0) => true,
        Ok(length) if answers.speaks() => {
            // Whoever asks may be gone; then there is nobody to tell.
            let _ = stream.write_all(&answers.reply(&bytes[..length]));
            let _ = stream.shutdown(Shutdown::Write);
            true
        }
        Ok(_) => false,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}
