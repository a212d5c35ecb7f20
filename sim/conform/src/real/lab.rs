//! The driver's end of one real machine: it starts the processes of a sequence and tells them what to do.
//!
//! # Invariants
//!
//! - Nothing is waited for longer than [`WATCHDOG_MS`]: a call that hangs is an answer like any other.
//! - When it is dropped, everything that ran in it is gone.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use portcullis_os::{Call, Pid, Signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType,
    accept_with, recvmsg, socketpair, sockopt,
};
use rustix::process::pidfd_send_signal;

use super::wire::{Errand, Errands, Order, Report, hear, tell};
use super::{AGENT, INTERNAL, ITSELF, KEEPER, SPAWNED};
use crate::outcome::Outcome;
use crate::sequence::Who;

/// How long anything may take, in milliseconds.
const WATCHDOG_MS: u32 = 10_000;

/// Why a real machine is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There can be none here.
    Impossible(String),
    /// A process of the machine does not answer, or the machine itself is broken.
    Broken(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Impossible(reason) | Self::Broken(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Trouble {}

/// One real machine.
#[derive(Debug)]
pub struct Lab {
    keeper: Child,
    zygote: OwnedFd,
    meeting: OwnedFd,
    users: Vec<u32>,
    root: PathBuf,
    agents: BTreeMap<Who, Agent>,
    buffer: Vec<u8>,
}

/// A process, from outside.
#[derive(Debug)]
struct Agent {
    socket: OwnedFd,
    pidfd: OwnedFd,
    /// Its pid in the namespace.
    pid: Pid,
    /// Its pid out here, as text.
    outside: String,
    /// It has not answered yet what it was asked last, because it was stopped by it.
    owes: bool,
}

type Result<T> = std::result::Result<T, Trouble>;

impl Lab {
    /// Makes a machine.
    ///
    /// # Errors
    ///
    /// [`Trouble::Impossible`] where namespaces are not allowed.
    pub fn new() -> Result<Self> {
        let impossible = |error: &dyn fmt::Display| Trouble::Impossible(error.to_string());
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|errno| impossible(&errno))?;
        let keeper = Command::new(ITSELF)
            .args([INTERNAL, KEEPER])
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .env_clear()
            // What a terminal sends to its foreground group is meant for the driver.
            .process_group(0)
            .spawn()
            .map_err(|error| impossible(&error))?;
        // From here on it is ended by the destructor.
        let mut lab = Self {
            keeper,
            meeting: ours.try_clone().map_err(|error| impossible(&error))?,
            zygote: ours,
            users: Vec::new(),
            root: PathBuf::new(),
            agents: BTreeMap::new(),
            buffer: Vec::new(),
        };
        watch(&lab.zygote)?;
        let (answer, fd) = hear_with(&lab.zygote).map_err(|error| impossible(&error))?;
        match (answer, fd) {
            (Some(Errands::Ready { users, root }), Some(meeting)) => {
                (lab.users, lab.root, lab.meeting) = (users, root, meeting);
                Ok(lab)
            }
            (Some(Errands::Impossible(reason)), _) => Err(Trouble::Impossible(reason)),
            _ => Err(Trouble::Impossible("the first process does not start".to_owned())),
        }
    }

    /// The users that a process can have.
    pub fn users(&self) -> &[u32] {
        &self.users
    }

    /// The directory in which each sequence has one.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The command line of every process that has executed nothing.
    pub fn command(&self) -> String {
        format!("{ITSELF} {INTERNAL} {KEEPER}")
    }

    /// The command line of those that have.
    pub fn executed(&self) -> String {
        format!("{ITSELF} {INTERNAL} {AGENT} {}", self.root.display())
    }

    /// The command line of a program that becomes an agent when somebody starts it.
    pub fn program(&self) -> String {
        format!("{ITSELF} {INTERNAL} {SPAWNED} {}", self.root.display())
    }

    /// Makes the directory of a sequence.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`]; so do all operations of a machine.
    pub fn directory(&mut self, path: &Path, mode: u32) -> Result<()> {
        self.errand(&Errand::Directory { path: path.to_owned(), mode })
    }

    /// Starts a process. Its pid, as it sees it itself.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`].
    pub fn start(&mut self, who: Who, uid: u32, name: &str) -> Result<Pid> {
        self.errand(&Errand::Process { uid, name: name.to_owned() })?;
        self.welcome(who)
    }

    /// Lets a process make a call that need not wait, or that may wait for so long.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`].
    pub fn call(&mut self, who: Who, call: Call, patience_ms: Option<u32>) -> Result<Outcome> {
        match self.order(who, &Order::Call { call, patience_ms })? {
            Report::Reply(reply) => Ok(Outcome::Reply(reply)),
            Report::Waits => Ok(Outcome::Waits),
            other => Err(odd(who, &other)),
        }
    }

    /// Lets a process make a call by which it stops or ends itself. If it goes on later, the answer is thrown away then.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`].
    pub fn last_call(&mut self, who: Who, call: Call, patience_ms: Option<u32>) -> Result<()> {
        let Some(agent) = self.agents.get_mut(&who) else { return Err(broken(who, "it was never started")) };
        agent.owes = true;
        tell(&agent.socket, &Order::Call { call, patience_ms })
            .map_err(|error| broken(who, &error.to_string()))
    }

    /// Lets a process fork. The pid of the child.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`].
    pub fn fork(&mut self, who: Who, child: Who) -> Result<Pid> {
        match self.order(who, &Order::Fork)? {
            Report::Number(_) => self.welcome(child),
            other => Err(odd(who, &other)),
        }
    }

    /// Lets a process execute its own program again.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`].
    pub fn execute(&mut self, who: Who) -> Result<()> {
        match self.order(who, &Order::Exec)? {
            Report::Here { .. } => Ok(()),
            other => Err(odd(who, &other)),
        }
    }

    /// Lets a process start a thread. Its tid.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`].
    pub fn thread(&mut self, who: Who) -> Result<Pid> {
        match self.order(who, &Order::Thread)? {
            Report::Number(tid) => Pid::new(tid).ok_or_else(|| broken(who, "its thread has no number")),
            other => Err(odd(who, &other)),
        }
    }

    /// Limits the descriptors of a process.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`].
    pub fn limit(&mut self, who: Who, descriptors: u32) -> Result<()> {
        match self.order(who, &Order::Limit(descriptors))? {
            Report::Done => Ok(()),
            other => Err(odd(who, &other)),
        }
    }

    /// Lets a process exit, which it has done when [`Lab::wait_until_dead`] says so.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`].
    pub fn exit(&mut self, who: Who, status: u8) -> Result<()> {
        tell(&self.agent(who)?.socket, &Order::Exit(status)).map_err(|error| broken(who, &error.to_string()))
    }

    /// Sends a signal from outside.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`].
    pub fn signal(&mut self, who: Who, signal: Signal) -> Result<()> {
        let raw = match signal {
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Interrupt => rustix::process::Signal::INT,
            Signal::Kill => rustix::process::Signal::KILL,
            Signal::Stop => rustix::process::Signal::STOP,
            Signal::Continue => rustix::process::Signal::CONT,
            Signal::User1 => rustix::process::Signal::USR1,
            Signal::User2 => rustix::process::Signal::USR2,
        };
        match pidfd_send_signal(&self.agent(who)?.pidfd, raw) {
            // It has been reaped: nobody is left to get the signal.
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(broken(who, &errno.to_string())),
        }
    }

    /// Waits for the death of a process, which frees everything that it held.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`] if it lives on.
    pub fn wait_until_dead(&self, who: Who) -> Result<()> {
        if readable(&self.agent(who)?.pidfd, WATCHDOG_MS) {
            Ok(())
        } else {
            Err(broken(who, "it does not die"))
        }
    }

    /// Waits until a signal has stopped a process.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`] if it runs on.
    pub fn wait_until_stopped(&self, who: Who) -> Result<()> {
        let agent = self.agent(who)?;
        if comes_true(agent, is_stopped) { Ok(()) } else { Err(broken(who, "it does not stop")) }
    }

    /// Waits until no thread of a process has a signal to take or is on its way, save for the first thread, which takes no
    /// order before it has come to rest. A signal that no thread has taken is no longer caught after execve(2).
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`] if it does not rest.
    pub fn wait_until_at_rest(&self, who: Who) -> Result<()> {
        let agent = self.agent(who)?;
        // That it has died shows by itself.
        if comes_true(agent, is_at_rest) || readable(&agent.pidfd, 0) {
            Ok(())
        } else {
            Err(broken(who, "it does not come to rest"))
        }
    }

    /// Whether a process has died, without waiting for that.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`].
    pub fn is_dead(&self, who: Who) -> Result<bool> {
        Ok(readable(&self.agent(who)?.pidfd, 0))
    }

    /// Lets the first process wait for a dead one, whose pid is free afterwards.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`].
    pub fn reap(&mut self, who: Who) -> Result<()> {
        let pid = self.agent(who)?.pid.get();
        self.errand(&Errand::Reap { pid })
    }

    /// Ends all processes of a sequence and removes its directory.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`].
    pub fn clear(&mut self, directory: &Path) -> Result<()> {
        self.agents.clear();
        self.errand(&Errand::Clear { path: directory.to_owned() })
    }

    fn errand(&mut self, errand: &Errand) -> Result<()> {
        let trouble = |error: io::Error| Trouble::Broken(format!("the first process is gone: {error}"));
        tell(&self.zygote, errand).map_err(trouble)?;
        match hear(&self.zygote, &mut self.buffer).map_err(trouble)? {
            Some(Errands::Done) => Ok(()),
            other => Err(Trouble::Broken(format!("{errand:?}: {other:?}"))),
        }
    }

    fn order(&mut self, who: Who, order: &Order) -> Result<Report> {
        let Some(agent) = self.agents.get_mut(&who) else { return Err(broken(who, "it was never started")) };
        let trouble = |error: io::Error| {
            if error.kind() == io::ErrorKind::WouldBlock {
                broken(who, "it does not answer")
            } else {
                broken(who, &format!("it is gone: {error}"))
            }
        };
        if std::mem::take(&mut agent.owes) {
            let late: Option<Report> = hear(&agent.socket, &mut self.buffer).map_err(trouble)?;
            late.ok_or_else(|| broken(who, "it is gone"))?;
        }
        tell(&agent.socket, order).map_err(trouble)?;
        hear(&agent.socket, &mut self.buffer).map_err(trouble)?.ok_or_else(|| broken(who, "it is gone"))
    }

    /// Takes in the process that connects next.
    ///
    /// # Errors
    ///
    /// [`Trouble::Broken`] if nobody comes.
    pub fn welcome(&mut self, who: Who) -> Result<Pid> {
        if !readable(&self.meeting, WATCHDOG_MS) {
            return Err(broken(who, "it does not come"));
        }
        let trouble = |errno: rustix::io::Errno| broken(who, &errno.to_string());
        let socket = accept_with(&self.meeting, SocketFlags::CLOEXEC).map_err(trouble)?;
        watch(&socket)?;
        let (answer, pidfd) = hear_with(&socket).map_err(|error| broken(who, &error.to_string()))?;
        let (Some(Report::Here { pid }), Some(pidfd)) = (answer, pidfd) else {
            return Err(broken(who, "it does not say who it is"));
        };
        let pid = Pid::new(pid).ok_or_else(|| broken(who, "it has no pid"))?;
        let outside = outside(&pidfd).ok_or_else(|| broken(who, "it is not visible from here"))?;
        self.agents.insert(who, Agent { socket, pidfd, pid, outside, owes: false });
        Ok(pid)
    }

    fn agent(&self, who: Who) -> Result<&Agent> {
        self.agents.get(&who).ok_or_else(|| broken(who, "it was never started"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The end of its input ends the first process, and the kernel ends the others with it.
        let _ = rustix::net::shutdown(&self.zygote, rustix::net::Shutdown::Both);
        let _ = self.keeper.wait();
    }
}

fn broken(who: Who, what: &str) -> Trouble {
    Trouble::Broken(format!("{who}: {what}"))
}

fn odd(who: Who, report: &Report) -> Trouble {
    broken(who, &format!("{report:?}"))
}

/// Sees to it that nothing is waited for without end.
fn watch(socket: &OwnedFd) -> Result<()> {
    let patience = Duration::from_millis(u64::from(WATCHDOG_MS));
    sockopt::set_socket_timeout(socket, sockopt::Timeout::Recv, Some(patience))
        .map_err(|errno| Trouble::Broken(errno.to_string()))
}

/// Receives a message and the descriptor that comes with it.
fn hear_with<T: serde::de::DeserializeOwned>(socket: &OwnedFd) -> io::Result<(Option<T>, Option<OwnedFd>)> {
    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut fd = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut fds) = message {
            fd = fds.next();
        }
    }
    if received.bytes == 0 {
        return Ok((None, None));
    }
    Ok((Some(serde_json::from_slice(&bytes[..received.bytes])?), fd))
}

