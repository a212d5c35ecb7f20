//! One process of the simulated machine, as its own code sees it: an `Os` whose every call waits to be scheduled.
//!
//! Nothing here knows a kernel. An [`Instance`] polls the tasks of one process, collects the call that each of them has
//! under way, and takes one reply at a time.
//!
//! # Invariants
//!
//! - At most one call a task is under way; `Pending` without one is a [`Fault`].
//! - A destructor issues nothing but closes, each of which is a step of its own before the task's next call.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use portcullis_os::{Call, Errno, Fd, Listener, Os, Reply};

use crate::fault::Fault;

/// How many tasks one process may have.
const MOST_TASKS: u16 = 64;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
/// What a program's main task is: a future of its exit status.
pub(crate) type Main = Pin<Box<dyn Future<Output = u8> + Send>>;

#[derive(Default)]
struct Mailbox {
    asked: Option<Call>,
    reply: Option<Result<Reply, Errno>>,
    closes: VecDeque<Fd>,
    over: bool,
}

#[derive(Default)]
struct Shared {
    tasks: Vec<Mailbox>,
    born: Vec<Task>,
    current: u16,
    fault: Option<Fault>,
    torn_down: bool,
}

/// The operating system inside the simulator. Handed to a program when it starts.
#[derive(Clone)]
pub struct Process(Arc<Mutex<Shared>>);

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Process")
    }
}

impl Process {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There are no byte streams in exploration: what the explorer does not schedule it cannot explore.
#[derive(Debug)]
pub enum NoListener {}

impl Listener for NoListener {
    type Stream = tokio::io::DuplexStream;

    async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
        match *self {}
    }
}

impl Os for Process {
    type Listener = NoListener;

    fn call(&self, call: Call) -> impl Future<Output = Result<Reply, Errno>> + Send {
        Asked { process: self.clone(), call: Some(call), task: None }
    }

    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        self.shared().born.push(Box::pin(body));
    }

    fn discard(&self, fd: Fd) {
        let mut shared = self.shared();
        let current = usize::from(shared.current);
        if !shared.torn_down
            && let Some(mailbox) = shared.tasks.get_mut(current)
        {
            mailbox.closes.push_back(fd);
        }
    }

    fn listener(&self, _: Fd) -> Result<Self::Listener, Errno> {
        Err(Errno::NotSupported)
    }
}

/// A call on its way.
struct Asked {
    process: Process,
    call: Option<Call>,
    task: Option<u16>,
}

impl Future for Asked {
    type Output = Result<Reply, Errno>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let process = self.process.clone();
        let mut shared = process.shared();
        let current = shared.current;
        if let Some(call) = self.call.take() {
            self.task = Some(current);
            let mailbox = &mut shared.tasks[usize::from(current)];
            if let Some(first) = &mailbox.asked {
                let first = Box::new(first.clone());
                shared.fault.get_or_insert(Fault::TwoCalls { task: current, first, second: Box::new(call) });
                return Poll::Pending;
            }
            mailbox.asked = Some(call);
            return Poll::Pending;
        }
        let Some(task) = self.task else { return Poll::Pending };
        match shared.tasks[usize::from(task)].reply.take() {
            Some(reply) => {
                self.task = None;
                Poll::Ready(reply)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let Some(task) = self.task else { return };
        let mut shared = self.process.shared();
        if shared.torn_down {
            return;
        }
        if let Some(call) = shared.tasks[usize::from(task)].asked.clone() {
            shared.fault.get_or_insert(Fault::Cancelled { task, call: Box::new(call) });
        }
    }
}

/// One process being run: its futures and what they wait for.
pub(crate) struct Instance {
    process: Process,
    main: Option<Main>,
    tasks: Vec<Option<Task>>,
    status: Option<u8>,
}

impl Instance {
    /// Starts a program and runs it to its first calls.
    pub(crate) fn start(program: impl FnOnce(Process) -> Main) -> Self {
        let process = Process(Arc::default());
        process.shared().tasks.push(Mailbox::default());
        let main = program(process.clone());
        let mut instance = Self { process, main: Some(main), tasks: vec![None], status: None };
        instance.poll(0);
        instance
    }

