//! Whole gateways, on several simulated hosts or as real processes, with the clients, bots, jobs and supervisors that they have in life, and what their
//! users must never see: a reply that comes twice, a job that runs twice or in another gateway's workspace, a request that nobody
//! answers.
//!
//! A [`Plan`] says who is there and what happens when; what may happen besides is drawn ([`Weather`]). [`Plan::run`] lets it happen
//! once, as a seed says, and answers a [`Report`]. The gateways are those that ship: lock, server, memory, channels and all, over
//! [`sim::network`]. So the same seed is the same execution, on every machine. On processes (`Plan::run_on_processes`) the
//! same steps are taken and the same checks are made.
//!
//! ```
//! use network::{Gateway, Plan, Step};
//!
//! let report = Plan::new()
//!     .bot("helper")
//!     .gateway(Gateway::on("here", "main").bot("helper"))
//!     .at(0, Step::Start("main".into()))
//!     .at(5_000, Step::Say { bot: "helper".into(), chat: 7, text: "hello".into() })
//!     .until(60_000)
//!     .run(1)?;
//! assert_eq!(report.replies, 1);
//! assert!(report.broken.is_empty(), "{report}");
//! # Ok::<(), network::Unrunnable>(())
//! ```

mod bots;
mod checks;
mod clients;
mod file;
mod frozen;
mod gateways;
mod mute;
mod one_writer;
mod plan;
mod play;
#[cfg(target_os = "linux")]
pub mod real;
mod report;
mod simulated;
mod slips;
mod supervised;
mod sweep;
mod weather;
mod world;

pub use file::{LONGEST_TITLE, Mistake, Mistakes, Sweep};
pub use frozen::Frozen;
pub use plan::{Client, Gateway, Kind, Plan, Slip, Step};
pub use report::{Broken, Report, Unrunnable};
pub use sweep::{Effort, On, Swept};
pub use weather::Weather;
