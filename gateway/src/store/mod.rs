//! What a gateway remembers between its lives: devices and their tokens, sessions and what was said in them, runs of jobs.
//!
//! [`Memory`] is a value that [`Record`]s change; [`file`] keeps the records in a file of this epoch, so that an owner that
//! was paused and succeeded goes on writing where nobody reads. A memory is bounded: what is oldest goes first.

mod file;
mod memory;
mod record;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use file::{Keep, Trouble};
pub(crate) use memory::{Chat, Device, Memory, Message, Run, Speaker};
pub(crate) use record::{Hidden, Record};
