//! A deterministic machine, and an explorer of everything that can happen on it.
//!
//! The programs are unmodified `async` code over [`Os`](portcullis_os::Os). The machine is a [`Kernel`], one plain
//! value. [`explore`] visits every state that the two can reach together under the bounds asked for; [`replay`] takes
//! one schedule again, step for step. [`sample`] takes random schedules where there are too many states, [`explore_twice`]
//! holds a search against itself, and [`rematch`] looks for an execution that a program showed before it was edited.
//! [`each_trace`] and [`each_step`] enumerate schedules, and a [`Planner`] spells them out for whoever wants to take them
//! on another machine.
//!
//! What an exploration has found is explained by the graph of all states: [`liveness()`] finds what goes on for ever though
//! everybody has his turn, [`risk()`] reckons how likely a failure is and where it is decided, [`witnesses`] are the shortest
//! ways to each outcome, and [`crashes()`] tells what a death at each call leaves to the next starter.
//!
//! # A lock of your own
//!
//! This one looks whether the lock file is there and creates it if not. Between the two steps somebody else can do the
//! same, which a [`Lab`] shows, and proves that nothing less will do.
//!
//! ```
//! use std::path::Path;
//!
//! use portcullis_os::{Links, Open, Os};
//! use sim::{Lab, Process, hold};
//!
//! async fn naive(os: Process) -> u8 {
//!     let lock = Path::new("/state/lock");
//!     if os.stat(lock, Links::Follow).await.is_ok() {
//!         return 1;
//!     }
//!     let Ok(_file) = os.open(lock, Open::create_truncate()).await else { return 1 };
//!     let _ = hold(&os).await;
//!     u8::from(os.unlink(lock).await.is_err())
//! }
//!
//! let lab = Lab::new().directory("/state").contenders(2, naive).one_holder();
//! assert_eq!(lab.explore().to_string(), "\
//! one-holder: 2 hold the lock at once
//! faults 0, preemptions 2, steps 8, and nothing less breaks anything
//!    step  a                       b                       holders
//!       1  (started)                                       -
//!       2  stat lock: ENOENT                               -
//!       3                          (started)               -
//! >>    4                          stat lock: ENOENT       -
//!       5                          open or create lock: 3  -
//!       6                          owner: ok               b
//! >>    7  open or create lock: 3                          b
//!       8  owner: ok                                       a b
//! ");
//! ```
//!
//! # In a property test
//!
//! What a property test draws is a [`Variation`] (who contends, who may die, when an operator removes the file) and the picks
//! of a [`Lab::walk`]. Both are plain bytes, of which fewer and smaller ones are simpler, so that a test library shrinks a
//! failure to a small scenario with few changes of turn. This lock takes the kernel's lock on the directory and needs no file.
//!
//! ```
//! use std::path::Path;
//!
//! use portcullis_os::{LockMode, Open, Os};
//! use proptest::collection::vec;
//! use proptest::prelude::*;
//! use sim::{Lab, MOST_CONTENDERS, Process, Variation, hold};
//!
//! async fn sound(os: Process) -> u8 {
//!     let Ok(directory) = os.open(Path::new("/state"), Open::directory()).await else { return 1 };
//!     match os.flock(&directory, LockMode::Exclusive).await {
//!         Ok(()) => u8::from(hold(&os).await.is_err()),
//!         Err(_) => 1,
//!     }
//! }
//!
//! let lab = Lab::new()
//!     .directory("/state")
//!     .file("/state/lock", "9")
//!     .contenders(MOST_CONTENDERS, sound)
//!     .no_wedge(sound)
//!     .one_holder();
//! proptest!(|(shape in vec(any::<u8>(), 0..9), picks in vec(any::<u8>(), 0..60))| {
//!     let walked = lab.clone().vary(&Variation::from_picks(&shape), "/state/lock").walk(&picks);
//!     prop_assert!(walked.trace.violation.is_none(), "{walked}");
//! });
//! ```
//!
//! # Invariants
//!
//! - Same inputs, same bytes: no clock, no randomness but that of a given seed, no address and no hash order decides
//!   anything.
//! - A process is a function of the replies it has seen. Code that is not is reported, never explored wrongly.

pub mod actors;
mod automaton;
mod causal;
mod circle;
mod commute;
mod components;
mod cover;
mod crashes;
mod digest;
mod engine;
mod explore;
mod fake;
mod fault;
mod flow;
mod graph;
mod judge;
pub mod kernel;
mod lab;
mod lanes;
mod learn;
mod liveness;
mod lives;
mod merging;
pub mod network;
mod numbered;
mod operator;
mod outage;
mod performed;
mod plan;
mod process;
mod program;
mod replay;
mod replies;
mod risk;
mod sample;
mod schedule;
mod scouts;
mod script;
mod seen;
mod service;
mod shared;
mod shortest;
pub mod supervisor;
mod twice;
mod variation;
mod walk;
mod witness;
mod world;

pub use causal::{Causal, CausalError, Constraint, Rematch, rematch};
pub use commute::{Traces, each_trace};
pub use cover::{Cover, each_step};
pub use crashes::{Crash, Halt, Moment, crashes};
pub use explore::{
    Bounds, Evidence, Exploration, Found, Policy, Reductions, explore, explore_until, explore_with,
};
pub use fake::{Fake, Rule};
pub use fault::Fault;
pub use kernel::Kernel;
pub use lab::{Explored, Lab, Shown, hold};
pub use liveness::{Lasso, Liveness, liveness};
pub use operator::{GARBAGE, Operation, Overwrite};
pub use plan::{Plan, Planned, Planner};
pub use process::{NoListener, Process};
pub use program::Program;
pub use replay::{Trace, TraceStep, Walk, What, Who, replay, walk};
pub use risk::{Risk, Turn, risk};
pub use sample::{
    FailedRun, MOST_SAMPLED_STEPS, Novelty, Random, Sampled, Sampler, Sampling, sample, sample_until,
};
pub use schedule::{Schedule, ScheduleError};
pub use script::{Action, Condition, Script, Telling};
pub use shared::Shared;
pub use twice::{Difference, Twice, explore_twice};
pub use variation::{MOST_CONTENDERS, Variation};
pub use witness::{Witness, witnesses};
pub use world::{Checker, Ending, Setup, Slot, SlotState, Step, Supervised, View, Violation};
