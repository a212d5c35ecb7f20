//! An operating system that asks before each step: nothing happens in the process that was not granted from outside.
//!
//! [`Stepped`] stands before any [`Os`]. A call is announced on a [`Board`] and waits there until it is granted; then the
//! `Os` behind carries it out. The close of a destructor is announced like any other call, before the next one of its task.
//!
//! # Invariants
//!
//! - It awaits nothing that the program did not: a task that has not announced anything runs, or is over.
//! - The program is told what the grant says. Whether the machine says the same is for the granting side to judge.
//! - A round of a task that repeats begins after the closes of the round before.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_os::{Call, Errno, Fd, Listener, Os, Port, Reply, Round};
use tokio::sync::{Notify, oneshot};

/// The answer to one call.
pub(super) type Answer = Result<Reply, Errno>;

tokio::task_local! {
    /// Which task of the process is polled.
    static TASK: u16;
}

/// Leave to carry a call out.
#[derive(Debug)]
struct Grant {
    /// The call in the numbers of this machine; `None` if nothing is to be done.
    perform: Option<Call>,
    /// What the program is told.
    answer: Answer,
}

/// What every task of the process waits for.
#[derive(Debug, Default)]
pub(super) struct Board {
    desks: Mutex<Vec<Desk>>,
    changed: Notify,
}

/// What one task waits for.
#[derive(Debug, Default)]
struct Desk {
    asked: Option<(Call, oneshot::Sender<Grant>)>,
    /// Descriptors that destructors have given back.
    closes: VecDeque<Fd>,
    /// It waits for nothing: it is about to ask, or to end.
    runs: bool,
    /// What the machine has answered to the last call that was granted.
    answered: Option<Answer>,
    /// Lets the next round of a task that repeats begin, once the closes of the last one are done.
    next_round: Option<oneshot::Sender<()>>,
    /// The exit status, once the main task has returned.
    exit: Option<u8>,
}

impl Board {
    fn desks(&self) -> MutexGuard<'_, Vec<Desk>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more task, which runs.
    fn enrol(&self) -> u16 {
        let mut desks = self.desks();
        desks.push(Desk { runs: true, ..Desk::default() });
        u16::try_from(desks.len() - 1).unwrap_or(u16::MAX)
    }

    fn at<T>(&self, task: u16, change: impl FnOnce(&mut Desk) -> T) -> Option<T> {
        let changed = self.desks().get_mut(usize::from(task)).map(change);
        self.changed.notify_one();
        changed
    }

    /// Waits until each task has announced what it wants, or is over.
    pub(super) async fn settled(&self) {
        while self.desks().iter().any(|desk| desk.runs) {
            self.changed.notified().await;
        }
    }

    /// What each task has under way, ascending by task.
    pub(super) fn asks(&self) -> Vec<(u16, Call)> {
        let desks = self.desks();
        let under_way = |desk: &Desk| match (desk.closes.front(), &desk.asked) {
            (Some(fd), _) => Some(Call::Close { fd: *fd }),
            (None, Some((call, _))) => Some(call.clone()),
            (None, None) => None,
        };
        (0..).zip(desks.iter()).filter_map(|(task, desk)| Some((task, under_way(desk)?))).collect()
    }

    /// The exit status, once the main task is over and has closed what it held.
    pub(super) fn exit(&self) -> Option<u8> {
        self.desks().first().filter(|main| main.closes.is_empty()).and_then(|main| main.exit)
    }

    /// Grants what a task has under way, and waits until every task has come to its next announcement. Answers what the
    /// machine has said; `None` if nothing was done, or nothing was under way.
    pub(super) async fn grant(
        &self,
        os: &impl Os,
        task: u16,
        perform: Option<Call>,
        answer: Answer,
    ) -> Option<Answer> {
        if self.at(task, |desk| !desk.closes.is_empty())? {
            // Nobody awaits the close of a destructor, so it is made here.
            let said = match perform {
                Some(call) => Some(os.call(call).await),
                None => None,
            };
            self.at(task, Desk::closed);
            self.settled().await;
            return said;
        }
        let (_, permit) = self.at(task, |desk| {
            desk.runs = desk.asked.is_some();
            desk.asked.take()
        })??;
        // A task that is gone has nobody to be told.
        let _ = permit.send(Grant { perform, answer });
        self.settled().await;
        self.at(task, |desk| desk.answered.take())?
    }
}

