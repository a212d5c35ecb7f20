//! A process of a sequence: it takes one order at a time and carries it out through [`Linux`].
//!
//! # Invariants
//!
//! - Below [`PRIVATE`] it has the standard streams and what its orders have opened, and nothing else: descriptors have the
//!   numbers that they would have in a program that does only what was ordered.
//! - It has one thread until it is ordered to start another one, so that it can fork.
//! - Between two orders nothing of it runs.

use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, ExitCode};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use portcullis_os::{Call, Errno, Linux, Os, Reply, raw};
use rustix::fs::{Mode, OFlags};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{PidfdFlags, Resource, Rlimit, getpid, getrlimit, pidfd_open, setrlimit};
use tokio::runtime::Runtime;

use super::isolate::{because, open_descriptors};
use super::wire::{Order, Report, hear, tell};
use super::zygote::{MEETING, send_with};
use super::{AGENT, INTERNAL, ITSELF};

/// From here on descriptors are those of the agent itself. The first one leads to the driver.
const PRIVATE: RawFd = 200;

/// A process that takes orders.
struct Agent {
    /// The directory of the machine, where the driver is met.
    root: PathBuf,
    driver: OwnedFd,
    /// How many descriptors it may have while it carries out a call.
    limit: Option<u32>,
    linux: Linux,
    /// Made when something is waited for the first time.
    runtime: Option<Runtime>,
}

/// What comes after an order.
enum Next {
    Answer(Report),
    /// This process is a new one, and has said so.
    Born,
}

/// Becomes an agent that the driver does not know yet.
pub(super) fn main(root: &Path) -> ExitCode {
    let made = meet(root).and_then(|driver| {
        introduce(&driver)?;
        Ok(Agent::new(root.to_owned(), driver))
    });
    match made {
        Ok(agent) => agent.live(),
        // The driver sees that nobody has come.
        Err(_) => ExitCode::FAILURE,
    }
}

/// Goes on after an execve(2), with whatever descriptors that has left.
pub(super) fn resume(root: &OsStr) -> ExitCode {
    let made = (|| {
        let driver = raw::adopt(PRIVATE).map_err(because("the driver is lost"))?;
        fcntl_setfd(&driver, FdFlags::CLOEXEC).map_err(because("the socket stays open"))?;
        let linux = adopt_all()?;
        tell(&driver, &Report::Here { pid: own_pid() }).map_err(because("the driver is deaf"))?;
        Ok::<_, String>(Agent { linux, ..Agent::new(root.into(), driver) })
    })();
    made.map_or(ExitCode::FAILURE, Agent::live)
}

/// Begins as a program that a process of the sequence has started, with whatever it has inherited.
pub(super) fn begin(root: &OsStr) -> ExitCode {
    let made = (|| {
        leave_session()?;
        let linux = adopt_all()?;
        let driver = meet(Path::new(root))?;
        introduce(&driver)?;
        Ok::<_, String>(Agent { linux, ..Agent::new(root.into(), driver) })
    })();
    made.map_or(ExitCode::FAILURE, Agent::live)
}

fn adopt_all() -> Result<Linux, String> {
    let linux = Linux::new(|_| {});
    for number in open_descriptors().map_err(because("the own descriptors cannot be listed"))? {
        // One that is not open any more was that of the listing itself.
        if number < PRIVATE && linux.adopt(number) == Err(Errno::Exists) {
            return Err("a descriptor was there already".to_owned());
        }
    }
    Ok(linux)
}

impl Agent {
    fn new(root: PathBuf, driver: OwnedFd) -> Self {
        Self { root, driver, limit: None, linux: Linux::new(|_| {}), runtime: None }
    }

    fn live(mut self) -> ExitCode {
        let mut buffer = Vec::new();
        loop {
            let Ok(Some(order)) = hear(&self.driver, &mut buffer) else { return ExitCode::SUCCESS };
            let report = match self.obey(order) {
                Ok(Next::Answer(report)) => report,
                Ok(Next::Born) => continue,
                Err(reason) => Report::Failed(reason),
            };
            if tell(&self.driver, &report).is_err() {
                return ExitCode::FAILURE;
            }
        }
    }

    fn obey(&mut self, order: Order) -> Result<Next, String> {
        match order {
            Order::Call { call, patience_ms } => self.call(call, patience_ms).map(Next::Answer),
            Order::Limit(limit) => {
                self.limit = Some(limit);
                Ok(Next::Answer(Report::Done))
            }
            Order::Fork => self.fork(),
            Order::Exec => Err(self.execute()),
            // Not by way of destructors, which would close its descriptors from the first to the last: the kernel takes them
            // the other way round.
            Order::Exit(status) => std::process::exit(i32::from(status)),
            Order::Thread => {
                let (tell_number, number) = std::sync::mpsc::channel();
                std::thread::spawn(move || {
                    let _ = tell_number.send(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs());
                    loop {
                        std::thread::park();
                    }
                });
                let number = number.recv().map_err(because("the thread does not start"))?;
                Ok(Next::Answer(Report::Number(number)))
            }
        }
    }

