//! Everything that processes say is seen in an order in which it can have happened.
//!
//! One thread reads every pipe. After a line is read, all pipes are read once more before anything is concluded: what a
//! process wrote before another could act on it is then known too. Nothing here waits by sleeping.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::child::{Child, Ended};
use super::clock::timespec;
use super::lane::Lane;

/// Reading stops after so many rounds, so that a process that never stops talking does not hold up the others.
const ROUNDS: u32 = 32;

/// Which stream of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Output,
    Errors,
}

/// What was seen of a process.
#[derive(Debug)]
pub(super) enum Seen {
    Line { lane: usize, channel: Channel, text: String },
    Ended { lane: usize, ended: Ended },
}

/// Why looking came to an end.
#[derive(Debug)]
pub(super) enum Blind {
    /// Whoever asked for this try is gone.
    Abandoned,
    /// The kernel refuses.
    Failed(Errno),
}

impl From<Errno> for Blind {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

/// Waits until something is said or somebody ends, at most so long, and returns what is new.
pub(super) fn look(lanes: &mut [Lane], timeout_us: u64) -> Result<Vec<Seen>, Blind> {
    let gone = wait(lanes, timeout_us)?;
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        let before = seen.len();
        for (lane, child) in children(lanes) {
            for (pipe, channel) in child.pipes.iter_mut().zip([Channel::Output, Channel::Errors]) {
                seen.extend(pipe.lines().into_iter().map(|text| Seen::Line { lane, channel, text }));
            }
        }
        if seen.len() == before {
            break;
        }
    }
    // Last, because the last words of a process come before its end.
    for (lane, child) in children(lanes) {
        if gone.contains(&lane)
            && let Some(ended) = child.reap()?
        {
            seen.push(Seen::Ended { lane, ended });
        }
    }
    Ok(seen)
}

/// Waits until some of those that were killed have ended, at most so long, whatever else happens.
pub(super) fn collect(lanes: &mut [Lane], timeout_us: u64) -> Result<(), Errno> {
    let living = lanes.iter().filter_map(Lane::living);
    let mut fds: Vec<PollFd<'_>> =
        living.map(|life| PollFd::from_borrowed_fd(life.child.as_fd(), PollFlags::IN)).collect();
    rustix::io::retry_on_intr(|| poll(&mut fds, Some(&timespec(timeout_us))))?;
    for lane in lanes {
        if let Some(life) = lane.living_mut()
            && let Some(ended) = life.child.reap()?
        {
            life.ended = Some((0, ended));
        }
    }
    Ok(())
}

/// Waits, and returns the lanes whose processes have ended.
fn wait(lanes: &[Lane], timeout_us: u64) -> Result<Vec<usize>, Blind> {
    let input = std::io::stdin();
    let mut fds = vec![PollFd::from_borrowed_fd(input.as_fd(), PollFlags::IN)];
    let mut owners = vec![None];
    for (lane, life) in lanes.iter().enumerate().filter_map(|(lane, of)| Some((lane, of.living()?))) {
        let child = &life.child;
        fds.push(PollFd::from_borrowed_fd(child.as_fd(), PollFlags::IN));
        owners.push(Some(lane));
        if let Some((socket, flags)) = lanes[lane].asked().and_then(super::probe::Asking::waits_for) {
            fds.push(PollFd::from_borrowed_fd(socket, flags));
            owners.push(None);
        }
        for pipe in child.pipes.iter().filter_map(super::child::Pipe::open) {
            fds.push(PollFd::from_borrowed_fd(pipe, PollFlags::IN));
            owners.push(None);
        }
    }
    match poll(&mut fds, Some(&timespec(timeout_us))) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(Vec::new()),
        Err(errno) => return Err(errno.into()),
    }
    let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
    if ready(&fds[0]) {
        // There is one request only, so what can be read here is the end.
        return Err(Blind::Abandoned);
    }
    let ended = fds.iter().zip(owners).filter(|(fd, _)| ready(fd));
    Ok(ended.filter_map(|(_, lane)| lane).collect())
}

/// The processes that are not known to have ended.
fn children(lanes: &mut [Lane]) -> impl Iterator<Item = (usize, &mut Child)> {
    lanes.iter_mut().enumerate().filter_map(|(index, lane)| {
        let life = lane.living_mut()?;
        Some((index, &mut life.child))
    })
}