fn readable(fd: impl AsFd, patience_ms: u32) -> bool {
    let patience = Timespec {
        tv_sec: i64::from(patience_ms / 1000),
        tv_nsec: i64::from(patience_ms % 1000) * 1_000_000,
    };
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    loop {
        match poll(&mut fds, Some(&patience)) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// The pid that a process has out here: `Pid:` in the description of its pidfd.
fn outside(pidfd: &OwnedFd) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the named edge: a pidfd is looked at through /proc")]
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Pid:")).map(|pid| pid.trim().to_owned())
}

/// Waits until something is so of a process, by its pid out here. Whether it came so before the process died and within
/// [`WATCHDOG_MS`].
fn comes_true(agent: &Agent, is_so: impl Fn(&str) -> bool) -> bool {
    for _ in 0..WATCHDOG_MS {
        if is_so(&agent.outside) {
            return true;
        }
        // Woken early only by its death.
        if readable(&agent.pidfd, 1) {
            break;
        }
    }
    false
}

/// Whether every thread of a process is stopped.
fn is_stopped(pid: &str) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().all(|thread| state(&thread.path()) == Some('T'))
}

/// Whether no thread of a process has a signal to take, and all but its first one sleep.
fn is_at_rest(pid: &str) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().all(|thread| {
        #[expect(clippy::disallowed_methods, reason = "the named edge: a process is looked at through /proc")]
        let Ok(text) = std::fs::read_to_string(thread.path().join("status")) else { return false };
        let field = |name| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let takes_none = |name| field(name).is_some_and(|set| set.bytes().all(|digit| digit == b'0'));
        let sleeps = field("State:").is_some_and(|state| state.starts_with('S'));
        takes_none("SigPnd:") && takes_none("ShdPnd:") && (sleeps || thread.file_name() == pid)
    })
}

/// Field 3 of `stat`. The name before it may hold brackets.
fn state(thread: &Path) -> Option<char> {
    #[expect(clippy::disallowed_methods, reason = "the named edge: a process is looked at through /proc")]
    let text = std::fs::read_to_string(thread.join("stat")).ok()?;
    text.rsplit_once(") ")?.1.chars().next()
}
