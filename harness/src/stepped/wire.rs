//! What is said between the processes of a drive: one line of JSON each, in the numbers of the simulated machine.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use portcullis_os::{Call, Ending, Signal};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::os::Answer;

/// Which programs are driven. The first line that a driver reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The id of the case.
    pub(super) case: String,
    /// The name of its scenario.
    pub(super) name: String,
    /// The file of the scenario, as it was named.
    pub(super) file: String,
    /// The text of the file.
    pub(super) source: String,
    /// The name of the design.
    pub(super) design: String,
}

/// One step that is to be driven, and what must come of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Step {
    /// What is done.
    pub(super) act: Act,
    /// Which processes live on differently from here on.
    pub(super) fates: Vec<(usize, Fate)>,
    /// What the tasks of the process that acts or is started ask for next, ascending by task.
    pub(super) asks: Vec<(u16, Call)>,
    /// The status that it exits with next.
    pub(super) exit: Option<u8>,
}

/// What is done in one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Act {
    /// A task carries out the call that it has under way.
    Call {
        /// Whose task.
        slot: usize,
        /// Which.
        task: u16,
        /// The call.
        call: Call,
        /// Its deadline passes first.
        times_out: bool,
        /// What the simulated machine has answered.
        answer: Answer,
    },
    /// A process exits.
    Exit {
        /// Whose.
        slot: usize,
    },
    /// A process is started.
    Start {
        /// Whose.
        slot: usize,
        /// Its pid.
        pid: u32,
    },
    /// A process is sent a signal from outside.
    Signal {
        /// Whose.
        slot: usize,
        /// Which.
        signal: Signal,
    },
    /// An operator deletes files, where they exist.
    Remove(Vec<PathBuf>),
}

/// What became of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fate {
    /// It is scheduled.
    Runs,
    /// It is stopped.
    Stops,
    /// It is dead.
    Ends(Ending),
}

/// What a driver says of one schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// Each step went as on the simulated machine.
    Same,
    /// One did not.
    Different {
        /// Which step, from 0, the setup counted.
        step: usize,
        /// What was different.
        says: String,
    },
    /// It cannot be driven, for this reason.
    Unsupported(String),
    /// This machine does not let it be driven now, for this reason.
    Undecided(String),
}

/// What a driver tells a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Grant {
    /// A task may carry out what it has under way.
    Carry {
        /// Which task.
        task: u16,
        /// The call in the numbers of this machine; `None` if nothing is to be done.
        perform: Option<Call>,
        /// What the program is told.
        answer: Answer,
    },
    /// The process is to exit, its program being over.
    Exit,
}

/// What a process tells its driver, once it has come to rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// What the machine has said to the call that was granted.
    pub(super) said: Option<Answer>,
    /// What each task asks for next, ascending by task.
    pub(super) asks: Vec<(u16, Call)>,
    /// The exit status, once the program is over.
    pub(super) exit: Option<u8>,
}

/// Writes one line.
pub(super) fn write(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Reads one line; `None` at the end.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}
