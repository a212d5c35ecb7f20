//! What the explorer says is so: it visits what it claims, finds what is broken, and refuses what it cannot explore.

mod actors;
mod causal;
mod chances;
mod children;
mod commuting;
mod contest;
mod endless;
mod lab;
mod outage;
mod race;
mod rules;
mod sampling;
mod schedules;
mod supervised;
mod twice;
mod waiting;
mod witnesses;
