//! Every schedule of the explorer, driven on real processes: what the simulated kernel answers, the real one answers too.
//!
//! A schedule is enumerated and spelled out in the simulator. Then real processes take it: the code that was explored,
//! with nothing but `Stepped` between it and [`Linux`](portcullis_os::Linux), makes each call at its place in the
//! schedule and at no other moment. Every reply is compared with the simulated one, and so are the next call of every
//! task, exit statuses, deaths and what the script does from outside.
//!
//! | process | does |
//! | --- | --- |
//! | the command | enumerates schedules ([`sim::each_trace`], [`sim::each_step`]) and hands them out |
//! | a driver | first process of a room of its own: forks the processes of a schedule, grants steps, compares |
//! | a driven process | carries out what is granted |
//!
//! # Invariants
//!
//! - Nothing in a driven process happens between two grants.
//! - A difference is never repaired: the schedule ends there and is reported with what replays it.
//! - What cannot be driven is unsupported and says why; a machine that is too slow decides nothing.

mod difference;
mod driver;
mod judge;
mod meaning;
mod os;
mod pool;
mod process;
mod room;
mod steps;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sim::Schedule;

pub use difference::{Difference, Parting};
pub use judge::run_case;
pub use pool::{drive, drive_plan};

/// Which schedules are driven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// One of each trace: every schedule up to the order of steps that commute.
    EveryTrace,
    /// So many that each step of the state graph is in one of them.
    EveryStep,
    /// This one.
    One(Schedule),
}

/// How schedules are driven.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program whose `main` calls [`internal_main`](crate::real::internal_main) first: portcullis itself.
    pub helper: PathBuf,
    /// How many are driven at once.
    pub jobs: usize,
    /// After how many the drive ends without being complete.
    pub limit: u64,
    /// Set to end the drive soon.
    pub interrupted: Arc<AtomicBool>,
}

/// What a drive has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driven {
    /// How many schedules were driven.
    pub schedules: u64,
    /// How many steps they had together, setups counted each time.
    pub steps: u64,
    /// Whether these were all that were asked for.
    pub is_complete: bool,
    /// The first that went otherwise than in the simulator.
    pub difference: Option<Difference>,
}

/// Why nothing was shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The case cannot be driven.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// This machine does not let it be driven now.
    #[error("undecided: {0}")]
    Undecided(String),
}

/// The helper process: makes a room and drives what it is told to.
pub(crate) fn helper_main() -> ExitCode {
    match room::enter() {
        Ok(room::Side::Outside(status)) => status,
        Ok(room::Side::Inside) => {
            driver::serve();
            ExitCode::SUCCESS
        }
        Err(reason) => {
            // Whoever asked may be gone; then there is nobody to tell.
            let _ = wire::write(&mut std::io::stdout(), &wire::Outcome::Undecided(reason));
            ExitCode::FAILURE
        }
    }
}