impl Desk {
    /// One close is done. The last one lets a round begin that waits for it.
    fn closed(&mut self) {
        self.closes.pop_front();
        if self.closes.is_empty()
            && let Some(next_round) = self.next_round.take()
        {
            self.runs = next_round.send(()).is_ok();
        }
    }
}

/// An `Os` that asks before each step.
///
/// Tasks are told apart by the order in which they are started. What it knows of a task is bound to the executor's poll of
/// it, so a program may be run by any executor whose tasks make their calls themselves.
#[derive(Clone, Debug)]
pub(super) struct Stepped<O> {
    os: O,
    board: Arc<Board>,
}

impl<O: Os> Stepped<O> {
    /// Puts a board before an operating system, and starts a program's main task on it.
    pub(super) fn start<F>(os: O, board: &Arc<Board>, program: impl FnOnce(Self) -> F)
    where
        F: Future<Output = u8> + Send + 'static,
    {
        let stepped = Self { os, board: Arc::clone(board) };
        let os = stepped.os.clone();
        let main = program(stepped.clone());
        stepped.enrol(&os, async move { Some(main.await) });
    }

    fn enrol(&self, os: &O, body: impl Future<Output = Option<u8>> + Send + 'static) {
        let task = self.board.enrol();
        let board = Arc::clone(&self.board);
        os.task(TASK.scope(task, async move {
            // The body and what it held are gone before the task counts as over.
            let exit = body.await;
            board.at(task, |desk| (desk.runs, desk.exit) = (false, exit));
        }));
    }

    /// Waits until the closes of the present task are done.
    async fn closed(&self, task: u16) {
        let wait = self.board.at(task, |desk| {
            if desk.closes.is_empty() {
                return None;
            }
            let (sender, receiver) = oneshot::channel();
            (desk.next_round, desk.runs) = (Some(sender), false);
            Some(receiver)
        });
        if let Some(Some(closed)) = wait {
            // Without the sender the process is about to end.
            let _ = closed.await;
        }
    }
}

impl<O: Os> Os for Stepped<O> {
    type Listener = O::Listener;

