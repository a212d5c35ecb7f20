//! What a gateway does for its clients: it knows who they are, answers their requests, and tells all of them what happens.
//!
//! A `Session` is one connection without its socket: frames, moments and events go in, frames and endings come out. So
//! whatever a client can do is tried without a network, and in the simulated one the same code runs.

mod mailbox;
mod methods;
mod overview;
mod session;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::auth::Auth;
use crate::identity::{Identity, Phase};
use crate::protocol::StateVersion;
pub(crate) use mailbox::{Event, Letter, Mailbox};
use overview::Counts;
pub(crate) use overview::Overview;
pub(crate) use session::{Out, Peer, Session};

/// The longest that a failed proof is answered late, in milliseconds.
const LONGEST_PENALTY_MS: u64 = 5_000;
/// How late the first one is answered.
const FIRST_PENALTY_MS: u64 = 250;
/// How long failures of an address are remembered after the last of them.
const FORGIVEN_MS: u64 = 60_000;
/// Of at most so many addresses.
const MOST_OFFENDERS: usize = 1024;

/// What a gateway knows about itself before it owns anything.
#[derive(Clone, Debug)]
pub struct About {
    /// What clients must know.
    pub auth: Auth,
    /// The name of the machine.
    pub host: String,
    /// The configuration file.
    pub config: PathBuf,
    /// What is in it, secrets replaced; `None`: there is none.
    pub document: Option<Value>,
    /// The directory whose files are shown as the canvas; `None`: there is no canvas.
    pub canvas: Option<PathBuf>,
}

impl About {
    /// A gateway without configuration that lets everybody in who can reach it.
    pub fn open() -> Self {
        Self {
            auth: Auth::Open,
            host: "localhost".to_owned(),
            config: PathBuf::new(),
            document: None,
            canvas: None,
        }
    }
}

/// What bounds a session, all times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// How long a client may take to say who it is.
    pub handshake_ms: u64,
    /// How often a client is told that the connection lives.
    pub tick_ms: u64,
    /// How often a client must show that it lives.
    pub ping_ms: u64,
    /// The longest message from a client that has not said who it is, in bytes.
    pub first_bytes: usize,
    /// The longest message afterwards, in bytes.
    pub message_bytes: usize,
    /// How much may wait for one client, in bytes.
    pub waiting_bytes: usize,
    /// How many connections of one address may be open that have not said who they are.
    pub strangers: usize,
}

impl SessionLimits {
    /// Those of `OpenClaw`.
    pub const fn openclaw() -> Self {
        Self {
            handshake_ms: 15_000,
            tick_ms: 30_000,
            ping_ms: 25_000,
            first_bytes: 64 * 1024,
            message_bytes: 25 * 1024 * 1024,
            waiting_bytes: 50 * 1024 * 1024,
            strangers: 32,
        }
    }
}

/// A moment, by both clocks, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since 1970.
    pub wall_ms: u64,
    /// Since an unknown moment, never set back.
    pub monotonic_ms: u64,
}

/// What all sessions share.
#[derive(Clone, Debug)]
pub struct Control(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    about: About,
    limits: SessionLimits,
    world: Mutex<World>,
}

#[derive(Debug, Default)]
struct World {
    identity: Option<Identity>,
    phase: Phase,
    began: Now,
    /// Whoever has said who it is, by the number of its connection.
    present: BTreeMap<u64, Present>,
    next: u64,
    version: StateVersion,
    offenders: BTreeMap<IpAddr, Offender>,
    strangers: BTreeMap<IpAddr, usize>,
    counts: Counts,
}

/// Somebody who has not said who it is, for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Stranger {
    control: Control,
    address: IpAddr,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut world = self.control.world();
        if let Some(strangers) = world.strangers.get_mut(&self.address) {
            *strangers -= 1;
            if *strangers == 0 {
                world.strangers.remove(&self.address);
            }
        }
    }
}

#[derive(Debug)]
struct Present {
    entry: Value,
    mailbox: Arc<Mailbox>,
}

