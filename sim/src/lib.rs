//! A deterministic machine, and an explorer of everything that can happen on it.
//!
//! The programs are unmodified `async` code over [`Os`](portcullis_os::Os). The machine is a [`Kernel`], one plain
//! value. [`explore`] visits every state that the two can reach together under the bounds asked for; [`replay`] takes
//! one schedule again, step for step. [`each_trace`] and [`each_step`] enumerate schedules, and a [`Planner`] spells them
//! out for whoever wants to take them on another machine.
//!
//! # A lock of your own
//!
//! This one looks whether the lock file is there and creates it if not. Between the two steps somebody else can do the
//! same, which the explorer shows with two preemptions, and proves that no fewer will do.
//!
//! ```
//! use std::path::Path;
//!
//! use portcullis_os::{Errno, Links, Notice, Open, Os, Ownership, Port, Uid};
//! use sim::kernel::{Place, Spawn};
//! use sim::{
//!     Action, Bounds, Checker, Kernel, Policy, Program, Script, Setup, Slot, Step, View, Violation, explore,
//! };
//!
//! async fn naive(os: impl Os) -> Result<(), Errno> {
//!     let lock = Path::new("/state/lock");
//!     if os.stat(lock, Links::Follow).await.is_ok() {
//!         return Ok(());
//!     }
//!     let file = os.open(lock, Open::create_truncate()).await?;
//!     let state = os.stat(Path::new("/state"), Links::Follow).await?.id;
//!     let base = Port::new(18789).ok_or(Errno::InvalidArgument)?;
//!     os.notify(Notice::Owner(Ownership { state, config: None, base, span: 0 })).await?;
//!     os.sleep(1000).await?;
//!     os.notify(Notice::Released).await?;
//!     file.close().await
//! }
//!
//! struct OneOwner;
//!
//! impl Checker for OneOwner {
//!     type Memory = ();
//!     fn start(&self) {}
//!     fn step(&self, _: &mut (), view: &View<'_>, _: &Step<'_>) -> Result<(), Violation> {
//!         match view.owners().len() {
//!             0 | 1 => Ok(()),
//!             _ => Err(Violation { check: "one-owner".to_owned(), says: "two own at once".to_owned() }),
//!         }
//!     }
//!     fn end(&self, _: &(), _: &View<'_>) -> Result<usize, Violation> {
//!         Ok(0)
//!     }
//! }
//!
//! let program = Program::new("naive", |os| async move { naive(os).await.map_or(1, |()| 0) });
//! let slot = |name: &str| Slot {
//!     name: name.to_owned(),
//!     spawn: Spawn { name: name.to_owned(), command: name.to_owned(), uid: Uid(1000), parent: None, pid: None, place: Place::default() },
//!     program: Some(program.clone()),
//!     listens: Vec::new(),
//!     connections: Vec::new(),
//!     supervisor: None,
//!     spawned_as: None,
//! };
//! let mut kernel = Kernel::new();
//! kernel.make_directory(Path::new("/state"), 0o700, Uid(1000));
//! let setup = Setup {
//!     kernel,
//!     slots: vec![slot("a"), slot("b")],
//!     script: Script { setup: Vec::new(), steps: vec![Action::Start(0), Action::Start(1)] },
//! };
//! let bounds = Bounds { policy: Policy::Exhaustive, kills: 0, power_losses: 0, states: 100_000 };
//! let found = explore(&setup, &OneOwner, &bounds).found.ok_or("the lock is broken")?;
//! assert_eq!(found.violation.says, "two own at once");
//! assert!(found.is_shortest);
//! let trace = sim::replay(&setup, &OneOwner, &bounds, &found.schedule);
//! assert_eq!(trace.steps.iter().filter(|step| step.is_preemption).count(), 2);
//! # Ok::<(), &str>(())
//! ```
//!
//! # Invariants
//!
//! - Same inputs, same bytes: no clock, no randomness, no address and no hash order decides anything.
//! - A process is a function of the replies it has seen. Code that is not is reported, never explored wrongly.

pub mod actors;
mod commute;
mod cover;
mod engine;
mod explore;
mod fake;
mod fault;
mod flow;
pub mod kernel;
mod learn;
mod lives;
mod operator;
mod outage;
mod plan;
mod process;
mod replay;
mod schedule;
mod script;
mod seen;
mod service;
mod shortest;
pub mod supervisor;
mod world;

pub use commute::{Traces, each_trace};
pub use cover::{Cover, each_step};
pub use explore::{Bounds, Evidence, Exploration, Found, Policy, explore, explore_until};
pub use fake::{Fake, Rule};
pub use fault::Fault;
pub use kernel::Kernel;
pub use learn::Program;
pub use operator::Operation;
pub use plan::{Plan, Planned, Planner};
pub use process::{NoListener, Process};
pub use replay::{Trace, TraceStep, Walk, What, Who, replay, walk};
pub use schedule::{Schedule, ScheduleError};
pub use script::{Action, Condition, Script};
pub use world::{Checker, Ending, Setup, Slot, SlotState, Step, Supervised, View, Violation};
