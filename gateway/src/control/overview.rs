//! How a gateway is at one moment, for whoever looks at it from outside: pages, and numbers that are kept over time.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Control, Now};
use crate::identity::{Identity, PhaseName};
use crate::log::tail::{Tail, Wanted};

/// How much of the log is shown, in lines.
const LOG_LINES: usize = 50;

/// A gateway at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Overview {
    /// Who it is, once it is anybody.
    pub(crate) identity: Option<Identity>,
    /// Its epoch, 0 before it has one.
    pub(crate) epoch: u64,
    pub(crate) phase: PhaseName,
    /// For how long it has served.
    pub(crate) uptime_ms: u64,
    /// The name of the machine.
    pub(crate) host: String,
    /// What clients must know, as a configuration says it.
    pub(crate) auth: &'static str,
    /// Whoever has said who it is, as it is shown to other clients.
    pub(crate) clients: Vec<Value>,
    /// How many have not.
    pub(crate) strangers: usize,
    /// Its channels, as `channels.status` tells them.
    pub(crate) channels: Value,
    pub(crate) counts: Counts,
    /// What was asked for, by the name of the method; names that nobody knows are one.
    pub(crate) requests: BTreeMap<&'static str, Called>,
    /// The end of its log.
    pub(crate) log: Tail,
}

impl Overview {
    /// The name of this run.
    pub(crate) fn instance(&self) -> &str {
        self.identity.as_ref().map_or("unknown", |identity| &identity.instance)
    }
}

/// What has happened since the gateway began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Clients that were let in.
    pub(crate) admitted: u64,
    /// Clients that were not.
    pub(crate) refused: u64,
    /// Clients that were sent away because they did not read.
    pub(crate) slow_consumers: u64,
}

/// How often one method was called.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Called {
    /// Answered, or taken down to be answered later.
    pub(crate) taken: u64,
    pub(crate) refused: u64,
}

impl Control {
    /// How this gateway is now.
    pub(crate) fn overview(&self, now: Now) -> Overview {
        let channels = self.channels(now);
        let log = self.events().tail(&Wanted { limit: LOG_LINES, ..Wanted::default() });
        let world = self.world();
        Overview {
            identity: world.identity.clone(),
            epoch: world.epoch,
            phase: world.phase.get(),
            uptime_ms: now.monotonic_ms.saturating_sub(world.began.monotonic_ms),
            host: self.about().host.clone(),
            auth: self.about().auth.mode(),
            clients: world.present.values().map(|present| present.entry.clone()).collect(),
            strangers: world.strangers.values().sum(),
            channels,
            counts: world.counts.clone(),
            requests: self.0.calls.told(),
            log,
        }
    }

    /// Takes down what has happened.
    pub(super) fn count(&self, happened: impl FnOnce(&mut Counts)) {
        happened(&mut self.world().counts);
    }
}
