//! What all sessions see and change: who is there, what is remembered, who waits to be let in, what has happened.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::channels::Channels;
use super::draws::Draws;
use super::keeper::Job;
use super::mailbox::{Event, Mailbox};
use super::offenders::Offenders;
use super::overview::Counts;
use super::pairing::Pending;
use super::ring::Ring;
use super::work::{Audience, Deed, News};
use super::{Control, EXPELLED, Now, methods};
use crate::identity::{Identity, Phase};
use crate::log::{Event as Logged, Level};
use crate::protocol::{Scopes, StateVersion, Told, scope};
use crate::store::Memory;

/// What is told of the health of a gateway is made anew after so long, in milliseconds, or when it has changed.
const HEALTHY_MS: u64 = 60_000;
/// Of more clients than this it is told together who has come and gone.
const FEW: usize = 32;

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) identity: Option<Identity>,
    pub(super) epoch: u64,
    pub(super) phase: Phase,
    pub(super) began: Now,
    /// Whoever has said who it is, by the number of its connection.
    pub(super) present: BTreeMap<u64, Present>,
    pub(super) next: u64,
    pub(super) version: StateVersion,
    pub(super) offenders: Offenders,
    pub(super) strangers: BTreeMap<IpAddr, usize>,
    pub(super) memory: Memory,
    pub(super) keeping: Keeping,
    /// Devices that wait to be let in, by the names of their requests.
    pub(super) pending: BTreeMap<String, Pending>,
    /// How many devices were sent away.
    pub(super) expulsions: u64,
    pub(super) ring: Ring,
    pub(super) draws: Draws,
    pub(super) counts: Counts,
    pub(super) channels: Channels,
    /// The version of what was told last of who is there.
    presence_told: u64,
    /// What was told of the health last, and when.
    health: Option<(u64, (Value, Arc<str>))>,
}

/// How far what is remembered is kept.
#[derive(Debug, Default)]
pub(super) enum Keeping {
    /// Not at all: it goes with the process.
    #[default]
    Nowhere,
    /// On the disk, by whoever takes from this queue.
    Disk(mpsc::Sender<Job>, Loaded),
    /// No more: the gateway stops, or is about to begin anew. What was asked for before is still done.
    Closed,
    /// No more, and whoever has not done so by now is too late.
    Over,
}

/// What came of reading what was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loaded {
    /// It is being read.
    NotYet,
    /// It was read.
    Whole,
    /// It cannot be read, for this reason.
    Not(String),
}

#[derive(Debug)]
pub(super) struct Present {
    pub(super) entry: Value,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) scopes: Scopes,
    /// The device that it is, and in which role.
    pub(super) device: Option<(String, String)>,
    /// The sessions that it wants to hear every message of.
    pub(super) watched: BTreeSet<String>,
    /// Whether it wants to hear that sessions change.
    pub(super) lists: bool,
}

impl World {
    pub(super) fn instance(&self) -> &str {
        self.identity.as_ref().map_or("unknown", |identity| &identity.instance)
    }

    /// Why nothing that is remembered can be told; `None`: it can.
    pub(super) fn amnesia(&self) -> Option<&str> {
        match &self.keeping {
            Keeping::Nowhere | Keeping::Closed | Keeping::Over | Keeping::Disk(_, Loaded::Whole) => None,
            Keeping::Disk(_, Loaded::NotYet) => Some("it is still being read"),
            Keeping::Disk(_, Loaded::Not(why)) => Some(why),
        }
    }

    /// Whether whoever keeps what is remembered in that epoch may still change anything.
    pub(super) const fn is_kept_in(&self, epoch: u64) -> bool {
        self.epoch == epoch && !matches!(self.keeping, Keeping::Over)
    }

    /// What was kept has been read, or cannot be, for this reason.
    pub(super) fn loaded(&mut self, outcome: Result<Memory, String>) {
        let Keeping::Disk(_, loaded) = &mut self.keeping else { return };
        match outcome {
            Ok(memory) => (self.memory, *loaded) = (memory, Loaded::Whole),
            Err(why) => *loaded = Loaded::Not(why),
        }
    }

