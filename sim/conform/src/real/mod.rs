//! The real machine of a run: processes in namespaces of their own, each of which does what it is told.
//!
//! ```text
//! driver (this process, any thread)
//!   └ keeper            makes the namespaces and waits
//!       └ zygote        first process of the pid namespace: starts processes, clears up
//!           └ agents    one for each process of the sequence, and their children
//! ```
//!
//! All of them are this same program, executed again or forked. The driver talks to the zygote and to each agent over a
//! socket of its own.

mod agent;
mod isolate;
mod lab;
pub mod loopback;
mod wire;
mod zygote;

use std::ffi::OsString;
use std::process::ExitCode;

pub use isolate::furnish;
pub use lab::{Lab, Trouble};

/// This program, under a name that needs no knowledge of where it was installed.
const ITSELF: &str = "/proc/self/exe";
/// The first argument of a process that is part of a run.
const INTERNAL: &str = "conform-internal";
/// The second one, of the keeper of the namespaces.
const KEEPER: &str = "keeper";
/// The second one, of an agent after execve(2).
const AGENT: &str = "agent";
/// The second one, of an agent that a process of the sequence has started.
const SPAWNED: &str = "spawned";

/// Runs what these arguments ask for, if this process was started as a part of a run; the program's own name is the first
/// of them.
///
/// To be called first thing in `main`, while the process has one thread. `None`: it was started for something else.
pub fn agent_main_if_asked(arguments: &[OsString]) -> Option<ExitCode> {
    let [_, internal, what, rest @ ..] = arguments else { return None };
    if internal != INTERNAL {
        return None;
    }
    match rest {
        [] if what == KEEPER => Some(isolate::main()),
        [root] if what == AGENT => Some(agent::resume(root)),
        [root] if what == SPAWNED => Some(agent::begin(root)),
        _ => Some(ExitCode::FAILURE),
    }
}
