//! What a gateway remembers between its lives: devices and their tokens, sessions and what was said in them, runs of jobs, what
//! bots were told and what they owe.
//!
//! [`Memory`] is a value that [`Record`]s change; [`file`] keeps the records in a file of this epoch, so that an owner that
//! was paused and succeeded goes on writing where nobody reads. A memory is bounded: what is oldest goes first.

mod file;
mod memory;
mod outbox;
mod reading;
mod record;

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod outbox_tests;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use file::{Keep, Trouble, name as file_name};
pub(crate) use memory::{Chat, Device, Memory, Message, Run, Speaker};
pub(crate) use outbox::{Fate, MOST_OWED, Stage, is_owed, is_unconfirmed};
pub(crate) use record::{Hidden, Record};
