//! What makes a program unfit for exploration, each told for what it is.

use portcullis_os::Call;

/// A program broke a rule that makes exploration sound.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// A stage was over before it had made a call.
    #[error("a stage of the main task ended without a call")]
    IdleStage,
    /// The same replies led to another call than before: it looked at something that is not a reply.
    #[error(
        "nondeterministic process: after the same replies it asked for `{before}` once and for `{now}` now"
    )]
    Nondeterministic {
        /// What it asked for when its history was first seen.
        before: String,
        /// What it asked for this time.
        now: String,
    },
    /// A task asked for something else than it did when it was run alone: tasks share memory behind the machine's back.
    #[error(
        "task {task} asks for `{together}` beside the other tasks and for `{alone}` alone: use `Os::load` and \
         `Os::store` for what tasks share"
    )]
    SharedMemory {
        /// The task.
        task: u16,
        /// What it asks for alone.
        alone: String,
        /// What it asks for together with the others.
        together: String,
    },
    /// It waits for something the machine cannot answer: a timer, a channel, another runtime.
    #[error("task {task} awaits something other than `Os`")]
    ForeignAwait {
        /// The task, in order of creation; 0 is the main one.
        task: u16,
    },
    /// One task has two calls under way at once, as `join!` and `select!` make them.
    #[error("task {task} asked for `{second}` while `{first}` was not answered yet")]
    TwoCalls {
        /// The task.
        task: u16,
        /// The call under way.
        first: Box<Call>,
        /// The call that came on top.
        second: Box<Call>,
    },
    /// It dropped a call that was under way: a kernel cannot take a step back.
    #[error("task {task} cancelled `{call}`, which was not answered yet")]
    Cancelled {
        /// The task.
        task: u16,
        /// The call.
        call: Box<Call>,
    },
    /// It panicked.
    #[error("panicked: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// A task that repeats started other tasks: their number has no end.
    #[error("task {task} repeats and starts other tasks")]
    TaskInRound {
        /// The task.
        task: u16,
    },
    /// It started more tasks than are explored.
    #[error("more than {limit} tasks in one process")]
    TooManyTasks {
        /// The limit.
        limit: u16,
    },
}
