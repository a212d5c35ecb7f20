//! What the explorer says is so: it visits what it claims, finds what is broken, and refuses what it cannot explore.

mod contest;
mod race;
mod rules;
mod schedules;