    /// Carries out the reply to the call that a task has under way.
    pub(crate) fn reply(&mut self, task: u16, reply: Result<Reply, Errno>) {
        let index = usize::from(task);
        {
            let mut shared = self.process.shared();
            let mailbox = &mut shared.tasks[index];
            if mailbox.closes.pop_front().is_some() {
                // Nobody awaits the close of a destructor; the task's own call is still under way.
                return;
            }
            assert!(mailbox.asked.take().is_some(), "task {task} is answered without having asked");
            mailbox.reply = Some(reply);
        }
        self.poll(task);
    }

    /// How many tasks it has had.
    pub(crate) fn tasks(&self) -> u16 {
        u16::try_from(self.tasks.len()).unwrap_or(u16::MAX)
    }

    /// The call that a task has under way.
    pub(crate) fn call(&self, task: u16) -> Option<Call> {
        let shared = self.process.shared();
        let mailbox = shared.tasks.get(usize::from(task))?;
        mailbox.closes.front().map(|fd| Call::Close { fd: *fd }).or_else(|| mailbox.asked.clone())
    }

    /// The exit status, once the main task has returned and closed what it held.
    pub(crate) fn exit(&self) -> Option<u8> {
        let shared = self.process.shared();
        let main = &shared.tasks[0];
        if main.over && main.closes.is_empty() { self.status } else { None }
    }

    /// Why the process cannot be explored further.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.process.shared().fault.clone()
    }

    /// Polls a task that was answered, then every task that was born meanwhile.
    fn poll(&mut self, task: u16) {
        self.poll_one(task);
        loop {
            let born = std::mem::take(&mut self.process.shared().born);
            if born.is_empty() {
                break;
            }
            for body in born {
                let Ok(number) = u16::try_from(self.tasks.len()) else { return };
                if number >= MOST_TASKS {
                    self.process.shared().fault.get_or_insert(Fault::TooManyTasks { limit: MOST_TASKS });
                    return;
                }
                self.tasks.push(Some(body));
                self.process.shared().tasks.push(Mailbox::default());
                self.poll_one(number);
            }
        }
    }

    fn poll_one(&mut self, task: u16) {
        self.process.shared().current = task;
        let mut context = Context::from_waker(Waker::noop());
        let (main, tasks) = (&mut self.main, &mut self.tasks);
        let polled = catch_unwind(AssertUnwindSafe(|| match (task, main) {
            (0, Some(main)) => main.as_mut().poll(&mut context).map(Some),
            (0, None) => Poll::Ready(None),
            (task, _) => match &mut tasks[usize::from(task)] {
                Some(body) => body.as_mut().poll(&mut context).map(|()| None),
                None => Poll::Ready(None),
            },
        }));
        let mut over = false;
        match polled {
            Ok(Poll::Ready(status)) => {
                over = true;
                self.status = self.status.or(status);
            }
            Ok(Poll::Pending) => {}
            Err(panic) => {
                let message = panic_message(panic.as_ref());
                self.process.shared().fault.get_or_insert(Fault::Panicked { message });
            }
        }
        if over {
            // The body of a finished task is dropped now, while it is the current one, so that its closes are its own.
            if task == 0 {
                self.main = None;
            } else {
                self.tasks[usize::from(task)] = None;
            }
        }
        let mut shared = self.process.shared();
        let mailbox = &mut shared.tasks[usize::from(task)];
        mailbox.over = over;
        if !over && mailbox.asked.is_none() && mailbox.closes.is_empty() {
            shared.fault.get_or_insert(Fault::ForeignAwait { task });
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // What destructors would close, the kernel has closed or will close when it ends the process.
        self.process.shared().torn_down = true;
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "a value that is no text".to_owned(),
    }
}
