//! Scenario files for gateways: who competes for what, how it may end, and whether it did.
//!
//! One file runs on a simulated machine, where every schedule is tried, and on real processes of the reference gateway,
//! where real signals and a real kernel are used. The lock code is the same in both.

pub mod accepted;
mod answering;
#[cfg(feature = "proptest")]
pub mod arbitrary;
pub mod causal;
pub mod checks;
pub mod cli;
pub mod designs;
pub mod explained;
pub mod import;
pub mod lanes;
mod machine;
pub mod matrix;
pub mod mutants;
#[cfg(target_os = "linux")]
pub mod real;
pub mod replayed;
pub mod report;
pub mod reports;
pub mod runner;
pub mod sampled;
pub mod scenario;
pub mod select;
pub mod simulate;
pub mod stale;
#[cfg(target_os = "linux")]
pub mod stepped;
#[cfg(target_os = "linux")]
pub mod stress;
pub mod suite;
pub mod target;
pub mod timeline;
pub mod token;
pub mod twice;
mod unshown;
pub mod verdict;

pub use designs::own::{self, Lock};
pub use gateway::Claim;
pub use suite::{Cases, Judged, On, real, scenario, scenario_text, sim};

/// The examples of the documentation are tests.
#[cfg(all(doctest, feature = "proptest"))]
#[doc = include_str!("../../docs/library.md")]
struct Documentation;
