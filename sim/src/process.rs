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

use portcullis_os::{Call, Errno, Fd, Listener, Os, Port, Reply, Round, Stage};
use tokio::io::DuplexStream;

use crate::fault::Fault;

/// How many tasks one process may have.
const MOST_TASKS: u16 = 64;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a child task does.
enum Task {
    /// Something once.
    Once(Boxed<()>),
    /// The same again and again: how to begin a round, and the present one.
    Repeat { begin: Box<dyn Fn() -> Boxed<Round> + Send>, round: Boxed<Round> },
}

/// What a program's main task is: a future of how its present stage ends. Stages are told by number; the first is 0.
pub(crate) type Main = Boxed<Stage<u32>>;

/// How a program begins one of its stages.
pub(crate) type Begin = Arc<dyn Fn(Process, u32) -> Main + Send + Sync>;

#[derive(Default)]
struct Mailbox {
    asked: Option<Call>,
    reply: Option<Result<Reply, Errno>>,
    closes: VecDeque<Fd>,
    over: bool,
    /// The present round is over and the next one waits for the closes of this one.
    between_rounds: bool,
    /// The last reply has led to the beginning of a new round.
    has_begun_anew: bool,
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
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
        match *self {}
    }
}

impl Os for Process {
    type Listener = NoListener;

    fn call(&self, call: Call) -> impl Future<Output = Result<Reply, Errno>> + Send {
        Asked { process: self, call: Some(call), task: None }
    }

    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        self.shared().born.push(Task::Once(Box::pin(body)));
    }

    fn repeat<F>(&self, round: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Round> + Send + 'static,
    {
        let begin: Box<dyn Fn() -> Boxed<Round> + Send> = Box::new(move || Box::pin(round()));
        let first = begin();
        self.shared().born.push(Task::Repeat { begin, round: first });
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

    async fn dial(&self, _: &str, _: Port) -> io::Result<DuplexStream> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A call on its way.
struct Asked<'a> {
    process: &'a Process,
    call: Option<Call>,
    task: Option<u16>,
}

impl Future for Asked<'_> {
    type Output = Result<Reply, Errno>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let process = self.process;
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

impl Drop for Asked<'_> {
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
    begin: Begin,
    /// The present stage of the main task.
    stage: u32,
    main: Option<Main>,
    tasks: Vec<Option<Task>>,
    status: Option<u8>,
}

impl Instance {
    /// Starts a program at one of its stages and runs it to its first calls.
    pub(crate) fn start(begin: &Begin, stage: u32) -> Self {
        let process = Process(Arc::default());
        process.shared().tasks.push(Mailbox::default());
        let main = Some(begin(process.clone(), stage));
        let begin = Arc::clone(begin);
        let mut instance = Self { process, begin, stage, main, tasks: vec![None], status: None };
        instance.poll(0);
        instance
    }

