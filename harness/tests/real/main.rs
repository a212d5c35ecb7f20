//! Real processes: what is judged, what is found by chance or by force, whose gateway it is, and that nothing is left behind.

mod endings;
mod endless;
mod leftovers;
mod library;
mod lives;
mod processes;
mod stranger;
mod stress;
