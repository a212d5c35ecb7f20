//! Whether some schedule shows what the logs of an incident have shown.
//!
//! A monitor goes along with the search of all schedules, reads off each what its processes tell, and
//! gives up those that tell something else than the logs. What is left either shows all of the timeline, and is the answer,
//! or there is no such schedule.
//!
//! # Invariants
//!
//! - A schedule that is given as the answer was taken again on the programs themselves.
//! - "No schedule" is said only of a search that has left nothing out.

mod monitor;
mod order;
mod search;
mod told;

pub use monitor::Furthest;
pub use order::Order;
pub use search::{MOST_STATES, Matched, Searched, seek};
pub use told::tell;
