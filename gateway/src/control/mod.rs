//! What a gateway does for its clients: it knows who they are, answers their requests, and tells all of them what happens.
//!
//! A `Session` is one connection without its socket: frames, moments and events go in, frames and endings come out. So
//! whatever a client can do is tried without a network, and in the simulated one the same code runs.

mod agent;
mod artefact;
mod channels;
mod cron;
mod delivery;
mod draws;
mod keeper;
mod mailbox;
mod methods;
mod offenders;
mod open;
mod out;
mod overview;
mod pairing;
mod proof;
mod ring;
mod session;
#[cfg(test)]
mod tests;
mod welcome;
mod work;
mod world;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::auth::Auth;
use crate::identity::{Identity, Phase};
use crate::log::{Event as Logged, Events, Level};
use crate::protocol::Failure;
use crate::settings::{ChannelAccount, CronJob};
pub(crate) use channels::{Due, Health, Probe};
use keeper::{Asker, Ticket};
pub(crate) use keeper::{Desk, Job, keep};
pub(crate) use mailbox::{Letter, Mailbox};
use methods::Calls;
pub(crate) use offenders::Verdict;
pub(crate) use out::{Out, Outbox};
pub(crate) use overview::Overview;
pub(crate) use session::{Peer, Session};
use work::{Decision, Work};
use world::{Keeping, Loaded, Present, World};

/// The longest message to an agent, in bytes.
const LONGEST_MESSAGE: usize = 64 * 1024;
/// What a device hears that may not stay.
const EXPELLED: &str = "this device may not stay";
/// How long who has come to a crowd is kept from it, so that others can come meanwhile.
const TOGETHER: Duration = Duration::from_millis(100);
/// What a client says of itself is cut to so many bytes, each text.
const LONGEST_NAME: usize = 256;

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
    /// What is to be done at certain times.
    pub cron: Vec<CronJob>,
    /// Which bots are polled, and answered for.
    pub channels: Vec<ChannelAccount>,
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
            cron: Vec::new(),
            channels: Vec::new(),
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
    events: Events,
    calls: Calls,
    world: Mutex<World>,
    /// Somebody has come to a crowd, or has left it.
    crowd: Notify,
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

impl Control {
    /// What a gateway does for its clients, before there are any.
    pub fn new(about: About, limits: SessionLimits) -> Self {
        Self::keeping(about, limits, Events::silent())
    }

    /// The same, with a log of what they do.
    pub fn keeping(about: About, limits: SessionLimits, events: Events) -> Self {
        Self(Arc::new(Shared {
            about,
            limits,
            events,
            calls: Calls::default(),
            world: Mutex::default(),
            crowd: Notify::new(),
        }))
    }

    /// This gateway has become somebody, in this epoch. Answers where work comes from, for whoever keeps what is remembered, and
    /// what is told once that was read.
    pub(crate) fn become_one(&self, identity: &Identity, epoch: u64) -> (Desk, oneshot::Receiver<()>) {
        let (queue, jobs) = mpsc::channel(keeper::MOST_WAITING);
        let (loaded, is_loaded) = oneshot::channel();
        let mut world = self.world();
        world.identity = Some(identity.clone());
        world.epoch = epoch;
        world.keeping = Keeping::Disk(queue, Loaded::NotYet);
        (Desk { epoch, jobs, loaded }, is_loaded)
    }

    /// Nothing is asked any more of whoever keeps what is remembered: it ends when it has done what waits.
    pub(crate) fn rest(&self) {
        let mut world = self.world();
        if matches!(world.keeping, Keeping::Disk(..)) {
            world.keeping = Keeping::Closed;
        }
    }

    /// Whoever keeps what is remembered has had its time: what it has not done has not happened, whenever it goes on.
    pub(crate) fn rested(&self) {
        let mut world = self.world();
        if matches!(world.keeping, Keeping::Closed) {
            world.keeping = Keeping::Over;
        }
    }

    /// It begins to serve, or does so again. `seed` is random and known to nobody.
    pub(crate) fn opened(&self, phase: &Phase, now: Now, seed: Option<[u8; 32]>) {
        let mut world = self.world();
        world.phase = phase.clone();
        world.began = now;
        world.draws.seed(seed);
        let reason = format!("epoch {}", world.epoch);
        world.ring.note("gateway.opened", &reason, now.wall_ms);
        if matches!(world.keeping, Keeping::Nowhere)
            && let Decision::Do(deed) = work::decide(&mut world, &Work::Key, now)
        {
            world.commit(self, &deed, now);
        }
    }