    fn call(&mut self, call: Call, patience_ms: Option<u32>) -> Result<Report, String> {
        let answer = match patience_ms {
            None => self.call_at_once(call)?,
            Some(patience_ms) => self.call_and_wait(call, patience_ms)?,
        };
        Ok(answer.map_or(Report::Waits, Report::Reply))
    }

    /// Without a runtime: most calls need none, and it is what makes a process expensive.
    fn call_at_once(&self, call: Call) -> Result<Option<Result<Reply, Errno>>, String> {
        self.limited(|linux| {
            let call = pin!(linux.call(call));
            match call.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => Some(answer),
                Poll::Pending => None,
            }
        })
    }

    fn call_and_wait(
        &mut self,
        call: Call,
        patience_ms: u32,
    ) -> Result<Option<Result<Reply, Errno>>, String> {
        if self.runtime.is_none() {
            self.runtime = Some(runtime()?);
        }
        let Some(runtime) = &self.runtime else { return Err("no runtime".to_owned()) };
        let patience = Duration::from_millis(u64::from(patience_ms));
        self.limited(|linux| {
            runtime.block_on(async { tokio::time::timeout(patience, linux.call(call)).await.ok() })
        })
    }

    /// The limit holds for the call and not for the agent's own business.
    fn limited<T>(&self, run: impl FnOnce(&Linux) -> T) -> Result<T, String> {
        let Some(limit) = self.limit else { return Ok(run(&self.linux)) };
        let trouble = because("the number of descriptors cannot be limited");
        let whole = getrlimit(Resource::Nofile);
        let low = Rlimit { current: Some(u64::from(limit)), maximum: whole.maximum };
        setrlimit(Resource::Nofile, low).map_err(&trouble)?;
        let result = run(&self.linux);
        setrlimit(Resource::Nofile, whole).map_err(&trouble)?;
        Ok(result)
    }

    /// The child is a copy of its parent: what [`Linux`] knows is in memory and comes along.
    fn fork(&mut self) -> Result<Next, String> {
        if let Some(child) = raw::fork().map_err(because("it cannot fork"))? {
            return Ok(Next::Answer(Report::Number(child.get())));
        }
        leave_session()?;
        // The two share its descriptors: to shut it down here would take the parent's wake-ups away. The child makes one
        // of its own when it needs one. That nothing wakes what was registered with the old one does no harm, because
        // each call looks first, and is waited for only where nothing is to come.
        std::mem::forget(self.runtime.take());
        // The number that the parent's socket had is free as soon as that is closed here.
        self.driver = meet(&self.root)?;
        self.driver = fcntl_dupfd_cloexec(&self.driver, PRIVATE).map_err(because("no descriptor"))?;
        introduce(&self.driver)?;
        Ok(Next::Born)
    }

    /// Returns only if it fails.
    fn execute(&self) -> String {
        if self.driver.as_raw_fd() != PRIVATE {
            return "the socket has another number".to_owned();
        }
        if let Err(errno) = fcntl_setfd(&self.driver, FdFlags::empty()) {
            return format!("the socket cannot be kept: {errno}");
        }
        let error = Command::new(ITSELF).args([INTERNAL, AGENT]).arg(&self.root).exec();
        format!("it cannot be executed: {error}")
    }
}

/// Becomes a session of its own. The simulated kernel has none, and a session keeps the number of whoever began it in use as
/// long as anybody is in it: `/proc/locks` of a container would go on naming a process that is gone.
fn leave_session() -> Result<(), String> {
    rustix::process::setsid().map(drop).map_err(because("no session can be begun"))
}

/// Connects to the driver, out of the way of everything that will be opened.
fn meet(root: &Path) -> Result<OwnedFd, String> {
    let trouble = because("the driver is not there");
    let address = SocketAddrUnix::new(root.join(MEETING)).map_err(&trouble)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let socket = socket.map_err(&trouble)?;
    connect(&socket, &address).map_err(&trouble)?;
    fcntl_dupfd_cloexec(&socket, PRIVATE).map_err(&trouble)
}

/// Says who this is, with a descriptor of the process itself that outlives its number.
fn introduce(driver: &OwnedFd) -> Result<(), String> {
    let trouble = because("the driver is deaf");
    let pidfd = pidfd_open(getpid(), PidfdFlags::empty()).map_err(because("no pidfd"))?;
    let here = serde_json::to_vec(&Report::Here { pid: own_pid() }).map_err(because("no message"))?;
    send_with(driver, &here, &pidfd).map_err(trouble)
}

fn own_pid() -> u32 {
    getpid().as_raw_nonzero().get().unsigned_abs()
}

/// A runtime whose descriptors are out of the way.
fn runtime() -> Result<Runtime, String> {
    let trouble = because("no runtime");
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let mut fillers = vec![null.map_err(because("nothing to fill the table with"))?];
    while fillers.last().is_some_and(|last| last.as_raw_fd() < PRIVATE) {
        let next = fcntl_dupfd_cloexec(fillers[0].as_fd(), 3).map_err(because("the table is full"))?;
        fillers.push(next);
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error: io::Error| trouble(error))
}