    /// # Panics
    ///
    /// Outside of the tasks that were started through it.
    async fn call(&self, call: Call) -> Result<Reply, Errno> {
        let task = TASK.get();
        let (sender, permit) = oneshot::channel();
        self.board.at(task, |desk| (desk.asked, desk.runs) = (Some((call, sender)), false));
        // The board lives as long as this process, and answers each desk or none.
        let Ok(Grant { perform, answer }) = permit.await else { return std::future::pending().await };
        if let Some(call) = perform {
            let said = self.os.call(call).await;
            self.board.at(task, |desk| desk.answered = Some(said));
        }
        answer
    }

    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        self.enrol(&self.os, async move {
            body.await;
            None
        });
    }

    fn repeat<F>(&self, round: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Round> + Send + 'static,
    {
        let os = self.clone();
        self.task(async move {
            while round().await == Round::Again {
                os.closed(TASK.get()).await;
            }
        });
    }

    fn discard(&self, fd: Fd) {
        // Outside of a task the process is being torn down, and the kernel closes everything.
        let _ = TASK.try_with(|task| self.board.at(*task, |desk| desk.closes.push_back(fd)));
    }

    /// There are no byte streams here: what is not granted step by step cannot be compared.
    fn listener(&self, _: Fd) -> Result<Self::Listener, Errno> {
        Err(Errno::NotSupported)
    }

    async fn dial(&self, _: &str, _: Port) -> io::Result<<Self::Listener as Listener>::Stream> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use portcullis_os::{Call, Cell, Errno, Fd, Linux, Open, Os, Reply, Round};

    use super::{Board, Stepped};

    const NULL: &str = "/dev/null";

    fn open() -> Call {
        Call::Open { at: None, path: NULL.into(), open: Open::read() }
    }

    fn load(cell: u8) -> Call {
        Call::Load { cell: Cell(cell) }
    }

    /// Grants what a task has under way as it asks for it, and tells it what the machine says.
    async fn carry(board: &Board, os: &Linux, task: u16, call: Call, answer: Reply) {
        assert!(board.asks().contains(&(task, call.clone())), "{:?}", board.asks());
        let said = board.grant(os, task, Some(call), Ok(answer.clone())).await;
        assert_eq!(said, Some(Ok(answer)));
    }

    #[tokio::test]
    async fn a_destructor_closes_in_a_step_of_its_own_before_the_next_call() {
        let (board, os) = (Arc::new(Board::default()), Linux::new(|_| {}));
        Stepped::start(os.clone(), &board, |os| async move {
            let Ok(file) = os.open(Path::new(NULL), Open::read()).await else { return 1 };
            drop(file);
            u8::from(os.load(Cell(1)).await != Ok(0))
        });
        board.settled().await;
        assert_eq!(board.asks(), [(0, open())]);
        // The program is told another number than the kernel has given, and names that one.
        let said = board.grant(&os, 0, Some(open()), Ok(Reply::Fd(Fd(700)))).await;
        let Some(Ok(Reply::Fd(real))) = said else { panic!("{said:?}") };
        assert_eq!((board.asks(), board.exit()), (vec![(0, Call::Close { fd: Fd(700) })], None));
        let said = board.grant(&os, 0, Some(Call::Close { fd: real }), Ok(Reply::Done)).await;
        assert_eq!(said, Some(Ok(Reply::Done)));
        carry(&board, &os, 0, load(1), Reply::Word(0)).await;
        assert_eq!((board.asks(), board.exit()), (Vec::new(), Some(0)));
        assert_eq!(os.call(Call::StatFd { fd: real }).await, Err(Errno::BadDescriptor));
    }

    #[tokio::test]
    async fn a_round_begins_after_the_closes_of_the_round_before() {
        let (board, os) = (Arc::new(Board::default()), Linux::new(|_| {}));
        Stepped::start(os.clone(), &board, |os| async move {
            let task = os.clone();
            os.repeat(move || {
                let os = task.clone();
                async move {
                    let _file = os.open(Path::new(NULL), Open::read()).await;
                    if os.load(Cell(2)).await == Ok(0) { Round::Again } else { Round::Over }
                }
            });
            u8::from(os.load(Cell(1)).await != Ok(0))
        });
        board.settled().await;
        assert_eq!(board.asks(), [(0, load(1)), (1, open())]);
        for answer in [Reply::Word(0), Reply::Word(7)] {
            assert_eq!(board.asks()[1], (1, open()));
            let said = board.grant(&os, 1, Some(open()), Ok(Reply::Fd(Fd(700)))).await;
            let Some(Ok(Reply::Fd(real))) = said else { panic!("{said:?}") };
            let _ = board.grant(&os, 1, None, Ok(answer)).await;
            assert_eq!(board.asks()[1], (1, Call::Close { fd: Fd(700) }));
            let said = board.grant(&os, 1, Some(Call::Close { fd: real }), Ok(Reply::Done)).await;
            assert_eq!(said, Some(Ok(Reply::Done)));
        }
        // The second round was the last.
        assert_eq!(board.asks(), [(0, load(1))]);
    }

    #[tokio::test]
    async fn tasks_are_numbered_as_they_are_started_and_each_moves_only_when_granted() {
        let (board, os) = (Arc::new(Board::default()), Linux::new(|_| {}));
        Stepped::start(os.clone(), &board, |os| async move {
            for cell in [1, 2] {
                let task = os.clone();
                os.task(async move {
                    let child = task.clone();
                    task.task(async move {
                        let _ = child.load(Cell(cell + 2)).await;
                    });
                    let _ = task.load(Cell(cell)).await;
                });
            }
            u8::from(os.load(Cell(0)).await != Ok(0))
        });
        board.settled().await;
        let all = [(0, load(0)), (1, load(1)), (2, load(2)), (3, load(3)), (4, load(4))];
        assert_eq!(board.asks(), all);
        for (task, left) in [(3, 4), (0, 3), (1, 2)] {
            carry(&board, &os, task, load(u8::try_from(task).unwrap()), Reply::Word(0)).await;
            assert_eq!(board.asks().len(), left);
        }
        assert_eq!((board.asks(), board.exit()), (vec![(2, load(2)), (4, load(4))], Some(0)));
        // Who has nothing under way can be granted nothing.
        assert_eq!(board.grant(&os, 3, Some(load(3)), Ok(Reply::Word(0))).await, None);
        assert_eq!(board.grant(&os, 9, Some(load(3)), Ok(Reply::Word(0))).await, None);
    }
}
