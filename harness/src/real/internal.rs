//! portcullis is its own helper: started by itself, it isolates a try, runs it, or plays a process that is no gateway.
//!
//! The environment is read here and nowhere else in this folder. A bystander is told what to do through it because its
//! arguments must be exactly the command line that it pretends to be.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::wire::Answer;
use super::{attempt, bystander, isolate};
use crate::{stepped, stress};

/// The first argument of every helper but a bystander.
const INTERNAL: &str = "internal";
/// The variable that makes a process a bystander: the addresses that it listens on, separated by blanks.
pub(super) const BYSTANDER: &str = "PORTCULLIS_INTERNAL_BYSTANDER";

/// What it answers there; without it, it takes no connection.
pub(super) const ANSWERS_AS: &str = "PORTCULLIS_INTERNAL_ANSWERS";

/// A helper that portcullis starts by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Helper {
    /// Makes the namespaces and starts `Case` in them.
    Isolate,
    /// Runs one request as the first process of its namespaces.
    Case,
    /// Runs one request among everybody else.
    CaseShared,
    /// Becomes another program that dies with its parent.
    Leash,
    /// Makes the namespaces and drives schedules in them.
    Stepped,
    /// Contends with others under a stress.
    Contender,
}

impl Helper {
    const ALL: [Self; 6] =
        [Self::Isolate, Self::Case, Self::CaseShared, Self::Leash, Self::Stepped, Self::Contender];

    const fn word(self) -> &'static str {
        match self {
            Self::Isolate => "isolate",
            Self::Case => "case",
            Self::CaseShared => "case-shared",
            Self::Leash => "leash",
            Self::Stepped => "stepped",
            Self::Contender => "contender",
        }
    }

    /// The command that starts it. `program` is portcullis itself.
    pub(crate) fn command(self, program: &OsStr) -> Command {
        let mut command = Command::new(program);
        command.args([INTERNAL, self.word()]).arg(rustix::process::getpid().to_string());
        command
    }
}

/// Runs the internal helper that these arguments ask for, the program's own name being the first of them.
///
/// To be called first thing in `main`, while the process has one thread. `None`: it is a command of the user.
pub fn internal_main(args: &[OsString]) -> Option<ExitCode> {
    #[expect(clippy::disallowed_methods, reason = "the named edge: a bystander is told by its environment")]
    if let Some(addresses) = std::env::var_os(BYSTANDER) {
        let answers = std::env::var_os(ANSWERS_AS).unwrap_or_default();
        return Some(bystander::main(args, &addresses.to_string_lossy(), &answers.to_string_lossy()));
    }
    let [_, internal, word, parent, rest @ ..] = args else { return None };
    if internal != INTERNAL {
        return None;
    }
    let helper = Helper::ALL.into_iter().find(|helper| word == helper.word())?;
    if let Err(reason) = die_with_parent(helper, parent) {
        answer(&Answer::Undecided(reason));
        return Some(ExitCode::FAILURE);
    }
    Some(match helper {
        Helper::Isolate => isolate::main(),
        Helper::Case => attempt::main(attempt::Place::FirstProcess),
        Helper::CaseShared => attempt::main(attempt::Place::Guest),
        Helper::Leash => leash(rest),
        Helper::Stepped => stepped::helper_main(),
        Helper::Contender => stress::contender::main(rest),
    })
}

/// From now on the kernel kills this process when the thread that started it ends, whatever that dies of.
fn die_with_parent(helper: Helper, parent: &OsStr) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| format!("the kernel refuses a parent death signal: {errno}"))?;
    // The first process of a pid namespace cannot see its parent. It ends when its standard input does.
    let is_told = match helper {
        Helper::Case => true,
        Helper::Isolate | Helper::CaseShared | Helper::Leash | Helper::Stepped | Helper::Contender => {
            getppid().is_some_and(|seen| parent == seen.to_string().as_str())
        }
    };
    if is_told { Ok(()) } else { Err("the process that started this one is gone".to_owned()) }
}

/// Becomes another program. The order to die with the parent survives execve(2), prctl(2) says.
fn leash(rest: &[OsString]) -> ExitCode {
    let [program, arguments @ ..] = rest else { return ExitCode::FAILURE };
    let error = Command::new(program).args(arguments).exec();
    // Goes where the output of the program would have gone.
    let _ = writeln!(std::io::stderr(), "{}: {error}", program.display());
    ExitCode::FAILURE
}

/// Sends the answer to whoever asked.
pub(super) fn answer(answer: &Answer) {
    if let Ok(mut line) = serde_json::to_vec(answer) {
        line.push(b'\n');
        // Whoever asked may be gone; then there is nobody to tell.
        let _ = std::io::stdout().write_all(&line);
    }
}