#[derive(Clone, Copy, Debug)]
struct Offender {
    failures: u32,
    last_ms: u64,
}

impl Control {
    /// What a gateway does for its clients, before there are any.
    pub fn new(about: About, limits: SessionLimits) -> Self {
        Self(Arc::new(Shared { about, limits, world: Mutex::default() }))
    }

    /// This gateway has become somebody.
    pub(crate) fn become_one(&self, identity: &Identity) {
        self.world().identity = Some(identity.clone());
    }

    /// It begins to serve, or does so again.
    pub(crate) fn opened(&self, phase: &Phase, now: Now) {
        let mut world = self.world();
        world.phase = phase.clone();
        world.began = now;
    }

    /// Somebody is there who has not said who it is; `None`: too many are, at that address.
    pub(crate) fn stranger(&self, address: IpAddr) -> Option<Stranger> {
        let mut world = self.world();
        let strangers = world.strangers.entry(address).or_default();
        if *strangers >= self.0.limits.strangers {
            return None;
        }
        *strangers += 1;
        drop(world);
        Some(Stranger { control: self.clone(), address })
    }

    pub(crate) fn limits(&self) -> &SessionLimits {
        &self.0.limits
    }

    pub(crate) fn about(&self) -> &About {
        &self.0.about
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // Nothing panics while it is held.
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a client in: it is seen by all, and sees what happens from now on. Answers with the number of its connection.
    fn enter(&self, entry: Value, mailbox: Arc<Mailbox>) -> u64 {
        let mut world = self.world();
        let number = world.next;
        world.next += 1;
        world.present.insert(number, Present { entry, mailbox });
        world.version.presence += 1;
        let event = world.presence_event(self);
        self.tell(&world, &event, Some(number));
        number
    }

    fn leave(&self, number: u64) {
        let mut world = self.world();
        if world.present.remove(&number).is_some() {
            world.version.presence += 1;
            let event = world.presence_event(self);
            self.tell(&world, &event, None);
        }
    }

    /// Tells every client of an event, except one.
    fn tell(&self, world: &World, event: &Arc<Event>, except: Option<u64>) {
        for (_, present) in world.present.iter().filter(|(number, _)| Some(**number) != except) {
            present.mailbox.post(event, self.0.limits.waiting_bytes);
        }
    }

    /// How late the answer to a proof that has failed comes, each one later than the last.
    pub(crate) fn penalty(&self, address: IpAddr, now: Now) -> u64 {
        let mut world = self.world();
        let offenders = &mut world.offenders;
        offenders.retain(|_, offender| now.monotonic_ms.saturating_sub(offender.last_ms) < FORGIVEN_MS);
        if offenders.len() >= MOST_OFFENDERS && !offenders.contains_key(&address) {
            return LONGEST_PENALTY_MS;
        }
        let offender = offenders.entry(address).or_insert(Offender { failures: 0, last_ms: 0 });
        offender.last_ms = now.monotonic_ms;
        let penalty = FIRST_PENALTY_MS.saturating_mul(1 << offender.failures.min(8)).min(LONGEST_PENALTY_MS);
        offender.failures += 1;
        penalty
    }

    pub(crate) fn forgive(&self, address: IpAddr) {
        self.world().offenders.remove(&address);
    }
}

impl World {
    fn instance(&self) -> &str {
        self.identity.as_ref().map_or("unknown", |identity| &identity.instance)
    }

    /// Everybody who is there, the gateway first. It is the same gateway by whatever way it is reached.
    fn presence(&self, control: &Control) -> Value {
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
        let others = self.present.values().map(|present| present.entry.clone());
        std::iter::once(own).chain(others).collect()
    }

    fn presence_event(&self, control: &Control) -> Arc<Event> {
        let payload = json!({ "presence": self.presence(control) }).to_string();
        Arc::new(Event { name: "presence", payload, version: Some(self.version), may_be_lost: true })
    }
}
