//! What is run on both machines: a scene, and steps that name what earlier steps have made.
//!
//! A step refers to a descriptor, a process or a file by the label of the step that made it, never by its number. So a
//! sequence keeps its meaning when steps are taken out of it, and it has the same meaning on two machines that number
//! things differently.

use std::fmt;

use portcullis_os::{Call, Signal};
use serde::{Deserialize, Serialize};

/// The name of one step, unique in its sequence. Steps that are taken out leave the labels of the others as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Label(pub u16);

/// A process of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Who {
    /// The first process of the pid namespace, which takes in orphans. It makes no calls.
    Init,
    /// One of those that are there from the start, by number.
    First(u8),
    /// The child of a fork, by the label of that step.
    Child(Label),
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// One call. What is a symbol in it is told in [`crate::symbols`].
    Call(Call),
    /// fork(2).
    Fork,
    /// execve(2) of the program that the process runs already, with other arguments.
    Exec,
    /// exit(2).
    Exit(u8),
    /// A thread that does nothing, so that the process has a second number.
    Thread,
    /// A signal from outside the pid namespace, to the process and not to a number.
    Signal(Signal),
    /// The first process of the namespace waits for this one, which is dead and its child.
    Collect,
}

/// One step of one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub label: Label,
    /// Who takes it, or whom it happens to.
    pub who: Who,
    /// What it is.
    pub op: Op,
}

/// A scene and the steps that are taken in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// The users of the first processes, which are [`Who::First`] 0, 1 and so on.
    pub users: Vec<u32>,
    /// The permission bits of the directory in which everything happens. It is root's, or the only user's.
    pub mode: u32,
    /// How many descriptors each process may have (`RLIMIT_NOFILE`); `None`: more than it can use up.
    #[serde(default)]
    pub limit: Option<u32>,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init => f.write_str("init"),
            Self::First(number) => write!(f, "p{number}"),
            Self::Child(label) => write!(f, "c{}", label.0),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call) => call.fmt(f),
            Self::Fork => f.write_str("fork"),
            Self::Exec => f.write_str("exec"),
            Self::Exit(status) => write!(f, "exit with {status}"),
            Self::Thread => f.write_str("start a thread"),
            Self::Signal(signal) => write!(f, "gets {signal} from outside"),
            Self::Collect => f.write_str("is reaped by init"),
        }
    }
}
