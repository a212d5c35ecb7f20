//! How the bots of a gateway are, and what whoever polls them asks of it: what was said is taken in, what is owed is sent, and
//! each is written down before it counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::keeper::{Asker, Job};
use super::mailbox::Mailbox;
use super::work::{self, Work};
use super::world::{Keeping, World};
use super::{Control, Now};
use crate::identity::PhaseName;
use crate::log::{Event as Logged, Level};
use crate::protocol::Failure;
use crate::settings::ChannelAccount;
use crate::store::{Fate, Stage, is_owed, is_unconfirmed};

/// The only channel that there is, and its name for people.
pub(super) const TELEGRAM: &str = "telegram";
const LABEL: &str = "Telegram";
/// How many replies that nobody has confirmed are named in one answer.
const MOST_NAMED: usize = 64;
/// At most so many clients wait for their probes.
const MOST_PROBES: usize = 16;

/// What is known of the bots while this gateway runs.
#[derive(Debug, Default)]
pub(super) struct Channels {
    /// Whether this gateway may poll and send.
    is_open: bool,
    accounts: BTreeMap<String, Live>,
    /// Counts what was written down, for whoever waits for something to send.
    changed: watch::Sender<u64>,
    prober: Option<mpsc::Sender<Probe>>,
}

impl Channels {
    /// Something was written down.
    pub(super) fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

/// Somebody wants every account to be tried.
#[derive(Debug)]
pub(crate) struct Probe {
    /// How long it waits, in milliseconds.
    pub(crate) longest_ms: u64,
    mailbox: Arc<Mailbox>,
    id: String,
}

/// How well an account does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    /// Nobody polls it, as it should be.
    #[default]
    Stopped,
    /// It is polled.
    Healthy,
    /// Its first poll has not been answered.
    Starting,
    /// The service cannot be reached, or fails.
    Disconnected,
    /// Somebody else polls the same bot.
    Conflict,
    /// The service does not know the token.
    Unauthorized,
}

impl Health {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Healthy => "healthy",
            Self::Starting => "starting",
            Self::Disconnected => "disconnected",
            Self::Conflict => "conflict",
            Self::Unauthorized => "unauthorized",
        }
    }
}

/// How an account is. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live {
    pub(crate) health: Health,
    pub(crate) running: bool,
    pub(crate) connected: bool,
    pub(crate) error: Option<String>,
    /// How often in a row a poll has failed.
    pub(crate) attempts: u64,
    pub(crate) started_ms: Option<u64>,
    pub(crate) stopped_ms: Option<u64>,
    pub(crate) connected_ms: Option<u64>,
    pub(crate) inbound_ms: Option<u64>,
    pub(crate) outbound_ms: Option<u64>,
    pub(crate) transport_ms: Option<u64>,
    pub(crate) username: Option<String>,
    pub(crate) probe: Option<Value>,
    pub(crate) conflicts: u64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) refused: u64,
}

/// A reply that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// The update that it answers.
    pub(crate) update: i64,
    pub(crate) chat: i64,
    pub(crate) text: String,
}

impl Control {
    /// From now on the bots are polled, and probes are asked for there.
    pub(crate) fn open_channels(&self) -> mpsc::Receiver<Probe> {
        let (prober, probes) = mpsc::channel(MOST_PROBES);
        let channels = &mut self.world().channels;
        (channels.is_open, channels.prober) = (true, Some(prober));
        probes
    }

    /// From now on nothing is polled or sent for them.
    pub(crate) fn close_channels(&self) {
        let channels = &mut self.world().channels;
        (channels.is_open, channels.prober) = (false, None);
        channels.wake();
    }

    /// Whether the owner of that epoch may poll and send.
    pub(crate) fn may_act(&self, epoch: u64) -> bool {
        let world = self.world();
        world.channels.is_open && world.epoch == epoch && world.phase.get() == PhaseName::Ready
    }

    /// Hears whenever there may be something new to send.
    pub(crate) fn watch_channels(&self) -> watch::Receiver<u64> {
        self.world().channels.changed.subscribe()
    }

    /// The number of the last update of a bot that was taken in.
    ///
    /// # Errors
    ///
    /// Why that is not known.
    pub(crate) fn last_update(&self, bot: &str) -> Result<Option<i64>, String> {
        let world = self.world();
        world.amnesia().map_or_else(|| Ok(world.memory.outbox().last(bot)), |why| Err(why.to_owned()))
    }

