//! Where a plan happens: on a simulated network, or on real processes. Who leads it and who judges it knows no more than this.

use std::path::{Path, PathBuf};

use bot::Record;
use portcullis_os::{Ending, Signal};
use serde_json::Value;
use sim::network::Link;

use crate::clients::Notes;
use crate::plan::{Client, Gateway, Plan};
use crate::report::Unrunnable;

/// A process, by the number that it has there. No two have one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProcessNumber(pub(crate) u64);

/// Whether a process goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Going {
    On,
    /// It lives, and does nothing before it is told to.
    Stopped,
    Over,
}

/// What a gateway has told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It owns the state that has this name there, whatever path leads to it.
    Owner(String),
    Ready,
    /// It owns nothing any more.
    Released,
    /// It gives up, for this reason.
    Refused(String),
    /// Something from which nothing follows.
    Other,
}

/// What a process has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It has told something, which reads so.
    Told(Told, String),
    /// It has ended.
    Ended(Ending),
}

/// Something that was seen, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) at_ms: u64,
    pub(crate) process: ProcessNumber,
    pub(crate) deed: Deed,
}

/// Where everything of a gateway is, and where it finds its bots.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) state: PathBuf,
    pub(crate) workspace: PathBuf,
    pub(crate) port: u16,
    /// What its configuration says about who may come.
    pub(crate) bind: &'static str,
    /// The bot service, as `HOST:PORT`.
    pub(crate) service: String,
}

impl Site {
    pub(crate) fn config(&self) -> PathBuf {
        self.state.join("openclaw.json")
    }
}

/// Where a plan happens.
pub(crate) trait World {
    /// How long since the beginning, in milliseconds.
    fn now_ms(&self) -> u64;

    /// Lets everything go on until that moment, or until some process has ended.
    fn go_until(&mut self, until_ms: u64) -> Result<(), Unrunnable>;

    /// What was seen since it was asked last, in an order in which it can have happened.
    fn take_seen(&mut self) -> Vec<Seen>;

    /// Where everything of a gateway is.
    fn site(&self, gateway: &Gateway) -> Site;

    /// Starts a gateway.
    fn start(&mut self, plan: &Plan, gateway: &Gateway) -> Result<ProcessNumber, Unrunnable>;

    /// Sends a signal to a process that is not over.
    fn signal(&mut self, process: ProcessNumber, signal: Signal) -> Result<(), Unrunnable>;

    /// Whether a process goes on.
    fn going(&self, process: ProcessNumber) -> Going;

    /// Whether a process whose end was not seen yet is over all the same.
    fn has_died_unseen(&self, process: ProcessNumber) -> bool;

    /// Lets a client begin, which writes there what comes of it.
    fn invite(&mut self, client: &Client, gateway: &Gateway, notes: Notes) -> Result<(), Unrunnable>;

    /// What a gateway answers to an operator beside it; `None`: nothing.
    fn ask(&mut self, gateway: &Gateway, method: &'static str) -> Result<Option<Value>, Unrunnable>;

    /// Somebody says something to a bot. Whether there is one of that name.
    fn say(&mut self, bot: &str, chat: i64, text: &str) -> bool;

    /// What has happened at the bot service.
    fn record(&self) -> Record;

    /// What is in each file of a directory.
    fn files(&self, directory: &Path) -> Vec<Vec<u8>>;

    /// What processes have said when they panicked.
    fn panics(&self) -> Vec<String>;

    /// A digest of everything that has happened; 0 where no execution is like another.
    fn digest(&self) -> u128;

    /// Lets packets travel so between all hosts, and wakes those that sleep. Answers the ways on which something has waited for it.
    fn mend(&mut self, link: Link) -> Vec<[String; 2]>;

    /// Lets packets travel so from one host to another. Whether any have waited for it.
    fn set_link(&mut self, from: &str, to: &str, link: Link) -> Result<bool, Unrunnable>;

    /// The machines, where they are simulated and something can be done to them.
    fn machines(&mut self) -> Option<&mut dyn Machines>;
}

/// Simulated machines, to which more can be done than to real ones.
pub(crate) trait Machines {
    /// Lets a host do nothing, or go on.
    fn set_asleep(&mut self, host: &str, asleep: bool) -> Result<(), Unrunnable>;

    /// Puts the wall clock of a host.
    fn step_clock(&mut self, host: &str, by_ms: i64) -> Result<(), Unrunnable>;

    /// Takes the power of a host.
    fn lose_power(&mut self, host: &str) -> Result<(), Unrunnable>;

    /// Gives it back.
    fn restore_power(&mut self, host: &str) -> Result<(), Unrunnable>;
}