    /// Carries out the reply to the call that a task has under way.
    pub(crate) fn reply(&mut self, task: u16, reply: Result<Reply, Errno>) {
        let index = usize::from(task);
        {
            let mut shared = self.process.shared();
            let mailbox = &mut shared.tasks[index];
            mailbox.has_begun_anew = false;
            if mailbox.closes.pop_front().is_some() {
                // Nobody awaits the close of a destructor; the task's own call is still under way.
                if !mailbox.between_rounds || !mailbox.closes.is_empty() {
                    return;
                }
                drop(shared);
                self.poll(task);
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

    /// Whether a task asks for this call, or is the main one and has come to its end with this status.
    pub(crate) fn is_at(&self, task: u16, call: Option<&Call>, exit: Option<u8>) -> bool {
        let shared = self.process.shared();
        let Some(mailbox) = shared.tasks.get(usize::from(task)) else {
            return call.is_none() && exit.is_none();
        };
        let asks = match (mailbox.closes.front(), call) {
            (Some(fd), Some(Call::Close { fd: other })) => fd == other,
            (Some(_), _) => false,
            (None, call) => mailbox.asked.as_ref() == call,
        };
        let is_over = task == 0 && mailbox.over && mailbox.closes.is_empty();
        asks && exit == self.status.filter(|_| is_over)
    }

    /// Whether the last reply to a task has led to the beginning of a new round of it.
    pub(crate) fn has_begun_anew(&self, task: u16) -> bool {
        self.process.shared().tasks.get(usize::from(task)).is_some_and(|mailbox| mailbox.has_begun_anew)
    }

    /// The stage that the main task is in.
    pub(crate) const fn stage(&self) -> u32 {
        self.stage
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
        let mut has_born = self.poll_one(task);
        while has_born {
            has_born = false;
            let born = std::mem::take(&mut self.process.shared().born);
            for body in born {
                let Ok(number) = u16::try_from(self.tasks.len()) else { return };
                if number >= MOST_TASKS {
                    self.process.shared().fault.get_or_insert(Fault::TooManyTasks { limit: MOST_TASKS });
                    return;
                }
                self.tasks.push(Some(body));
                self.process.shared().tasks.push(Mailbox::default());
                has_born |= self.poll_one(number);
            }
        }
    }

    /// Polls one task, and answers whether any were born and not polled yet.
    fn poll_one(&mut self, task: u16) -> bool {
        let repeats = matches!(self.tasks[usize::from(task)], Some(Task::Repeat { .. }));
        let (born, between_rounds) = {
            let mut shared = self.process.shared();
            shared.current = task;
            let between_rounds = std::mem::take(&mut shared.tasks[usize::from(task)].between_rounds);
            (shared.born.len(), between_rounds)
        };
        let mut context = Context::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| self.advance(task, between_rounds, &mut context)));
        let over = polled.unwrap_or_else(|panic| {
            let message = panic_message(panic.as_ref());
            self.process.shared().fault.get_or_insert(Fault::Panicked { message });
            false
        });
        let mut shared = self.process.shared();
        if repeats && shared.born.len() > born {
            shared.fault.get_or_insert(Fault::TaskInRound { task });
        }
        let mailbox = &mut shared.tasks[usize::from(task)];
        mailbox.over = over;
        // The closes of a destructor wake nobody, except that the last one may begin a new round.
        if !over && mailbox.asked.is_none() && !mailbox.between_rounds {
            shared.fault.get_or_insert(Fault::ForeignAwait { task });
        }
        !shared.born.is_empty()
    }

    /// Polls the body of a task, and answers whether it is over for good.
    ///
    /// The body of what is over is dropped here, while its task is the current one, so that its closes are its own.
    fn advance(&mut self, task: u16, between_rounds: bool, context: &mut Context<'_>) -> bool {
        let index = usize::from(task);
        if task == 0 {
            return self.advance_main(between_rounds, context);
        }
        match &mut self.tasks[index] {
            None => true,
            Some(Task::Once(body)) => {
                let over = body.as_mut().poll(context).is_ready();
                if over {
                    self.tasks[index] = None;
                }
                over
            }
            Some(Task::Repeat { begin, round }) => {
                if !between_rounds {
                    match round.as_mut().poll(context) {
                        Poll::Pending => return false,
                        Poll::Ready(Round::Over) => {
                            self.tasks[index] = None;
                            return true;
                        }
                        Poll::Ready(Round::Again) => *round = begin(),
                    }
                    let mut shared = self.process.shared();
                    if !shared.tasks[index].closes.is_empty() {
                        shared.tasks[index].between_rounds = true;
                        return false;
                    }
                }
                self.process.shared().tasks[index].has_begun_anew = true;
                // A round that is over at once would never let anybody else act: it has asked for nothing.
                let _ = round.as_mut().poll(context);
                false
            }
        }
    }
}

impl Instance {
    fn advance_main(&mut self, between_rounds: bool, context: &mut Context<'_>) -> bool {
        let Some(main) = &mut self.main else { return true };
        if !between_rounds {
            let Poll::Ready(end) = main.as_mut().poll(context) else { return false };
            // The body is dropped before the next one begins, so that its closes come first.
            self.main = None;
            match end {
                Stage::Exit(status) => {
                    self.status = Some(status);
                    return true;
                }
                Stage::Continue(stage) => self.stage = stage,
            }
            self.main = Some((self.begin)(self.process.clone(), self.stage));
            let mut shared = self.process.shared();
            if !shared.tasks[0].closes.is_empty() {
                shared.tasks[0].between_rounds = true;
                return false;
            }
        }
        self.process.shared().tasks[0].has_begun_anew = true;
        let Some(main) = &mut self.main else { return true };
        match main.as_mut().poll(context) {
            Poll::Pending => false,
            Poll::Ready(Stage::Exit(status)) => {
                self.main = None;
                self.status = Some(status);
                true
            }
            Poll::Ready(Stage::Continue(_)) => {
                self.process.shared().fault.get_or_insert(Fault::IdleStage);
                false
            }
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