    /// The first reply that is to be sent for a bot.
    pub(crate) fn due(&self, bot: &str) -> Option<Due> {
        let world = self.world();
        let mut replies = world.memory.outbox().replies(bot);
        let (update, reply) = replies.find(|(_, reply)| reply.stage == Stage::Waiting)?;
        Some(Due { update, chat: reply.chat, text: reply.text.clone() })
    }

    /// Somebody has said something to a bot, in the update of that number. It is written down when this returns.
    pub(crate) async fn receive(
        &self,
        account: &str,
        bot: &str,
        (update, chat): (i64, i64),
        text: &str,
    ) -> Result<(), Failure> {
        let session = format!("{TELEGRAM}:{account}:{chat}");
        let work = Work::Receive { bot: bot.to_owned(), update, session, chat, text: text.to_owned() };
        self.ask(work).await.map(drop)
    }

    /// An update asks for no answer.
    pub(crate) async fn pass(&self, bot: &str, update: i64) -> Result<(), Failure> {
        self.ask(Work::Pass { bot: bot.to_owned(), update }).await.map(drop)
    }

    /// A reply is about to be sent. Answers whether it is to be.
    pub(crate) async fn begin_to_send(&self, bot: &str, update: i64) -> Result<bool, Failure> {
        let answer = self.ask(Work::Sending { bot: bot.to_owned(), update }).await?;
        Ok(answer == true)
    }

    /// What became of a reply.
    pub(crate) async fn settle(&self, bot: &str, update: i64, fate: Fate) -> Result<(), Failure> {
        self.ask(Work::Settle { bot: bot.to_owned(), update, fate }).await.map(drop)
    }

    /// Has a piece of work done by whoever keeps what is remembered.
    async fn ask(&self, work: Work) -> Result<Value, Failure> {
        let queue = match &self.world().keeping {
            Keeping::Disk(queue, _) => queue.clone(),
            Keeping::Closed | Keeping::Over | Keeping::Nowhere => {
                return Err(work::unkept("the gateway stops"));
            }
        };
        let (asker, answer) = oneshot::channel();
        let gone = |()| work::unkept("the gateway stops");
        queue.send(Job { work, ticket: Some(Asker::Channel(asker)) }).await.map_err(|_| gone(()))?;
        drop(queue);
        answer.await.map_err(|_| gone(()))?
    }

    /// Takes down how an account is. That its health has changed is told.
    pub(crate) fn channel(&self, account: &str, now: Now, change: impl FnOnce(&mut Live)) {
        let mut world = self.world();
        let live = world.channels.accounts.entry(account.to_owned()).or_default();
        let before = live.health;
        change(live);
        let (health, error) = (live.health, live.error.clone());
        if health == before {
            return;
        }
        let told = match error {
            Some(error) => format!("{TELEGRAM} {account} is {}: {error}", health.as_str()),
            None => format!("{TELEGRAM} {account} is {}", health.as_str()),
        };
        world.ring.note("channel.changed", &told, now.wall_ms);
        world.tell_health(self, now);
        drop(world);
        let level = if health > Health::Starting { Level::Warn } else { Level::Info };
        self.events().say(Logged::new(level, "channel").saying(&told));
    }

    /// Says what an operator has to know of a bot.
    pub(crate) fn note_channel(&self, account: &str, what: &str) {
        self.events()
            .say(Logged::new(Level::Warn, "channel").saying(&format!("{TELEGRAM} {account}: {what}")));
    }

    /// Has every account tried for the client with that mailbox. `None`: its answer comes there.
    pub(super) fn probe(
        &self,
        longest_ms: u64,
        id: &str,
        mailbox: &Arc<Mailbox>,
        now: Now,
    ) -> Option<Result<Value, Failure>> {
        let prober = self.world().channels.prober.clone();
        let Some(prober) = prober else { return Some(Ok(self.channels(now))) };
        if !mailbox.admit() {
            return Some(Err(work::busy()));
        }
        let probe = Probe { longest_ms, mailbox: mailbox.clone(), id: id.to_owned() };
        if prober.try_send(probe).is_err() {
            mailbox.dismiss();
            return Some(Err(work::busy()));
        }
        None
    }

    /// Every account was tried.
    pub(crate) fn probed(&self, probe: Probe, now: Now) {
        probe.mailbox.answer(probe.id, Ok(self.channels(now)));
    }

