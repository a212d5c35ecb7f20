//! A process that was started here: addressed by its pidfd, never by a number that the kernel may have given to another.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

/// A line that is longer is cut, so that a process cannot fill the memory.
const LONGEST_LINE: usize = 64 * 1024;
/// `PF_EXITING` of the kernel: the process runs no code of its own any more.
const EXITING: u64 = 0x4;
/// SIGKILL in a set of signals. While it is pending the process runs no code of its own either.
const KILLED: u64 = 1 << 8;

/// A process and what it writes.
#[derive(Debug)]
pub struct Child {
    /// Its number, which the kernel gives to another once it was reaped.
    pub pid: u32,
    /// When it started, in clock ticks after boot.
    pub tick: u64,
    pidfd: OwnedFd,
    /// What it writes: to its standard output, and to its standard error.
    pub pipes: [Pipe; 2],
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

impl Child {
    /// Starts a process whose output is read here.
    ///
    /// # Errors
    ///
    /// What fork(2), execve(2) or pidfd_open(2) says.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // It has not been waited for, so the number is still its own.
        let raw = Pid::from_child(&child);
        let pidfd = pidfd_open(raw, PidfdFlags::empty())?;
        let pipe = |fd: Option<OwnedFd>| Pipe::new(fd);
        let pipes = [pipe(child.stdout.take().map(Into::into))?, pipe(child.stderr.take().map(Into::into))?];
        let tick = status(child.id()).map(|status| status.tick).unwrap_or_default();
        Ok(Self { pid: child.id(), tick, pidfd, pipes })
    }

    /// Sends a signal. To a process that has ended it does nothing.
    ///
    /// # Errors
    ///
    /// What pidfd_send_signal(2) says.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Err(Errno::SRCH) => Ok(()),
            other => other,
        }
    }

    /// Waits until SIGSTOP has stopped it, all of its threads, or it has ended.
    ///
    /// # Errors
    ///
    /// What waitid(2) says.
    pub fn wait_until_stopped(&self) -> Result<(), Errno> {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(self.pidfd.as_fd()), options)).map(drop)
    }

    /// How it has ended, if it has. Its pid is free from then on, and this must not be asked again.
    ///
    /// # Errors
    ///
    /// What waitid(2) says.
    pub fn reap(&self) -> Result<Option<Ended>, Errno> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let status = rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(self.pidfd.as_fd()), options))?;
        Ok(status.map(|status| match status.exit_status() {
            Some(code) => Ended::Exited(code),
            None => Ended::Signaled(status.terminating_signal().unwrap_or_default()),
        }))
    }

    /// Whether it still runs code of its own or could, if it is stopped.
    ///
    /// The kernel frees the locks of a dying process before it tells anybody of the death, and marks it before it frees
    /// anything. So a process that holds a lock is alive here, and one that has lost it by dying is not.
    pub fn is_alive(&self) -> bool {
        status(self.pid).is_some_and(|status| {
            status.tick == self.tick
                && status.flags & EXITING == 0
                && status.pending & KILLED == 0
                && !matches!(status.state, 'Z' | 'X')
        })
    }

    /// Whether it is stopped.
    pub fn is_stopped(&self) -> bool {
        status(self.pid).is_some_and(|status| status.tick == self.tick && status.state == 'T')
    }
}

impl AsFd for Child {
    /// Readable when the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// The reading end of a pipe, line by line, never waiting.
#[derive(Debug)]
pub struct Pipe {
    fd: Option<OwnedFd>,
    line: Vec<u8>,
}

impl Pipe {
    fn new(fd: Option<OwnedFd>) -> io::Result<Self> {
        if let Some(fd) = &fd {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        Ok(Self { fd, line: Vec::new() })
    }

    /// What to poll, while somebody can still write.
    pub fn open(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// The lines that have come since. A last line without an end counts once the other side is closed.
    pub fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut bytes = [0; 8192];
        while let Some(fd) = &self.fd {
            match rustix::io::read(fd, &mut bytes) {
                Ok(0) => self.fd = None,
                Ok(count) => self.take(&bytes[..count], &mut lines),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => self.fd = None,
            }
        }
        if self.fd.is_none() && !self.line.is_empty() {
            lines.push(String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned());
        }
        lines
    }

    fn take(&mut self, bytes: &[u8], lines: &mut Vec<String>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if is_whole {
                lines.push(String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned());
            }
        }
    }
}

/// The part of `/proc/PID/stat` that is looked at.
struct Status {
    state: char,
    flags: u64,
    tick: u64,
    pending: u64,
}

fn status(pid: u32) -> Option<Status> {
    #[expect(clippy::disallowed_methods, reason = "the named edge: a process is looked at through /proc")]
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_status(&text)
}

/// Fields 3, 9, 22 and 31 of proc_pid_stat(5). The name before them may hold blanks and brackets.
fn parse_status(text: &str) -> Option<Status> {
    let (_, fields) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    Some(Status {
        state: fields.first()?.chars().next()?,
        flags: fields.get(6)?.parse().ok()?,
        tick: fields.get(19)?.parse().ok()?,
        pending: fields.get(28)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::Signal;

    use super::{Child, Ended, parse_status};

    fn end(child: &Child) -> Ended {
        loop {
            let mut fds = [rustix::event::PollFd::new(child, rustix::event::PollFlags::IN)];
            rustix::event::poll(&mut fds, None).unwrap();
            if let Some(ended) = child.reap().unwrap() {
                return ended;
            }
        }
    }

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let text = "7 (a) b (c) T 1 7 7 0 -1 4194564 0 0 0 0 0 0 0 0 20 0 1 0 99 0 0 0 0 0 0 0 0 256 0 0";
        let status = parse_status(text).unwrap();
        assert_eq!((status.state, status.flags & 0x4, status.tick), ('T', 0x4, 99));
        assert_eq!(status.pending, 256);
    }

    #[test]
    fn a_stopped_process_is_alive_and_a_killed_one_is_not() {
        let child = Child::start(Command::new("/bin/sleep").arg("1000")).unwrap();
        assert!(child.is_alive() && !child.is_stopped());
        child.signal(Signal::STOP).unwrap();
        child.wait_until_stopped().unwrap();
        assert!(child.is_alive() && child.is_stopped());
        child.signal(Signal::KILL).unwrap();
        assert_eq!(end(&child), Ended::Signaled(9));
        assert!(!child.is_alive());
        child.signal(Signal::KILL).unwrap();
    }

    #[test]
    fn output_is_read_to_its_end_and_the_last_line_needs_no_newline() {
        let mut child = Child::start(Command::new("/usr/bin/printf").arg("one\\ntwo")).unwrap();
        assert_eq!(end(&child), Ended::Exited(0));
        assert_eq!(child.pipes[0].lines(), ["one", "two"]);
        assert!(child.pipes[0].open().is_none());
        assert_eq!(child.pipes[1].lines(), Vec::<String>::new());
    }
}
