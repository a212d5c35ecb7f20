//! What the explorer says is so: it visits what it claims, finds what is broken, and refuses what it cannot explore.

mod actors;
mod children;
mod commuting;
mod contest;
mod outage;
mod race;
mod rules;
mod schedules;
mod supervised;
