//! A case is run on real processes of any gateway that a target describes, and nothing is left behind: no process, no file.
//!
//! Each try has user, pid, network and mount namespaces of its own where the system allows it, and a directory of its
//! own everywhere. Real signals end, stop and resume real processes; pids are recycled for real. What can be judged from
//! outside is judged by what the scenario expects; schedules are sampled, not enumerated, so a pass is `observed`.
//!
//! # Invariants
//!
//! - The processes of a try end with it, also when portcullis is interrupted or killed: they live in a pid namespace
//!   whose first process dies with its parent, or on a leash of their own.
//! - Its files lie in one directory, which is removed before the try is reported.
//! - A process is signalled through its pidfd only.
//! - A machine that is too slow, or interrupted, decides nothing: that is inconclusive and never a failure.

mod answering;
mod attempt;
mod browsers;
mod bystander;
mod clock;
mod files;
mod hear;
mod helper;
mod internal;
mod isolate;
mod judge;
mod known;
mod lane;
mod operate;
mod probe;
mod random;
mod record;
mod refusal;
mod selfcheck;
mod shift;
mod sockets;
mod steps;
mod support;
mod tries;
mod watch;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use network::real::process as child;

use crate::target::Target;

pub(crate) use child::{Child, Ended, Pipe};
pub(crate) use clock::{Stopwatch, timespec};
pub(crate) use internal::Helper;
pub use internal::internal_main;
pub(crate) use random::Random;
pub use selfcheck::check;
pub use support::unsupported_by;
pub(crate) use tries::stress;
pub use tries::{lacks, run_case};
pub use wire::{Finding, Line};

/// How real processes are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is run as a gateway.
    pub target: Target,
    /// The program whose `main` calls [`internal_main`] first: portcullis itself, see [`Options::ITSELF`].
    pub helper: PathBuf,
    /// How many tries a case gets; `None`: as many as its scenario says.
    pub tries: Option<u16>,
    /// For everything that a scenario leaves open. The same seed plans the same tries; what the kernel makes of them is
    /// its own.
    pub seed: u64,
    /// Whether namespaces are used.
    pub isolation: Isolation,
    /// Set to end the present case soon, without a verdict.
    pub interrupted: Arc<AtomicBool>,
}

impl Options {
    /// The path under which a process finds its own program.
    pub const ITSELF: &str = isolate::ITSELF;
}

/// Whether the processes of a try are isolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// In namespaces of their own where the system allows it, else as with [`Isolation::Never`].
    WherePossible,
    /// They share pids and ports with everybody else, and all ports are moved by one constant.
    Never,
}