    /// All channels and their accounts.
    pub(super) fn channels(&self, now: Now) -> Value {
        let world = self.world();
        let accounts = &self.about().channels;
        if accounts.is_empty() {
            return json!({
                "ts": now.wall_ms, "channelOrder": [], "channelLabels": {}, "channels": {}, "channelAccounts": {},
                "channelDefaultAccountId": {},
            });
        }
        let rows: Vec<Value> = accounts.iter().map(|account| row(account, &world)).collect();
        let default = accounts.iter().find(|account| account.id == "default").or(accounts.first());
        json!({
            "ts": now.wall_ms,
            "channelOrder": [TELEGRAM],
            "channelLabels": { TELEGRAM: LABEL },
            "channels": { TELEGRAM: summary(accounts, &world) },
            "channelAccounts": { TELEGRAM: rows },
            "channelDefaultAccountId": { TELEGRAM: default.map(|account| &account.id) },
        })
    }
}

/// How the account of a gateway is.
fn live(account: &ChannelAccount, world: &World) -> Live {
    world.channels.accounts.get(&account.id).cloned().unwrap_or_default()
}

fn is_configured(account: &ChannelAccount) -> bool {
    account.root.is_some() && account.source != "none"
}

/// An account as clients see it.
fn row(account: &ChannelAccount, world: &World) -> Value {
    let live = live(account, world);
    let mut row = json!({
        "accountId": account.id,
        "enabled": account.enabled,
        "configured": is_configured(account),
        "running": live.running,
        "connected": live.connected,
        "reconnectAttempts": live.attempts,
        "lastError": live.error,
        "healthState": live.health.as_str(),
        "mode": "polling",
        "tokenSource": account.source,
        "conflicts": live.conflicts,
        "messagesReceived": live.received,
        "repliesSent": live.sent,
        "repliesRefused": live.refused,
    });
    for (key, value) in [
        ("name", account.name.as_ref().map(|name| json!(name))),
        ("baseUrl", account.root.as_ref().map(|root| json!(root.to_string()))),
        ("bot", live.username.map(|name| json!({ "username": name }))),
        ("probe", live.probe),
        ("lastStartAt", live.started_ms.map(Value::from)),
        ("lastStopAt", live.stopped_ms.map(Value::from)),
        ("lastConnectedAt", live.connected_ms.map(Value::from)),
        ("lastInboundAt", live.inbound_ms.map(Value::from)),
        ("lastOutboundAt", live.outbound_ms.map(Value::from)),
        ("lastTransportActivityAt", live.transport_ms.map(Value::from)),
    ] {
        if let Some(value) = value {
            row[key] = value;
        }
    }
    let Some(bot) = account.bot() else { return row };
    let outbox = world.memory.outbox();
    row["repliesWaiting"] = json!(outbox.count(&bot, is_owed));
    row["repliesUnconfirmed"] = json!(outbox.count(&bot, is_unconfirmed));
    let doubtful: Vec<_> = outbox.replies(&bot).filter(|(_, reply)| is_unconfirmed(reply.stage)).collect();
    let named = doubtful
        .iter()
        .rev()
        .take(MOST_NAMED)
        .map(|(update, reply)| json!({ "update": update, "chat": reply.chat, "at": reply.at_ms }));
    row["unconfirmed"] = named.collect();
    row
}

/// A channel in few words: how the worst of its accounts is that should work. Whoever is let in may hear it.
fn summary(accounts: &[ChannelAccount], world: &World) -> Value {
    let meant = || accounts.iter().filter(|account| account.enabled && is_configured(account));
    let lives: Vec<Live> = meant().map(|account| live(account, world)).collect();
    let worst = lives.iter().max_by_key(|live| live.health);
    json!({
        "configured": accounts.iter().any(is_configured),
        "running": lives.iter().any(|live| live.running),
        "accounts": accounts.len(),
        "healthState": worst.map_or(Health::Stopped, |live| live.health).as_str(),
    })
}

/// What a report on health says of channels: order, labels, and a line each.
pub(super) fn health(accounts: &[ChannelAccount], world: &World) -> [Value; 3] {
    if accounts.is_empty() {
        return [json!([]), json!({}), json!({})];
    }
    [json!([TELEGRAM]), json!({ TELEGRAM: LABEL }), json!({ TELEGRAM: summary(accounts, world) })]
}

/// How many replies are being sent or wait to be.
pub(super) fn owed(accounts: &[ChannelAccount], world: &World) -> usize {
    let bots = accounts.iter().filter(|account| account.enabled).filter_map(ChannelAccount::bot);
    bots.map(|bot| {
        world.memory.outbox().count(&bot, |stage| matches!(stage, Stage::Waiting | Stage::Sending { .. }))
    })
    .sum()
}