    /// Random words, before anything else is asked of it.
    pub(crate) fn seed(&self, seed: Option<[u8; 32]>) {
        self.world().draws.seed(seed);
    }

    /// Lets a piece of work be done for the client with that mailbox. `None`: its answer comes there, once it is written down.
    fn submit(
        &self,
        work: Work,
        id: &str,
        mailbox: &Arc<Mailbox>,
        now: Now,
    ) -> Option<Result<Value, Failure>> {
        let mut world = self.world();
        match &world.keeping {
            Keeping::Closed | Keeping::Over => Some(Err(work::unkept("the gateway stops"))),
            Keeping::Nowhere => Some(self.perform(&mut world, &work, now)),
            Keeping::Disk(queue, _) => {
                if !mailbox.admit() {
                    return Some(Err(work::busy()));
                }
                let ticket = Ticket { mailbox: mailbox.clone(), id: id.to_owned() };
                match queue.try_send(Job { work, ticket: Some(Asker::Client(ticket)) }) {
                    Ok(()) => None,
                    Err(_) => {
                        mailbox.dismiss();
                        Some(Err(work::busy()))
                    }
                }
            }
        }
    }

    /// Does a piece of work where nothing is kept.
    fn perform(&self, world: &mut World, work: &Work, now: Now) -> Result<Value, Failure> {
        if matches!(work, Work::Run { .. }) {
            return Err(work::unkept("this gateway has no state directory, so it runs no jobs"));
        }
        let answer = match work::decide(world, work, now) {
            Decision::Done(value) => value,
            Decision::Refused(failure, news) => {
                if let Some(news) = &news {
                    world.tell(self, news, None);
                }
                return Err(failure);
            }
            Decision::Do(deed) => {
                world.commit(self, &deed, now);
                deed.answer
            }
        };
        while let Some(work) = work::to_answer(world)
            && let Decision::Do(deed) = work::decide(world, &work, now)
        {
            let open = world.memory.open();
            world.commit(self, &deed, now);
            // An answer that leaves as much to be answered would be given for ever.
            if world.memory.open() >= open {
                break;
            }
        }
        Ok(answer)
    }

    /// Somebody is there who has not said who it is; `None`: too many are, at that address.
    pub(crate) fn stranger(&self, address: IpAddr) -> Option<Stranger> {
        let mut world = self.world();
        let strangers = world.strangers.entry(address).or_default();
        if *strangers >= self.0.limits.strangers {
            drop(world);
            let refused =
                Logged::new(Level::Info, "refused").saying("too many there have not said who they are");
            self.events().say(Logged { address: Some(address.to_string()), ..refused });
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

    fn events(&self) -> &Events {
        &self.0.events
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // Nothing panics while it is held.
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a client in: it is seen by whoever may look, and sees what happens from now on. Answers with the number of its
    /// connection. It was found when `expulsions` devices had been sent away that it may come.
    fn enter(&self, present: Present, expulsions: u64, now: Now) -> u64 {
        let mut world = self.world();
        if present.device.is_some() && world.expulsions != expulsions {
            // It may have been one of those since: then it has to prove itself once more.
            present.mailbox.expel(EXPELLED);
        }
        let number = world.next;
        world.next += 1;
        let name = present.entry["text"].as_str().unwrap_or_default().to_owned();
        world.ring.note("client.connected", &name, now.wall_ms);
        world.present.insert(number, present);
        world.presence_changed(self, Some(number));
        number
    }

    fn leave(&self, number: u64) {
        let mut world = self.world();
        if world.present.remove(&number).is_some() {
            world.presence_changed(self, None);
        }
    }

    /// Tells a crowd who has come and gone, a while after somebody has, for ever.
    pub(crate) async fn tell_crowds(&self) {
        loop {
            self.0.crowd.notified().await;
            tokio::time::sleep(TOGETHER).await;
            self.world().tell_presence(self, None);
        }
    }

    /// How late the answer to a proof that has failed comes, each one later than the last.
    pub(crate) fn penalty(&self, address: IpAddr, now: Now) -> u64 {
        self.world().offenders.penalty(address, now)
    }

    pub(crate) fn forgive(&self, address: IpAddr) {
        self.world().offenders.forgive(address);
    }

    /// Judges a proof of somebody who need not wait for the answer.
    pub(crate) fn judge(&self, address: IpAddr, now: Now, is_right: impl FnOnce() -> bool) -> Verdict {
        self.world().offenders.judge(address, now, is_right)
    }
}

/// Random bytes as a UUID of version 4 (RFC 9562, section 5.4).
pub(crate) fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = HEXLOWER.encode(&bytes);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