    /// Everybody who is there, the gateway first; whoever may not look sees itself alone. It is the same gateway by whatever
    /// way it is reached.
    pub(super) fn presence(&self, control: &Control, viewer: Option<u64>) -> Value {
        let about = control.about();
        let version = env!("CARGO_PKG_VERSION");
        let own = json!({
            "host": about.host,
            "ip": "127.0.0.1",
            "version": version,
            "platform": std::env::consts::OS,
            "deviceFamily": "Linux",
            "mode": "gateway",
            "reason": "self",
            "instanceId": self.instance(),
            "text": format!("Gateway: {} · app {version} · mode gateway · reason self", about.host),
            "ts": self.began.wall_ms,
        });
        let others = self.present.iter().filter(|(number, _)| viewer.is_none_or(|viewer| viewer == **number));
        std::iter::once(own).chain(others.map(|(_, present)| present.entry.clone())).collect()
    }

    /// Somebody has come or gone. Everybody who may look is told who is there now, except one; in a crowd later, by
    /// [`Control::tell_crowds`]: each of them is told of all of them, so it is told of all who come and go in a while at once.
    pub(super) fn presence_changed(&mut self, control: &Control, except: Option<u64>) {
        self.version.presence += 1;
        if self.present.len() > FEW {
            control.0.crowd.notify_one();
        } else {
            self.tell_presence(control, except);
        }
    }

    /// Tells who is there now, unless that was told already.
    pub(super) fn tell_presence(&mut self, control: &Control, except: Option<u64>) {
        if std::mem::replace(&mut self.presence_told, self.version.presence) == self.version.presence {
            return;
        }
        let payload = json!({ "presence": self.presence(control, None) });
        let told = Told::new("presence", &payload, Some(self.version));
        let event = Event { told, may_be_lost: true };
        let news = News { event: Arc::new(event), audience: Audience::Scope(scope::READ) };
        self.tell(control, &news, except);
    }

    /// Tells everybody whom an event concerns, except one.
    pub(super) fn tell(&self, control: &Control, news: &News, except: Option<u64>) {
        let hears = |present: &Present| match &news.audience {
            Audience::Scope(needed) => present.scopes.allow(needed),
            Audience::Watchers(session) => present.watched.contains(session),
            Audience::Lists => present.lists,
        };
        let others = self.present.iter().filter(|(number, _)| Some(**number) != except);
        for (_, present) in others.filter(|(_, present)| hears(present)) {
            present.mailbox.post(&news.event, control.limits().waiting_bytes);
        }
    }

    /// What a gateway says of itself when it is asked how it is, and the same as JSON, written once for all who ask.
    pub(super) fn health(&mut self, control: &Control, now: Now) -> &(Value, Arc<str>) {
        let is_fresh = |at_ms: u64| now.monotonic_ms.saturating_sub(at_ms) < HEALTHY_MS;
        let fresh = self.health.take().filter(|(at_ms, _)| is_fresh(*at_ms)).unwrap_or_else(|| {
            let health = methods::health(self, control, now);
            let text = health.to_string().into();
            (now.monotonic_ms, (health, text))
        });
        &self.health.insert(fresh).1
    }

    /// What makes up the health has changed: it is told, to whoever may look.
    pub(super) fn tell_health(&mut self, control: &Control, now: Now) {
        self.health = None;
        self.version.health += 1;
        let version = self.version;
        let told = Told::new("health", &self.health(control, now).0, Some(version));
        let event = Event { told, may_be_lost: true };
        let news = News { event: Arc::new(event), audience: Audience::Scope(scope::READ) };
        self.tell(control, &news, None);
    }

    /// Takes in what was done, and tells of it.
    pub(super) fn commit(&mut self, control: &Control, deed: &Deed, now: Now) {
        let sessions = self.memory.sessions().len();
        for record in &deed.records {
            self.memory.apply(record);
        }
        if let Some(request) = &deed.settled {
            self.pending.remove(request);
        }
        for news in &deed.news {
            self.tell(control, news, None);
        }
        if let Some((device, role)) = &deed.expelled {
            self.expulsions += 1;
            let is_it = |present: &&Present| {
                present
                    .device
                    .as_ref()
                    .is_some_and(|(id, its)| id == device && role.as_ref().is_none_or(|role| role == its))
            };
            for present in self.present.values().filter(is_it) {
                present.mailbox.expel(EXPELLED);
            }
        }
        if let Some((kind, reason)) = &deed.note {
            self.ring.note(kind, reason, now.wall_ms);
        }
        if let Some((event, what)) = &deed.warning {
            self.ring.note(event, what, now.wall_ms);
            control.events().say(Logged::new(Level::Warn, event).saying(what));
        }
        self.channels.wake();
        if self.memory.sessions().len() != sessions {
            self.tell_health(control, now);
        }
    }
}
