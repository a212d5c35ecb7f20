//! What bots were told and what is still owed to whoever said it: each update is known by its number, and each reply by how
//! far it has come.
//!
//! A service has no key by which a reply that is sent twice would be one. So that a reply is about to be sent is written down
//! before, and what became of it afterwards. One of which the latter is missing may have gone out or not: it is kept as
//! unconfirmed, and never sent again, because a doubled reply is what people see.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::Record;

/// Updates of at most so many bots are remembered.
const MOST_BOTS: usize = 64;
/// At most so many replies of one bot are owed; who asks for more has to wait.
pub(crate) const MOST_OWED: usize = 64;
/// At most so many of one bot are kept of which nobody knows whether they went out.
const MOST_UNCONFIRMED: usize = 256;

/// Everything that bots have to do with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outbox {
    bots: BTreeMap<String, Bot>,
    /// The replies that the agent has not given yet, by session and run.
    asked: BTreeMap<(String, String), (String, i64)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bot {
    /// The largest number of an update that was taken in.
    last: Option<i64>,
    /// By the number of the update that they answer.
    replies: BTreeMap<i64, Reply>,
    order: u64,
}

/// A reply to an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) session: String,
    pub(crate) run: String,
    pub(crate) chat: i64,
    /// Empty until the agent has answered.
    pub(crate) text: String,
    pub(crate) stage: Stage,
    pub(crate) at_ms: u64,
}

/// How far a reply has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "camelCase")]
pub(crate) enum Stage {
    /// The agent has not answered yet.
    Asked,
    /// It is to be sent.
    Waiting,
    /// It is being sent, by the owner of this epoch.
    Sending {
        /// The epoch.
        epoch: u64,
    },
    /// Nobody knows whether it went out.
    Unconfirmed,
}

/// What became of a reply that was being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Fate {
    /// The service has taken it.
    Sent,
    /// It certainly was not sent, and may be sent again.
    Unsent,
    /// The service does not want it.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// Something that was said to a bot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    pub(super) bot: &'a str,
    pub(super) update: i64,
    pub(super) session: &'a str,
    pub(super) run: &'a str,
    pub(super) chat: i64,
    pub(super) at_ms: u64,
}

impl Outbox {
    /// The largest number of an update of a bot that was taken in.
    pub(crate) fn last(&self, bot: &str) -> Option<i64> {
        self.bots.get(bot)?.last
    }

    /// Whether an update was taken in.
    pub(crate) fn knows(&self, bot: &str, update: i64) -> bool {
        self.last(bot).is_some_and(|last| update <= last)
    }

    /// The replies of a bot, by the numbers of their updates.
    pub(crate) fn replies(&self, bot: &str) -> impl Iterator<Item = (i64, &Reply)> {
        let replies = self.bots.get(bot).into_iter().flat_map(|bot| &bot.replies);
        replies.map(|(update, reply)| (*update, reply))
    }

    /// The reply to an update.
    pub(crate) fn reply(&self, bot: &str, update: i64) -> Option<&Reply> {
        self.bots.get(bot)?.replies.get(&update)
    }

    /// How many replies of a bot are at a stage.
    pub(crate) fn count(&self, bot: &str, is_meant: fn(Stage) -> bool) -> usize {
        self.replies(bot).filter(|(_, reply)| is_meant(reply.stage)).count()
    }

    /// The replies that owners of other epochs were sending: bot and update.
    pub(crate) fn interrupted(&self, epoch: u64) -> Vec<(String, i64)> {
        let is_one = |stage| matches!(stage, Stage::Sending { epoch: other } if other != epoch);
        let of_bot = |(name, bot): (&String, &Bot)| {
            let replies = bot.replies.iter().filter(|(_, reply)| is_one(reply.stage));
            replies.map(|(update, _)| (name.clone(), *update)).collect::<Vec<_>>()
        };
        self.bots.iter().flat_map(of_bot).collect()
    }

    /// Takes in that an update was taken in, though nothing is to be answered. Answers whether it is new.
    pub(super) fn pass(&mut self, bot: &str, update: i64, order: u64) -> bool {
        let is_new = !self.knows(bot, update);
        let known = self.bots.entry(bot.to_owned()).or_default();
        known.order = order;
        if is_new {
            known.last = Some(update);
        }
        while self.bots.len() > MOST_BOTS
            && let Some((oldest, _)) = self.bots.iter().min_by_key(|(_, bot)| bot.order)
        {
            let oldest = oldest.clone();
            self.bots.remove(&oldest);
            self.asked.retain(|_, (bot, _)| *bot != oldest);
        }
        is_new
    }

