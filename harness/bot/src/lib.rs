//! A bot service as Telegram's Bot API gives it, so that who polls a bot and who answers for it can be tried and counted.
//!
//! [`Bots`] is the service as a plain value: it reads no clock and opens no socket, moments are passed in. [`Service`] lets
//! HTTP clients at it, over any [`Listener`](portcullis_os::Listener), so in a simulated network too. One poller of a bot is
//! served at a time: a newer poll ends the older one with 409, and a poller that has vanished keeps its lease for a while, in
//! which whoever polls gets 409. Everything that was polled and sent is written down, for a checker to count.

mod bots;
mod http;
mod record;

pub use bots::{Answer, Asked, Bots, Poll, Rules, Ticket};
pub use http::{Host, Machine, Service};
pub use record::{Deed, Happening, Record};

/// What goes wrong with one request, on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is carried out, and answered so many milliseconds late.
    Late(u64),
    /// It is answered with 500 and not carried out.
    Error,
    /// It is carried out and answered with 500 all the same.
    ErrorAfter,
    /// It is answered with 429, which asks to come again after so many seconds.
    TooMany(u64),
    /// It is carried out, and the connection is closed before it is answered.
    Drop,
}