    /// A reply to what was said is owed.
    pub(super) fn owe(&mut self, said: Said<'_>, stage: Stage, text: &str) {
        let (session, run) = (said.session.to_owned(), said.run.to_owned());
        if stage == Stage::Asked {
            self.asked.insert((session.clone(), run.clone()), (said.bot.to_owned(), said.update));
        }
        let text = text.to_owned();
        let reply = Reply { session, run, chat: said.chat, text, stage, at_ms: said.at_ms };
        let bot = self.bots.entry(said.bot.to_owned()).or_default();
        if let Some(before) = bot.replies.insert(said.update, reply) {
            let is_same = before.session == said.session && before.run == said.run;
            if !(is_same && stage == Stage::Asked) {
                self.asked.remove(&(before.session, before.run));
            }
        }
        self.bound(said.bot);
    }

    /// The agent has answered what was said in a session.
    pub(super) fn answered(&mut self, session: &str, run: &str, text: &str, at_ms: u64) {
        let Some((bot, update)) = self.asked.remove(&(session.to_owned(), run.to_owned())) else { return };
        let reply = self.bots.get_mut(&bot).and_then(|bot| bot.replies.get_mut(&update));
        if let Some(reply) = reply {
            (reply.stage, reply.at_ms) = (Stage::Waiting, at_ms);
            text.clone_into(&mut reply.text);
        }
    }

    /// A reply is about to be sent.
    pub(super) fn sending(&mut self, bot: &str, update: i64, epoch: u64) {
        let reply = self.bots.get_mut(bot).and_then(|bot| bot.replies.get_mut(&update));
        if let Some(reply) = reply.filter(|reply| reply.stage == Stage::Waiting) {
            reply.stage = Stage::Sending { epoch };
        }
    }

    /// What became of a reply that was being sent.
    pub(super) fn settled(&mut self, bot: &str, update: i64, fate: Fate, at_ms: u64) {
        let Some(known) = self.bots.get_mut(bot) else { return };
        let Some(reply) = known.replies.get_mut(&update) else { return };
        if !matches!(reply.stage, Stage::Sending { .. }) {
            return;
        }
        match fate {
            Fate::Sent | Fate::Refused => drop(known.replies.remove(&update)),
            Fate::Unsent => reply.stage = Stage::Waiting,
            Fate::Unknown => (reply.stage, reply.at_ms) = (Stage::Unconfirmed, at_ms),
        }
        self.bound(bot);
    }

    /// Forgets what the agent will not answer any more.
    pub(super) fn keep_asked(&mut self, is_open: impl Fn(&str, &str) -> bool) {
        let gone = |((session, run), (bot, update)): (&(String, String), &(String, i64))| {
            (!is_open(session, run)).then(|| (bot.clone(), *update))
        };
        let gone: Vec<_> = self.asked.iter().filter_map(gone).collect();
        for (bot, update) in gone {
            self.remove(&bot, update);
        }
    }

    /// Drops the oldest replies of a bot that has too many.
    fn bound(&mut self, bot: &str) {
        for (is_meant, most) in
            [(is_owed as fn(Stage) -> bool, MOST_OWED), (is_unconfirmed, MOST_UNCONFIRMED)]
        {
            while self.count(bot, is_meant) > most {
                let oldest = self.replies(bot).find(|(_, reply)| is_meant(reply.stage));
                let Some((update, _)) = oldest else { return };
                self.remove(bot, update);
            }
        }
    }

    fn remove(&mut self, bot: &str, update: i64) {
        let reply = self.bots.get_mut(bot).and_then(|bot| bot.replies.remove(&update));
        if let Some(reply) = reply.filter(|reply| reply.stage == Stage::Asked) {
            self.asked.remove(&(reply.session, reply.run));
        }
    }

    /// The records that make this out of an empty one, once the sessions are there.
    pub(super) fn records(&self) -> Vec<Record> {
        let mut bots: Vec<_> = self.bots.iter().collect();
        bots.sort_by_key(|(_, bot)| bot.order);
        let of_bot = |(name, bot): (&String, &Bot)| {
            let last = bot.last.map(|update| Record::Passed { bot: name.clone(), update });
            let replies = bot.replies.iter().map(|(update, reply)| Record::Owed {
                bot: name.clone(),
                update: *update,
                session: reply.session.clone(),
                run: reply.run.clone(),
                chat: reply.chat,
                text: reply.text.clone(),
                state: reply.stage,
                at_ms: reply.at_ms,
            });
            last.into_iter().chain(replies).collect::<Vec<_>>()
        };
        bots.into_iter().flat_map(of_bot).collect()
    }
}

/// Whether a reply is still to go out.
pub(crate) const fn is_owed(stage: Stage) -> bool {
    match stage {
        Stage::Asked | Stage::Waiting | Stage::Sending { .. } => true,
        Stage::Unconfirmed => false,
    }
}

/// Whether nobody knows if it went out.
pub(crate) const fn is_unconfirmed(stage: Stage) -> bool {
    !is_owed(stage)
}
